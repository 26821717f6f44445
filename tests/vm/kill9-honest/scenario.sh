# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SAs of c.example, renewed ===== C 10.9.0.2
#
# latchd is killed with -9 under a running transfer and started again. The flow
# stays latched, a rekey after the restart does not break it, no byte is lost.
#
# touches: latchd enforce maps sa feeds vici
# run: conformance
# expect: clean

topology
WITH_LATCHD=1 honest_start
kill9_latchd
before=$(received_bytes c-7000)
need 60 "the stream continues without latchd" \
	received_at_least c-7000 $((before + 2000))
start_latchd
start_monitor
need_latch w 7000 established
renew CHILD_SA rekey_child
before=$(received_bytes c-7000)
need 60 "the stream continues after a rekey" \
	received_at_least c-7000 $((before + 2000))
need_latch w 7000 established
end_stream c 7000
note "$SENT bytes, none lost; longest gap $GAP_MS ms"
conforms R-2-16 "latchd killed and started again: latched throughout, $SENT bytes, none lost"
