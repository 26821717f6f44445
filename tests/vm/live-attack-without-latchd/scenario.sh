# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example, in full use ===== C 10.9.0.2
#	    ^                                              (stays)
#	    +--- SA of d.example, segments that fit ------- D, at 10.9.0.2, too
#
# The attack of kill9-live without latchd: the oracle must see the leak.
#
# touches: vm
# run: conformance
# expect: leak decrypted

live_opening
burst
need 120 "D has its SAs" has_child_sa d
sent=$(sent_during_ike) || exit 1
[ "$sent" -gt 0 ] || fail "W sent nothing to C while D's IKE ran"
need 60 "D decrypts a part of C's stream" decrypted d W-TO-C
note "$sent packets to C while D's IKE ran; W's next ones went to D"
