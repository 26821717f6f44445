# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
# W streams to C, latched; C vanishes; D takes C's address and brings up IKE as
# itself. D gets no byte, W's application is reset, latchd names both peers.
# The variants: over IPv6, in tunnel mode, with ESP in UDP forced on both sides.
#
# touches: gate sa latch feeds vici identity report
# run: conformance encap tunnel
# run: field attack-trixie attack-sid
# variant: attack-trixie charon=trixie
# variant: attack-sid charon=sid
# variant: ipv6 family=6
# variant: tunnel mode=tunnel
# variant: encap encap=yes
# expect: clean

topology "$@"
attack_is_stopped
how=${*:+ ($*)}
conforms S4 "another peer at the same address$how: reset after $RESET_MS ms, D decrypted nothing"
conforms R-2.3-10 "the latch of W became BROKEN$how"
conforms R-5.5-2 "a program without any request to latchd got $(app_error w-7000)$how"
conforms L-2-2 "transport and program were reset, latchctl monitor named both peers$how"
