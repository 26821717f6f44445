# SPDX-License-Identifier: BSD-2-Clause
# touches: gate net packet
# run: conformance
# variant: timers-ipv6 ipv6
# expect: clean
"""
Packets that TCP sends without a write of the application: keepalives, probes of a closed window,
retransmissions, FIN, resets, and the answers of sockets that no application has. Each leaves under
an SA of the latched peer or not at all.

    netns w 10.9.0.1 fd09::1 ---- veth ---- netns c 10.9.0.2 fd09::2
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
    5. SYN-ACK, SYN-ACK with a cookie, challenge ACK, ACK in TIME_WAIT: as 1 (all but the
       challenge ACK have no full socket: under params 8 only where there is a netfilter gate)
    6. the path takes no more than 576 bytes (IPv6: 1280): what was outstanding is sent again in
       smaller segments; as 1
    7. every packet that w sent had the SPI of an SA of params 7, every packet of c its own SA's

With the argument "ipv6": over IPv6.
"""
import errno
import socket
import struct
import sys

from abi import LATCH_DROP_IDENTITY, LATCH_STATE_ESTABLISHED
from checks import conforms, expect, program, until
from esp import FIN, NULL_KEYS, Segment, Sent
from flows import register_pair, watch
from host import C, HOSTS, W, accept, arrives_whole, received, reset_on_close, topology
from latchd import attach, attach_netfilter_gate, has_netfilter_gate
from maps import Sa, are, bind, define, dropped
from wire import ACK, ESP, ETH_P_IP, ETH_P_IPV6, RST, SYN, checksum, ipv4, ipv6, send_frame

SIX = "ipv6" in sys.argv[2:]
OWN, IMPOSTOR = 7, 8
BACK = 0x2001  # the SPI of c's SA to w
ICMP, ICMPV6 = 1, 58
PATH_MTU = 1280 if SIX else 576
BUT = " (SYN-ACK, cookie, TIME_WAIT: not tried without netfilter gate)"
LONG = b"for C, by a narrow path " * 128
spis = {}  # of the SAs from w to c, all that there were: SPI to params


def at(host):
    return host.address6 if SIX else host.address


def carried_by(params):
    """An SA of these params takes the place of the last one. What uses it before it is bound is dropped."""
    spi = 0x1001 + len(spis)
    for host in HOSTS:
        host.add_sa(at(W), at(C), spi, keys=NULL_KEYS)
    for sa in Sa.all():
        if sa.spi == spi:
            sa.bind(params)
    for host in HOSTS:
        for last in list(spis)[-1:]:
            host.ip(f"xfrm state delete src {at(W)} dst {at(C)} proto esp spi {last:#x}")
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
    listener = C.listen(port, at(C))
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)  # a window that is soon closed
    client = W.connect(port, at(C))
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


def c_loses(port):
    """What it receives, so that w has to repeat it."""
    C.nft("table inet lose { chain in { type filter hook input priority 0;"
          f" tcp dport {port} counter drop; }}; }}")


def retransmissions(client, peer, port):
    c_loses(port)
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


# ---- packets without a full socket, and the challenge ACK


def syn_ack_of(port):
    return lambda segment: segment.port == port and segment.flags == SYN | ACK


def is_served(listener, asking, port, what, before):
    leaves(what, syn_ack_of(port), before, 1)
    here = accept(listener, "the connection is established")
    register_pair(here, asking)
    reset_on_close(asking)
    asking.close()
    until(lambda: not W.established(port), "c's reset ends it")
    here.close()


def requests(port, what):
    """c asks, w answers; again under another's SA, and c has to wait for its connection."""
    listener = W.listen(port, at(W))
    before = wire.count(syn_ack_of(port))
    is_served(listener, C.connect(port, at(W)), port, what, before)
    if has_netfilter_gate():
        carried_by(IMPOSTOR)
        before = wire.count(syn_ack_of(port))
        asking = C.connect(port, at(W))
        stays(what)
        carried_by(OWN)
        is_served(listener, asking, port, f"{what} under the next SA", before)
    listener.close()


def cookies_sent():
    return int(W.run("nstat -az TcpExtSyncookiesSent").stdout.split("TcpExtSyncookiesSent")[1].split()[0])


def cookies(port):
    W.sysctl("net.ipv4.tcp_syncookies=2")
    requests(port, "a SYN-ACK with a cookie")
    expect(cookies_sent() > 0, "w has sent cookies")
    W.sysctl("net.ipv4.tcp_syncookies=1")


def bare_ack_of(port):
    return lambda segment: segment.port == port and segment.flags == ACK and segment.length == 0


def next_of_c(port):
    """The sequence number of c's next byte, of a connection in which it has sent none."""
    for packet in wire.of_c.so_far():
        segment = Segment(packet)
        if segment.port == port and segment.flags & SYN:
            return segment.seq + 1
    raise SystemExit(f"c has sent no SYN-ACK from port {port}")


def challenge(port):
    """Resets at a wrong place in the window (RFC 5961): w answers each with an ACK, at most two a second."""
    client, peer = connection(port)
    local = client.getsockname()[1]

    def is_challenged():
        done = C.run(f"timeout 20 {program('forge')} --from {at(C)} --from-port {port} --to {at(W)}"
                     f" --to-port {local} --seq {(next_of_c(port) + 100) % 2**32} --ack 1 --rst --count 3 --every 600")
        expect("3 segments sent" in done.stdout, "c sends three resets at a wrong place")

    before = wire.count(bare_ack_of(local))
    is_challenged()
    leaves("a challenge ACK", bare_ack_of(local), before)
    carried_by(IMPOSTOR)
    dropped_before, left = egress_drops(), wire.left()
    is_challenged()
    until(lambda: egress_drops() >= dropped_before + 2, "a challenge ACK: dropped under another's SA")
    expect(wire.left() == left, "a challenge ACK: no packet has left")
    carried_by(OWN)
    expect(W.ss(f"state established dport = {port}"), "no reset has ended the connection")
    reset_on_close(client)
    client.close()
    peer.close()


def time_wait(port):
    """c loses w's last ACK, and repeats its FIN."""
    client, peer = connection(port)
    kind = bare_ack_of(client.getsockname()[1])
    client.shutdown(socket.SHUT_WR)
    until(lambda: ended(peer), "c reads the end of the stream")
    c_loses(port)
    peer.shutdown(socket.SHUT_WR)
    until(lambda: W.ss(f"state time-wait dport = {port}"), "w's connection is in TIME_WAIT")
    leaves("an ACK in TIME_WAIT", kind, wire.count(kind))
    if has_netfilter_gate():
        stays("an ACK in TIME_WAIT")
        carried_by(OWN)
    C.nft("delete table inet lose")
    until(lambda: not C.ss(f"state last-ack sport = {port}"), "c's connection has ended in order")
    client.close()
    peer.close()


# ---- a narrow path


def too_big(spi):
    """A router's word on a packet that w has sent under this SPI."""
    inner, rest = ipv6 if SIX else ipv4, struct.pack("!II", spi, 1)
    quoted = inner(at(W), at(C), ESP, rest + bytes(1000))[:48 if SIX else 28]
    if SIX:
        pseudo = (socket.inet_pton(socket.AF_INET6, at(C)) + socket.inet_pton(socket.AF_INET6, at(W)) +
                  struct.pack("!II", 8 + len(quoted), ICMPV6))
        word = struct.pack("!BBHI", 2, 0, 0, PATH_MTU) + quoted
        word = word[:2] + struct.pack("!H", checksum(pseudo + word)) + word[4:]
        send_frame(C, ipv6(at(C), at(W), ICMPV6, word), kind=ETH_P_IPV6)
    else:
        word = struct.pack("!BBHHH", 3, 4, 0, 0, PATH_MTU) + quoted
        word = word[:2] + struct.pack("!H", checksum(word)) + word[4:]
        send_frame(C, ipv4(at(C), at(W), ICMP, word), kind=ETH_P_IP)


def narrow_path(port):
    client, peer = connection(port)

    def lengths(first):
        wire.read()
        return [segment.length for segment in wire.segments[first:] if segment.length]

    first = len(wire.segments)
    client.send(LONG)
    arrives_whole(peer, LONG, "a long text arrives")
    expect(max(lengths(first)) > PATH_MTU, f"in segments of up to {max(lengths(first))} bytes")
    c_loses(port)
    before = wire.count(again_with_text)
    client.send(LONG)
    leaves("a retransmission", again_with_text, before, 1)
    carried_by(IMPOSTOR)
    dropped_before, left = egress_drops(), wire.left()
    too_big(list(spis)[-1])
    until(lambda: f"mtu {PATH_MTU}" in W.ip(f"route get {at(C)}").stdout, f"w's path to c takes {PATH_MTU} bytes")
    until(lambda: egress_drops() >= dropped_before + 3, "smaller segments: dropped under another's SA")
    expect(wire.left() == left, "none of them has left")
    C.nft("delete table inet lose")
    before, first = wire.count(again_with_text), len(wire.segments)
    carried_by(OWN)
    arrives_whole(peer, LONG, "all that was outstanding arrives, nothing lost")
    leaves("a smaller segment", again_with_text, before)
    expect(max(lengths(first)) < PATH_MTU, f"in segments of up to {max(lengths(first))} bytes")
    reset_on_close(client)
    client.close()
    peer.close()


topology()
for each in HOSTS:
    each.add_address6()
    each.ip(f"neigh replace {at(each.peer)} dev {each.device} lladdr {each.peer.mac()} nud permanent")
watch()
attach()
if has_netfilter_gate():
    attach_netfilter_gate()
for each in HOSTS:
    bits = 128 if SIX else 32
    for way, source, destination in (("out", at(each), at(each.peer)), ("in", at(each.peer), at(each))):
        each.add_policy(way, f"{source}/{bits}", f"{destination}/{bits} proto tcp")
    each.add_sa(at(C), at(W), BACK, keys=NULL_KEYS)
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
requests(5004, "a SYN-ACK")
cookies(5005)
challenge(5006)
time_wait(5007)
narrow_path(5008)
back = [packet for packet in wire.of_c.so_far() if packet.protocol != ICMP]  # that is the router's
expect(back and all(packet.spi == BACK for packet in back), f"all {len(back)} packets of c: the SPI of its SA to w")
wire.is_own()
KIND = "IPv6" if SIX else "IPv4"
conforms("S17", f"{KIND}: SYN-ACK, cookie, keepalives, window probes, retransmissions, FIN, reset of an abort, reset"
                " without a socket, challenge ACK, ACK in TIME_WAIT: each packet seen has the SPI of an SA of the"
                f" latched peer; under another's SA none left{'' if has_netfilter_gate() else BUT}")
conforms("R-2-4", f"{KIND}: every packet of TCP's timers, of its end and of a path that became narrow had the SPI"
                  " of an SA of the latched peer")
