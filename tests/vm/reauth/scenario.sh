# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SAs of c.example, renewed ===== C 10.9.0.2
#
# Three re-authentications under a running transfer: new IKE_SAs, new CHILD_SAs,
# the same identity, so the latch holds and no byte is lost.
#
# touches: sa feeds vici
# run: conformance reauth
# run: field reauth-trixie reauth-sid
# variant: reauth-trixie charon=trixie
# variant: reauth-sid charon=sid
# expect: clean

topology "$@"
WITH_LATCHD=1 honest_start
renew CHILD_SA reauthenticate 3
need_latch w 7000 established
end_stream c 7000
need_no_break
note "$SENT bytes, none lost; longest gap $GAP_MS ms"
conforms L-2-3 "three re-authentications: no break, no byte lost"
