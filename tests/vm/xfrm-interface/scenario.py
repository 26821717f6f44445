# SPDX-License-Identifier: BSD-2-Clause
# touches: gate packet
# expect: clean
"""
Route-based IPsec: each packet leaves twice, first through the xfrm interface in
clear, then as ESP.

    netns w 10.8.0.1 = xfrm0 = 10.9.0.1 ---- veth ---- 10.9.0.2 = xfrm0 = 10.8.0.2 netns c
    two tunnel-mode ESP SAs of interface id 42, installed by hand

    1. a connection over the interfaces is established, latched to params 7; data arrives
    2. w's SA belongs to another peer (params 8), then c's record of it: w lets nothing out, c
       accepts nothing, counted as identity; back to params 7 the stream continues, nothing lost
    3. w's route leads past the interface, in clear: w lets nothing out, counted as plaintext
    4. w's end of another connection is not latched, and sends in clear: c accepts nothing
"""
from abi import LATCH_DROP_IDENTITY, LATCH_DROP_PLAINTEXT, LATCH_STATE_ESTABLISHED
from checks import conforms, expect
from flows import register, watch
from gates import Gate, stops_at
from host import C, HOSTS, W, accept, arrives_whole, reset_on_close, sends, topology
from latchd import attach_with
from maps import are, bind, define, latches_of

RULES = """
[rule one-sided]
action = off
protocol = tcp
remote-port = 5009
"""
W_SENDS, C_RECEIVES = Gate(W, "out"), Gate(C, "in")
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


def connect(port):
    listener = C.listen(port, INNER[C])
    made = W.connect(port, INNER[C])
    made_peer = accept(listener, "a connection over xfrm interfaces is established")
    register(C, made_peer)
    sends(made, made_peer, b"for C only", "data arrives")
    return made, made_peer


def stops_until_its_own(gate, what):
    gate.bind(8)
    stops_at(gate, client, peer, b"still for C", LATCH_DROP_IDENTITY, what)
    gate.bind(7)
    arrives_whole(peer, b"still for C", "under C's own SA the stream continues")


def past_the_interface(host):
    host.ip(f"route replace {INNER[host.peer]}/32 via {host.peer.address} dev {host.device}"
            f" src {INNER[host]}")


topology()
watch()
attach_with(RULES)
for each in HOSTS:
    with each.one_batch():
        protect(each)
define(7, 2)
define(8, 3)
bind(7)
client, peer = connect(5001)
register(W, client)
expect(are(5001, LATCH_STATE_ESTABLISHED, 7), "both latches are established, with params 7")
unlatched, its_peer = connect(5009)
expect([latch.netns for latch in latches_of(5009)] == [C.cookie()], "of the other only C's end is latched")
stops_until_its_own(W_SENDS, "w sends nothing under the impostor's SA")
stops_until_its_own(C_RECEIVES, "c accepts nothing under the impostor's SA")
past_the_interface(W)
stops_at(W_SENDS, client, peer, b"never in clear", LATCH_DROP_PLAINTEXT, "w sends nothing past the interface")
reset_on_close(client)
client.close()
past_the_interface(C)
stops_at(C_RECEIVES, unlatched, its_peer, b"in clear", LATCH_DROP_PLAINTEXT,
         "c accepts nothing past the interface")
conforms("R-2-4", "through xfrm interfaces and past them: nothing under another SA or in clear")
conforms("R-2-5", "through xfrm interfaces and past them: nothing was accepted under another SA or in clear")
