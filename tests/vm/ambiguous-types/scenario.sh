# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ----- one connection, its remote id changes ----- C 10.9.0.2
#
# charon prints a mail address, a host name, a URI and a key id of the same bytes alike. One CA has
# issued certificates with the text "alice@acme.example" in each of these four types. Others have
# "10.9.0.2" as a host name and as an address. C authenticates with each of them, under remote ids
# of W that fix the type and under %any. charon refuses the other types, or latchd leaves the SAs
# unattributed. The one that is meant is attributed, and a stream is latched to it. charon accepts no URI at all.
#
# touches: feeds vici identity
# run: conformance
# expect: clean

readonly TEXT=alice@acme.example
# KIND: its id in swanctl.conf, and its name in the certificate, for openssl.
declare -A ID=(
	[mail]="rfc822:$TEXT" [host]="fqdn:$TEXT" [uri]="uri:$TEXT" [key]="keyid:$TEXT"
	[address]=10.9.0.2 [address-text]="fqdn:10.9.0.2"
)
declare -A EXTENSION=(
	[mail]="subjectAltName=email:$TEXT" [host]="subjectAltName=DNS:$TEXT"
	[uri]="subjectAltName=URI:$TEXT"
	[key]="subjectKeyIdentifier=$(printf %s "$TEXT" | od -An -tx1 | tr -d ' \n')"
	[address]="subjectAltName=IP:10.9.0.2" [address-text]="subjectAltName=DNS:10.9.0.2"
)

printed() {
	if [[ $1 = address* ]]; then echo 10.9.0.2; else echo $TEXT; fi
}

topology dpd=300s
for type in "${!EXTENSION[@]}"; do
	sign "$type" "/O=Latch/CN=$type" "${EXTENSION[$type]}"
	identify "$type" "${ID[$type]}"
done
begin_identities
accept $TEXT
is_attributed mail $TEXT 7000
for type in host uri key; do
	is_rejected $type $TEXT
done
accept '*@acme.example'
is_attributed mail '*@acme.example' 7001
is_rejected host '*@acme.example'
accept 10.9.0.2
is_attributed address 10.9.0.2 7002
is_rejected address-text 10.9.0.2
accept %any
for type in mail host key address address-text; do
	is_unattributed $type %any
done
is_rejected uri %any
note "six certificates, two texts: one identity each is attributed, and none under %any"
