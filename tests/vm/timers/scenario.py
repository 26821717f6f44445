# SPDX-License-Identifier: BSD-2-Clause
# touches: gate
# run: conformance
# expect: clean
"""
Packets that TCP sends without a write of the application: keepalives, probes of a closed window,
retransmissions, FIN, resets. Each leaves under an SA of the latched peer or not at all.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2
    transport-mode ESP SAs without encryption, installed by hand; all that either host sends is
    captured at its veth, with the SPI and the TCP header of each packet

    w has one SA to c at a time: of params 7, the connection's own peer, or of params 8. Each
    change is a new SA under a new SPI, and the old one is deleted.

    1. keepalives, window probes, retransmissions: seen under an SA of params 7; dropped under
       params 8, and no packet leaves; seen again under the next SA of params 7
    2. a FIN that was dropped under params 8 leaves under params 7, and c reads the end
    3. the reset of an abort leaves under params 7, and ends c's connection; under params 8 it
       does not leave
    4. c's segment for a connection that w no longer has: w's reset leaves under params 7
    5. every packet that w sent had the SPI of an SA of params 7, every packet of c its own SA's
"""
import errno
import socket

from abi import LATCH_DROP_IDENTITY, LATCH_STATE_ESTABLISHED
from checks import conforms, expect, until
from esp import FIN, NULL_KEYS, Segment, Sent
from flows import register_pair, watch
from host import C, HOSTS, W, accept, received, reset_on_close, topology
from latchd import attach
from maps import Sa, are, bind, define, dropped
from wire import RST, SYN

OWN, IMPOSTOR = 7, 8
BACK = 0x2001  # the SPI of c's SA to w
spis = {}  # of the SAs from w to c, all that there were: SPI to params


def carried_by(params):
    """An SA of these params takes the place of the last one. What uses it before it is bound is dropped."""
    spi = 0x1001 + len(spis)
    for host in HOSTS:
        host.add_sa(W.address, C.address, spi, keys=NULL_KEYS)
    for sa in Sa.all():
        if sa.spi == spi:
            sa.bind(params)
    for host in HOSTS:
        for last in list(spis)[-1:]:
            host.ip(f"xfrm state delete src {W.address} dst {C.address} proto esp spi {last:#x}")
    spis[spi] = params


class Wire:
    """What both hosts have sent. again: segments before the highest number that was seen."""

    def __init__(self):
        self.of_w, self.of_c = Sent(W), Sent(C)
        self.segments, self.astray, self.next, self.last = [], [], {}, 0

    def read(self):
        found = self.of_w.so_far()
        for packet in found[self.last:]:
            if spis.get(packet.spi) == OWN:
                self.segments.append(self.placed(Segment(packet)))
            else:
                self.astray.append(packet)
        self.last = len(found)

    def is_own(self):
        self.read()
        expect(not self.astray, f"all {self.last} packets of w: the SPI of an SA of params {OWN},"
                                f" {[hex(spi) for spi in spis if spis[spi] == OWN]} {self.astray or ''}")

    def placed(self, segment):
        end = segment.seq + segment.length + (1 if segment.flags & (FIN | SYN) else 0)
        expected = self.next.setdefault(segment.port, segment.seq)
        segment.again = 0 < (expected - segment.seq) & 0xFFFFFFFF < 1 << 31
        if not segment.again:
            self.next[segment.port] = end & 0xFFFFFFFF
        return segment

    def left(self):
        """All packets that w has sent."""
        self.read()
        return self.last

    def count(self, kind):
        """Segments of a kind, under the peer's own SAs."""
        self.read()
        return sum(1 for segment in self.segments if kind(segment))


def again(segment):
    return segment.again and not segment.flags & (FIN | RST)


def again_with_text(segment):
    return again(segment) and segment.length > 0


def is_fin(segment):
    return segment.flags & FIN


def is_reset(segment):
    return segment.flags & RST


def egress_drops():
    return dropped(LATCH_DROP_IDENTITY)[0]


def connection(port):
    listener = C.listen(port)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # a window that is soon closed
    client = W.connect(port)
    peer = accept(listener, "the connection is established")
    listener.close()
    register_pair(client, peer, "for C")
    expect(are(port, LATCH_STATE_ESTABLISHED, OWN), f"latched at both ends to params {OWN}")
    return client, peer


def leaves(what, kind, before, times=2):
    until(lambda: wire.count(kind) >= before + times, f"{what}: leaves under the peer's own SA")


def stays(what, times=2):
    carried_by(IMPOSTOR)
    before, left = egress_drops(), wire.left()
    until(lambda: egress_drops() >= before + times, f"{what}: dropped under another's SA")
    expect(wire.left() == left, f"{what}: no packet has left")


def leaves_and_stays(what, kind, times=2):
    leaves(what, kind, wire.count(kind), times)
    stays(what, times)


def keepalives(client):
    for option, seconds in ((socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1),
                            (socket.TCP_KEEPCNT, 100)):
        client.setsockopt(socket.IPPROTO_TCP, option, seconds)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    leaves_and_stays("a keepalive", again)
    before = wire.count(again)
    carried_by(OWN)
    leaves("a keepalive under the next SA", again, before)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 0)


def window_probes(client, peer, port):
    sent = client.send(b"for C " * 10000)
    until(lambda: "persist" in W.ss(f"-o dport = {port}"), "the peer's window is closed, and probed")
    leaves_and_stays("a window probe", again, 1)
    carried_by(OWN)
    got = 0

    def all_arrives():
        nonlocal got
        got += len(received(peer))
        return got == sent

    until(all_arrives, "the peer reads: all arrives, nothing lost")


def retransmissions(client, peer, port):
    """c loses what it receives, so that w has to repeat it."""
    C.nft("table inet lose { chain in { type filter hook input priority 0;"
          f" tcp dport {port} counter drop; }}; }}")
    before = wire.count(again_with_text)
    client.send(b"for C once more")
    leaves("a retransmission", again_with_text, before, 1)
    stays("a retransmission")
    C.nft("delete table inet lose")
    before = wire.count(again_with_text)
    carried_by(OWN)
    until(lambda: received(peer) == b"for C once more", "a retransmission arrives under the next SA")
    leaves("it", again_with_text, before, 1)


def ended(sock):
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False


def fin(client, peer):
    carried_by(IMPOSTOR)
    before, left, fins = egress_drops(), wire.left(), wire.count(is_fin)
    client.shutdown(socket.SHUT_WR)
    until(lambda: egress_drops() >= before + 2, "a FIN and its retransmission: dropped under another's SA")
    expect(wire.left() == left, "none of them has left")
    carried_by(OWN)
    leaves("the FIN", is_fin, fins, 1)
    until(lambda: ended(peer), "c reads the end of the stream")
    client.close()
    peer.close()


def is_reset_at_c(peer):
    return peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNRESET


def abort(port):
    client, peer = connection(port)
    before = wire.count(is_reset)
    reset_on_close(client)
    client.close()
    leaves("the reset of an abort", is_reset, before, 1)
    until(lambda: is_reset_at_c(peer), "it ends c's connection")
    peer.close()


def abort_under_another(port):
    client, peer = connection(port)
    carried_by(IMPOSTOR)
    before, left = egress_drops(), wire.left()
    reset_on_close(client)
    client.close()
    until(lambda: egress_drops() > before, "the reset of an abort: dropped under another's SA")
    expect(wire.left() == left, "the reset has not left")
    carried_by(OWN)
    before = wire.count(is_reset)
    peer.send(b"is w there?")
    leaves("the reset for a connection that w no longer has", is_reset, before, 1)
    until(lambda: is_reset_at_c(peer), "it ends c's connection")
    peer.close()


topology()
watch()
attach()
for each in HOSTS:
    each.add_policies()
    each.add_sa(C.address, W.address, BACK, keys=NULL_KEYS)
define(OWN, 2)
define(IMPOSTOR, 3)
bind(OWN)
carried_by(OWN)
wire = Wire()
first = connection(5001)
keepalives(first[0])
window_probes(*first, 5001)
retransmissions(*first, 5001)
fin(*first)
abort(5002)
abort_under_another(5003)
back = wire.of_c.so_far()
expect(back and all(packet.spi == BACK for packet in back), f"all {len(back)} packets of c: the SPI of its SA to w")
wire.is_own()
conforms("S17", "keepalives, window probes, retransmissions, FIN, reset of an abort, reset without a socket:"
                " each packet seen has the SPI of an SA of the latched peer; under another's SA none left")
conforms("R-2-4", "every packet of TCP's timers and of its end had the SPI of an SA of the latched peer")
