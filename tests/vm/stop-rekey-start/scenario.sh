# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SAs of c.example, renewed ===== C 10.9.0.2
#
# An upgrade: latchd is stopped under a running stream, the key managers renew the CHILD_SA
# meanwhile, and latchd is started again. Until then the stream stalls, as the message of the stop
# says; then it continues under the new SA, and no byte is lost. Nothing leaves otherwise.
#
# touches: latchd enforce maps sa feeds vici
# run: conformance
# expect: clean

goes_on() {
	received_at_least c-7000 $((before + 100))
}

topology
WITH_LATCHD=1 honest_start
stop_latchd
file_has "$LATCHD_LOG" "latched connections stall from the next rekey" ||
	fail "latchd does not say at its end that a rekey stalls connections"
before=$(received_bytes c-7000)
need 60 "the stream continues without latchd" goes_on
renew CHILD_SA rekey_child
before=$(received_bytes c-7000)
never 6 "the stream went on under an SA of unknown owner" goes_on
began=$EPOCHREALTIME
start_latchd
start_monitor
need_bound c.example
bound_ms=$(ms_between "$began" "$EPOCHREALTIME")
need 60 "the stream continues with latchd" goes_on
need_latch w 7000 established
renew CHILD_SA rekey_child
end_stream c 7000
need_no_break
conforms R-2-16 "stopped, CHILD_SA rekeyed, started: the stream stalled and went on, $SENT bytes, none lost"
note "started to bound: $bound_ms ms; $SENT bytes, none lost; longest gap $GAP_MS ms"
