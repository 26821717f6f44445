# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of c.example ===== C', another host with C's key, at 10.9.0.2
#
# A flood of unprotected IKE notifies and ICMP errors in C's name breaks no latch.
# INITIAL_CONTACT of a host that is authenticated as c.example breaks the latch, although the
# new SA is congruent with it. No host receives the rest of W's stream.
#
# touches: feeds vici latch sa
# run: conformance peer-reboot
# run: field peer-reboot-trixie peer-reboot-sid
# variant: peer-reboot-trixie charon=trixie
# variant: peer-reboot-sid charon=sid
# expect: clean

# spi WHICH: of W's IKE_SA with C.
spi() {
	answer swan w --list-sas --raw | sed -n "s/.*$1-spi=\([0-9a-f]*\).*/\1/p" | head -n 1
}

flood() {
	in_host d "$TOP/tests/vm/lib/forge-ike" "$(addr c)" "$(addr w)" "${MAC[w]}" \
		"$(spi initiator)" "$(spi responder)" "$RUN/w/charon.log" >"$RUN/flood"
}

# become_c: D's charon is C's from now on.
become_c() {
	charon_stop d
	cp "$PKI/c.pem" "$RUN/d/swanctl/x509/"
	cp "$PKI/c.key" "$RUN/d/swanctl/private/"
	sed -i 's/d\.pem/c.pem/; s/id = d\.example/id = c.example/' \
		"$RUN/d/swanctl/swanctl.conf"
	rm -f "$RUN/d.vici"
	take_address d c
	host_up d
}

topology "$@"
WITH_LATCHD=1 honest_start
flood
before=$(received_bytes c-7000)
need 60 "the stream continues" received_at_least c-7000 $((before + 1000))
need_no_break
need_latch w 7000 established
[ "$(established w IKE_SA)" = 1 ] || fail "a forged notify ended W's IKE_SA"
log "$(cat "$RUN/flood") unprotected notifies and as many ICMP errors broke no latch"

host_down c
become_c
must_initiate d
need 60 "W's application is reset" app_failed w-7000
need 30 "latchctl monitor names the rebooted peer" event_seen \
	".event == \"latch-broken\" and .reason == \"peer-rebooted\" and
	 .expected.id == \"c.example\" and $(at w 7000)"
conforms R-2-19 "INITIAL_CONTACT of c.example broke the latch to c.example (peer-rebooted)"
! decrypted d W-TO-C || fail "C's other host has decrypted C's stream"
new_connection 7001
need 30 "the new connection is latched" latch_seen \
	"$(at w 7001) and .state == \"established\" and .peer.id == \"c.example\""
conforms S19 "forged notifies: no break; INITIAL_CONTACT: peer-rebooted; a new connection works"
end_stream d 7001
note "$(cat "$RUN/flood") forgeries broke no latch, INITIAL_CONTACT did"
