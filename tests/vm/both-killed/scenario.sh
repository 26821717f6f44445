# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \   latchd and W's charon killed with -9
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
# S20 (iii, iv): both are gone when D takes C's address, and both are started again while
# D attacks. W's connection is latched throughout: D decrypts nothing of it, and
# when latchd runs again W's application is reset.
#
# touches: latchd enforce maps gate sa
# expect: clean
# run: conformance

topology
WITH_LATCHD=1 honest_start
kill9_latchd
kill_and_wait KILL "$(charon_pid w)"
log "W's charon was killed with -9"
before=$(received_bytes c-7000)
need 60 "the stream continues without both" received_at_least c-7000 $((before + 1000))
host_down c
host_up w
take_address d c
must_initiate d
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
start_latchd
start_monitor
need 120 "W's application is reset" app_failed w-7000
need 60 "no latch of W's connection is left" no_latch "$(at w 7000)"
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
conforms R-2-16 "charon and latchd killed and restarted under attack: latched throughout, then reset"
conforms S20 "kill -9 of both, with an impostor: nothing leaked, the application was reset"
new_connection 7001
end_stream d 7001
note "both killed under attack: D decrypted nothing, W was reset ($(app_error w-7000))"
