# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
# No latchd. W streams to C; C vanishes; D takes its address and brings up IKE
# as itself. W's next segments leave under D's SA: the leak is real, and the
# oracle sees it. The variant: in tunnel mode the oracle sees the leak, too.
#
# touches: vm
# run: conformance tunnel-without-latchd
# variant: tunnel-without-latchd mode=tunnel
# expect: leak decrypted

topology "$@"
honest_start
impostor_takes_over
need 30 "D decrypts a part of C's stream" decrypted d W-TO-C
note "D decrypted: $(decrypted_text d | grep -o 'W-TO-C.*' | head -n 1)"
