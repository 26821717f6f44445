# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#
# S22: the administrator of W breaks a latch, heals it, and closes it. While the latch is
# broken nothing passes although all SAs of C are installed. Healed, the stream continues.
# Closed, both applications receive an error at once. A rule with errno = timeout makes
# that error a timeout: for an application that writes, and for one that only waits for
# data. A stopped process receives the error when it continues. A connected UDP socket
# receives the error once, and sends nothing any more.
#
# touches: control latch latchctl report gate
# expect: clean

rules() {
	cat <<-EOF

		[rule patient]
		action = auto
		protocol = tcp
		local-port = 7000
		disposition = wait

		[rule hasty-server]
		action = auto
		protocol = tcp
		local-port = 7001
		errno = timeout

		[rule hasty-client]
		action = auto
		protocol = tcp
		remote-port = 7001
		errno = timeout
	EOF
}

# refused CODE TEXT COMMAND...: latchctl fails with that code and one line that has the text.
refused() {
	local code=$1 text=$2 got=0

	shift 2
	latchctl "$@" >"$RUN/refused.out" 2>"$RUN/refused" || got=$?
	[ "$got" = "$code" ] || fail "latchctl $*: exit status $got, not $code"
	grep -q -- "$text" "$RUN/refused" || fail "latchctl $*: $(cat "$RUN/refused")"
	[ "$(wc -l <"$RUN/refused")" = 1 ] || fail "latchctl $*: not one line"
	[ ! -s "$RUN/refused.out" ] || fail "latchctl $* wrote to its output"
}

# requested VERB ID STATE: latchctl succeeds and reports the new state of the latch.
requested() {
	local report

	report=$(answer latchctl "$1" "$2") || exit 1
	[[ $report = "latch $2 is $3"* ]] || fail "latchctl $1: $report"
	log "$report"
}

datagrams_at_c() {
	decrypted_times c W-TO-C-BY-UDP
}

# reported_once EVENT CONDITION WHAT: of the latch id.
reported_once() {
	need_events 1 ".event == \"$1\" and .id == \"$id\" and $2" "$3"
}

timeout_is_seen() {
	local tag=$1 id=$2

	requested break "$id" broken
	need 120 "the application $tag times out" app_failed "$tag"
	[ "$(app_error "$tag")" = ETIMEDOUT ] || fail "$tag: $(app_error "$tag")"
}

topology
WITH_LATCHD=1 honest_start
id=$(latch_id "$(at w 7000)")

refused 1 "not broken by an administrator" heal "$id"
requested break "$id" broken
need_latch w 7000 broken
before=$(counters w 7000)
need 60 "W's TCP backs off" backs_off w 7000 2
decrypted=$(decrypted_times c W-TO-C) || exit 1
need 60 "W's TCP backs off further" backs_off w 7000 4
[ "$(decrypted_times c W-TO-C)" = "$decrypted" ] || fail "C decrypted a segment while W's latch was broken"
[ "$(counters w 7000)" = "$before" ] || fail "counters moved: $(counters w 7000)"
! app_failed w-7000 || fail "W's application got $(app_error w-7000)"
refused 1 "already broken by an administrator" break "$id"
refused 1 "does not exist" break fedcba9876543210
refused 2 "not a latch ID" break 10.9.0.1
reported_once latch-broken '.reason == "admin" and .by.pid > 0' "the break was reported"
conforms R-6.2-1 "latchctl break: BROKEN with reason admin, nothing passes under good SAs"
requested heal "$id" established
need_latch w 7000 established
received=$(received_bytes c-7000)
need 120 "the stream continues" received_at_least c-7000 $((received + 500))
reported_once latch-healed '.by.pid > 0' "the healing was reported"

start_stream 7001
need_latch w 7001 established
timeout_is_seen w-7001 "$(latch_id "$(at w 7001)")"
timeout_is_seen c-7001 "$(latch_id "$(at c "$(port_of c-7001)")")"
need 60 "no latch of that connection is left" no_latch "$(at w 7001)"

kill -STOP "$(app_pid w-7000)"
requested close "$id" closed
need 30 "its latch is gone" no_latch "$(at w 7000)"
! app_failed w-7000 || fail "W's application is not stopped"
kill -CONT "$(app_pid w-7000)"
need 30 "W's application is reset" app_failed w-7000
need 30 "C's application is reset" app_failed c-7000
[ "$(app_error w-7000)" = ECONNABORTED ] || fail "W's application got $(app_error w-7000)"
[ "$(app_error c-7000)" = ECONNRESET ] || fail "C's application got $(app_error c-7000)"
refused 1 "does not exist" close "$id"
conforms L-2.2-2 "W's application was stopped when its latch was closed, and received the error when it continued"
conforms R-2.2-1 "latchctl close: both ends receive an error at once, the latch is gone"
conforms R-2.3-23 "W's application acts as if reset by its peer (ECONNABORTED)"

send_datagrams c w 8000 8001
send_datagrams w c 8001 8000 once
need 60 "W's UDP socket is latched to C" latch_seen "$(at w 8001) and .state == \"established\""
need 60 "C decrypts W's datagrams" decrypted c W-TO-C-BY-UDP
requested close "$(latch_id "$(at w 8001)")" closed
need 30 "W's application receives the error" reported_at_least w "recv ECONNABORTED" 1
need 30 "W's application can send nothing" reported_at_least w "send EDESTADDRREQ" 5
before=$(datagrams_at_c) || exit 1
need 30 "every send() fails" reported_at_least w "send EDESTADDRREQ" 25
[ "$(datagrams_at_c)" = "$before" ] || fail "C got a datagram after the close"
[ "$(reported w "recv ECONNABORTED")" = 1 ] || fail "ECONNABORTED more than once"
need 30 "its latch is gone" no_latch "$(at w 8001)"
conforms R-2.3-24 "connected UDP, closed by latchctl: recv() failed, no datagram left any more"
conforms L-5.2-4 "connected UDP, closed: recv() failed with ECONNABORTED, once, and send() with EDESTADDRREQ"
conforms S22 "break, heal and close by the administrator"
note "broken, healed, timed out (ETIMEDOUT), closed ($(app_error w-7000), peer: $(app_error c-7000))"
