# SPDX-License-Identifier: BSD-2-Clause
# touches: gate packet
"""
Route-based IPsec: each packet leaves twice, first through the xfrm interface in
clear, then as ESP.

    netns w 10.8.0.1 = xfrm0 = 10.9.0.1 ---- veth ---- 10.9.0.2 = xfrm0 = 10.8.0.2 netns c
    two tunnel-mode ESP SAs of interface id 42, installed by hand

    1. a connection over the interfaces is established, latched to params 7; data arrives
    2. the SAs belong to another peer (params 8): no byte arrives, counted as identity
    3. back to params 7: the stream continues, nothing lost
    4. the route leads past the interface, in clear: no byte arrives, counted as plaintext
"""
from abi import LATCH_DROP_IDENTITY, LATCH_DROP_PLAINTEXT, LATCH_STATE_ESTABLISHED
from checks import conforms, expect, until
from host import C, HOSTS, W, accept, received, sends, topology
from latchd import attach
from maps import are, bind, define, stream_waits_for

INNER = {W: "10.8.0.1", C: "10.8.0.2"}


def protect(host):
    inner, there = INNER[host], INNER[host.peer]
    here, outer = host.address, host.peer.address
    host.ip(f"link add xfrm0 type xfrm dev {host.device} if_id 42")
    host.ip(f"addr add {inner}/32 dev xfrm0")
    host.ip("link set xfrm0 up")
    host.ip(f"route add {there}/32 dev xfrm0 src {inner}")
    for spi, source, destination in ((0x1001, W.address, C.address), (0x1002, C.address, W.address)):
        host.add_sa(source, destination, spi, "if_id 42", mode="tunnel")
    for way, source, destination, ends in (("out", inner, there, (here, outer)),
                                           ("in", there, inner, (outer, here))):
        host.add_policy(way, f"{source}/32", f"{destination}/32",
                        f"src {ends[0]} dst {ends[1]} proto esp reqid 1 mode tunnel", "if_id 42")


topology()
attach()
for each in HOSTS:
    protect(each)
define(7, 2)
define(8, 3)
bind(7)
listener = C.listen(5001, INNER[C])
client = W.connect(5001, INNER[C])
peer = accept(listener, "a connection over xfrm interfaces is established")
sends(client, peer, b"for C only", "data arrives")
expect(are(5001, LATCH_STATE_ESTABLISHED, 7), "both latches are established, with params 7")
bind(8)
stream_waits_for(peer, client, b"still for C", LATCH_DROP_IDENTITY, "the impostor's SA is refused")
bind(7)
until(lambda: received(peer) == b"still for C", "under C's own SA the stream continues")
for each in HOSTS:
    each.ip(f"route replace {INNER[each.peer]}/32 via {each.peer.address} dev {each.device}"
            f" src {INNER[each]}")
stream_waits_for(peer, client, b"never in clear", LATCH_DROP_PLAINTEXT, "past the interface it is refused")
conforms("R-2-4", "through xfrm interfaces and past them: nothing under another SA or in clear")
