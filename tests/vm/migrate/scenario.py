# SPDX-License-Identifier: BSD-2-Clause
# touches: watch gate
# expect: clean
# run: conformance
"""
The kernel replaces an SA by a copy under the same key.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2
    two transport-mode ESP SAs, installed by hand, and a connection latched to params 7

    XFRM_MSG_MIGRATE inserts the copy first, then deletes the original;
    XFRM_MSG_MIGRATE_STATE (Linux 7.1) deletes first. Of w's outbound SA, then of c's inbound SA:

    1. the copy is another SA to latchd: PENDING, without params
    2. the stream stops there (sa-pending): an equal key alone is no attribution
    3. the copy is bound to params 7: the stream continues, nothing lost
    4. the next copy is bound to another peer (params 8): the stream stops there (identity)
    5. it is bound to params 7: the stream continues
"""
import os
import re
import socket
import struct

from abi import (LATCH_DROP_IDENTITY, LATCH_DROP_SA_PENDING, LATCH_SA_PENDING,
                 LATCH_STATE_ESTABLISHED)
from checks import conforms, expect, until
from flows import register, watch
from gates import Gate, stops_at
from host import C, W, accept, address_bytes, arrives_whole, protect, sends, topology
from latchd import attach
from maps import are, bind, define

XFRM_MSG_MIGRATE, XFRM_MSG_MIGRATE_STATE = 0x21, 0x29  # linux/xfrm.h
XFRMA_MIGRATE = 17
POLICY_WAYS = {"in": 0, "out": 1}
REQID, SPI = 1, 0x1001
NETLINK_XFRM = 6
REQUEST_WITH_ACK = 5
NLMSG_ERROR = 2
W_SENDS, C_RECEIVES = Gate(W, "out"), Gate(C, "in")
SOURCE, DESTINATION = address_bytes(W.address), address_bytes(C.address)


def selector():
    """struct xfrm_selector of the hosts' policies"""
    return DESTINATION + SOURCE + struct.pack("=8xHBBB3xiI", socket.AF_INET, 32, 32, 0, 0, 0)


def ask_kernel(host, kind, body):
    """Sends one request to XFRM in the host's namespace; its error number, 0 for success."""
    made = host.inside(lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_XFRM))
    with made:
        made.send(struct.pack("=IHHII", 16 + len(body), kind, REQUEST_WITH_ACK, 1, 0) + body)
        answer = made.recv(65536)
    (answered,) = struct.unpack_from("=H", answer, 4)
    expect(answered == NLMSG_ERROR, f"XFRM answers request {kind:#x}")
    return -struct.unpack_from("=i", answer, 16)[0]


def migrate(gate):
    """XFRM_MSG_MIGRATE to the addresses that the SA has."""
    move = DESTINATION + SOURCE + DESTINATION + SOURCE + struct.pack(
        "=BBHIHH", socket.IPPROTO_ESP, 0, 0, REQID, socket.AF_INET, socket.AF_INET)
    policy = selector() + struct.pack("=IB3x", 0, POLICY_WAYS[gate.way])
    return ask_kernel(gate.host, XFRM_MSG_MIGRATE,
                      policy + struct.pack("=HH", 4 + len(move), XFRMA_MIGRATE) + move)


def migrate_state(gate):
    """XFRM_MSG_MIGRATE_STATE to the addresses and the reqid that the SA has."""
    sa = DESTINATION + struct.pack("!I", SPI) + struct.pack("=HBx", socket.AF_INET, socket.IPPROTO_ESP)
    return ask_kernel(gate.host, XFRM_MSG_MIGRATE_STATE,
                      sa + DESTINATION + SOURCE + bytes(8 + len(selector()))
                      + struct.pack("=IIHH", REQID, 0, socket.AF_INET, 0))


def record_at(gate):
    found = gate.sas()
    expect(len(found) == 1, f"the table has one SA of the gate of {gate.host.name}")
    return found[0]


def replace(gate, way):
    before = record_at(gate)
    error = way(gate)
    expect(not error, f"{way.__name__}: {os.strerror(error)}")
    after = record_at(gate)
    expect(after.raw_key == before.raw_key and after.serial != before.serial,
           f"the copy of {gate.host.name}'s SA has the same key and another record")
    expect((after.state, after.get("word.params")) == (LATCH_SA_PENDING, 0),
           "the copy is pending, without params")


def stops_and_continues(gate, reason, what):
    stops_at(gate, client, peer, b"for C alone", reason, what)
    gate.bind(7)
    arrives_whole(peer, b"for C alone", "under the copy, bound to C, the stream continues")


def has_migrate_state():
    return tuple(map(int, re.findall(r"\d+", os.uname().release)[:2])) >= (7, 1)


topology()
watch()
attach()
protect()
bind(7)
define(7, 2)
define(8, 3)
listener = C.listen(5001)
client = W.connect(5001)
peer = accept(listener, "a connection is established")
register(W, client)
register(C, peer)
sends(client, peer, b"for C", "data arrives")
until(lambda: are(5001, LATCH_STATE_ESTABLISHED, 7), "both latches have params 7")
for way in [migrate] + [migrate_state] * has_migrate_state():
    for gate in (W_SENDS, C_RECEIVES):
        replace(gate, way)
        stops_and_continues(gate, LATCH_DROP_SA_PENDING,
                            f"{gate.host.name}: nothing passes under the copy before its owner is known")
        replace(gate, way)
        gate.bind(8)
        stops_and_continues(gate, LATCH_DROP_IDENTITY,
                            f"{gate.host.name}: nothing passes under a copy of another peer")
expect(are(5001, LATCH_STATE_ESTABLISHED, 7), "no copy broke a latch")
conforms("R-2-4", "an SA that the kernel replaces by a copy under the same key passes nothing until it is attributed")
