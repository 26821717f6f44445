# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \                                      (vanishes, returns)
#	     ===== SA of d.example ===== D, in between at 10.9.0.2
#
# S6: as the attack, but W's latch waits (RFC 5660, 5.5 (a)). It is BROKEN while W
# has an SA of D. D gets nothing, and C, back with SAs of its own, sends and
# receives no byte. When D's SAs are gone the latch is ESTABLISHED again, and both
# directions complete with nothing lost.
#
# touches: latch sa config gate
# expect: clean

# C's end, too: on a slow machine C has no policies for longer than the SPD grace time.
rules() {
	local side

	for side in local remote; do
		cat <<-EOF

			[rule patient-$side]
			action = auto
			protocol = tcp
			$side-port = 7000
			disposition = wait
			on-dpd = keep
			on-reboot = keep
		EOF
	done
}

# Incoming packets that W has dropped because a latch is BROKEN. Drop events
# report one packet a second, and W's own retransmissions would hide the others.
refused() {
	status '[.drops[] | select(.reason == "broken").ingress] | add'
}

refused_more_than() {
	[ "$(refused)" -gt "$1" ]
}

has_sas() {
	[ "$(children "$1" "$2")" -ge 1 ]
}

# Its TCP retransmits, too, and so its trap may bring up the SAs by itself.
c_returns() {
	ip -n lt-net link set dev d down
	ip -n lt-c xfrm state flush
	ip -n lt-c xfrm policy flush
	ip -n lt-net link set dev c up
	ip -n lt-w neigh flush dev eth0
	host_up c
	initiate c || log "C has its SAs already"
	need 60 "C has SAs of its own with W" has_sas c w.example
}

# W gives D up; D deletes its SAs.
end_d() {
	local ike

	ike=$(answer swan w --list-sas --raw | grep -F 'remote-id=d.example' |
		grep -o 'uniqueid=[0-9]*' | head -n 1)
	swan w --terminate --ike-id "${ike#uniqueid=}" --force >>"$RUN/w/terminate.log" 2>&1 ||
		fail "W cannot end D's IKE_SA; see w/terminate.log"
	log "W has no SA of D any more"
}

topology dpd=300s
host_up w c d
start_latchd
start_monitor
must_initiate c
listen_and_connect w c 7000 --send W-TO-C --rate 20 --expect C-TO-W -- \
	--send C-TO-W --rate 20 --expect W-TO-C
need 60 "C receives the stream" received_at_least c-7000 200
need 60 "W receives the stream" received_at_least w-7000 200
need_latch w 7000 established
id=$(latch_id "$(at w 7000)")

impostor_takes_over
need_latch w 7000 broken
need_broken
before=$(counters w 7000)
need 60 "W's TCP backs off" backs_off w 7000 3
! app_failed w-7000 || fail "W's application got $(app_error w-7000)"
conforms R-2.3-22 "W's TCP retransmits and backs off, its application receives no error"
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"

refused=$(refused)
c_returns
# D's cable is unplugged: only C can have sent it.
need 120 "C's packets under its own new SA are dropped" refused_more_than "$refused"
[ "$(counters w 7000)" = "$before" ] ||
	fail "counters moved while broken: $before, now $(counters w 7000)"
need_latch w 7000 broken
conforms R-2.3-21 "BROKEN: nothing sent, and packets under a congruent SA were dropped ($before)"

end_d
need_latch w 7000 established
need 30 "the healing was reported" event_seen ".event == \"latch-healed\" and .id == \"$id\""
conforms L-2.2-5 "BROKEN to ESTABLISHED when the last conflicting SA had gone"
conforms L-6.1-1 "start and end of the conflict were reported"
received=$(received_bytes c-7000)
need 180 "C receives the rest" received_at_least c-7000 $((received + 500))
# C's TCP, too, has backed off meanwhile.
need 180 "W receives the rest" received_at_least w-7000 $(($(received_bytes w-7000) + 500))
[ "$(latch_id "$(at w 7000)")" = "$id" ] || fail "W has another latch"
stop_app c-7000
end_stream c 7000
[ "$(app_value c-7000 sent)" = "$(app_value w-7000 received)" ] ||
	fail "C sent $(app_value c-7000 sent) bytes, W got $(app_value w-7000 received)"
need_events 1 ".event == \"latch-broken\" and .id == \"$id\"" "the break was reported"
need_events 1 ".event == \"latch-healed\" and .id == \"$id\"" "the healing was reported"
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
conforms S6 "D got nothing, C is back, $SENT bytes, none lost, longest gap $GAP_MS ms"
note "waited for $GAP_MS ms, then continued: $SENT bytes, none lost; D decrypted nothing"
