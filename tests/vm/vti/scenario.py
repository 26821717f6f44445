# SPDX-License-Identifier: BSD-2-Clause
# touches: gate packet
# run: conformance
# variant: vti6 vti6
# expect: clean
"""
VTI, the older route-based IPsec: XFRM protects the interface's packets by mark. It hands received
packets on without their SA.

    netns w 10.8.0.1 = own0 = 10.9.0.1 ---- veth ---- 10.9.0.2 = own0 = 10.8.0.2 netns c
    two tunnel-mode ESP SAs, installed by hand; the rest of latchd has bound them to params 7

    1. a TCP connection and connected UDP sockets over the interfaces work in both directions, are
       not latched, and their packets are counted
    2. under a rule that requires a latch no connection leaves
    3. the interfaces are down: a connection that begins past them, under the same SAs, is latched;
       when w's route leads to w's interface, and only its policies are left, it sends nothing; past it
       the stream continues
    4. a UDP socket of w connects past the interface and sends through it, with a route that is not
       stored with the socket: it is not latched, and answers arrive. Then the interface is down again:
       the next socket past it is latched
"""
import socket
import struct
import sys

from abi import (LATCH_COUNTER_SAS_ELSEWHERE, LATCH_DROP_PLAINTEXT, LATCH_DROP_REQUIRED,
                 LATCH_STATE_ESTABLISHED)
from checks import conforms, expect, until
from flows import register, watch
from gates import Gate, stops_at
from host import (C, HOSTS, W, accept, arrives_whole, received, reset_on_close, sends,
                  topology)
from latchd import attach_with
from maps import are, bind, connections, counter, define, dropped, latches_of

RULES = """
[rule strict]
action = require
protocol = tcp
remote-port = 5003
"""
INNER = {W: "10.8.0.1", C: "10.8.0.2"}
KIND = (sys.argv[2:] or ["vti"])[0]
KEY = 42


def outer(host):
    return host.address6 if KIND == "vti6" else host.address


def protect(host):
    here, there = INNER[host], INNER[host.peer]
    ends = outer(host), outer(host.peer)
    host.ip(f"link add own0 type {KIND} local {ends[0]} remote {ends[1]} key {KEY}")
    host.ip("link set lo up")
    host.ip(f"addr add {here}/32 dev lo")
    host.sysctl("net.ipv4.conf.own0.disable_policy=1", "net.ipv4.conf.own0.rp_filter=0")
    for spi, source, destination in ((0x1001, outer(W), outer(C)), (0x1002, outer(C), outer(W))):
        host.add_sa(source, destination, spi, "flag af-unspec", mode="tunnel")
    add_policies(host, f"mark {KEY}")
    through_the_interface(host)


def add_policies(host, selects):
    here, there = INNER[host], INNER[host.peer]
    ends = outer(host), outer(host.peer)
    for way, source, destination, pair in (("out", here, there, ends), ("in", there, here, ends[::-1])):
        host.add_policy(way, f"{source}/32", f"{destination}/32",
                        f"src {pair[0]} dst {pair[1]} proto esp reqid 1 mode tunnel", selects)


def through_the_interface(host):
    host.ip("link set own0 up")
    host.ip(f"route replace {INNER[host.peer]}/32 dev own0 src {INNER[host]}")


def past_the_interface(host):
    """While it is up, the interface takes the SA from all that comes from its peer."""
    host.ip("link set own0 down")
    host.ip(f"route replace {INNER[host.peer]}/32 via {host.peer.address} dev {host.device}"
            f" src {INNER[host]}")


def works(port):
    listener = C.listen(port, INNER[C])
    made = W.connect(port, INNER[C])
    peer = accept(listener, "a connection over the interfaces is established")
    sends(made, peer, b"request", "data arrives")
    sends(peer, made, b"answer", "in both directions")
    listener.close()
    return made, peer


def datagrams_arrive():
    ends = [host.datagram_socket(5002, INNER[host]) for host in HOSTS]
    for end, host in zip(ends, HOSTS):
        end.connect((INNER[host.peer], 5002))
    for number in range(3):
        sends(ends[0], ends[1], b"question %d" % number, f"datagram {number} arrives")
        sends(ends[1], ends[0], b"answer %d" % number, f"the answer {number} arrives")
    for end in ends:
        end.close()


def delete_policies(host):
    """Those without a mark."""
    here, there = INNER[host], INNER[host.peer]
    for way, source, destination in (("out", here, there), ("in", there, here)):
        host.ip(f"xfrm policy delete src {source}/32 dst {destination}/32 dir {way}")


def connected(port):
    ends = [host.datagram_socket(port, INNER[host]) for host in HOSTS]
    for end, host in zip(ends, HOSTS):
        end.connect((INNER[host.peer], port))
    return ends


def past_routes_of_sockets():
    ends = connected(5004)
    for host in HOSTS:
        delete_policies(host)
        through_the_interface(host)
    ttl = (socket.IPPROTO_IP, socket.IP_TTL, struct.pack("i", 64))
    for number in range(3):
        ends[0].sendmsg([b"question %d" % number], [ttl])
        until(lambda: received(ends[1]), f"datagram {number} by a new route arrives")
        ends[1].sendmsg([b"answer %d" % number], [ttl])
        until(lambda: received(ends[0]), f"its answer {number} arrives")
    expect(not latches_of(5004), "a socket that remembers a route past the interface is not latched")
    for end in ends:
        end.close()


def latched_past_it():
    for host in HOSTS:
        past_the_interface(host)
        add_policies(host, "")
    ends = connected(5005)
    sends(ends[0], ends[1], b"question", "a datagram past the interfaces arrives")
    sends(ends[1], ends[0], b"answer", "and its answer")
    expect(are(5005, LATCH_STATE_ESTABLISHED, 7), "both sockets are latched, with params 7")
    for end in ends:
        end.close()


def none_leaves_required():
    before, wire = dropped(LATCH_DROP_REQUIRED)[0], Gate(W, "out", W.device).crossing()
    refused = W.connect(5003, INNER[C])
    until(lambda: dropped(LATCH_DROP_REQUIRED)[0] > before, "a connection that needs a latch is refused")
    expect(not wire.so_far(), "no packet of it leaves")
    refused.close()


topology()
for each in HOSTS:
    each.add_address6()
watch()
attach_with(RULES)
define(7, 2)
for each in HOSTS:
    protect(each)
bind(7)
client, server = works(5001)
expect(not connections(), "neither end is latched")
expect(counter(LATCH_COUNTER_SAS_ELSEWHERE) > 0, "its packets are counted")
datagrams_arrive()
expect(not connections(), "no UDP socket is latched")
none_leaves_required()
reset_on_close(client, server)
client.close()
server.close()
for each in HOSTS:
    add_policies(each, "")
    past_the_interface(each)
latched, peer = works(5001)
register(W, latched)
sends(peer, latched, b"answer", "data arrives at w")
expect(are(5001, LATCH_STATE_ESTABLISHED, 7), "past the interfaces both ends are latched, with params 7")
through_the_interface(W)
delete_policies(W)
stops_at(Gate(W, "out", W.device), latched, peer, b"for C only", LATCH_DROP_PLAINTEXT,
         "w's latched end sends nothing through the interface")
past_the_interface(W)
add_policies(W, "")
arrives_whole(peer, b"for C only", "past it the stream continues")
reset_on_close(latched)
latched.close()
peer.close()
past_routes_of_sockets()
latched_past_it()
conforms("R-2-4", "through a VTI interface nothing of a latched connection leaves, nor of one that needs a latch")
