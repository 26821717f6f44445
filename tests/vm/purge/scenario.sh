# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#
# SIGTERM of latchd leaves enforcement in place; latchctl purge removes every
# pinned object, and the flow continues unlatched.
#
# touches: latchctl enforce
# expect: clean

pinned() {
	[ ! -e /sys/fs/bpf/latchd ] || answer find /sys/fs/bpf/latchd -type f | wc -l
}

topology
WITH_LATCHD=1 honest_start
stop_latchd
left=$(pinned)
[ "$left" -gt 0 ] || fail "SIGTERM removed the pinned objects"
latchctl --yes purge >"$RUN/purge.log" 2>&1 ||
	fail "latchctl purge: $(tail -n 1 "$RUN/purge.log")"
[ ! -e /sys/fs/bpf/latchd ] || fail "$(pinned) objects are still pinned"
before=$(received_bytes c-7000)
need 60 "the stream continues" received_at_least c-7000 $((before + 2000))
end_stream c 7000
note "$left objects pinned after SIGTERM, none after purge; $SENT bytes, none lost"
