# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#
# W closes first. Its latch stays while the connection is in TIME_WAIT and is
# gone afterwards, as is C's.
#
# touches: gate latch net
# run: conformance
# expect: clean

in_time_wait() {
	has_sockets w state time-wait "( sport = :7000 )"
}

not_in_time_wait() {
	! in_time_wait
}

topology
WITH_LATCHD=1 honest_start
client=$(at c "$(port_of c-7000)")
end_stream c 7000
in_time_wait || fail "W's connection is not in TIME_WAIT"
latch_seen "$(at w 7000)" || fail "the latch ended before TIME_WAIT did"
log "W is in TIME_WAIT and still latched"
need 30 "C's latch is gone" no_latch "$client"
need 150 "TIME_WAIT ends" not_in_time_wait
need 30 "W's latch is gone" no_latch "$(at w 7000)"
note "latched during TIME_WAIT, no latch afterwards"
conforms R-2.3-19 "the latch lasted through TIME_WAIT, and no longer"
conforms L-2-1 "both latches ended with the connection"
