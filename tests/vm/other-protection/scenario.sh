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
# run: conformance
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
	event_seen ".event == \"latch-broken\" and ((.expected, .actual) | tostring | contains(\"$1\"))"
}

contested_at_least() {
	local found

	found=$(sas .contested) || exit 1
	[ "$(matches -c . <<<"$found")" -ge "$1" ]
}

other() {
	if [ "$1" = w ]; then echo c; else echo w; fi
}

# refused_meanwhile HOST PORT: HOST connects while both kinds of SAs are there.
refused_meanwhile() {
	local host=$1 port=$2 server

	server=$(other "$host")
	stream "$server-$port" "$server" "$host" --local-port "$port" \
		--send "${server^^}-TO-${host^^}" --rate 20
	need 30 "the application at $server listens" app_event "$server-$port" listening
	stream "$host-$port" "$host" "$server" --remote "$(addr "$server")" --remote-port "$port" \
		--expect "${server^^}-TO-${host^^}"
	need 60 "connect() of $host fails" app_event "$host-$port" 'error connect ECONNABORTED'
	need 30 "the refusal is reported" event_seen \
		".event == \"latch-refused\" and .reason == \"conflict\" and .remote.port == $port"
	no_latch ".state != \"listener\" and (.local.port == $port or .remote.port == $port)" ||
		fail "there is a latch of the refused connection"
	! app_event "$server-$port" connected || fail "$server accepted the refused connection"
}

# served_afterwards HOST PORT: the same connect() succeeds without the other SAs.
served_afterwards() {
	local host=$1 port=$2 server

	server=$(other "$host")
	stream "$host-$port" "$host" "$server" --remote "$(addr "$server")" --remote-port "$port" \
		--expect "${server^^}-TO-${host^^}"
	need 60 "$host is served on port $port" received_at_least "$host-$port" 200
	need_latch "$server" "$port" established
}

# broken_by HOST CHILD TEXT PORT CONTESTED: the host's other CHILD_SA breaks the latch of a
# stream. While both are there so many SAs are contested, and the host begins no connection.
broken_by() {
	local host=$1 child=$2 text=$3 port=$4 contested=$5

	start_stream "$port"
	need_latch w "$port" established
	must_initiate "$host" "$child"
	need 60 "W's application is reset" app_failed "w-$port"
	need 30 "latchctl monitor names $text" broken_for "$text"
	need 30 "the SAs are contested" contested_at_least "$contested"
	refused_meanwhile "$host" $((port + 10))
	terminate_child "$host" "$child"
	need 60 "that SA has left W" only_first_sas w
	need 60 "that SA has left C" only_first_sas c
	need 30 "no SA is contested" sas_are_uncontested
	served_afterwards "$host" $((port + 10))
}

sas_are_uncontested() {
	[ -z "$(sas .contested)" ]
}

# Inbound and outbound SA of the first CHILD_SA.
only_first_sas() {
	local listed

	listed=$(answer ip -n "lt-$1" -o xfrm state list) || exit 1
	[ "$(matches -cE 'proto (esp|ah) ' <<<"$listed")" -le 2 ]
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
broken_by c strong 288 7000 8
end_stream c 7010
conforms S11 "an SA of the same peer with 288 bits of key and salt breaks the latch"
broken_by c tunnelled tunnel 7001 8
end_stream c 7011
conforms S12 "an SA of the same peer in tunnel mode breaks the latch"
broken_by c authenticated '\"ipsec\":\"ah\"' 7002 8
end_stream c 7012
# The replay window is W's own, and C's SAs are all alike.
broken_by w unguarded '\"replay_protection\":false' 7003 4
conforms R-2-1 "cipher, mode, type (AH for ESP) and replay protection are latched, each by itself"
conforms R-2.3-8 "one peer's SAs that differ in any of them beside the first: connect() failed, no latch"
note "broken by another cipher, mode and type, and without replay protection; refused meanwhile; $SENT bytes afterwards, none lost"
