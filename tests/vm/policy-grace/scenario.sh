# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	  (its charon is away for twelve seconds, and its policies are)
#
# A restart of charon that takes its time: without a policy W's stream would go on in clear
# (policy-grace-without-latchd). With latchd nothing leaves, and within policy-grace, 30 s, no latch
# breaks: the stream continues when the policies are back, and no byte is lost.
#
# touches: spd latch gate config
# run: conformance
# expect: clean

a_latch_broke() {
	event_seen '.event == "latch-broken"'
}

goes_on() {
	received_at_least c-7000 $((before + 1000))
}

topology dpd=4s
WITH_LATCHD=1 honest_start
charon_stop w
policies=$(answer ip -n lt-w -o xfrm policy list dir out) || exit 1
[ -z "$policies" ] || fail "W has policies without its charon: $policies"
never 12 "a latch broke within policy-grace" a_latch_broke
before=$(received_bytes c-7000)
host_up w
# W may be quicker.
initiate c || log "W has initiated already: $(tail -n 1 "$RUN/c/initiate.log")"
need 120 "the stream continues" goes_on
need_latch w 7000 established
need_events 0 '.event == "latch-broken"' "a latch broke"
end_stream c 7000
note "charon away for 12 s: no break, $SENT bytes, none lost; longest gap $GAP_MS ms"
