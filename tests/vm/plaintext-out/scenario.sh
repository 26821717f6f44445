# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	  (its policies are flushed)
#
# The IPsec policies of W are flushed under a latched flow, and W's application writes on until
# its connection is reset. No byte of it leaves in clear. plaintext-out-without-latchd finds the
# same text on the wire.
#
# touches: gate spd latch
# expect: clean

enforce_keys() {
	echo 'policy-grace = 5s'
}

# written_since BYTES: W's application has written more of its lines than that.
written_since() {
	[ "$(stat -c %s "$APPS/w-7000.sent")" -gt "$1" ]
}

stopped_at_w() {
	STOPPED=$(latches "$(at w 7000) and (.drops > 0 or .state == \"broken\")")
	[ -n "$STOPPED" ]
}

topology
WITH_LATCHD=1 honest_start
need 30 "C decrypts W's lines" decrypted c W-TO-C
before=$(stat -c %s "$APPS/w-7000.sent")
flush_policies w
need 60 "drops or a broken latch" stopped_at_w
need 60 "W's application has written more" written_since "$before"
need 60 "W's application is reset" app_failed w-7000
clear=$(captured_text wire-w) || exit 1
! has_line W-TO-C <<<"$clear" || fail "W sent a line in clear: $(grep W-TO-C <<<"$clear" | head -n 1)"
stopped=$(json '"\(.state), \(.drops) drops"' <<<"$STOPPED") || exit 1
note "latch of W: $stopped; W's application: $(app_error w-7000)"
conforms R-2-4 "policies flushed: nothing in clear"
conforms R-2.3-12 "policies flushed: the flow did not continue in clear"
