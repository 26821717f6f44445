# SPDX-License-Identifier: BSD-2-Clause
# touches: gate packet
# oracle: none, it takes the SA of the outer header for that of the flow
# run: conformance
"""
Two templates in one policy: ESP in ESP.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2
    transport mode, out of w: the inner SA 0x1001 in the outer SA 0x2001

    1. TCP is not established: what arrives under two SAs is dropped (nested)
    2. a UDP socket that only sends is latched to the outer SA
    3. the outer SA belongs to another peer: nothing leaves (identity)
    4. the inner SA belongs to another peer: the datagram leaves. No program behind XFRM can see the
       inner SA (docs/limitations.md)
"""
from abi import LATCH_DROP_IDENTITY, LATCH_DROP_NESTED, LATCH_STATE_ESTABLISHED
from checks import expect, until
from flows import watch
from gates import Gate
from host import C, HOSTS, W, topology
from latchd import attach
from maps import Sa, bind, define, dropped, latches_of

W_SENDS = Gate(W, "out")
INNER, OUTER = 0x1001, 0x2001
TEMPLATES = "proto esp reqid 1 mode transport tmpl proto esp reqid 2 mode transport"


def give(spi, params):
    for sa in Sa.all():
        if sa.spi == spi:
            sa.bind(params)


topology()
watch()
attach()
for each in HOSTS:
    for spi, reqid in ((INNER, 1), (OUTER, 2)):
        each.add_sa(W.address, C.address, spi, reqid=reqid)
        each.add_sa(C.address, W.address, spi + 1, reqid=reqid)
    there = f"{each.peer.address}/32"
    each.add_policy("out", f"{each.address}/32", there, TEMPLATES)
    each.add_policy("in", there, f"{each.address}/32", TEMPLATES)
bind(7)
for number in (7, 8):
    define(number, number)

listener = C.listen(5001)
client = W.connect(5001)
until(lambda: sum(dropped(LATCH_DROP_NESTED)) > 0, "what arrives under two SAs is dropped as nested")
client.close()
listener.close()

server = C.datagram_socket(6001)
sends_only = W.datagram_socket()
sends_only.connect((C.address, 6001))
wire = W_SENDS.crossing()
sends_only.send(b"one")
until(lambda: 50 in wire.so_far(), "a datagram leaves as ESP")
expect([(each.state, each.params) for each in latches_of(6001) if each.netns == W.cookie()] ==
       [(LATCH_STATE_ESTABLISHED, 7)], "its socket is latched, by the outer SA")

give(OUTER, 8)
wire, before = W_SENDS.crossing(), W_SENDS.drops(LATCH_DROP_IDENTITY)
sends_only.send(b"two")
expect(W_SENDS.drops(LATCH_DROP_IDENTITY) == before + 1 and not wire.so_far(),
       "under an outer SA of another peer nothing leaves")
give(OUTER, 7)
give(INNER, 8)
sends_only.send(b"three")
until(lambda: 50 in wire.so_far(), "under an inner SA of another peer the datagram leaves: not seen")
