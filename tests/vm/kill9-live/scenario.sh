# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example, in full use ===== C 10.9.0.2
#	    ^                                              (stays)
#	    +--- SA of d.example, segments that fit ------- D, at 10.9.0.2, too
#
# S20 with live packets: latchd (variant: W's charon, too) is dead when D attacks, and W's TCP
# sends to C until D's SA is there. W's next segments and D's burst meet each other under D's
# SA: neither leaves W, neither is received. The next latchd resets W's application. Variant:
# D's IKE begins while neither runs. D has its SA from W's next charon, before the next latchd.
#
# touches: latchd enforce maps gate sa
# variant: both-killed-live charon
# run: conformance
# expect: clean

more_drops() {
	pending_drops_at_least egress $((egress + 1)) &&
		pending_drops_at_least ingress $((ingress + 1))
}

ike_of_d_arrived() {
	[ -n "$(captured wire-w ether src "${MAC[d]}" and udp port 500)" ]
}

without_charon() {
	kill_and_wait KILL "$(charon_pid w)"
	log "W's charon was killed with -9"
	need_live "without latchd and charon"
	burst
	need 60 "an IKE request of D's arrives at W" ike_of_d_arrived
	need_live "while D's IKE has no answer"
	# A charon that has no configuration yet refuses D's request, and D then asks no more.
	in_host w nft -f - <<-EOF
		table inet starting {
			chain arrived {
				type filter hook input priority 0
				udp dport 500 drop
			}
		}
	EOF
	host_up w
	in_host w nft delete table inet starting
}

WITH_LATCHD=1 live_opening
kill9_latchd
need_live "without latchd"
egress=$(pending_drops egress) || exit 1
ingress=$(pending_drops ingress) || exit 1
if [ "${1:-}" = charon ]; then
	without_charon
else
	burst
fi
need 120 "D has its SAs" has_child_sa d
sent=$(sent_during_ike) || exit 1
[ "$sent" -gt 0 ] || fail "W sent nothing to C while D's IKE ran"
log "W sent $sent packets to C between D's two exchanges"
need 60 "W decrypts D's burst" decrypted w FORGED-BY-D
# Longer than the time after which a new flow may use an unattributed SA.
never 10 "D decrypted C's stream while latchd did not run" decrypted d W-TO-C
[ "$(received_bytes w-7000)" = 0 ] || fail "W's application received D's data under a pending SA"
need 60 "packets of both directions were dropped under D's SA" more_drops
! app_failed w-7000 || fail "W's application got $(app_error w-7000) without latchd"
kill_and_wait TERM "$(cat "$APPS/forge.pid")"
start_latchd
need 120 "W's application is reset" app_failed w-7000
need 60 "no latch of W's connection is left" no_latch "$(at w 7000)"
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
[ "$(received_bytes w-7000)" = 0 ] || fail "W's application received D's data"
conforms R-2-16 "attack on a stream in full use (${1:-latchd} dead): nothing leaked, then reset"
conforms S20 "live packets of W and a burst of D's meet D's SA without latchd: all dropped"
note "$sent packets to C while D's IKE ran; none under D's SA; then $(app_error w-7000)"
