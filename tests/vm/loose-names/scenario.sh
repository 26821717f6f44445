# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ----- rdn_matching = relaxed at W ----- C 10.9.0.2
#
# charon.rdn_matching lets a remote id match other DNs, and vici does not show it. One CA has issued
# these names, and C authenticates with each:
#
#	plain      [O=Acme][CN=Alice][OU=IT]
#	turned     [OU=IT][CN=Alice][O=Acme]
#	longer     [O=Acme][CN=Alice][OU=IT][L=Guest]
#
# relaxed: charon accepts all three under the exact text of plain. The variant, reordered: it rejects
# longer. latchd.conf states the value, so no DN is attributed, plain neither. One pinned certificate is
# attributed under any value.
#
# touches: feeds vici identity config
# run: conformance
# variant: loose-names-reordered reordered
# expect: clean

readonly NAME="O=Acme, CN=Alice, OU=IT" MATCHING=${1:-relaxed}
declare -A SUBJECT=(
	[plain]="/O=Acme/CN=Alice/OU=IT" [turned]="/OU=IT/CN=Alice/O=Acme"
	[longer]="/O=Acme/CN=Alice/OU=IT/L=Guest"
)

printed() {
	case $1 in
	turned) echo "OU=IT, CN=Alice, O=Acme" ;;
	longer) echo "$NAME, L=Guest" ;;
	*) echo "$NAME" ;;
	esac
}

eval "plain_$(declare -f charon_config)"
charon_config() {
	plain_charon_config "$1" | if [ "$1" = w ]; then
		sed "0,/load_modular = no/s//&\n  rdn_matching = $MATCHING/"
	else
		cat
	fi
}

eval "plain_$(declare -f latchd_config)"
latchd_config() {
	plain_latchd_config | sed "/^\[feed w\]/a rdn-matching = $MATCHING"
}

# pin KIND: W's connection admits this certificate alone.
pin() {
	cp "$RUN/$1.pem" "$RUN/w/swanctl/x509/pinned.pem"
	sed -i "/^ *remote {/,/}/s|cacerts = .*|certs = pinned.pem|" "$RUN/w/swanctl/swanctl.conf"
	accept "$NAME"
}

topology dpd=300s
for kind in "${!SUBJECT[@]}"; do
	sign "$kind" "${SUBJECT[$kind]}" "keyUsage=digitalSignature"
	identify "$kind" "$(printed "$kind")"
done
begin_identities
accept "$NAME"
is_unattributed plain "$NAME"
is_unattributed turned "$NAME"
if [ "$MATCHING" = relaxed ]; then
	is_unattributed longer "$NAME"
else
	is_rejected longer "$NAME"
fi
matches 'refused (charon match.* DNs loosely' "$LATCHD_LOG" | has_line 'feed w;' ||
	fail "no refusal names rdn-matching"
pin plain
is_attributed plain "one pinned certificate" 7000
is_rejected turned "one pinned certificate"
note "rdn_matching = $MATCHING: no DN is attributed, one pinned certificate is"
