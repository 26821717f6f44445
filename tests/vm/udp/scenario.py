# SPDX-License-Identifier: BSD-2-Clause
# touches: gate watch control
# expect: clean
"""
Connected UDP sockets on the kernel side alone (RFC 5660 section 5.2).

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2 and 10.9.0.3
    two transport-mode ESP SAs for each of c's addresses, installed by hand

    1. under a pending SA what a connected socket sends is lost, without an error (with IP_RECVERR:
       ENOBUFS); an unconnected socket can send, and starts no latch
    2. under bound SAs both ends are latched to params 7, from the first datagram on,
       the server's own end when it connects
    3. datagrams that a connected socket sends to another address are no part of its connection, nor
       is one that waited (MSG_MORE) since before the connect()
    4. the SAs of w's egress gate belong to another peer (params 8), then those of c's: what they send is
       lost, and no datagram leaves; then those of c's ingress gate: datagrams come to c, and none is accepted
    5. back to params 7 the connection continues
    6. a connect() to another peer replaces the latch; a disconnect deletes it; so do
       close() and the end of the process
    7. ESP in UDP: latched in the same way
    8. the policies are flushed: all is lost, nothing in clear; an unconnected socket of w's sends in clear
       in the client's name, and c accepts nothing
    9. LISTENERs: TCP only, by their 3-tuple; gone with their sockets
"""
import errno
import os
import signal
import socket
import struct

from abi import (LATCH_COUNTER_DATAGRAMS_LOST, LATCH_DROP_IDENTITY, LATCH_DROP_PLAINTEXT, LATCH_DROP_SA_PENDING, LATCH_STATE_ESTABLISHED)
from checks import conforms, expect, until
from flows import register, watch
from gates import Gate
from host import C, HOSTS, LIBC, W, flush, topology
from latchd import attach
from maps import are, bind, connections, counter, define, latches_of, listeners, set_pending_limit

OTHER = "10.9.0.3"
IP_RECVERR = 11 # linux/in.h
UDP_CORK = 1
ENCAP = "encap espinudp 4500 4500 0.0.0.0"
W_SENDS, C_SENDS, C_RECEIVES = Gate(W, "out"), Gate(C, "out"), Gate(C, "in")


def protect(host, me, you):
    for way, source, destination in (("out", me, you), ("in", you, me)):
        ends = f"xfrm policy add src {source}/32 dst {destination}/32 proto udp"
        host.ip(f"{ends} dir {way} priority 100 tmpl proto esp reqid 1 mode transport")
        # As key managers have it for their own sockets, which also get ESP in UDP.
        host.ip(f"{ends} sport 4500 dport 4500 dir {way} priority 1")


def send_error(sock, text):
    try:
        sock.send(text)
    except OSError as error:
        return error.errno
    return 0


def received_from(sock):
    """(datagram, sender)"""
    try:
        return sock.recvfrom(65536)
    except BlockingIOError:
        return b"", None


def receives(sock, text, what):
    until(lambda: received_from(sock)[0] == text, what)


def disconnect(sock):
    LIBC.connect(sock.fileno(), struct.pack("=H14x", 0), 16)


def states_of(port):
    return [latch.state for latch in latches_of(port)]


topology()
watch()
C.ip(f"addr add {OTHER}/24 dev vc")
attach()
with W.one_batch(), C.one_batch():
    for each in HOSTS:
        each.add_sas()
        each.add_sa(W.address, OTHER, 0x1003)
        each.add_sa(OTHER, W.address, 0x1004)
    protect(W, W.address, C.address)
    protect(W, W.address, OTHER)
    protect(C, C.address, W.address)
    protect(C, OTHER, W.address)
set_pending_limit(1 << 40)
server = C.datagram_socket(6001)
unconnected = W.datagram_socket()
client = W.datagram_socket()
client.connect((C.address, 6001))
register(W, client)
too_early = W_SENDS.crossing()
expect(send_error(client, b"too early") == 0, "under a pending SA send() succeeds")
expect(not connections() and W_SENDS.drops(LATCH_DROP_SA_PENDING) == 1, "counted, and no latch is created")
client.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
expect(send_error(client, b"too early") == errno.ENOBUFS, "with IP_RECVERR it fails (ENOBUFS)")
client.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 0)
expect(not too_early.so_far() and counter(LATCH_COUNTER_DATAGRAMS_LOST) == 2, "both are counted, and none left w")
conforms("R-2-15", "connected UDP under a pending SA: send() succeeds, nothing leaves")
unconnected.sendto(b"unconnected", (C.address, 6001))
receives(server, b"unconnected", "an unconnected socket sends and receives as before")
expect(not connections(), "an unconnected socket starts no latch")

define(7, 2)
define(8, 3)
bind(7)
client.send(b"hello")
found = []


def first_datagram():
    text, sender = received_from(server)
    found.append(sender)
    return text == b"hello"


until(first_datagram, "under a bound SA the first datagram arrives")
expect(states_of(6001) == [LATCH_STATE_ESTABLISHED], "the datagram latches the client")
server.connect(found[-1])
register(C, server)
server.send(b"for you only")
receives(client, b"for you only", "the server connects, and answers")
expect(are(6001, LATCH_STATE_ESTABLISHED, 7), "both ends are latched to params 7")

elsewhere = C.datagram_socket(6002)
sends_elsewhere = W.datagram_socket()
sends_elsewhere.connect((C.address, 6001))
sends_elsewhere.sendto(b"aside", (C.address, 6002))
receives(elsewhere, b"aside", "a connected socket sends elsewhere")
expect(len(connections()) == 2, "a datagram that is sent elsewhere creates no latch")
sends_elsewhere.close()
early = W.datagram_socket()
early.sendto(b"early", socket.MSG_MORE, (C.address, 6002))
early.connect((C.address, 6002))
early.setsockopt(socket.IPPROTO_UDP, UDP_CORK, 0)
receives(elsewhere, b"early", "a datagram from before connect() leaves")
expect(len(connections()) == 2, "a datagram from before connect() creates no latch")
early.send(b"late")
receives(elsewhere, b"late", "the next one arrives")
expect(len(connections()) == 3, "the next one latches the connection")
early.close()

def is_lost(gate, sock, reason, what):
    wire, before = gate.crossing(), gate.drops(reason)
    expect(send_error(sock, b"still for you") == 0, f"{what}: send() succeeds")
    expect(gate.drops(reason) == before + 1 and not wire.so_far(), f"counted, nothing left {gate.host.name}")


def is_not_accepted(gate, send, receivers_socket, reason, what):
    """No latch of the sending host meets the datagram: what this gate lets in is delivered."""
    wire, before = gate.crossing(), gate.drops(reason)
    send(b"not from you")
    until(lambda: gate.drops(reason) == before + 1 or received_from(receivers_socket)[0], what)
    expect(gate.drops(reason) == before + 1 and wire.so_far(), f"{what}: it came, and was dropped")
    expect(received_from(receivers_socket)[0] == b"", "no datagram was delivered")


for each, end in ((W_SENDS, client), (C_SENDS, server)):
    each.bind(8)
    is_lost(each, end, LATCH_DROP_IDENTITY, f"the impostor's SA at {each.host.name}")
    each.bind(7)
C_RECEIVES.bind(8)
is_not_accepted(C_RECEIVES, client.send, server, LATCH_DROP_IDENTITY, "c accepts nothing under the impostor's SA")
expect(received_from(client)[0] == b"", "no datagram arrived at w")
bind(7)
for text in (b"again", b"and again"):
    client.send(text)
    receives(server, text, "back under C's own SA the connection continues")
conforms("R-2-4", "connected UDP: nothing left under an SA of other params")
conforms("R-2-5", "connected UDP: nothing was accepted under an SA of other params")

third = C.datagram_socket(6003, OTHER)
client.connect((OTHER, 6003))
client.send(b"to another")
receives(third, b"to another", "the client connects to another peer")
expect(states_of(6003) == [LATCH_STATE_ESTABLISHED], "the client has a latch to the other peer")
expect(len(latches_of(6001)) == 1, "its first latch is gone, the server's is not")
disconnect(client)
client.sendto(b"disconnected", (OTHER, 6003))
receives(third, b"disconnected", "the client disconnects")
expect(not latches_of(6003), "its latch is gone")
server.close()
expect(not connections(), "close() leaves no latch")
conforms("L-5.2-2", "deleted by connect() to another peer, by a disconnect and by close()")

child = os.fork()
if not child:
    victim = W.datagram_socket()
    victim.connect((OTHER, 6003))
    victim.send(b"of a process")
    signal.pause()
receives(third, b"of a process", "a process sends")
expect(len(latches_of(6003)) == 1, "its socket is latched")
os.kill(child, signal.SIGKILL)
os.waitpid(child, 0)
until(lambda: not connections(), "a killed process leaves no latch")

flush("state")
for each in HOSTS:
    each.add_sa(W.address, C.address, 0x2001, ENCAP)
    each.add_sa(C.address, W.address, 0x2002, ENCAP)
encap = [each.datagram_socket(4500) for each in HOSTS]
for each in encap:
    each.setsockopt(socket.IPPROTO_UDP, 100, 2)
bind(7)
server = C.datagram_socket(6004)
client = W.datagram_socket()
client.connect((C.address, 6004))
client.send(b"ESP in UDP")
receives(server, b"ESP in UDP", "ESP in UDP arrives")
server.connect(client.getsockname())
register(C, server)
server.send(b"and back")
receives(client, b"and back", "ESP in UDP arrives in the other direction")
expect(are(6004, LATCH_STATE_ESTABLISHED, 7), "both ends are latched")
encap[0].sendto(b"\0\0\0\0 a message of IKE", (C.address, 4500))
receives(encap[1], b"\0\0\0\0 a message of IKE", "the key managers' own sockets are not restricted")

flush("policy")
is_lost(W_SENDS, client, LATCH_DROP_PLAINTEXT, "w without policies")
port = client.getsockname()[1]
client.close()
in_its_name = W.datagram_socket(port)
is_not_accepted(C_RECEIVES, lambda text: in_its_name.sendto(text, (C.address, 6004)), server,
                LATCH_DROP_PLAINTEXT, "c accepts nothing in clear")
in_its_name.close()
server.close()
expect(not connections(), "no latch is left")

plain = C.datagram_socket(6005)
client = W.datagram_socket()
client.connect((C.address, 6005))
client.send(b"in clear")
receives(plain, b"in clear", "a connection that starts in clear continues in clear")
expect(not connections(), "a connection in clear is not latched")


def group(address, port):
    def make():
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        made.bind((address, port))
        made.listen()
        return made

    return C.inside(make)


expect(not listeners(), "no UDP socket is a LISTENER")
some = [group(C.address, 6010), group(C.address, 6010), group("::", 6011)]
# The params of a LISTENER are the number of its sockets.
expect(sorted((each.local_port, each.params) for each in listeners()) == [(6010, 2), (6011, 1)],
       "listeners: one LISTENER a 3-tuple, with the number of its sockets")
expect(not any(each.remote_port for each in listeners()), "a LISTENER has no remote end")
some[0].close()
expect(len(listeners()) == 2, "one socket of a group closes, its LISTENER stays")
some[1].close()
some[2].shutdown(socket.SHUT_RDWR)
expect(not listeners(), "the last socket closes, and its LISTENER is gone")
conforms("R-2.3-20", "LISTENERs gone with close() and shutdown(), a SO_REUSEPORT group's with the last")
