# SPDX-License-Identifier: BSD-2-Clause
# touches: gate packet
# expect: clean
"""
Source NAT into an IPsec policy: a packet passes the cgroup gate twice, first in clear.

    10.6.0.1, fd06::1 -- nft snat --> 10.9.0.1, fd09::1 ---- veth ---- netns c 10.9.0.2, fd09::2
    netns w                           ESP, transport mode: only for these addresses

    1. TCP and connected UDP, IPv4 and IPv6: established, latched to params 7, data both ways
    2. w's outbound SA belongs to another peer (params 8): nothing leaves, counted as identity
    3. w's policies are gone: source NAT alone; nothing of the latched connection leaves in clear
    4. under its own SA the stream continues, nothing lost
    5. connections that no policy protects pass the same NAT, unlatched

The UDP sockets have another port behind the NAT, too. The latch of an aborted TCP connection stays
for its TIME_WAIT, so each IP version has ports of its own.
"""
import socket

from abi import LATCH_DROP_IDENTITY, LATCH_DROP_PLAINTEXT, LATCH_STATE_ESTABLISHED
from checks import conforms, expect, until
from flows import alias, register, watch
from gates import Gate, stops_at
from host import C, HOSTS, W, accept, arrives_whole, received, reset_on_close, sends, topology
from latchd import attach
from maps import bind, define, define_identity, latches_of

SOL_LATCH, EXPECT_PEER = 0x4C41, 17  # include/latch_sockopt.h
INSIDE = {socket.AF_INET: "10.6.0.1", socket.AF_INET6: "fd06::1"}
OUTSIDE = {socket.AF_INET: (W.address, C.address), socket.AF_INET6: (W.address6, C.address6)}
NAT = """
table inet nat { chain out { type nat hook postrouting priority srcnat;
    ip saddr 10.6.0.1 udp dport 6001 masquerade random;
    ip6 saddr fd06::1 udp dport 6002 masquerade random;
    ip saddr 10.6.0.1 snat ip to 10.9.0.1; ip6 saddr fd06::1 snat ip6 to fd09::1; }; }
"""
PORTS = {socket.AF_INET: (5001, 6001), socket.AF_INET6: (5002, 6002)}


def add_policies(host, way, family):
    here, there = OUTSIDE[family] if host is W else OUTSIDE[family][::-1]
    source, destination = (here, there) if way == "out" else (there, here)
    for protocol, port in zip(("tcp", "udp"), PORTS[family]):
        selects = "dport" if (host is W) == (way == "out") else "sport"
        host.ip(f"xfrm policy add src {source} dst {destination} proto {protocol} {selects} {port}"
                f" dir {way} tmpl proto esp reqid 1 mode transport")


def add_all_policies(host):
    for family in OUTSIDE:
        for way in ("out", "in"):
            add_policies(host, way, family)


def protect():
    for family, (here, there) in OUTSIDE.items():
        spi = 0x1001 if family == socket.AF_INET else 0x6001
        for host in HOSTS:
            host.add_sa(here, there, spi)
            host.add_sa(there, here, spi + 1)
    for host in HOSTS:
        add_all_policies(host)


def wishing(family, kind=socket.SOCK_STREAM):
    """The application of the IPv6 connections wishes C (params 7), that of IPv4 wishes nothing."""
    made = W.open_socket(kind, family)
    if family == socket.AF_INET6:
        made.setsockopt(SOL_LATCH, EXPECT_PEER, b"c.example")
    return made


def connect(family, port, wish=True):
    made = wishing(family) if wish else W.open_socket(family=family)
    made.bind((INSIDE[family], 0))
    made.connect_ex((OUTSIDE[family][1], port))
    return made


def known(made, family):
    """For the oracle: behind NAT the flow has another address and the same port."""
    tag, (_, port, *_), (there, its_port, *_) = register(W, made), made.getsockname(), made.getpeername()
    alias(tag, OUTSIDE[family][0], port, there, its_port)


def end_of_w(port):
    return [latch for latch in latches_of(port) if latch.netns == W.cookie()]


def is_latched(port):
    return [(each.state, each.params) for each in end_of_w(port)] == [(LATCH_STATE_ESTABLISHED, 7)]


def stream(family):
    port = PORTS[family][0]
    listener = C.listen(port, OUTSIDE[family][1])
    client = connect(family, port)
    peer = accept(listener, "a connection through source NAT is established")
    listener.close()
    known(client, family)
    expect(peer.getpeername()[0] == OUTSIDE[family][0], "its source is translated")
    sends(client, peer, b"for C only", "data arrives")
    sends(peer, client, b"answer", "in both directions")
    expect(is_latched(port), "w's end is latched, with params 7")
    gate = Gate(W, "out")
    gate.bind(8)
    stops_at(gate, client, peer, b"still for C", LATCH_DROP_IDENTITY, "w sends nothing under the impostor's SA")
    gate.bind(7)
    arrives_whole(peer, b"still for C", "under C's own SA the stream continues")
    W.flush("policy")
    stops_at(gate, client, peer, b"never in clear", LATCH_DROP_PLAINTEXT, "w sends nothing in clear")
    add_all_policies(W)
    arrives_whole(peer, b"never in clear", "protected again the stream continues")
    reset_on_close(client, peer)
    client.close()
    peer.close()


def datagrams(family, port, latched):
    bound = C.datagram_socket(port, OUTSIDE[family][1])
    made = wishing(family, socket.SOCK_DGRAM) if latched else W.open_socket(socket.SOCK_DGRAM, family)
    made.bind((INSIDE[family], 0))
    made.connect((OUTSIDE[family][1], port))
    for number in range(4):
        text = b"datagram %d" % number
        made.send(text)
        until(lambda text=text: received(bound) == text, f"datagram {number} arrives")
    expect(is_latched(port) if latched else not end_of_w(port),
           "w's end is latched, with params 7" if latched else "w's end is not latched")
    made.close()
    bound.close()


def ordinary(family):
    listener = C.listen(5009, OUTSIDE[family][1])
    client = connect(family, 5009, wish=False)
    peer = accept(listener, "a connection that no policy protects passes the NAT")
    sends(client, peer, b"in clear", "its data arrives")
    expect(not latches_of(5009), "it is not latched")
    datagrams(family, 6009, False)
    for each in (client, peer, listener):
        each.close()


topology()
for each in HOSTS:
    each.add_address6()
    each.ip("link set lo up")
W.ip("addr add 10.6.0.1/32 dev lo")
W.ip("addr add fd06::1/128 dev lo nodad")
W.nft(NAT)
watch()
attach()
protect()
define(7, 2)
define(8, 3)
define_identity(2, b"c.example")
define_identity(3, b"d.example")
bind(7)
for each in INSIDE:
    stream(each)
    datagrams(each, PORTS[each][1], True)
    ordinary(each)
conforms("R-2-4", "through source NAT: nothing under another SA or in clear")
