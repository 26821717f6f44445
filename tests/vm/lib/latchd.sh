# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# latchd under test: one instance in the first namespace that serves all three
# hosts, and what latchctl says about it.

readonly LATCHD_LOG=$RUN/latchd.log

# What a scenario may define anew: [rule NAME] sections.
rules() {
	:
}

latchd_config() {
	local host

	cat <<-EOF
		[enforce]
		cgroup = $(cgroup_root)
	EOF
	rules
	for host in w c d; do
		cat <<-EOF

			[feed $host]
			type = vici
			socket = $RUN/$host.vici
		EOF
	done
}

# Where latchd enforces: everywhere, unless LATCHD_TEST_CGROUP says where.
cgroup_root() {
	[ -z "${LATCHD_TEST_CGROUP:-}" ] || { echo "$LATCHD_TEST_CGROUP"; return; }
	awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts
}

latchctl() {
	"$BUILD_DIR/latchctl" "$@"
}

latchd_answers() {
	latchctl --json list >/dev/null 2>&1
}

start_latchd() {
	[ -x "$BUILD_DIR/latchd" ] || fail "$BUILD_DIR/latchd is not built"
	latchd_config >"$RUN/latchd.conf"
	"$BUILD_DIR/latchd" --config "$RUN/latchd.conf" --foreground \
		>>"$LATCHD_LOG" 2>&1 &
	echo $! >"$RUN/latchd.pid"
	disown
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

# ---- what it says

# start_monitor: everything from now on, one JSON object a line.
start_monitor() {
	"$BUILD_DIR/latchctl" --json monitor >>"$RUN/monitor.json" \
		2>>"$RUN/monitor.log" &
	echo $! >"$RUN/monitor.pid"
	disown
	need 30 "latchctl monitor runs" running "$(cat "$RUN/monitor.pid")"
}

# start_text_monitor: the same for people.
start_text_monitor() {
	"$BUILD_DIR/latchctl" monitor >>"$RUN/monitor.txt" 2>>"$RUN/monitor.log" &
	echo $! >"$RUN/monitor-text.pid"
	disown
}

# event_count FILTER: monitor lines that a jq condition selects.
event_count() {
	jq -c "select($1)" "$RUN/monitor.json" 2>/dev/null | wc -l
}

event_seen() {
	[ "$(event_count "$1")" -gt 0 ]
}

# latches FILTER: latches that a jq condition selects, one object a line.
latches() {
	latchctl --json list | jq -c ".latches[] | select($1)"
}

latch_seen() {
	[ -n "$(latches "$1" 2>/dev/null)" ]
}

no_latch() {
	local found

	found=$(latches "$1") && [ -z "$found" ]
}

# at HOST PORT: condition for the latch of a local end, not of who listens there.
at() {
	echo ".state != \"listener\" and .local.addr == \"$(addr "$1")\" and .local.port == $2"
}

need_latch() {
	local host=$1 port=$2 state=$3

	need 30 "latch of $host port $port is $state" \
		latch_seen "$(at "$host" "$port") and .state == \"$state\""
}

# latch_id CONDITION: of the one latch that it selects.
latch_id() {
	latches "$1" | jq -r .id
}

# counters HOST PORT: what TCP has taken and what was taken from it; stands still while broken.
counters() {
	in_host "$1" ss -Htin state established "( sport = :$2 )" |
		grep -oE 'bytes_(received|acked):[0-9]+' | xargs
}

# backs_off HOST PORT TIMES: its TCP repeats, each time after twice as long.
backs_off() {
	local times

	times=$(in_host "$1" ss -Htin state established "( sport = :$2 )" |
		grep -oE 'backoff:[0-9]+')
	[ "${times#backoff:}" -ge "$3" ] 2>/dev/null
}

sas() {
	latchctl --json sa | jq -c ".sas[] | select($1)"
}

sa_seen() {
	[ -n "$(sas "$1" 2>/dev/null)" ]
}

# need_bound PEER: some SA is attributed to it.
need_bound() {
	need 30 "an SA is bound to $1" \
		sa_seen ".state == \"bound\" and (.peer | tostring | contains(\"$1\"))"
}

# ---- the end

remember_latchd() {
	local verb

	latchd_answers || return 0
	for verb in status list sa; do
		latchctl $verb >"$RUN/latchctl-$verb.txt" 2>&1 || true
	done
	latchctl --json list >"$RUN/latchctl-list.json" 2>&1 || true
	latchctl --json sa >"$RUN/latchctl-sa.json" 2>&1 || true
}

# Nothing of latchd outlives a scenario: neither process nor pinned object.
remove_latchd() {
	local file

	for file in monitor.pid monitor-text.pid latchd.pid; do
		[ ! -e "$RUN/$file" ] ||
			kill_and_wait TERM "$(cat "$RUN/$file")"
	done
	rm -rf /sys/fs/bpf/latchd
}
