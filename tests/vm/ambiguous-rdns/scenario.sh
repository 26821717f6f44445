# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ----- one connection, its remote id changes ----- C 10.9.0.2
#
# charon prints a DN without escapes. One CA has issued these names, and C authenticates with each:
#
#	plain      [O=Acme][CN=Alice][OU=IT]
#	comma      [O=Acme][CN="Alice, OU=IT"]     prints as plain
#	together   [O=Acme + CN=Alice][OU=IT]      prints as plain, one RDN with two values
#	quote      [O=Acme][CN="\"Alice\""][OU=IT]
#	unnamed    [O=Acme][businessCategory=Alice][OU=IT], prints the type as bytes
#	bell       [O=Acme][CN="Al\ace"][OU=IT]    prints "Al?ce"
#
# Under %any, and under two wildcards, none is attributed. Under its exact text plain is attributed, and
# charon refuses comma, quote, unnamed and bell. It compares values without regard to RDNs and accepts
# together: to charon both are one identity (docs/limitations.md). One wildcard determines its value.
#
# touches: feeds vici identity
# run: conformance
# expect: clean

readonly NAME="O=Acme, CN=Alice, OU=IT"
declare -A SUBJECT=(
	[plain]="/O=Acme/CN=Alice/OU=IT" [comma]="/O=Acme/CN=Alice, OU=IT"
	[together]="/O=Acme+CN=Alice/OU=IT" [quote]='/O=Acme/CN="Alice"/OU=IT'
	[unnamed]="/O=Acme/businessCategory=Alice/OU=IT" [bell]=$'/O=Acme/CN=Al\ace/OU=IT'
)

printed() {
	case $1 in
	quote) echo 'O=Acme, CN="Alice", OU=IT' ;;
	unnamed) echo "O=Acme, 55:04:0f=Alice, OU=IT" ;;
	bell) echo "O=Acme, CN=Al?ce, OU=IT" ;;
	*) echo "$NAME" ;;
	esac
}

# subject_of KIND: the subject of its certificate in DER, as hexadecimal digits: the fourth SEQUENCE of
# the TBSCertificate (RFC 5280, section 4.1).
subject_of() {
	local der=$RUN/$1.der offset head length

	openssl x509 -in "$RUN/$1.pem" -outform DER -out "$der"
	read -r offset head length < <(openssl asn1parse -inform DER -in "$der" |
		sed -nE 's/^ *([0-9]+):d=2 +hl=([0-9]+) l= *([0-9]+) cons: SEQUENCE.*/\1 \2 \3/p' |
		sed -n 4p)
	tail -c +$((offset + 1)) "$der" | head -c $((head + length)) | od -An -v -tx1 | tr -d ' \n'
}

topology dpd=300s
for kind in "${!SUBJECT[@]}"; do
	sign "$kind" "${SUBJECT[$kind]}" "keyUsage=digitalSignature"
	identify "$kind" "asn1dn:#$(subject_of "$kind")"
done
begin_identities
accept "$NAME"
is_attributed plain "$NAME" 7000
is_attributed together "$NAME" 7001
for kind in comma quote unnamed bell; do
	is_rejected $kind "$NAME"
done
accept "O=Acme, CN=*, OU=IT"
is_attributed plain "one wildcard" 7002
is_attributed quote "one wildcard" 7003
is_unattributed bell "one wildcard"
is_rejected comma "one wildcard"
accept "O=Acme, CN=*, OU=*"
is_unattributed plain "two wildcards"
accept %any
for kind in "${!SUBJECT[@]}"; do
	is_unattributed "$kind" %any
done
note "six certificates, four texts: none is attributed under %any, and an exact id admits what charon compares as equal"
