# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SAs of c.example, renewed ===== C 10.9.0.2
#
# Twenty CHILD_SA rekeys and two IKE_SA rekeys under a running transfer, first
# without latchd and then with it, and five re-authentications. No break, no byte
# lost, no longer stall. With the argument "short": six, one and one, with latchd only.
#
# touches: sa feeds vici gate
# expect: clean
# variant: rekey-storm-short short
# run: conformance rekey-storm
# run: field rekey-storm-trixie rekey-storm-sid
# variant: rekey-storm-trixie short charon=trixie
# variant: rekey-storm-sid short charon=sid

storm() {
	renew CHILD_SA rekey_child 10
	renew IKE_SA rekey_ike
	renew CHILD_SA rekey_child 10
	renew IKE_SA rekey_ike
}

short_storm() {
	renew CHILD_SA rekey_child 6
	renew IKE_SA rekey_ike
	renew CHILD_SA reauthenticate
}

latched_params() {
	latch_field "$(at w 7001)" '{id, peer, local_id, params}'
}

# latched_stream_survives RENEWALS: under them its latch stays the same, and no byte is lost.
latched_stream_survives() {
	local latched

	start_stream 7001
	need_latch w 7001 established
	latched=$(latched_params)
	"$1"
	[ "$(latched_params)" = "$latched" ] || fail "the latch has changed: $(latched_params)"
	drops=$(latch_field "$(at w 7001)" .drops)
	need_latch w 7001 established
	end_stream c 7001
	need_no_break
}

few_renewals() {
	WITH_LATCHD=1 honest_start
	latched_stream_survives short_storm
	note "$SENT bytes, none lost; longest gap $GAP_MS ms, dropped $drops"
}

long_storm() {
	storm
	renew CHILD_SA reauthenticate 5
}

many_renewals() {
	local gap repeated

	honest_start
	storm
	end_stream c 7000
	gap=$GAP_MS repeated=$RETRANSMITTED
	start_latchd
	start_monitor
	renew CHILD_SA rekey_child
	need_bound c.example
	latched_stream_survives long_storm
	[ "$GAP_MS" -le $((gap + 2000)) ] ||
		fail "longest gap $GAP_MS ms with latchd, $gap ms without"
	note "$SENT bytes, none lost; longest gap $GAP_MS ms ($gap without latchd)," \
		"repeated $RETRANSMITTED ($repeated), dropped $drops"
	conforms L-2-3 "20 CHILD_SA and two IKE_SA rekeys: no break, no byte lost"
	conforms S2 "20 CHILD_SA and two IKE_SA rekeys, five re-authentications: $SENT bytes, none lost, no break"
	conforms R-2-14 "id, identities and parameters of the latch: the same after all that"
}

topology "${@:2}"
if [ "${1:-}" = short ]; then
	few_renewals
else
	many_renewals
fi
