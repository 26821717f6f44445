# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Functions that every part of the VM tests uses. Expects TOP, the checkout.

readonly RUN=${LATCHD_TEST_RUN:-/run/latchd-test}
# shellcheck disable=SC2034 # for the files that source this
readonly BUILD_DIR=${BUILD:-$TOP/build}
# shellcheck disable=SC2034 # for the files that source this
readonly APPS=$RUN/apps

export LC_ALL=C # EPOCHREALTIME has a point

now() {
	printf '%s' "$EPOCHREALTIME"
}

# microseconds TIME: of the epoch; a value of EPOCHREALTIME, or of an event with milliseconds.
microseconds() {
	[[ $1 =~ ^([0-9]+)\.([0-9]{3}|[0-9]{6})$ ]] || fail "'$1' is no time"
	echo $((BASH_REMATCH[1] * 1000000 + 10#${BASH_REMATCH[2]} * (${#BASH_REMATCH[2]} == 3 ? 1000 : 1)))
}

# ms_between FIRST LAST: a time that is absent, or before the first, is a failure.
ms_between() {
	local first last

	first=$(microseconds "$1") || exit 1
	last=$(microseconds "$2") || exit 1
	[ "$last" -ge "$first" ] || fail "$2 is before $1"
	echo $(((last - first) / 1000))
}

# elapsed START: seconds since, with a tenth; for reports, also after a scenario has set the clock.
elapsed() {
	local tenths=$(((${EPOCHREALTIME/./} - ${1/./}) / 100000))

	printf '%d.%d' $((tenths / 10)) $((tenths < 0 ? -tenths % 10 : tenths % 10))
}

# write_log TEXT...: a line of the scenario's log.
write_log() {
	printf '[%7s] %s\n' "$(elapsed "$STARTED")" "$*"
}

log() {
	stop_if_failed
	write_log "$@"
}

# The detail beside "passed" in the results.
note() {
	printf '%s' "$*" >"$RUN/note"
	log "$*"
}

# conforms ITEM WHAT: this scenario has just seen that an item of the standard
# holds (tests/conformance/items.tsv). It counts only if the whole scenario passes.
# The call belongs into scenario files, with the item as it is. tools/conformance reads
# there the items of a scenario that failed or did not run.
conforms() {
	stop_if_failed
	printf '%s\t%s\n' "$1" "$(tr '\t\n' '  ' <<<"$2" | sed 's/ *$//')" >>"$RUN/conforms"
	log "conforms: $1 $2"
}

# fail TEXT...: ends the scenario. The first failure counts: those after it follow from it.
fail() {
	if [ ! -e "$RUN/failure" ]; then
		printf '%s' "$*" >"$RUN/failure"
		write_log "FAILED: $*" >&2
	fi
	exit 1
}

# A failure in a subshell, such as a command substitution, ends only that subshell.
stop_if_failed() {
	[ ! -e "$RUN/failure" ] || exit 1
}

# For the ERR trap: a command failed whose status no condition reads.
unexpected() {
	fail "command failed: $1"
}

# answer COMMAND...: the output of a tool that is asked about the state of things. A tool that
# fails has not answered "no": the scenario fails at once, with the tool's own words. A tool whose
# reader needs no more (SIGPIPE, 128 + 13) has answered.
answer() {
	local status=0

	"$@" 2>"$RUN/words" || status=$?
	[ $status = 0 ] || [ $status = 141 ] ||
		fail "$* failed (exit status $status): $(tail -n 1 "$RUN/words")"
}

# json FILTER: jq's lines of the standard input. A null is no value, and none in an array or object
# that the filter makes. It is what jq finds at a path that the document does not have, and two
# of them would be equal.
json() {
	answer jq -rc "$1 | if . == null or any((arrays, objects)[]; . == null)
		then error(\"null in \(tojson)\") else . end"
}

skip() {
	printf '%s' "$*" >"$RUN/skip"
	log "skipped: $*"
	exit 0
}

# wait_until LIMIT COMMAND...: true as soon as the command is, false when
# LIMIT seconds have passed without that.
wait_until() {
	local limit=$1 start=$SECONDS

	shift
	while ! "$@"; do
		stop_if_failed
		[ $((SECONDS - start)) -le "$limit" ] || return 1
		sleep 0.1
	done
	stop_if_failed
}

# need LIMIT WHAT COMMAND...: the same, and fails the scenario.
need() {
	local limit=$1 what=$2

	shift 2
	wait_until "$limit" "$@" || fail "$what: not within $limit s"
}

# detach_job: the shell forgets its last job. A job that has ended already is unknown to it.
detach_job() {
	disown 2>/dev/null || true
}

# never SECONDS WHAT COMMAND...: fails as soon as the command is true within
# that time.
never() {
	local seconds=$1 what=$2

	shift 2
	! wait_until "$seconds" "$@" || fail "$what"
}

# running PID: a process that has ended, and that its parent did not wait for yet, does not run.
running() {
	local stat

	{ read -r stat <"/proc/$1/stat"; } 2>/dev/null && [[ $stat != *') Z '* ]]
}

gone() {
	! running "$1"
}

# file_has FILE PATTERN: a file that is not there yet has no lines.
file_has() {
	[ -e "$1" ] && has_line "$2" <"$1"
}

# has_line PATTERN: in the standard input.
has_line() {
	local status=0

	grep -q -- "$1" 2>"$RUN/words" || status=$?
	[ $status -le 1 ] || fail "grep $1 failed: $(tail -n 1 "$RUN/words")"
	return $status
}

# matches ARGUMENT...: what grep prints. Of no match it prints nothing, or 0 with -c. A grep that fails,
# as for a file that is not there, has not answered.
matches() {
	local status=0

	grep "$@" 2>"$RUN/words" || status=$?
	[ $status -le 1 ] || [ $status = 141 ] ||
		fail "grep $* failed (exit status $status): $(tail -n 1 "$RUN/words")"
}

# ended_within SECONDS PID: also after a failure, when wait_until ends the scenario.
ended_within() {
	local seconds=$1 pid=$2 start=$SECONDS

	while running "$pid"; do
		[ $((SECONDS - start)) -le "$seconds" ] || return 1
		sleep 0.1
	done
}

# kill_and_wait SIGNAL PID...: the harness, too, calls it after a failed scenario.
kill_and_wait() {
	local signal=$1 pid

	shift
	for pid in "$@"; do
		kill "-$signal" "$pid" 2>/dev/null || true
	done
	for pid in "$@"; do
		if ! ended_within 10 "$pid"; then
			kill -KILL "$pid" 2>/dev/null || true
			ended_within 10 "$pid" || true
		fi
	done
}
