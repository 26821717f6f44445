# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	  (its policies are flushed)
#
# The IPsec policies of W are flushed under a latched flow. No byte of it
# leaves in clear.
#
# touches: gate spd latch
# expect: clean

topology
WITH_LATCHD=1 honest_start
flush_policies w
need 60 "drops or a broken latch" latch_seen \
	"$(at w 7000) and (.drops > 0 or .state == \"broken\")"
never 5 "C received bytes in clear" decrypted c NEVER-SENT
note "latch of W: $(latch_field "$(at w 7000)" '"\(.state), \(.drops) drops"')"
conforms R-2-4 "policies flushed: nothing in clear"
conforms R-2.3-12 "policies flushed: the flow did not continue in clear"
