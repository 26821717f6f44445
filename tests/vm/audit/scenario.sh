# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
# Audit mode, by the configuration of the first start. W streams to C over two latched connections; C
# vanishes; D takes C's address. Nothing is dropped: D decrypts a part of both streams, which the
# oracle must see. latchctl audit names c.example, the reason and d.example. Then the administrator
# switches to enforcement: one connection is reset, the other one waits, and D decrypts nothing
# more. Neither another audit nor another latchd, started with mode = audit, lets it pass again. D's
# kernel sends no resets, which would end the connections before.
#
# touches: gate latch report latchctl control enforce
# run: conformance
# expect: leak decrypted

enforce_keys() {
	echo "mode = audit"
}

rules() {
	cat <<-EOF

		[rule patient]
		action = auto
		protocol = tcp
		local-port = 7001
		disposition = wait
	EOF
}

need_mode() {
	[ "$(status .enforcement.mode)" = "$1" ] || fail "mode is $(status .enforcement.mode), not $1"
}

audit_rows() {
	listed_in audit "$1" .rows[]
}

audit_seen() {
	[ -n "$(audit_rows "$1")" ]
}

silence_resets() {
	in_host d nft "table inet silence { chain out { type filter hook output priority 0;
		tcp flags & rst == rst drop; }; }"
}

broken_drops() {
	status '.drops[] | select(.reason == "broken").egress'
}

more_drops_than() {
	[ "$(broken_drops)" -gt "$1" ]
}

# need_blocked: W's TCP repeats segments of the broken connection, and D decrypts nothing of them.
need_blocked() {
	local times drops

	times=$(decrypted_times d W-TO-C) || exit 1
	drops=$(broken_drops) || exit 1
	need 120 "W drops segments of the broken latch" more_drops_than "$drops"
	[ "$(decrypted_times d W-TO-C)" = "$times" ] || fail "D decrypted a part of the stream $1"
}

topology
WITH_LATCHD=1 honest_start
start_stream 7001
need_latch w 7001 established
need_mode audit
[ "$(status_code)" = 6 ] || fail "exit status $(status_code) in audit mode: $(cat "$RUN/status.txt")"
! audit_seen '.reason == "broken"' || fail "honest peers: $(audit_rows true)"

silence_resets
impostor_takes_over
need 60 "D decrypts a part of C's stream" decrypted d W-TO-C
need 60 "latchctl audit names both peers and the reason" audit_seen \
	'.rule == "patient" and .reason == "broken" and .reasons == ["sa-conflict"] and
	 .peer.id == "c.example" and .sa_peer.id == "d.example" and .flows == 1 and .packets > 0'
need 60 "latchctl audit has the flow without a rule, too" audit_seen \
	'.rule == null and .reason == "broken" and .peer.id == "c.example" and .flows >= 1'
latch_seen "$(at w 7000) and .state == \"broken\" and .audited" || fail "no audited latch of W"
need 30 "the break is reported as audited" event_seen '.event == "latch-broken" and .audited'
[ "$(broken_drops)" = 0 ] || fail "packets were dropped in audit mode"
! app_failed w-7000 || fail "W's application got $(app_error w-7000) in audit mode"
latchctl audit >"$RUN/latchctl-audit.txt"
log "$(grep patient "$RUN/latchctl-audit.txt")"

[ "$(answer latchctl mode enforce | head -n 1)" = \
	"mode is enforce; the configuration has mode = audit, which a reboot brings back" ] ||
	fail "latchctl mode enforce does not warn"
need 30 "W's application is reset" app_failed w-7000
[ "$(app_error w-7000)" = ECONNABORTED ] || fail "W's application got $(app_error w-7000)"
need_events 1 '.event == "mode-changed" and .mode == "enforce" and .by.pid > 0' "the switch"
need_blocked "under enforcement"
need_latch w 7001 broken
answer latchctl mode audit >/dev/null
need_mode audit
need_blocked "that enforcement had broken, in another audit"
! app_failed w-7001 || fail "W's waiting application got $(app_error w-7001)"
answer latchctl mode enforce >/dev/null
stop_latchd
start_latchd
need_mode enforce
[ "$(status '.attention[] | select(.code == "mode-differs").object')" = mode ] ||
	fail "latchctl status does not show that the mode differs"
[ "$(status_code)" = 3 ] || fail "exit status $(status_code), not that of a differing mode: $(cat "$RUN/status.txt")"
grep -q "mode audit not set (enforcement is in force)" "$LATCHD_LOG" || fail "no line in the log"
need_blocked "after a restart with mode = audit"
note "in audit mode D decrypted $(decrypted_times d W-TO-C) lines and latchctl audit named both" \
	"peers; under enforcement W was reset and D decrypted nothing more"
