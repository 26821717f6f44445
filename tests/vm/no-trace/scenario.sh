# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#
# Programs that know nothing of latchd are latched at both ends, and latchctl shows all
# that is latched. Policies, SAs and the key managers' connections are the same before,
# meanwhile and afterwards: latchd changes none of them.
#
# touches: gate sa report latchctl
# run: conformance
# expect: clean

# Everything that latchd might change, without counters and times.
configured() {
	answer in_host w ip xfrm policy
	answer in_host w ip xfrm state | grep -E '^src|^[[:space:]]proto'
	answer swan w --list-conns
	answer swan w --list-pols
}

need_unchanged() {
	configured >"$RUN/configured.now"
	cmp -s "$RUN/configured" "$RUN/configured.now" ||
		fail "$1: $(diff "$RUN/configured" "$RUN/configured.now" | sed -n 2p)"
}

# shown HOST PORT PEER LOCAL-ID: everything that RFC 5660 latches.
shown() {
	latch_seen "$(at "$1" "$2") and .state == \"established\" and
		.peer.id == \"$3\" and .peer.auth == \"pubkey\" and .local_id == \"$4\" and
		.params.ipsec == \"esp\" and .params.mode == \"transport\" and
		.params.encr_bits > 0 and .params.replay_protection == true"
}

topology
honest_start
end_stream c 7000
configured >"$RUN/configured"
[ "$(grep -c '^src' "$RUN/configured")" -ge 4 ] || fail "W has no policies and SAs to compare"
start_latchd
need_bound c.example
start_stream 7001
need 30 "W's end is latched, and latchctl shows all of it" shown w 7001 c.example w.example
need 30 "C's end is latched, and latchctl shows all of it" shown c "$(port_of c-7001)" w.example c.example
need_unchanged "while a connection is latched"
client=$(at c "$(port_of c-7001)")
end_stream c 7001
need 30 "C's latch is gone" no_latch "$client"
need 150 "W's latch is gone" no_latch "$(at w 7001)"
need_unchanged "after a connection was latched"
stop_latchd
need_unchanged "after latchd"
note "both ends latched, nothing of W's policies, SAs and connections changed"
conforms S1 "unchanged programs: both ends latched, type, mode, quality and both identities shown"
conforms L-1-1 "W's policies and SAs: the same before, meanwhile and afterwards"
conforms L-1-2 "W's connections as swanctl lists them: the same"
conforms R-2-17 "no policy was installed with the latch, so none was left"
