# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ----- no SA, trap policies only ----- C 10.9.0.2
#
# Connections that start before there is any SA. Their first packet makes the key
# manager negotiate: without success while IKE is blocked, and the application receives an error later;
# with success otherwise. A host that cannot negotiate uses the peer's SAs.
#
# touches: gate watch sa config
# expect: clean

rules() {
	cat <<-EOF

		[rule server]
		action = require
		protocol = tcp
		local-port = 7000-7002

		[rule client]
		action = require
		protocol = tcp
		remote-port = 7000-7002
	EOF
}

# block_ike WHICH: of the packets between the charons, instead of those so far.
block_ike() {
	ip netns exec lt-net nft -f - <<-EOF
		add table bridge block
		delete table bridge block
		table bridge block {
			chain forward {
				type filter hook forward priority 0
				udp dport { 500, 4500 } ${1:-} counter drop
			}
		}
	EOF
	log "IKE is blocked: ${1:-all of it}"
}

blocked_at_least() {
	local listed

	listed=$(answer ip netns exec lt-net nft -j list table bridge block) || exit 1
	[ "$(answer jq '[.. | .counter? // empty | .packets] | add' <<<"$listed")" -ge "$1" ]
}

in_syn_sent() {
	has_sockets "$1" state syn-sent "( dport = :$2 )"
}

# connect_from CLIENT SERVER PORT: in the background, without a listener so far.
connect_from() {
	stream "$1-$3" "$1" "$2" --remote "$(addr "$2")" --remote-port "$3" --expect "${2^^}-TO"
}

listen_at() {
	stream "$1-$3" "$1" "$2" --local-port "$3" --send "${1^^}-TO" --rate 20
	need 30 "the application at $1 listens" app_event "$1-$3" listening
}

no_tcp_on_the_wire() {
	[ -z "$(captured "wire-$1" tcp)" ]
}

end_stream_of() {
	stop_app "$1-$3"
	need 60 "the stream on port $3 ends" app_done "$2-$3"
}

need_served() {
	need 60 "$1 is served on port $2" received_at_least "$1-$2" 200
}

topology tries=30
host_up w c
start_latchd
start_monitor
[ "$(kernel_sas w)$(kernel_sas c)" = 00 ] || fail "there are SAs already"

in_host c sysctl -qw net.ipv4.tcp_syn_retries=2
listen_at w c 7000
block_ike
connect_from c w 7000
need 30 "C's application opens a connection" in_syn_sent c 7000
need 60 "C's charon has started to negotiate" blocked_at_least 1
! app_event c-7000 'error connect' || fail "the connection failed before the negotiation did"
need 60 "the application receives an error" app_event c-7000 'error connect ETIMEDOUT'
no_latch '.state != "listener"' || fail "there is a latch"
no_tcp_on_the_wire c || fail "C sent TCP in clear"
conforms L-2.3-1 "no SA could be had: the connection waited, then ETIMEDOUT; no SYN had left"

in_host c sysctl -qw net.ipv4.tcp_syn_retries=6
# The flag Initiator of the IKE header: C's charon cannot start an exchange, and may answer.
block_ike "ether saddr ${MAC[c]} @th,216,8 & 8 == 8"
connect_from c w 7000
need 30 "C's application opens another connection" in_syn_sent c 7000
need 60 "C's charon negotiates without an answer" blocked_at_least 1
listen_at c w 7001
connect_from w c 7001
need_served w 7001
[ "$(established w IKE_SA)" = 1 ] || fail "W has $(established w IKE_SA) IKE_SAs"
need_latch c 7001 established
conforms R-2.3-2 "no SA to learn from: W's SYN made its charon negotiate, and the latch is of the peer that answered"
need_served c 7000
need_latch w 7000 established
conforms R-2.3-3 "the socket was in SYN-SENT without any SA; its SYN left when there was one, latched"
conforms L-4-3 "C's own negotiation was still unanswered: its SYN left under the SAs of W's"
end_stream_of w c 7000
end_stream_of c w 7001
for host in w c; do
	no_tcp_on_the_wire $host || fail "$host sent TCP in clear"
done
note "IKE blocked: ETIMEDOUT, nothing left; C's blocked only: W's SAs carry both connections"
