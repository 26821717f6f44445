# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	  lt-first: port 7000      lt-second: port 7001, then 7002
#	  (in the end the policies of W are flushed)
#
# latchd has two cgroups. One is absent at the start, comes, is removed and returns: connections in
# each are latched. Then the first one is no longer configured, and latchd starts anew: the live
# connection there keeps its gate. When W's policies are flushed no byte of either leaves in clear,
# and both are reset. plaintext-out-without-latchd finds the same text on the wire.
#
# touches: enforce config gate report latchctl
# run: conformance
# expect: clean

FIRST=$(cgroup_root)/lt-first
SECOND=$(cgroup_root)/lt-second
CONFIGURED=("$FIRST" "$SECOND")

# For latchd_config: one line a cgroup.
cgroup_root() {
	local lines

	printf -v lines '\n\t\tcgroup = %s' "${CONFIGURED[@]}"
	echo "${lines#*= }"
}

# in_cgroup CGROUP COMMAND...: what it starts is in the cgroup.
in_cgroup() {
	local cgroup=$1

	shift
	(
		echo "$BASHPID" >"$cgroup/cgroup.procs"
		"$@"
	) || exit 1
}

# cgroup_is CGROUP STATE: the state that latchctl status shows, or unlisted.
cgroup_is() {
	[ "$(status "[.enforcement.cgroups[] | select(.path == \"$1\") | .state][0] // \"unlisted\"")" = "$2" ]
}

# attention_of CODE: the objects that latchctl status shows with it.
attention_of() {
	status "[.attention[] | select(.code == \"$1\") | .object] | join(\" \")"
}

# close_all: C's ends are still there, as is the TIME_WAIT of the stream that ended.
close_all() {
	local id

	for id in $(latches '.state != "listener"' | json .id); do
		latchctl close "$id" >/dev/null 2>&1 || true
	done
	no_latch '.state != "listener"'
}

rmdir "$FIRST" "$SECOND" 2>/dev/null || true
topology
host_up w c d
mkdir "$FIRST"
start_latchd
must_initiate c
cgroup_is "$FIRST" attached || fail "the first cgroup has no programs"
cgroup_is "$SECOND" absent || fail "the second cgroup is not absent"
[ "$(attention_of cgroup-absent)" = "$SECOND" ] || fail "the absent cgroup is not named"
[ "$(status_code)" = 3 ] || fail "latchctl status does not exit with 3: $(cat "$RUN/status.txt")"
in_cgroup "$FIRST" start_stream 7000
need_latch w 7000 established

mkdir "$SECOND"
need 30 "the second cgroup has the programs" cgroup_is "$SECOND" attached
in_cgroup "$SECOND" start_stream 7001
need_latch w 7001 established
end_stream c 7001

need 30 "the second cgroup can be removed" rmdir "$SECOND"
need 30 "the second cgroup is absent again" cgroup_is "$SECOND" absent
mkdir "$SECOND"
need 30 "the second cgroup has the programs again" cgroup_is "$SECOND" attached
in_cgroup "$SECOND" start_stream 7002
need_latch w 7002 established

stop_latchd
CONFIGURED=("$SECOND")
start_latchd
cgroup_is "$FIRST" former || fail "the first cgroup has lost its programs"
[ "$(attention_of cgroup-former)" = "$FIRST" ] || fail "the former cgroup is not named"
before=$(received_bytes c-7000)
need 60 "the stream of the first cgroup continues" received_at_least c-7000 $((before + 500))
need_latch w 7000 established

flush_policies w
need 60 "the application in the second cgroup is reset" app_failed w-7002
need 60 "the application in the former cgroup is reset" app_failed w-7000
clear=$(captured_text wire-w) || exit 1
! has_line W-TO-C <<<"$clear" || fail "W sent a line in clear: $(grep W-TO-C <<<"$clear" | head -n 1)"
need 120 "no connection is latched" close_all
need 30 "the former cgroup has no programs any more" cgroup_is "$FIRST" unlisted
cgroup_is "$SECOND" attached || fail "the second cgroup has lost its programs"
conforms R-2-4 "policies flushed: nothing in clear from two cgroups, one of them removed and made again"
note "one cgroup came late and returned, one was no longer configured: no byte in clear"
