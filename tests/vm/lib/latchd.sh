# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# latchd under test: one instance in the first namespace that serves all three
# hosts, and latchctl's answers.

readonly LATCHD_LOG=$RUN/latchd.log

# A scenario may define this anew: [rule NAME] sections.
rules() {
	:
}

# A scenario may define this anew: more keys of [enforce].
enforce_keys() {
	:
}

# A scenario may define this anew: the hosts that latchd serves.
served_hosts() {
	echo w c d
}

latchd_config() {
	local host

	cat <<-EOF
		[enforce]
		cgroup = $(cgroup_root)
	EOF
	enforce_keys
	rules
	for host in $(served_hosts); do
		cat <<-EOF

			[feed $host]
			type = vici
			socket = $RUN/$host.vici
		EOF
	done
}

# Where latchd enforces: everywhere, unless LATCHD_TEST_CGROUP names a cgroup.
cgroup_root() {
	[ -z "${LATCHD_TEST_CGROUP:-}" ] || { echo "$LATCHD_TEST_CGROUP"; return; }
	awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts
}

latchctl() {
	"$BUILD_DIR/latchctl" "$@"
}

# latchctl's exit status when latchd cannot be reached, see latchctl(8).
readonly UNREACHABLE=4

# latchd_answers: true if latchd answers, false if it cannot be reached yet; else it fails.
latchd_answers() {
	local status=0

	latchctl --json list >/dev/null 2>"$RUN/words" || status=$?
	[ $status = 0 ] || [ $status = $UNREACHABLE ] ||
		fail "latchctl failed (exit status $status): $(tail -n 1 "$RUN/words")"
	[ $status = 0 ] || running "$(latchd_pid)" ||
		fail "latchd has ended: $(tail -n 1 "$LATCHD_LOG")"
	return $status
}

start_latchd() {
	[ -x "$BUILD_DIR/latchd" ] || fail "$BUILD_DIR/latchd is not built"
	latchd_config >"$RUN/latchd.conf"
	"$BUILD_DIR/latchd" --config "$RUN/latchd.conf" --foreground \
		>>"$LATCHD_LOG" 2>&1 &
	echo $! >"$RUN/latchd.pid"
	detach_job
	wait_until 60 latchd_answers ||
		fail "latchd does not answer: $(tail -n 1 "$LATCHD_LOG")"
	log "latchd runs"
}

latchd_pid() {
	cat "$RUN/latchd.pid"
}

stop_latchd() {
	kill_and_wait TERM "$(latchd_pid)"
	log "latchd has stopped"
}

kill9_latchd() {
	kill_and_wait KILL "$(latchd_pid)"
	log "latchd was killed with -9"
}

# ---- its events and answers

# start_monitor: everything from now on, one JSON object a line.
start_monitor() {
	"$BUILD_DIR/latchctl" --json monitor >>"$RUN/monitor.json" \
		2>>"$RUN/monitor.log" &
	echo $! >"$RUN/monitor.pid"
	detach_job
	need 30 "latchctl monitor runs" running "$(cat "$RUN/monitor.pid")"
}

# start_text_monitor: the same, but in text form.
start_text_monitor() {
	"$BUILD_DIR/latchctl" monitor >>"$RUN/monitor.txt" 2>>"$RUN/monitor.log" &
	echo $! >"$RUN/monitor-text.pid"
	detach_job
}

# need_monitor: fails unless a monitor was started and runs, or latchd has ended.
need_monitor() {
	[ -e "$RUN/monitor.pid" ] || fail "no latchctl monitor was started"
	running "$(cat "$RUN/monitor.pid")" || gone "$(latchd_pid)" ||
		fail "latchctl monitor has ended: $(tail -n 1 "$RUN/monitor.log")"
}

# events FILTER: monitor lines that a jq condition selects; of whole lines only.
events() {
	local whole

	need_monitor
	whole=$(answer wc -l "$RUN/monitor.json") || exit 1
	head -n "${whole%% *}" "$RUN/monitor.json" | answer jq -c "select($1)"
}

event_count() {
	local found

	found=$(events "$1") || exit 1
	matches -c . <<<"$found"
}

event_seen() {
	[ "$(event_count "$1")" -gt 0 ]
}

# need_all_events: the monitor has every event that latchd reported up to now, so that an event that it
# does not have was not reported. The mark is an SA of a network namespace without key manager.
need_all_events() {
	local ends=(src 192.0.2.1 dst 192.0.2.2 proto esp)
	local spi

	printf -v spi '0x%08x' $((0x10000000 + ${EPOCHREALTIME/./} / 1000 % 0x10000000))
	ip -n lt-net xfrm state add "${ends[@]}" spi "$spi" mode transport \
		aead 'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 128
	need 30 "latchctl monitor shows a new SA" event_seen \
		".event == \"sa-pending\" and .spi == \"$spi\""
	ip -n lt-net xfrm state delete "${ends[@]}" spi "$spi"
	! event_seen '.event == "lost" and .where == "monitor"' || fail "the monitor lost events"
}

# need_events COUNT CONDITION WHAT: up to now exactly so many.
need_events() {
	local found

	need_all_events
	found=$(event_count "$2") || exit 1
	[ "$found" = "$1" ] || fail "$3: $found times, expected $1: $(events "$2" | head -n 1)"
}

# latches FILTER: latches that a jq condition selects, one object a line.
latches() {
	listed_in list "$1" .latches[]
}

# listed_in VERB FILTER PATH: objects of latchctl's answer that a jq condition selects.
listed_in() {
	local listed

	listed=$(answer latchctl --json "$1") || exit 1
	answer jq -c "$3 | select($2)" <<<"$listed"
}

# status FILTER: jq's output for latchctl status. That exits with 1 if enforcement is off, with 3 if
# it needs attention and with 6 in audit mode.
status() {
	local listed code=0

	listed=$(latchctl --json status 2>"$RUN/words") || code=$?
	[[ $code = [0136] && -n $listed ]] ||
		fail "latchctl status failed (exit status $code): $(tail -n 1 "$RUN/words")"
	json "$1" <<<"$listed"
}

# status_code: the exit status of latchctl status, which has written an answer.
status_code() {
	local code=0

	latchctl status >"$RUN/status.txt" 2>"$RUN/words" || code=$?
	[[ $code = [0136] && -s $RUN/status.txt ]] ||
		fail "latchctl status failed (exit status $code): $(tail -n 1 "$RUN/words")"
	echo $code
}

latch_seen() {
	[ -n "$(latches "$1")" ]
}

no_latch() {
	[ -z "$(latches "$1")" ]
}

# at HOST PORT: condition for the latch of a local end, not of a listener there.
at() {
	echo ".state != \"listener\" and .local.addr == \"$(addr "$1")\" and .local.port == $2"
}

need_latch() {
	local host=$1 port=$2 state=$3

	need 30 "latch of $host port $port is $state" \
		latch_seen "$(at "$host" "$port") and .state == \"$state\""
}

# latch_id CONDITION: the id of the one latch that the condition selects.
latch_id() {
	latch_field "$1" .id
}

# latch_field CONDITION FILTER: of the latches that the condition selects; there must be one.
latch_field() {
	local found

	found=$(latches "$1") || exit 1
	[ -n "$found" ] || fail "no latch: $1"
	json "$2" <<<"$found"
}

# tcp_info HOST PORT: ss's lines of the established connection of that local port.
tcp_info() {
	answer in_host "$1" ss -Htin state established "( sport = :$2 )"
}

# counters HOST PORT: bytes that TCP has received and that were acknowledged; constant while broken.
counters() {
	local info

	info=$(tcp_info "$1" "$2") || exit 1
	matches -oE 'bytes_(received|acked):[0-9]+' <<<"$info" | xargs
}

# backs_off HOST PORT TIMES: true if TCP has retransmitted so often, each time after twice the time.
backs_off() {
	local info

	info=$(tcp_info "$1" "$2") || exit 1
	[[ $info =~ backoff:([0-9]+) && ${BASH_REMATCH[1]} -ge $3 ]]
}

sas() {
	listed_in sa "$1" .sas[]
}

sa_seen() {
	[ -n "$(sas "$1")" ]
}

# need_bound PEER: some SA is attributed to it.
need_bound() {
	need 30 "an SA is bound to $1" \
		sa_seen ".state == \"bound\" and (.peer | tostring | contains(\"$1\"))"
}

# ---- the end

remember_latchd() {
	local verb

	[ ! -s /run/latchd/verifier.log ] || cp /run/latchd/verifier.log "$RUN/"
	latchctl --json list >/dev/null 2>&1 || return 0
	for verb in status list sa; do
		latchctl $verb >"$RUN/latchctl-$verb.txt" 2>&1 || true
	done
	latchctl --json list >"$RUN/latchctl-list.json" 2>&1 || true
	latchctl --json sa >"$RUN/latchctl-sa.json" 2>&1 || true
}

# No process and no pinned object of latchd stays after a scenario.
remove_latchd() {
	local file

	for file in monitor.pid monitor-text.pid latchd.pid; do
		[ ! -e "$RUN/$file" ] ||
			kill_and_wait TERM "$(cat "$RUN/$file")"
	done
	rm -rf /sys/fs/bpf/latchd
}
