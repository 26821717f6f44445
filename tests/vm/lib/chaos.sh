# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# For the scenarios chaos-*: what must stay constant, and latchd without a wait for its answer.

# descriptors: open ones of latchd.
descriptors() {
	answer ls "/proc/$(latchd_pid)/fd" | wc -l
}

descriptors_are() {
	[ "$(descriptors)" = "$1" ]
}

# pins: pinned maps and links.
pins() {
	answer find /sys/fs/bpf/latchd -type f | wc -l
}

pins_are() {
	[ "$(pins)" = "$1" ]
}

# logged PATTERN: lines of latchd's log, of all latchds of this scenario.
logged() {
	grep -c -- "$1" "$LATCHD_LOG" || [ $? = 1 ] || fail "no log of latchd"
}

logged_more_than() {
	[ "$(logged "$1")" -gt "$2" ]
}

need_no_break_logged() {
	[ "$(logged 'latch [0-9a-f]* broken')" = 0 ] ||
		fail "false break: $(grep -m 1 'latch [0-9a-f]* broken' "$LATCHD_LOG")"
}

feeds_synced() {
	[ "$(status '[.feeds[] | select(.state != "synced")] | length')" = 0 ]
}

# need_steady: latchd has the lists of all key managers; what is counted then can be compared.
need_steady() {
	need 60 "all key managers are synced" feeds_synced
}

# need_progress TAG WHY: the application receives more of its stream.
need_progress() {
	local before

	before=$(received_bytes "$1")
	need 120 "the stream of $1 continues $2" received_at_least "$1" $((before + 400))
}

# launch_latchd: in the background, and it may be killed before it answers.
launch_latchd() {
	latchd_config >"$RUN/latchd.conf"
	"$BUILD_DIR/latchd" --config "$RUN/latchd.conf" --foreground >>"$LATCHD_LOG" 2>&1 &
	echo $! >"$RUN/latchd.pid"
	detach_job
}

# refused_start: latchd must end with one line that has an error and a next step; leaves it in REFUSAL.
refused_start() {
	local status=0

	latchd_config >"$RUN/latchd.conf"
	timeout 60 "$BUILD_DIR/latchd" --config "$RUN/latchd.conf" >"$RUN/refused" 2>&1 || status=$?
	REFUSAL=$(tail -n 1 "$RUN/refused")
	[ "$status" = 1 ] || fail "$1: latchd ended with status $status: $REFUSAL"
	[[ $REFUSAL = *latchd:\ start:*\;* ]] || fail "$1: no clear error: $REFUSAL"
	log "$1: $REFUSAL"
}
