# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example, ESP, AES-128, transport ===== C 10.9.0.2
#	          \===== SA of c.example, AES-256 ======================/
#	           \==== SA of c.example, tunnel =======================/
#	            \=== SA of c.example, AH ===========================/
#	             \== SA of c.example, no replay protection =========/
#
# The same peer, but other protection than the connection was latched to: another cipher
# (S11), mode (S12), type (AH for ESP), or no replay protection. Each breaks the latch as
# another peer does. A new connection is refused while the two SAs conflict.
#
# touches: sa identity latch
# expect: clean

# charon has the replay window of its own configuration, so W itself asks for the SA without.
more_children() {
	if [ "$1" = w ]; then
		cat <<-EOF
			      unguarded {
			        mode = transport
			        esp_proposals = aes128gcm16-x25519
			        replay_window = 0
			      }
		EOF
	fi
	[ "$1" = c ] || return 0
	cat <<-EOF
		      strong {
		        mode = transport
		        esp_proposals = aes256gcm16-x25519
		      }
		      tunnelled {
		        mode = tunnel
		        esp_proposals = aes128gcm16-x25519
		      }
		      authenticated {
		        mode = transport
		        ah_proposals = sha256-x25519
		      }
	EOF
}

# W accepts AH, too.
selectors() {
	[ "$1" != w ] || echo "        ah_proposals = sha256-x25519"
}

# broken_for TEXT: W's latch was broken, and the event names what differs.
broken_for() {
	event_seen ".event == \"latch-broken\" and ((.want, .got) | tostring | contains(\"$1\"))"
}

# A new connection may belong to either SA.
refused_meanwhile() {
	stream "w-refused-$1" w c --remote "$(addr c)" --remote-port 7100
	need 60 "while they conflict connect() fails with ECONNABORTED" \
		app_event "w-refused-$1" ' error connect ECONNABORTED'
}

# broken_by HOST CHILD TEXT PORT: the host's other CHILD_SA breaks the latch of a stream.
broken_by() {
	local host=$1 child=$2 text=$3 port=$4

	start_stream "$port"
	need_latch w "$port" established
	must_initiate "$host" "$child"
	need 60 "W's application is reset" app_failed "w-$port"
	need 30 "latchctl monitor names $text" broken_for "$text"
	refused_meanwhile "$port"
	terminate_child "$host" "$child"
	need 60 "that SA has left W" only_first_sas w
}

# Inbound and outbound SA of the first CHILD_SA.
only_first_sas() {
	local listed

	listed=$(answer ip -n "lt-$1" -o xfrm state list)
	[ "$(grep -cE 'proto (esp|ah) ' <<<"$listed" || true)" -le 2 ]
}

topology esp=aes128gcm16-x25519,aes256gcm16-x25519
honest_host() {
	host_up w c
	start_latchd
	start_monitor
	must_initiate c
	need_bound c.example
}
honest_host
# 256 bits of key and 32 of salt.
broken_by c strong 288 7000
conforms S11 "an SA of the same peer with 288 bits of key and salt breaks the latch"
broken_by c tunnelled tunnel 7001
conforms S12 "an SA of the same peer in tunnel mode breaks the latch"
broken_by c authenticated '\"ipsec\":\"ah\"' 7002
broken_by w unguarded '\"replay_protection\":false' 7003
conforms R-2-1 "cipher, mode, type (AH for ESP) and replay protection are latched, each by itself"
conforms R-2.3-8 "while two SAs of one peer differ in any of them, connect() fails with ECONNABORTED"
start_stream 7004
need_latch w 7004 established
end_stream c 7004
note "broken by another cipher, mode and type, and without replay protection; $SENT bytes afterwards, none lost"
