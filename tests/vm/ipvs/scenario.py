# SPDX-License-Identifier: BSD-2-Clause
# touches: gate packet
# expect: clean
# run: conformance
"""
IPVS of the host itself: it sends a socket's packet to another host, without the socket.

    W 10.9.0.1 ---- veth ---- C 10.9.0.2, and 10.9.0.3 where IPVS of W sends it
     policies and SAs: W to 10.9.0.2 only     IPVS: 10.9.0.2 to 10.9.0.3, the same port

    1. a TCP connection and a UDP socket are latched to params 7; IPVS comes: all is dropped,
       nothing leaves in clear for the new host
    2. connections that are not latched pass by IPVS
    3. a rule requires a latch: the first datagram and the SYN by IPVS are refused
    4. IPVS is gone: the latched stream continues, nothing lost

IPVS chooses a route without XFRM, so that its packets are in clear.
"""
import socket
import struct

from abi import LATCH_DROP_PLAINTEXT, LATCH_DROP_REQUIRED, LATCH_STATE_ESTABLISHED
from checks import conforms, expect, run, skip, until
from flows import alias, register, watch
from gates import Gate, stops_at
from host import C, W, accept, arrives_whole, protect, received, sends, topology
from latchd import attach_netfilter_gate, attach_with, has_netfilter_gate
from maps import are, bind, define, latches_of

TARGET, VIRTUAL = "10.9.0.3", "10.9.0.4"
RULES = """
[rule guarded]
action = require
protocol = tcp
remote-port = 5003
[rule guarded-datagrams]
action = require
protocol = udp
remote-port = 6003
"""
IP_VS_SO_SET_ADD, IP_VS_SO_SET_FLUSH, IP_VS_SO_SET_ADDDEST = 1154, 1157, 1159  # linux/ip_vs.h
W_SENDS = Gate(W, "out")


def set_ipvs(option, value=b""):
    with W.open_socket(socket.SOCK_RAW, protocol=socket.IPPROTO_RAW) as made:
        made.setsockopt(socket.IPPROTO_IP, option, value)


def balance(protocol, address, port):
    """IPVS sends what is for this address and port to TARGET."""
    service = struct.pack("=H2x4s", protocol, socket.inet_aton(address)) + struct.pack(
        "!H", port) + struct.pack("=2xI16sII4s", 0, b"rr", 0, 0, b"\xff" * 4)
    real = socket.inet_aton(TARGET) + struct.pack("!H", port) + struct.pack("=2xIiII", 0, 1, 0, 0)
    set_ipvs(IP_VS_SO_SET_ADD, service)
    set_ipvs(IP_VS_SO_SET_ADDDEST, service + real)


def known(made):
    """For the oracle: behind IPVS the flow has another destination."""
    (local, port), (_, its_port) = made.getsockname(), made.getpeername()
    alias(register(W, made), local, port, TARGET, its_port)


def datagram_to(address, port):
    made = W.datagram_socket()
    made.connect((address, port))
    return made


def is_refused(what, send):
    wire, before = W_SENDS.crossing(), W_SENDS.drops(LATCH_DROP_REQUIRED)
    send()
    until(lambda: wire.so_far() or W_SENDS.drops(LATCH_DROP_REQUIRED) > before, f"{what} is refused")
    expect(not wire.so_far(), f"{what}: nothing left w")


if not has_netfilter_gate():
    skip("only the netfilter gate sees what IPVS sends, and this kernel has none")
for module in ("ip_vs", "ip_vs_rr"):
    run(f"modprobe {module}")
topology()
watch()
W.ip("link set lo up")
C.ip(f"addr add {TARGET}/24 dev vc")
attach_netfilter_gate()
attach_with(RULES)
protect()
bind(7)
define(7, 2)
W.sysctl("net.ipv4.vs.sloppy_tcp=1", "net.ipv4.vs.expire_nodest_conn=1")

listener = C.listen(5001)
client = W.connect(5001)
peer = accept(listener, "a connection is established")
sends(client, peer, b"for C", "data arrives")
server, target = C.datagram_socket(6001), C.datagram_socket(6001, TARGET)
datagrams = datagram_to(C.address, 6001)
datagrams.send(b"hello")
until(lambda: received(server) == b"hello", "a datagram arrives under ESP")
expect(are(5001, LATCH_STATE_ESTABLISHED, 7), "the connection is latched")
expect([(each.state, each.params) for each in latches_of(6001)] == [(LATCH_STATE_ESTABLISHED, 7)],
       "w's datagram socket is latched")
for each in (client, datagrams):
    known(each)

balance(socket.IPPROTO_TCP, C.address, 5001)
balance(socket.IPPROTO_UDP, C.address, 6001)
gate_wire, dropped_before = W_SENDS.crossing(), W_SENDS.drops(LATCH_DROP_PLAINTEXT)
datagrams.send(b"SECRET")
until(lambda: gate_wire.so_far() or W_SENDS.drops(LATCH_DROP_PLAINTEXT) > dropped_before,
      "a latched socket's datagram meets IPVS")
expect(not gate_wire.so_far() and not received(target), "it is dropped, nothing left w")
stops_at(W_SENDS, client, peer, b"still for C", LATCH_DROP_PLAINTEXT, "the latched stream meets IPVS")
conforms("R-2-4", "what IPVS of the host sends elsewhere for a latched socket does not leave in clear")

for protocol, port in ((socket.IPPROTO_TCP, 5002), (socket.IPPROTO_UDP, 6002),
                       (socket.IPPROTO_TCP, 5003), (socket.IPPROTO_UDP, 6003)):
    balance(protocol, VIRTUAL, port)
ordinary = C.listen(5002, TARGET)
unlatched = W.connect(5002, VIRTUAL)
other = accept(ordinary, "a connection that is not latched passes IPVS")
sends(unlatched, other, b"a request", "its request arrives")
sends(other, unlatched, b"an answer", "and the answer")
aside = C.datagram_socket(6002, TARGET)
asks = datagram_to(VIRTUAL, 6002)
for number in range(3):
    sends(asks, aside, b"question %d" % number, f"datagram {number} of a socket that is not latched passes")
expect(not latches_of(6002) and not latches_of(5002), "neither is latched")

guarded = datagram_to(VIRTUAL, 6003)
is_refused("a datagram that requires a latch", lambda: guarded.send(b"SECRET"))
is_refused("a SYN that requires a latch", lambda: W.connect(5003, VIRTUAL))

set_ipvs(IP_VS_SO_SET_FLUSH)
arrives_whole(peer, b"still for C", "without IPVS the latched stream continues")
sends(datagrams, server, b"for C again", "and so does the datagrams' socket")
