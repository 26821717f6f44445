# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
# latchd is killed with -9 during the attack. No process breaks the latch,
# but D's SA stays pending. The next latchd adopts the pinned objects, breaks
# the latch and resets W's application.
#
# touches: latchd enforce maps gate
# expect: clean

topology
WITH_LATCHD=1 honest_start
host_down c
kill9_latchd
take_address d c
must_initiate d
# Longer than the time after which a new flow may use an unattributed SA.
never 10 "D decrypted C's stream while latchd did not run" decrypted d W-TO-C
! app_failed w-7000 || fail "W's application failed without latchd"
start_latchd
need 60 "W's application is reset" app_failed w-7000
note "D's SA was pending for 10 s without latchd; then $(app_error w-7000)"
conforms R-2-16 "latchd killed under attack: nothing leaked, and the next one reset the connection"
