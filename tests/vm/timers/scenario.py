# SPDX-License-Identifier: BSD-2-Clause
# touches: gate
# expect: clean
"""
Packets that TCP sends without a write of the application: keepalives, probes of a closed
window, retransmissions, a FIN, a reset. They leave under the connection's own SA or not at all.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2
    two transport-mode ESP SAs, installed by hand; all that leaves w is captured at its veth

    for each kind: under params 7, the connection's own, it leaves as ESP; under SAs of params 8
    each is dropped and no packet leaves; back under params 7 the connection continues
"""
import socket

from abi import LATCH_DROP_IDENTITY, LATCH_STATE_ESTABLISHED
from checks import conforms, expect, until
from flows import register, watch
from host import C, W, accept, protect, received, reset_on_close, topology
from latchd import attach
from maps import are, bind, define, dropped
from wire import ESP, Crossing

PORT = 5001


class Departures(Crossing):
    """Packets that w sends; others: those that are not ESP."""

    def __init__(self):
        super().__init__(W, "out")

    def count(self):
        return len(self.so_far())

    def others(self):
        return [protocol for protocol in self.so_far() if protocol != ESP]


def connection():
    listener = C.listen(PORT)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # a window that is soon closed
    client = W.connect(PORT)
    return client, accept(listener, "the connection is established"), listener


def egress_drops():
    return dropped(LATCH_DROP_IDENTITY)[0]


def leaves(what, times=2):
    before = wire.count()
    until(lambda: wire.count() >= before + times, f"{what}: leaves under its own SA")


def stays(what, times=2):
    """Under the other peer's SAs; they change their peer when no packet is under way."""
    bind(8)
    before, left = egress_drops(), wire.count()
    until(lambda: egress_drops() >= before + times, f"{what}: dropped under another's SA")
    expect(wire.count() == left, f"{what}: no packet has left")


def keepalives(client):
    for option, seconds in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1),
                            (socket.TCP_KEEPCNT, 100)):
        client.setsockopt(socket.IPPROTO_TCP, option, seconds)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    leaves("a keepalive")
    stays("a keepalive")
    bind(7)
    leaves("a keepalive")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)


def window_probes(client, peer):
    sent = client.send(b"z" * 65536)
    until(lambda: "persist" in W.ss(f"-o dport = {PORT}"),
          "the peer's window is closed, and probed")
    leaves("a window probe", 1)
    stays("a window probe")
    bind(7)
    got = 0

    def all_arrives():
        nonlocal got
        got += len(received(peer))
        return got == sent

    until(all_arrives, "the peer reads: all arrives, nothing lost")


def retransmissions(client, peer):
    bind(8)
    before, left = egress_drops(), wire.count()
    client.send(b"once more")
    until(lambda: egress_drops() >= before + 3, "data and its retransmissions: dropped under another's SA")
    expect(wire.count() == left, "no packet of them has left")
    bind(7)
    until(lambda: received(peer) == b"once more", "a retransmission arrives under its own SA")


def fin(client):
    bind(8)
    before, left = egress_drops(), wire.count()
    client.shutdown(socket.SHUT_WR)
    until(lambda: egress_drops() >= before + 2, "a FIN and its retransmission: dropped under another's SA")
    expect(wire.count() == left, "none of them has left")


def abort(client):
    before, left = egress_drops(), wire.count()
    reset_on_close(client)
    client.close()
    until(lambda: egress_drops() > before, "the reset of an abort: dropped under another's SA")
    expect(wire.count() == left, "the reset has not left")


topology()
watch()
attach()
protect()
define(7, 2)
define(8, 3)
bind(7)
client, peer, listener = connection()
register(W, client)
register(C, peer)
expect(are(PORT, LATCH_STATE_ESTABLISHED, 7), "latched at both ends to params 7")
wire = Departures()
keepalives(client)
window_probes(client, peer)
retransmissions(client, peer)
fin(client)
abort(client)
expect(wire.count() and not wire.others(), f"all of {wire.count()} packets left as ESP")
conforms("S17", "keepalives, window probes, retransmissions, FIN and reset: as ESP under its own SA, or not at all")
