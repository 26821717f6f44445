# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, at the same address
#
# Both charons run, and W has an SA of either peer for all packets to and from 10.9.0.2
# (S9, R-2.3-8). While both are there no latch is created: connect() at W fails at once and
# no SYN leaves. SYNs under D's and under C's SA get no answer. When D has deleted its SA,
# connections to C and from C work, in both cases latched to c.example.
# Variant: tunnel mode, and D's SA is there first. It is for 10.9.0.0/24 and C's for 10.9.0.2 alone, so
# that C's policy decides. Its template fits the SAs of both, with equal outer addresses. (A SYN under
# D's SA is the kernel's to refuse: the reqid of C's policy is another.)
#
# Variant contention-partly: as contention-wide, and D has an address of its own, too. A connection of W to it
# begins under D's contested SA with its second SYN, and the next one with its first; both are latched to
# d.example.
#
# touches: sa gate latch report feeds vici choice
# variant: contention-wide wide
# variant: contention-partly partly
# run: conformance contention-wide contention-partly
# expect: clean

readonly WIDE=${1:-} ALL=10.9.0.0/24

# Of the variant.
selectors() {
	case ${WIDE:+$1} in
	w) printf 'local_ts = %s/32\nremote_ts = %s\n' "$(addr w)" $ALL ;;
	c) printf 'local_ts = %s/32\nremote_ts = %s/32\n' "$(addr c)" "$(addr w)" ;;
	d) printf 'local_ts = %s\nremote_ts = %s/32\n' $ALL "$(addr w)" ;;
	esac
}

# W's packets for the common address go to HOST's device.
lead_to() {
	ip -n lt-w neigh replace "$(addr c)" dev eth0 lladdr "${MAC[$1]}" nud permanent
	log "W sends to $1"
}

# TCP in clear, or ESP, that W has sent so far.
sent_by_w() {
	captured wire-w "ether src ${MAC[w]} and (tcp or proto 50)" | wc -l
}

w_sent_nothing() {
	local sent

	sent=$(sent_by_w) || exit 1
	[ "$sent" = 0 ] || fail "$1: W sent $sent packets"
}

# refused_at_w SIDE PORT: latchd reported that W created no latch for it.
refused_at_w() {
	event_seen ".event == \"latch-refused\" and .reason == \"conflict\" and
		.local.addr == \"$(addr w)\" and .$1.port == $2"
}

w_has_no_latch() {
	no_latch ".state != \"listener\" and .local.addr == \"$(addr w)\"" ||
		fail "$1: W has created a latch"
}

syn_decrypted() {
	captured clear-w | has_line "> $(addr w)\.$1: Flags \[S\]"
}

# connect_fails PORT: W's application connects to the address.
connect_fails() {
	stream "w-$1" w c --remote "$(addr c)" --remote-port "$1"
	need 60 "W's connect() fails" app_event "w-$1" ' error connect '
	w_sent_nothing "connect()"
	w_has_no_latch "connect()"
	app_event "w-$1" ' ECONNABORTED' || fail "W's connect() failed otherwise: $(tail -n 1 "$APPS/w-$1.events")"
	need 30 "latchctl monitor reports the conflict" refused_at_w remote "$1"
}

# syn_is_refused PEER PORT: the peer's SYN under its own SA.
syn_is_refused() {
	local peer=$1 port=$2

	stream "w-$port" w "$peer" --local-port "$port"
	need 30 "the application at W listens" app_event "w-$port" listening
	stream "$peer-$port" "$peer" w --remote "$(addr w)" --remote-port "$port"
	need 60 "W decrypts the SYN of $peer" syn_decrypted "$port"
	[ "${WIDE:+$peer}" = d ] ||
		need 30 "latchctl monitor reports that W refuses it" refused_at_w local "$port"
	w_has_no_latch "the SYN of $peer"
	! half_opened "$port" || fail "W has a half connection with $peer"
	! app_event "w-$port" connected || fail "W has accepted a connection of $peer"
	w_sent_nothing "the SYN of $peer"
	kill_and_wait KILL "$(app_pid "$peer-$port")"
}

sas_are() {
	[ "$(kernel_sas "$1")" = "$2" ]
}

# comes PEER: it has the common address, and an SA.
comes() {
	[ "$1" = c ] || give_address d c
	lead_to "$1"
	must_initiate "$1"
	need_bound "$1.example"
}

# Of D, and no other SA: W has not narrowed it.
wide_sa_is_there() {
	[[ $(answer swan w --list-sas --raw) = *"remote-ts=[$ALL]"* ]] && sas_are w 2
}

# Packets that W has lost so far while latchd decided.
lost_by_w() {
	status '[.drops[] | select(.reason == "contested").egress] | add'
}

# begins_with_d PORT: a connection of W to D's own address, latched to D although D's SA is contested.
begins_with_d() {
	local port=$1

	need 30 "D's SA is contested" sa_seen '.contested and .peer.id == "d.example"'
	listen_and_connect d w "$port" --expect W-TO-D -- --send W-TO-D --rate 20
	need 30 "W's connection to D's own address is latched to D" latch_seen \
		"$(at w "$(port_of "w-$port")") and .state == \"established\" and .peer.id == \"d.example\""
	need 30 "D receives W's data" received_at_least "d-$port" 200
	end_stream d "$port"
}

begin_beside_the_overlap() {
	local before first second

	lead_to d
	before=$(lost_by_w) || exit 1
	begins_with_d 7011
	first=$(lost_by_w) || exit 1
	begins_with_d 7012
	second=$(lost_by_w) || exit 1
	[ "$first" -gt "$before" ] || fail "no SYN was lost: latchd was not asked"
	[ "$second" = "$first" ] || fail "$((second - first)) SYNs of the second connection were lost"
	conforms R-2.3-8 "a contested SA starts connections to addresses that no other SA can carry, latched to its peer"
}

topology dpd=300s ${WIDE:+mode=tunnel}
host_up w c d
start_latchd
start_monitor
if [ -n "$WIDE" ]; then
	comes d
	need 30 "W has the SA for $ALL" wide_sa_is_there
	comes c
else
	comes c
	comes d
fi
need 30 "W has the SAs of both" sas_are w 4

connect_fails 7001
syn_is_refused d 7002
syn_is_refused c 7003
[ "$WIDE" != partly ] || begin_beside_the_overlap
conforms R-2.3-8 "two peers' SAs for one address: connect() and both peers' SYNs create no latch, W sends no packet"
conforms S9 "D's SA${WIDE:+ for $ALL} was there before${WIDE:+ C had one and before} connect(): ECONNABORTED, no SYN on the wire"

terminate_child d flow
need 60 "D's SA has left W" sas_are w 2
lead_to c
start_stream 7004
need 30 "the connection from C is latched to C" latch_seen \
	"$(at w 7004) and .state == \"established\" and .peer.id == \"c.example\""
listen_and_connect c w 7005 --expect W-TO-C -- --send W-TO-C --rate 20
need 30 "the connection to C is latched to C" latch_seen \
	"$(at w "$(port_of w-7005)") and .state == \"established\" and .peer.id == \"c.example\""
need 60 "C receives W's data" received_at_least c-7005 200
end_stream c 7004
[ "$(sent_by_w)" -gt 0 ] || fail "the capture shows no packet of W"
note "while C and D contend: no latch and no packet of W; afterwards both directions latched to C${WIDE:+; the SA of D was the first, for $ALL}"
