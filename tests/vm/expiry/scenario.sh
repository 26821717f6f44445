# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 == SA of c.example, 8 s of life == C 10.9.0.2
#	          x  UDP 500 and 4500 blocked for 30 s
#
# S3: all SAs expire while IKE cannot reach the peer. The stream stalls as with an
# unplugged cable, its latch stays ESTABLISHED. When IKE is let through again, new
# SAs of the same peer carry the stream on, and no byte is lost.
#
# touches: sa latch gate
# run: conformance
# expect: clean

block_ike() {
	ip netns exec lt-net nft -f - <<-EOF
		table bridge block {
			chain forward {
				type filter hook forward priority 0
				udp dport { 500, 4500 } counter drop
			}
		}
	EOF
	log "IKE is blocked"
}

unblock_ike() {
	ip netns exec lt-net nft delete table bridge block
	log "IKE is let through"
}

blocked_for_30_s() {
	[ "$(ms_between "$BLOCKED" "$EPOCHREALTIME")" -ge 30000 ]
}

# latchctl's list, since the kernel's also has SPIs that charon reserves while it negotiates without an answer.
has_no_sas() {
	[ -z "$(sas true)" ]
}

topology life=8s tries=60
WITH_LATCHD=1 honest_start
block_ike
BLOCKED=$EPOCHREALTIME
need 120 "all SAs of W have expired" has_no_sas
before=$(received_bytes c-7000)
need_latch w 7000 established
conforms R-2-15 "no SA is left and none can be had: the latch stays ESTABLISHED"
need 60 "IKE was blocked for 30 s" blocked_for_30_s
[ "$(received_bytes c-7000)" = "$before" ] || fail "C received data without any SA"
! app_failed w-7000 || fail "application at W: $(app_error w-7000)"
unblock_ike
need 180 "the stream continues" received_at_least c-7000 $((before + 500))
need_latch w 7000 established
end_stream c 7000
need_no_break
conforms S3 "stall of $GAP_MS ms, $SENT bytes, none lost, no break"
conforms L-2-3 "the latch remained when all SAs of its flow were gone"
note "IKE blocked, no SA left: stalled for $GAP_MS ms; $SENT bytes, none lost"
