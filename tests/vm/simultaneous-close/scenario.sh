# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#
# Both close at once on a slow wire: their FINs cross, both ends are in TIME_WAIT,
# and every byte arrived.
#
# touches: gate latch net
# run: conformance
# expect: clean

time_wait_at() {
	has_sockets "$1" state time-wait "( sport = :7000 or dport = :7000 )"
}

topology
WITH_LATCHD=1 honest_start
for host in w c; do
	answer ip netns exec lt-net tc qdisc add dev $host root netem delay 500ms
done
stop_app w-7000
stop_app c-7000
need 60 "the stream ends at W" app_done w-7000
need 60 "the stream ends at C" app_done c-7000
need 30 "W is in TIME_WAIT" time_wait_at w
need 30 "C is in TIME_WAIT" time_wait_at c
! app_failed w-7000 || fail "application at W: $(app_error w-7000)"
! app_failed c-7000 || fail "application at C: $(app_error c-7000)"
[ "$(app_value w-7000 sent)" = "$(app_value c-7000 received)" ] ||
	fail "W sent $(app_value w-7000 sent) bytes, C got $(app_value c-7000 received)"
latch_seen "$(at w 7000)" || fail "the latch ended before TIME_WAIT did"
note "both ends in TIME_WAIT, $(app_value w-7000 sent) bytes, none lost"
conforms R-2.3-19 "closed at once by both: latched in TIME_WAIT"
