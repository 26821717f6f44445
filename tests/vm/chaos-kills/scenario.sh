# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SAs of c.example, renewed ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, in the end at 10.9.0.2
#
# latchd is killed with -9 fifty times, at any moment of its start and of its work, while C renews
# SAs and opens connections. No latch breaks, no byte is lost, and descriptors and pins are as
# many as at first. Then D attacks: the latch breaks, and D decrypts nothing.
#
# touches: latchd enforce maps sa feeds vici latch
# run: conformance
# expect: clean

readonly KILLS=50
# The moments of the kills are the same in each run.
RANDOM=5660

# some_time TENTHS: less than that, in tenths of a second.
some_time() {
	local tenths=$((RANDOM % $1))

	sleep "$((tenths / 10)).$((tenths % 10))"
}

open_connection() {
	local port=$1

	wait_until 60 latchd_answers || fail "latchd does not answer: $(tail -n 1 "$LATCHD_LOG")"
	listen_and_connect w c "$port" --send W-TO-C --rate 5 --lines 0 -- --expect W-TO-C
	need 60 "C receives the stream of port $port" received_at_least "c-$port" 20
	OPENED+=("$port")
}

OPENED=()
topology dpd=300s
WITH_LATCHD=1 honest_start
need_steady
first_descriptors=$(descriptors)
first_pins=$(pins)
kill9_latchd
for ((i = 2; i <= KILLS; i++)); do
	launch_latchd
	some_time 60
	((i % 3)) || renew CHILD_SA rekey_child
	((i % 16)) || renew IKE_SA rekey_ike
	((i % 12)) || open_connection $((7000 + i))
	some_time 10
	kill9_latchd
done
started=$(logged 'enforcement on: cgroup')
launch_latchd
wait_until 60 latchd_answers || fail "latchd does not answer: $(tail -n 1 "$LATCHD_LOG")"
start_monitor
need_steady
need_progress c-7000 "after $KILLS kills"
need_latch w 7000 established
for port in "${OPENED[@]}"; do
	need_latch w "$port" established
	end_stream c "$port"
done
need_no_break_logged
need 60 "latchd has as many descriptors as at first, $first_descriptors" \
	descriptors_are "$first_descriptors"
need 60 "as many objects are pinned as at first, $first_pins" pins_are "$first_pins"
conforms R-2-16 "latchd killed $KILLS times, $((started - 1)) of them after its start was complete: no break"
impostor_takes_over
need_reset
need_broken
# Connections in TIME_WAIT have latches, too.
[ "$(logged 'latch [0-9a-f]* broken')" = "$(logged 'broken (sa-conflict): .*"d.example"')" ] ||
	fail "a latch broke for another reason than D's SA"
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
note "$KILLS kills, ${#OPENED[@]} connections through them: no break, no byte lost;" \
	"then D: W reset after $RESET_MS ms, D decrypted nothing"
