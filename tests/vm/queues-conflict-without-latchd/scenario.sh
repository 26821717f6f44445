# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 --- datagrams that XFRM holds --- SA of d.example --- D, now at 10.9.0.2
#
# The queues of queues-conflict without latchd: what W's applications sent to C, before D had an SA,
# leaves under D's SA. The oracle must see the leak.
#
# touches: vm
# run: conformance
# expect: leak decrypted

queued_opening
hold_datagrams
take_address d c
must_initiate d
spi_d=$(spi_of_d) || exit 1
# TCP alone repeats itself ever more rarely.
need 60 "the datagrams that XFRM held leave under D's SA" sent_under_at_least "$spi_d" "$HELD"
need 120 "D decrypts a part of C's stream" decrypted d 'W-TO-C [0-9]'
note "what W had queued for C left under D's SA"
