# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
# The attack on a connected UDP socket: W sends datagrams to C's address. D, in C's place,
# gets none of them; W's application receives an error (ECONNABORTED, once), and connects
# again. It reaches the peer that has the address, when no other peer has SAs for it.
#
# touches: gate latch net
# expect: clean

topology dpd=4s
WITH_LATCHD=1 honest_start
send_datagrams c w 8000 8001
send_datagrams w c 8001 8000 then=d
need 60 "W's UDP socket is latched to C" latch_seen \
	"$(at w 8001) and .state == \"established\" and .proto == \"udp\" and .peer.id == \"c.example\""
need 60 "C decrypts W's datagrams" decrypted c W-TO-C-BY-UDP
log "a connected UDP socket is latched to c.example"
conforms L-5.2-1 "connected UDP is latched with its first datagram"
impostor_takes_over
need 60 "W's application receives the error" reported_at_least w "recv ECONNABORTED" 1
need 30 "latchctl monitor reports the broken latch" event_seen \
	'.event == "latch-broken" and .proto == "udp" and .local.port == 8001'
need 30 "latchctl monitor reports the reset" event_seen \
	'.event == "latch-reset" and .proto == "udp" and .local.port == 8001 and .error == null'
need 120 "W gives C up" has_no_children w c.example
need 60 "the socket, connected again, is latched to D" latch_seen \
	"$(at w 8001) and .state == \"established\" and .peer.id == \"d.example\""
need 60 "D receives the new datagrams" decrypted d W-TO-NEW-PEER
[ "$(reported w "recv ECONNABORTED")" = 1 ] || fail "ECONNABORTED more than once"
! decrypted d W-TO-C-BY-UDP || fail "D decrypted a datagram that was meant for C"
conforms S30 "connected UDP: D's SA breaks the latch, D gets nothing, ECONNABORTED once"
conforms L-5.2-3 "connected UDP, broken: recv() fails with ECONNABORTED, once"
conforms R-2.3-21 "connected UDP, broken: D decrypted nothing that was meant for C"
kill_and_wait KILL "$(cat "$RUN/datagrams-w.pid")"
need 30 "the killed application's latch is gone" no_latch "$(at w 8001)"
note "D got none of C's datagrams; W's application saw ECONNABORTED once and connected again"
