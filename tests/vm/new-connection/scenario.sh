# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
# After the attack W's dead-peer detection gives up C's SAs. From then on a new
# connection between W and D works, and is latched to D.
#
# touches: gate sa latch
# run: conformance
# expect: clean

topology dpd=4s
attack_is_stopped
need 120 "W gives C up" has_no_children w c.example
new_connection 7001
need 30 "the new connection is latched to D" latch_seen \
	"$(at w 7001) and .state == \"established\" and .peer.id == \"d.example\""
end_stream d 7001
note "the new connection is latched to d.example"
conforms R-2-12 "a program that asked for nothing is latched to d.example"
