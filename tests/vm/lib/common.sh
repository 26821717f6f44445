# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Words that every part of the VM tests uses. Expects TOP, the checkout.

readonly RUN=${LATCHD_TEST_RUN:-/run/latchd-test}
# shellcheck disable=SC2034 # for those who source this
readonly BUILD_DIR=${BUILD:-$TOP/build}
# shellcheck disable=SC2034 # for those who source this
readonly APPS=$RUN/apps

export LC_ALL=C # EPOCHREALTIME has a point

now() {
	printf '%s' "$EPOCHREALTIME"
}

# ms_between FIRST LAST: two values of EPOCHREALTIME or of an event.
ms_between() {
	local first=${1/./} last=${2/./}

	# Events carry milliseconds, EPOCHREALTIME microseconds.
	[[ ${1#*.} = ??? ]] && first+=000
	[[ ${2#*.} = ??? ]] && last+=000
	echo $(((last - first) / 1000))
}

# elapsed START: seconds since, with a tenth.
elapsed() {
	local ms

	ms=$(ms_between "$1" "$EPOCHREALTIME")
	printf '%d.%d' $((ms / 1000)) $((ms % 1000 / 100))
}

log() {
	printf '[%7s] %s\n' "$(elapsed "$STARTED")" "$*"
}

# The detail that stands beside "passed" in the results.
note() {
	printf '%s' "$*" >"$RUN/note"
	log "$*"
}

# conforms ITEM WHAT: this scenario has just seen that an item of the standard
# holds (tests/conformance/items.tsv). It counts only if the whole scenario passes.
# Belongs into scenario files, with the item as it is: tools/conformance reads
# there what a scenario that failed or did not run would have shown.
conforms() {
	printf '%s\t%s\n' "$1" "$(tr '\t\n' '  ' <<<"$2" | sed 's/ *$//')" >>"$RUN/conforms"
	log "conforms: $1 $2"
}

fail() {
	printf '%s' "$*" >"$RUN/failure"
	log "FAILED: $*"
	exit 1
}

# A command failed that nobody looked after.
unexpected() {
	[ -e "$RUN/failure" ] || fail "command failed: $1"
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
		[ $((SECONDS - start)) -le "$limit" ] || return 1
		sleep 0.1
	done
}

# need LIMIT WHAT COMMAND...: the same, and fails the scenario.
need() {
	local limit=$1 what=$2

	shift 2
	wait_until "$limit" "$@" || fail "$what: not within $limit s"
}

# never SECONDS WHAT COMMAND...: fails as soon as the command is true within
# that time.
never() {
	local seconds=$1 what=$2

	shift 2
	! wait_until "$seconds" "$@" || fail "$what"
}

running() {
	kill -0 "$1" 2>/dev/null
}

gone() {
	! running "$1"
}

file_has() {
	grep -qs -- "$2" "$1"
}

# kill_and_wait SIGNAL PID...
kill_and_wait() {
	local signal=$1 pid

	shift
	for pid in "$@"; do
		kill "-$signal" "$pid" 2>/dev/null || true
	done
	for pid in "$@"; do
		if ! wait_until 10 gone "$pid"; then
			kill -KILL "$pid" 2>/dev/null || true
			wait_until 10 gone "$pid" || true
		fi
	done
}
