# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of [O=Acme][CN=Alice][OU=IT] ===== C 10.9.0.2
#	    \
#	     ===== SA of [O=Acme][CN="Alice, OU=IT"] ===== D, now at 10.9.0.2
#
# One CA has issued both names, and charon prints both as "O=Acme, CN=Alice, OU=IT". W's
# connection has C's exact name as remote id: W's stream to C is latched. Then the connection
# is loaded anew with remote id %any. C's stream continues, since C authenticated before. D
# takes C's address and authenticates as itself: its SAs stay unattributed, and no byte of
# C's stream leaves under them. When the connection has C's name again, D's IKE_SA from the
# time before is still refused. So is the next one, which W begins: charon authenticates again
# under the connection of the old IKE_SA, with the remote id %any. latchctl sa shows why.
#
# The variant: remote id %any from the start, and the administrator has stated in latchd.conf
# that the CA issues no such names. C is latched, and rekeys lose nothing. The last variant: the
# statement is wrong, and D decrypts a part of C's stream. This D would pass without the proof.
#
# touches: feeds vici identity config sa gate
# run: conformance
# variant: ambiguous-names-stated stated
# variant: ambiguous-names-wrongly-stated wrongly-stated
# expect ambiguous-names-wrongly-stated: leak decrypted
# expect: clean

readonly NAME="O=Acme, CN=Alice, OU=IT"
STATED=no
case ${1:-} in
stated | wrongly-stated)
	STATED=$1
	shift
	;;
esac

eval "plain_$(declare -f latchd_config)"
latchd_config() {
	plain_latchd_config | if [ "$STATED" != no ]; then
		sed '/^\[feed w\]/a unambiguous-names = peer'
	else
		cat
	fi
}

# rename HOST DN: a certificate with this subject and no other name, for the host's own key.
rename() {
	local host=$1 dn=$2 dir=$RUN/$1/swanctl

	STRONGSWAN_CONF=$PKI/strongswan.conf pki --issue --cacert "$PKI/ca.pem" \
		--cakey "$PKI/ca.key" --type priv --in "$dir/private/$host.key" --dn "$dn" \
		--lifetime 30 --outform pem >"$dir/x509/$host.pem" 2>"$RUN/$host/pki.log" ||
		fail "pki failed: $(tail -n 1 "$RUN/$host/pki.log")"
	sed -i "s|id = $host\.example|id = \"$dn\"|" "$dir/swanctl.conf"
	log "$host has a certificate for $dn"
}

# accept ID: the remote id of W's connection.
accept() {
	sed -i "/^ *remote {/,/}/s|id = .*|id = \"$1\"|" "$RUN/w/swanctl/swanctl.conf"
}

accept_now() {
	accept "$1"
	load_connections w
	log "W's connection is loaded anew, with remote id $1"
}

latched_by_name() {
	latch_seen "$(at w 7000) and .state == \"established\" and .peer.id == \"$NAME\""
}

refused() {
	matches 'refused (the connection.s remote id admits' "$LATCHD_LOG" | has_line 'feed w;'
}

unattributed_drops() {
	status '[.drops[] | select(.reason == "sa-pending").egress] | add'
}

unattributed_drops_at_least() {
	[ "$(unattributed_drops)" -ge "$1" ]
}

# again: W authenticates D again, as charon does after reauth_time.
again() {
	local id

	id=$(answer swan w --list-sas | sed -n 's/^peer: #\([0-9]*\), ESTABLISHED.*/\1/p' | sort -n | tail -n 1)
	log "W authenticates its IKE_SA $id again"
	swan w --rekey --ike-id "$id" --reauth >>"$RUN/w/rekey.log" 2>&1
}

refused_again() {
	matches 'refused (it may continue an IKE_SA without proof' "$LATCHD_LOG" | has_line 'feed w;'
}

reason_shown() {
	local count

	count=$(answer latchctl --json sa |
		json '[.sas[] | select(.refused != null and .state == "pending" and .peer == null)] |
			length') || exit 1
	[ "$count" -ge 1 ]
}

topology dpd=300s "$@"
rename c "$NAME"
rename d "/O=Acme/CN=Alice, OU=IT"
if [ "$STATED" != no ]; then
	accept %any
	WITH_LATCHD=1 honest_start
	need 10 "W's latch has the name that is stated to be unambiguous" latched_by_name
fi
if [ "$STATED" = wrongly-stated ]; then
	impostor_takes_over
	need 60 "D decrypts a part of C's stream" decrypted d W-TO-C
	note "with unambiguous-names D passes for C: D decrypted" \
		"$(decrypted_text d | grep -o 'W-TO-C.*' | head -n 1)"
elif [ "$STATED" = stated ]; then
	renew CHILD_SA rekey_child 3
	end_stream c 7000
	need_no_break
	note "with unambiguous-names a DN under %any is latched; 3 rekeys lost nothing"
else
	accept "$NAME"
	WITH_LATCHD=1 honest_start
	need 10 "W's latch has the exact name" latched_by_name
	accept_now %any
	before=$(received_bytes c-7000)
	need 60 "C's stream continues" received_at_least c-7000 $((before + 1000))
	renew CHILD_SA rekey_child
	before=$(received_bytes c-7000)
	need 60 "C's stream continues after a rekey" received_at_least c-7000 $((before + 1000))
	need_no_break
	log "C authenticated under its exact name: the reload has changed nothing for it"

	impostor_takes_over
	need 60 "latchd refuses D's SAs" refused
	[ "$(children w "$NAME")" -ge 2 ] || fail "charon does not print D's name as C's"
	need 120 "W's packets under D's SA are dropped" unattributed_drops_at_least 1
	accept_now "$NAME"
	rekey_child d || fail "D's rekey failed; see d/rekey.log"
	dropped=$(unattributed_drops)
	need 120 "W's packets under D's new SA are dropped" \
		unattributed_drops_at_least $((dropped + 1))

	again || fail "W's reauthentication with D failed; see w/rekey.log"
	need 60 "latchd refuses the IKE_SA that W began under the former connection" refused_again
	dropped=$(unattributed_drops)
	need 120 "W's packets under the next SA of D are dropped" \
		unattributed_drops_at_least $((dropped + 1))
	need 30 "latchctl sa shows the reason" reason_shown
	! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
	need_no_break
	[ "$(received_bytes w-7000)" = 0 ] || fail "W's application received bytes"
	conforms S4 "a certificate with a name that prints as C's is not taken for C: D decrypted nothing"
fi
