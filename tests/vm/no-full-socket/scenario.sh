# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W ----- SA of c.example, still there, inbound ----- C
#	  `---- SA of d.example, now W's outbound one ----- D, at C's address
#
# Packets that W's kernel sends without a full socket do not leave under D's SA.
# D's packets for a connection in TIME_WAIT do not arrive. The variant: over IPv6.
#
# touches: gate db enforce
# run: conformance no-full-socket-ipv6
# variant: no-full-socket-ipv6 family=6
# expect: clean

bare_packets_are_stopped "$@"
how=${*:+ ($*)}
conforms R-2-4 "packets without a full socket, under another peer's SA: dropped$how"
conforms S17 "SYN-ACK, SYN cookie, TIME_WAIT, ACK and RST of the control socket: dropped$how"
