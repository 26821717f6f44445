# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Packets of a latched flow that no full socket sends, at W:
#
#	W ----- SA of c.example, still there, inbound ----- C
#	  `---- SA of d.example, now W's outbound one ----- D, at C's address
#
# C sends under its own SA, which W accepts; the answer would leave under D's. No
# latchd runs meanwhile, since it would end the flows; D's SA stays pending.

# need_netfilter_gate: latchd must have it on Linux 6.4 and later, and only there. What latchd
# says decides nothing: a gate that it did not attach is a failure.
need_netfilter_gate() {
	local release hook major minor

	release=$(answer uname -r) || exit 1
	[[ $release =~ ^([0-9]+)\.([0-9]+) ]] || fail "'$release' is no kernel release"
	major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}
	((major > 6 || (major == 6 && minor >= 4))) || skip "Linux $release has no netfilter gate"
	hook=$(status '.enforcement.programs[] | select(.name == "netfilter gate") | .hook') || exit 1
	[ "$hook" = netfilter ] || fail "Linux $release: the netfilter gate $hook"
}

netfilter_netns_at_least() {
	[ "$(status '[.netns[] | select(.netfilter_gate)] | length')" -ge "$1" ]
}

# pending_drops DIRECTION: packets that were dropped because their SA is pending.
pending_drops() {
	local dumped

	dumped=$(answer bpftool -j map dump pinned /sys/fs/bpf/latchd/v*/maps/drops) || exit 1
	abi_jq "[.[LATCH_DROP_SA_PENDING].formatted.values[].value.$1] | add" <<<"$dumped"
}

pending_drops_at_least() {
	[ "$(pending_drops "$1")" -ge "$2" ]
}

# answers HOST PORT FLAGS: how many such packets from that port of W it has decrypted.
answers() {
	local packets

	packets=$(captured "clear-$1") || exit 1
	matches -F "$(addr w).$2 >" <<<"$packets" | matches -cF "Flags [$3]"
}

answered_at_least() {
	[ "$(answers "$1" "$2" "$3")" -ge "$4" ]
}

# half_open PORT: W listens there, and C's port is 1000 less; the oracle watches.
half_open() {
	local port=$1

	stream "w-$port" w c --local-port "$port" --send W-TO-C --rate 20 --lines 1
	need 30 "the application at W listens" app_event "w-$port" listening
	printf '%s\t' "w-$port" w c "$(addr w)" "$port" "$(addr c)" $((port - 1000)) W-TO-C - \
		>>"$APPS/flows"
	echo tcp >>"$APPS/flows"
}

in_time_wait() {
	has_sockets w state time-wait "( sport = :7000 )"
}

half_opened() {
	has_sockets w state syn-recv "( sport = :$1 )"
}

cookies_sent() {
	local listed

	listed=$(answer in_host w nstat -az TcpExtSyncookiesSent) || exit 1
	[[ $listed =~ TcpExtSyncookiesSent\ +([0-9]+) && ${BASH_REMATCH[1]} -gt 0 ]]
}

# D at C's address, with IKE of its own; C can still send, and receives nothing.
both_at_one_address() {
	host_down c
	take_address d c
	must_initiate d
	ip -n lt-w neigh replace "$(addr c)" dev eth0 lladdr "${MAC[d]}" nud permanent
	ip -n lt-c neigh replace "$(addr w)" dev eth0 lladdr "${MAC[w]}" nud permanent
	ip -n lt-net link set dev c up
	log "W sends to D, and C still sends under its own SA"
}

# stopped DIRECTION WHAT COMMAND...: the packet that the command provokes is dropped.
stopped() {
	local direction=$1 what=$2 before

	shift 2
	before=$(pending_drops "$direction") || exit 1
	"$@"
	need 60 "$what is dropped" pending_drops_at_least "$direction" $((before + 1))
	log "$what: dropped"
}

# leaked PORT FLAGS WHAT COMMAND...: D receives the same packet.
leaked() {
	local port=$1 flags=$2 what=$3

	shift 3
	"$@"
	need 60 "$what reaches D" answered_at_least d "$port" "$flags" 1
	log "$what: decrypted by D"
}

ask_time_wait() {
	forge "$1" w-7000 --seq "$NEXT_IN" --ack "$NEXT_OUT" --every 600 --count 3
}

ask_listener() {
	local i

	# A machine with much other work loses a request now and then.
	for ((i = 0; i < 3; i++)); do
		forge c w-7001 --syn --seq 1000 --count 1
		! wait_until 15 half_opened 7001 || return 0
	done
	fail "W has no half connection after three requests"
}

ask_with_cookies() {
	in_host w sysctl -qw net.ipv4.tcp_syncookies=2
	forge c w-7002 --syn --seq 1000 --every 300 --count 3
	need 30 "W has sent a SYN cookie" cookies_sent
	in_host w sysctl -qw net.ipv4.tcp_syncookies=1
}

# A second request, outside the first one's window. The control socket answers with its window,
# or W answers it as a new request when it had to give up the first.
challenge() {
	forge c w-7001 --syn --seq 3000000000 --every 600 --count 3
}

# An answer that acknowledges bytes that were never sent: the control socket resets.
provoke_reset() {
	forge c w-7001 --seq 1001 --ack 1 --every 600 --count 3
}

# bare_opening OPTION...: W's connection with C is in TIME_WAIT, latchd gone.
bare_opening() {
	local before

	topology "$@"
	WITH_LATCHD=1 honest_start
	need_netfilter_gate
	need 30 "the netfilter gate is attached at all three hosts" netfilter_netns_at_least 3
	# A host that gets an answer for a connection that it no longer has resets it.
	in_host w sysctl -qw net.ipv4.tcp_rfc1337=1
	half_open 7001
	half_open 7002
	read -r NEXT_IN NEXT_OUT < <(learn_sequence w-7000)
	end_stream c 7000
	in_time_wait || fail "W's connection is not in TIME_WAIT"
	before=$(answers c 7000 .)
	ask_time_wait c
	need 60 "C is answered in TIME_WAIT" answered_at_least c 7000 . $((before + 1))
	log "C, under its own SA, is answered in TIME_WAIT"
	stop_latchd
}

bare_packets_are_stopped() {
	bare_opening "$@"
	both_at_one_address
	stopped egress "the ACK of TIME_WAIT" ask_time_wait c
	stopped ingress "D's segment for TIME_WAIT" ask_time_wait d
	in_time_wait || fail "TIME_WAIT was over too early"
	stopped egress "the SYN-ACK" ask_listener
	stopped egress "the control socket's ACK" challenge
	stopped egress "the control socket's RST" provoke_reset
	stopped egress "the SYN-ACK with a cookie" ask_with_cookies
	note "TIME_WAIT, SYN-ACK, cookie, ACK and RST of the control socket: none left W"
}

bare_packets_leak() {
	bare_opening "$@"
	rm -r /sys/fs/bpf/latchd/v*/netns
	both_at_one_address
	leaked 7000 . "the ACK of TIME_WAIT" ask_time_wait c
	leaked 7001 S. "the SYN-ACK" ask_listener
	leaked 7001 . "the control socket's ACK" challenge
	leaked 7001 R "the control socket's RST" provoke_reset
	leaked 7002 S. "the SYN-ACK with a cookie" ask_with_cookies
	note "TIME_WAIT, SYN-ACK, cookie, ACK and RST of the control socket: all at D"
}
