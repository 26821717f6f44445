# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example, any port ======== C 10.9.0.2
#	    \
#	     ===== SA of d.example, W's port 7000 ===== D, at the same address
#
# W streams to C from two ports. D negotiates an SA whose selectors are W's port 7000 alone: its policy is
# narrower, so the kernel chooses it for the first stream. That stream breaks, and D gets nothing of it. The
# kernel can neither choose nor accept D's SA for the other stream: it goes on, and loses nothing.
#
# touches: sa gate choice latch feeds vici
# run: conformance
# expect: clean

selectors() {
	[ "$1" != d ] || printf 'local_ts = dynamic[tcp]\nremote_ts = dynamic[tcp/7000]\n'
}

# W's packets for the common address go to HOST's device.
lead_to() {
	ip -n lt-w neigh replace "$(addr c)" dev eth0 lladdr "${MAC[$1]}" nud permanent
	log "W sends to $1"
}

narrow_sa_is_there() {
	[[ $(answer swan w --list-sas --raw) = *"[tcp/7000]"* ]]
}

topology dpd=300s
WITH_LATCHD=1 honest_start
start_stream 7001
need_latch w 7001 established
give_address d c
lead_to d
must_initiate d
need 30 "W has D's SA for its port 7000" narrow_sa_is_there
need_reset
need_broken
lead_to c
need_latch w 7001 established
need_progress c-7001 "beside D's SA"
end_stream c 7001
need_events 1 '.event == "latch-broken"' "another latch was broken"
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
conforms R-2.3-7 "an SA under a narrower policy breaks the latch that it would carry, and no other"
conforms S4 "D negotiates an SA for W's port 7000 alone: that stream is reset, the other one loses nothing"
note "port 7000: reset after $RESET_MS ms; port 7001: $SENT bytes, none lost"
