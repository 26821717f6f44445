# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# The demo's three acts. The text for the reader goes to descriptor 3; every
# sentence there follows the check of its claim.

readonly SECRET="W-TO-C"

# step TEXT...: a step, with the seconds since the demo began.
step() {
	printf '%6s s  %s\n' "$(elapsed "$STARTED")" "$*" >&3
}

# show: lines of evidence from the standard input.
show() {
	sed 's/^/              | /' >&3
}

# summarize TEXT...: what the act has shown, for the demo's last lines.
summarize() {
	printf '%s\n' "$*" >"$RUN/summary"
}

# finish_captures: all captures are complete, and the oracle has checked them.
finish_captures() {
	remember_latchd
	stop_watching
	ask_oracle
	leak_lines
	blind_lines
}

need_clean() {
	stop_if_failed
	[ -z "$(kinds_seen)" ] || fail "leak: $(leak_lines | head -n 1)"
	[ -z "$(blind_lines)" ] || fail "oracle blind: $(blind_lines | head -n 1)"
	stop_if_failed
}

# need_authenticated ID: W's charon has an SA with this peer.
need_authenticated() {
	[ "$(children w "$1")" -ge 1 ] || fail "W has no SA that was authenticated as $1"
}

honest_opening() {
	step "Three hosts, three strongSwans${WITH_LATCHD:+, and latchd beside them}." \
		"Starting (10 to 60 s) ..."
	topology dpd=4s
	honest_start
	need_authenticated c.example
	step "C and W have IPsec, authenticated as c.example. W streams to C over TCP:"
	head -n 2 "$APPS/c-7000.recv" | show
	[ -n "${WITH_LATCHD:-}" ] || return 0
	need 10 "the stream is latched to C" latch_seen \
		"$(at w 7000) and .state == \"established\" and .peer.id == \"c.example\""
	step "latchd has latched that connection to c.example."
}

impostor_opening() {
	impostor_takes_over
	need_authenticated d.example
	step "C vanishes without a message. D takes C's address 10.9.0.2 and brings up IPsec"
	step "with W, quite legitimately, authenticated as d.example."
}

act_leak() {
	local bytes

	honest_opening
	impostor_opening
	need 60 "D decrypts a part of C's stream" decrypted d "$SECRET"
	finish_captures
	bytes=$(jq '[.leaks[] | select(.kind == "decrypted" and .where == "d") | .bytes] | add // 0' \
		"$RUN/oracle.json")
	[ "$bytes" -gt 0 ] || fail "D decrypted nothing of C's stream"
	step "W continues C's connection, under D's SA. D has decrypted:"
	decrypted_text d | grep -o "$SECRET.*" | sort -u | head -n 8 | show
	step "LEAKED: $bytes bytes of the stream that was meant for C."
	summarize "without latchd: D decrypted $bytes bytes of C's stream"
}

broken_line() {
	grep 'latch *broken' "$RUN/monitor.txt" | grep -- ":7000"
}

names_both() {
	broken_line | grep c.example | grep -q d.example
}

act_saved() {
	WITH_LATCHD=1 honest_opening
	start_text_monitor
	impostor_opening
	need_reset
	step "W's application is reset ($(app_error w-7000)), $RESET_MS ms after W had D's SA."
	need_broken
	need 10 "the monitor's line names c.example and d.example" names_both
	step "latchctl monitor names the expected peer and the actual peer, of the new SA:"
	broken_line | show
	step "Until W's dead-peer detection gives C up, 10.9.0.2 has two owners (10 to 30 s) ..."
	need 120 "W gives C up" has_no_children w c.example
	new_connection 7001
	need 30 "the new connection is latched to D" latch_seen \
		"$(at w 7001) and .state == \"established\" and .peer.id == \"d.example\""
	step "C's SAs are gone. D now connects for itself, and is served:"
	head -n 2 "$APPS/d-7001.recv" | show
	step "latchctl list; W's end of D's connection is 10.9.0.1:7001:"
	latchctl list >"$RUN/list.txt"
	show <"$RUN/list.txt"
	end_stream d 7001
	finish_captures
	need_clean
	step "SAVED: D decrypted 0 bytes of C's stream, and all $SENT bytes of its own."
	summarize "with latchd: D decrypted 0 bytes, W was reset after $RESET_MS ms;" \
		"D's own connection works"
}

# renewals WHAT COMMAND TIMES LABEL: C renews, and really has that many new SAs.
renewals() {
	local what=$1 command=$2 times=$3 label=$4 first i made

	first=$(established c "$what")
	for ((i = 1; i <= times; i++)); do
		renew "$what" "$command"
		((i % 5 && i < times)) || step "$label: $i of $times," \
			"C has received $(received_bytes c-7000) bytes"
	done
	made=$(($(established c "$what") - first))
	[ $made -ge "$times" ] || fail "$label: only $made new ${what}s"
}

act_honest() {
	WITH_LATCHD=1 honest_opening
	step "Under the running stream C renews its keys, again and again (1 to 3 min) ..."
	renewals CHILD_SA rekey_child 20 "CHILD_SA rekeyed"
	renewals IKE_SA rekey_ike 2 "IKE_SA rekeyed"
	renewals CHILD_SA reauthenticate 1 "authenticated again, all SAs new"
	need_latch w 7000 established
	end_stream c 7000
	need_no_break
	finish_captures
	need_clean
	step "The latch held: no break. Longest stall at C: $GAP_MS ms."
	step "NOTHING LOST: W sent $SENT bytes, C received $(received_bytes c-7000)."
	summarize "with latchd, honest peers: 22 rekeys, 1 re-authentication, no break;" \
		"$SENT bytes, none lost"
}
