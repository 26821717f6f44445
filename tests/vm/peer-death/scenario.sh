# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2 (crashes, and boots again)
#	    \
#	     ===== SA of d.example ===== D 10.9.0.3
#
# C crashes without any message. W's dead-peer detection notices, and every latch to C
# is permanently broken: W's application is reset, and the latch to D holds. C
# boots again with the same identity: a new connection works, the old latch stays broken.
#
# touches: feeds vici latch sa
# run: field peer-death-trixie peer-death-sid
# variant: peer-death-trixie charon=trixie
# variant: peer-death-sid charon=sid
# expect: clean

# Each host has an address of its own here.
addr() {
	local -n table=ADDR$FAMILY

	echo "${table[$1]}"
}

remote_addr() {
	if [ "$1" = w ]; then echo "$(addr c), $(addr d)"; else addr w; fi
}

# After the boot C knows nothing of its old SAs and connections.
boot_again() {
	kill_and_wait KILL "$(app_pid c-7000)"
	in_host c ss --tcp --kill >"$RUN/c/killed" # a FIN that no host acknowledges
	ip -n lt-c xfrm state flush
	ip -n lt-c xfrm policy flush
	ip -n lt-net link set dev c up
	rm -f "$RUN/c.vici"
	host_up c
	must_initiate c
}

topology dpd=4s "$@"
give_address d d
WITH_LATCHD=1 honest_start
must_initiate d
new_connection 7001
need_latch w 7001 established

host_down c
need 120 "W's application is reset" app_failed w-7000
need 30 "latchctl monitor names the dead peer" event_seen \
	".event == \"latch-broken\" and .reason == \"peer-dead\" and
	 .expected.id == \"c.example\" and .actual == null and $(at w 7000)"
conforms R-2-19 "dead-peer detection broke the latch to c.example (peer-dead), W got $(app_error w-7000)"
before=$(received_bytes d-7001)
need 60 "the stream to D continues" received_at_least d-7001 $((before + 500))
need_latch w 7001 established
need_events 0 ".event == \"latch-broken\" and $(at w 7001)" "the latch to D was broken, too"

boot_again
start_stream 7002
need_latch w 7002 established
need_events 0 '.event == "latch-healed"' "a latch to a dead peer healed"
! latch_seen "$(at w 7000) and .state == \"established\"" ||
	fail "the latch to C from before the crash is established again"
conforms S18 "C booted again with the same ID: the old latch stayed broken, a new connection is latched"
end_stream c 7002
end_stream d 7001
note "broken: peer-dead; the latch to D held; C's new connection works"
