# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SAs of c.example, renewed ===== C 10.9.0.2
#
# A latched stream, at both ends, through five rekeys of its CHILD_SA. Of all packets of its sockets less than
# one in a hundred is checked in full (slow_path); the others pass as the one before them.
#
# touches: gate sa
# run: conformance
# expect: clean

readonly PACKETS=10000 # at W alone, in each direction together

checked_in_full() {
	status .counters.slow_path
}

# Of TCP and IKE; nothing else is on the wire.
packets_of_both() {
	local host way sum=0

	for host in w c; do
		for way in rx tx; do
			sum=$((sum + $(ip netns exec "lt-$host" cat "/sys/class/net/eth0/statistics/${way}_packets"))) || exit 1
		done
	done
	echo "$sum"
}

enough_since() {
	[ "$(packets_of_both)" -ge $(($1 + 2 * PACKETS)) ]
}

# share_of_slow_path WHAT COMMAND...: runs it, and waits until there were enough packets.
share_of_slow_path() {
	local what=$1 slow packets

	shift
	slow=$(checked_in_full) || exit 1
	packets=$(packets_of_both) || exit 1
	"$@"
	need 300 "$PACKETS packets at each end" enough_since "$packets"
	slow=$(($(checked_in_full) - slow)) || exit 1
	packets=$(($(packets_of_both) - packets)) || exit 1
	log "$what: $slow of $packets packets were checked in full"
	[ "$slow" -gt 0 ] || fail "$what: no packet was checked in full: the counter does not count"
	[ $((100 * slow)) -lt "$packets" ] || fail "$what: the slow path had more than a hundredth, $slow of $packets"
	SHARES+="$what $slow of $packets; "
}

rekeys() {
	renew CHILD_SA rekey_child 5
}

SHARES=''
topology
WITH_LATCHD=1 honest_start
listen_and_connect w c 7001 --send W-TO-C --rate 1000 -- --expect W-TO-C
need_latch w 7001 established
share_of_slow_path "through five rekeys" rekeys
need_latch w 7001 established
end_stream c 7001
need_no_break
note "checked in full: ${SHARES%; }"
