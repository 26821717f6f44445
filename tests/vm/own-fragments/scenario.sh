# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example, each datagram in fragments ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
# W's connected UDP socket sends datagrams that are larger than the MTU, so that W's kernel sends them in
# IP fragments. D takes C's address. The latch is BROKEN and waits: no fragment leaves under D's bound
# SA. Then W's policies and SAs are flushed: no fragment leaves in clear. What D sends to the socket
# under its own SA comes to W, and the oracle checks that the application receives nothing of it.
#
# touches: gate packet sa
# run: conformance
# variant: own-fragments-ipv6 family=6
# expect: clean

readonly TEXT=W-TO-C-IN-FRAGMENTS PORT=8001 PEER_PORT=8000

rules() {
	cat <<-EOF

		[rule patient]
		action = auto
		protocol = udp
		local-port = $PORT
		disposition = wait
		on-dpd = keep
		on-reboot = keep
	EOF
}

# Of both ends, for the oracle: what W receives must be what C has sent, which is nothing.
register_ends() {
	{
		printf '%s\t' "w-$PORT" w c "$(addr w)" $PORT "$(addr c)" $PEER_PORT $TEXT -
		echo udp
		printf '%s\t' "c-$PEER_PORT" c w "$(addr c)" $PEER_PORT "$(addr w)" $PORT - $TEXT
		echo udp
	} >>"$APPS/flows"
	: >>"$APPS/w-$PORT.recv"
	: >>"$APPS/c-$PEER_PORT.sent"
}

# W sends a datagram of 3000 bytes each 100 ms, and goes on after an error.
send_in_fragments() {
	register_ends
	spawn c "$RUN/receiver.pid" python3 -c 'import socket, sys
sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((sys.argv[1], int(sys.argv[2])))
while True:
    sock.recv(65536)' "$(addr c)" $PEER_PORT
	spawn w "$RUN/sender.pid" python3 -c 'import errno, socket, sys, time
here, port, there, to, text, file = sys.argv[1:]
sock = socket.socket(socket.AF_INET6 if ":" in here else socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((here, int(port)))
sock.connect((there, int(to)))
def attempt(call):
    try:
        return call() and "ok"
    except BlockingIOError:
        return "nothing"
    except OSError as error:
        return errno.errorcode[error.errno]
def receive():
    with open(file, "ab") as received:
        return received.write(sock.recv(65536, socket.MSG_DONTWAIT) + b"\n")
while True:
    print("send", attempt(lambda: sock.send((text + " ").encode() * 150)), "recv", attempt(receive), flush=True)
    time.sleep(0.1)' "$(addr w)" $PORT "$(addr c)" $PEER_PORT $TEXT "$APPS/w-$PORT.recv" >"$RUN/sender" 2>&1
}

# D sends from C's address and port, as itself.
send_as_d() {
	in_host d python3 -c 'import socket, sys
sock = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM)
sock.bind((sys.argv[1], int(sys.argv[2])))
for number in range(20):
    sock.sendto(b"D-TO-W-BY-UDP", (sys.argv[3], int(sys.argv[4])))' \
		"$(addr c)" $PEER_PORT "$(addr w)" $PORT
}

latch_of_socket() {
	echo "$(at w $PORT) and .proto == \"udp\""
}

drops() {
	latch_field "$(latch_of_socket)" .drops
}

drops_at_least() {
	[ "$(drops)" -ge "$1" ]
}

# fragments PROTOCOL: IP fragments with ESP (50) or UDP (17) that W has sent, IPv4 and IPv6.
fragments() {
	local packets

	packets=$(captured wire-w "ether src ${MAC[w]} and ((ip[9] = $1 and ip[6:2] & 0x3fff != 0) or
		(ip6[6] = 44 and ip6[40] = $1))") || exit 1
	matches -c . <<<"$packets"
}

fragments_at_least() {
	[ "$(fragments "$1")" -ge "$2" ]
}

# held_back PROTOCOL WHAT: W's gate drops datagrams, and no fragment of them leaves.
held_back() {
	local protocol=$1 what=$2 sent dropped

	sent=$(fragments "$protocol") || exit 1
	dropped=$(drops) || exit 1
	need 60 "W drops its datagrams $what" drops_at_least $((dropped + 20))
	[ "$(fragments "$protocol")" = "$sent" ] || fail "$what: W sent fragments"
	! decrypted d $TEXT || fail "D decrypted a part of W's datagrams $what"
	log "W's datagrams $what: no fragment has left"
}

topology dpd=300s "$@"
how=${*:+ ($*)}
WITH_LATCHD=1 honest_start
send_in_fragments
need 60 "W's UDP socket is latched to C" latch_seen \
	"$(latch_of_socket) and .state == \"established\" and .peer.id == \"c.example\""
need 60 "C decrypts W's datagrams" decrypted c $TEXT
need 60 "they leave W in fragments" fragments_at_least 50 4
impostor_takes_over
need 60 "the latch of W's socket is broken" latch_seen "$(latch_of_socket) and .state == \"broken\""
need_bound d.example
held_back 50 "under D's bound SA"
conforms R-2-4 "UDP larger than the MTU: no fragment left under another peer's bound SA$how"
send_as_d
need 60 "D's datagrams come to W" decrypted w D-TO-W-BY-UDP

ip -n lt-w xfrm policy flush
ip -n lt-w xfrm state flush
log "W has neither policies nor SAs"
held_back 17 "in clear"
conforms R-2-4 "UDP larger than the MTU: no fragment left in clear$how"
kill_and_wait KILL "$(cat "$RUN/sender.pid")"
note "datagrams of 3000 bytes: no fragment left under D's SA or in clear$how"
