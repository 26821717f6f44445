# SPDX-License-Identifier: BSD-2-Clause
# touches: gate packet watch
# expect: clean
# variant: protections-all all
# run: conformance protections-all
"""
Kinds of protection that the kernel has: one of each protocol and mode, or with the argument "all"
each of them over both IP versions.

    netns w 10.9.0.1 fd09::1 ---- veth ---- netns c 10.9.0.2 fd09::2
    for each kind: two SAs by hand, and two TCP connections under them

    1. a connection is latched at both ends, and data arrives; another one at c only
    2. w's SA belongs to another peer (params 8): w's egress gate lets nothing out, counted as identity
    3. c's record of this SA does: c's ingress gate accepts nothing, counted as identity
    4. after each, back to its own (params 7), the stream continues, nothing lost
    5. w's policies are gone: w's egress gate lets nothing out, counted as plaintext
    6. c's are gone, too, and w's end of the other connection, which is not latched, sends in clear:
       c's ingress gate accepts nothing, counted as plaintext
"""
import socket
import sys

from abi import (LATCH_DROP_IDENTITY, LATCH_DROP_PLAINTEXT, LATCH_OWNER_SOCKET,
                 LATCH_STATE_ESTABLISHED)
from checks import conforms, expect, until
from flows import register, register_pair, watch
from gates import Gate, stops_at
from host import (C, GCM, HOSTS, W, accept, arrives_whole, flush, reset_on_close, sends, topology)
from latchd import attach_with
from maps import Sa, are, bind, connections, define, latches_of

CIPHER = b"cipher of hand-made SAs"
KEYS = {"esp": GCM, "ah": "auth-trunc 'hmac(sha256)' 0x" + "5a" * 32 + " 128"}
KINDS = [
    # name, IP version, protocol, mode, what else the SA has
    ("ESP, transport, IPv4", 4, "esp", "transport", ""),
    ("ESP, transport, IPv6", 6, "esp", "transport", ""),
    ("ESP, tunnel, IPv4", 4, "esp", "tunnel", ""),
    ("ESP, tunnel, IPv6", 6, "esp", "tunnel", ""),
    ("AH, transport, IPv4", 4, "ah", "transport", ""),
    ("AH, transport, IPv6", 6, "ah", "transport", ""),
    ("AH, tunnel, IPv4", 4, "ah", "tunnel", ""),
    ("AH, tunnel, IPv6", 6, "ah", "tunnel", ""),
    ("ESP, BEET, IPv4", 4, "esp", "beet", ""),
    ("ESP, BEET, IPv6", 6, "esp", "beet", ""),
    ("ESP in UDP, transport, IPv4", 4, "esp", "transport", "encap espinudp 4500 4500 0.0.0.0"),
    ("ESP in UDP, tunnel, IPv4", 4, "esp", "tunnel", "encap espinudp 4500 4500 0.0.0.0"),
    ("ESP in UDP, transport, IPv6", 6, "esp", "transport", "encap espinudp 4500 4500 0.0.0.0"),
    ("ESP in UDP, tunnel, IPv6", 6, "esp", "tunnel", "encap espinudp 4500 4500 0.0.0.0"),
]
ONE_OF_EACH = ("ESP, transport, IPv4", "ESP, tunnel, IPv6", "AH, transport, IPv6", "ESP, BEET, IPv4",
               "ESP in UDP, tunnel, IPv4")
UDP_ENCAP, UDP_ENCAP_ESPINUDP = 100, 2
RULES = """
[rule one-sided]
action = off
protocol = tcp
remote-port = 5200-5299
"""
W_SENDS, C_RECEIVES = Gate(W, "out"), Gate(C, "in")


def encap_socket(host, address):
    udp = host.datagram_socket(4500, address)
    udp.setsockopt(socket.IPPROTO_UDP, UDP_ENCAP, UDP_ENCAP_ESPINUDP)
    return udp


def address(host, version):
    return host.address6 if version == 6 else host.address


def protect(version, protocol, mode, more):
    w, c = address(W, version), address(C, version)
    with W.one_batch(), C.one_batch():
        for host in HOSTS:
            for source, destination, spi in ((w, c, 0x1001), (c, w, 0x1002)):
                selector = f"sel src {source} dst {destination}" if mode == "beet" else ""
                host.add_sa(source, destination, spi, f"{more} {selector}", mode=mode,
                            protocol=protocol, keys=KEYS[protocol])
            me, you = address(host, version), address(host.peer, version)
            for way, source, destination in (("out", me, you), ("in", you, me)):
                host.add_policy(way, source, f"{destination} proto tcp",
                                f"src {source} dst {destination} proto {protocol} reqid 1 mode {mode}")


def unprotect():
    flush("policy")
    flush("state")
    until(lambda: not Sa.all(), "the SAs have left the table")


def connect_over(version, port):
    listener = C.listen(port, address(C, version))
    client = W.connect(port, address(C, version))
    peer = accept(listener, "the connection is established")
    listener.close()
    return client, peer


def goes_on(gate, peer):
    gate.bind(7)
    arrives_whole(peer, b"still for C", "back under its own SA the stream continues, nothing lost")


def end(*sockets):
    reset_on_close(*sockets)
    for each in sockets:
        each.close()


def show(name, version, protocol, mode, more, port):
    print(f"# {name}", flush=True)
    protect(version, protocol, mode, more)
    bind(7)
    client, peer = connect_over(version, port)
    register_pair(client, peer, "for C")
    sends(client, peer, b"for C", "data arrives")
    until(lambda: are(port, LATCH_STATE_ESTABLISHED, 7), "latched at both ends")
    unlatched, its_peer = connect_over(version, port + 100)
    register(C, its_peer)
    sends(unlatched, its_peer, b"for C", "data arrives")
    expect([latch.netns for latch in latches_of(port + 100)] == [C.cookie()], "latched at C's end only")
    W_SENDS.bind(8)
    stops_at(W_SENDS, client, peer, b"still for C", LATCH_DROP_IDENTITY, "w sends nothing under D's SA")
    goes_on(W_SENDS, peer)
    C_RECEIVES.bind(8)
    stops_at(C_RECEIVES, client, peer, b"still for C", LATCH_DROP_IDENTITY, "c accepts nothing under D's SA")
    goes_on(C_RECEIVES, peer)
    W.flush("policy")
    stops_at(W_SENDS, client, peer, b"for C, never in clear", LATCH_DROP_PLAINTEXT, "w sends nothing in clear")
    end(client, peer)
    C.flush("policy")
    stops_at(C_RECEIVES, unlatched, its_peer, b"in clear", LATCH_DROP_PLAINTEXT, "c accepts nothing in clear")
    end(unlatched, its_peer)
    unprotect()
    conforms("R-2-4", f"{name}: nothing left under another peer's SA, or in clear")
    conforms("R-2-5", f"{name}: nothing was accepted under another peer's SA, or in clear")
    conforms("R-2-12", f"{name}: latched without a request of the application")
    conforms("L-2-3", f"{name}: another SA of the same parameters carried the stream on")


topology()
watch()
for each in HOSTS:
    each.add_address6()
attach_with(RULES)
define(7, 2, CIPHER)
define(8, 3, CIPHER)
encapsulation = [encap_socket(each, any_address) for each in HOSTS
                 for any_address in ("0.0.0.0", each.address6)]
for number, kind in enumerate(KINDS):
    if kind[0] in ONE_OF_EACH or "all" in sys.argv[2:]:
        show(*kind, 5100 + number)
expect(not [latch for latch in connections() if latch.owner == LATCH_OWNER_SOCKET],
       "no latch of a socket is left")
