# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	  (latchd is there before any charon)
#
# latchd starts before the charons: it keeps trying and reports that. Once they run,
# flows are latched as usual. When one ends, latchd reports that too, and its
# latches hold.
#
# touches: feeds vici report latchctl
# expect: clean

topology
start_latchd
feeds_down() {
	[ "$(status '[.feeds[] | select(.connected == false)] | length')" = "$1" ]
}
need 30 "status names three absent charons" feeds_down 3
host_up w c d
need 60 "latchd finds the charons" feeds_down 0
start_monitor
must_initiate c
start_stream
need_latch w 7000 established
kill_and_wait KILL "$(charon_pid c)"
need 60 "status names the lost charon" feeds_down 1
before=$(received_bytes c-7000)
need 60 "the stream continues" received_at_least c-7000 $((before + 2000))
need_latch w 7000 established
end_stream c 7000
note "three absent, then present, then one lost: status reported each time"
