# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example, AES-128, transport ===== C 10.9.0.2
#	          \===== SA of c.example, AES-256, transport =====/
#	           \==== SA of c.example, AES-128, tunnel ========/
#
# The same peer, but other protection than the connection was latched to: S11
# (another cipher) and S12 (tunnel for transport mode) break the latch as another
# peer does. A new connection is refused while the two SAs conflict.
#
# touches: sa identity latch
# expect: clean

more_children() {
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
	EOF
}

# broken_for WHAT: W's latch was broken, and the event names what differs.
broken_for() {
	event_seen ".event == \"latch-broken\" and ((.want, .got) | tostring | contains(\"$1\"))"
}

contested_at_least() {
	local found

	found=$(sas .contested) || exit 1
	[ "$(grep -c . <<<"$found" || true)" -ge "$1" ]
}

# refused_meanwhile PORT: C connects to W while SAs of both kinds are there, two a host and kind.
refused_meanwhile() {
	need 30 "all SAs are contested" contested_at_least 8
	stream "w-$1" w c --local-port "$1" --send W-TO-C --rate 20
	need 30 "the application at W listens" app_event "w-$1" listening
	stream "c-$1" c w --remote "$(addr w)" --remote-port "$1" --expect W-TO-C
	need 60 "C's connect() fails" app_event "c-$1" 'error connect ECONNABORTED'
	need 30 "the refusal is reported" event_seen \
		".event == \"latch-refused\" and .reason == \"conflict\" and .remote.port == $1"
	no_latch ".state != \"listener\" and (.local.port == $1 or .remote.port == $1)" ||
		fail "there is a latch of the refused connection"
	! app_event "w-$1" connected || fail "W accepted the refused connection"
}

# served_afterwards PORT: the same connect() succeeds without the other SAs.
served_afterwards() {
	stream "c-$1" c w --remote "$(addr w)" --remote-port "$1" --expect W-TO-C
	need 60 "C is served on port $1" received_at_least "c-$1" 200
	need_latch w "$1" established
	end_stream c "$1"
}

# broken_by CHILD WORD PORT ITEM: C's other CHILD_SA breaks the latch of a stream, and while
# both are there no connection begins.
broken_by() {
	local child=$1 word=$2 port=$3 item=$4

	start_stream "$port"
	need_latch w "$port" established
	must_initiate c "$child"
	need 60 "W's application is reset" app_failed "w-$port"
	need 30 "latchctl monitor names $word" broken_for "$word"
	conforms "$item" "an SA of the same peer with $word breaks the latch"
	refused_meanwhile $((port + 10))
	terminate_child c "$child"
	need 60 "that SA has left W" sas_at_most w 2
	need 60 "that SA has left C" sas_at_most c 2
	need 30 "no SA is contested" sas_are_uncontested
	served_afterwards $((port + 10))
}

sas_are_uncontested() {
	[ -z "$(sas .contested)" ]
}

sas_at_most() {
	[ "$(kernel_sas "$1")" -le "$2" ]
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
broken_by strong 288 7000 S11
broken_by tunnelled tunnel 7001 S12
conforms R-2-1 "quality of protection and mode are latched, each by itself"
conforms R-2.3-8 "one peer's SAs with another cipher or mode beside the first: connect() failed, no latch"
note "broken by another cipher and by another mode, refused meanwhile; $SENT bytes afterwards, none lost"
