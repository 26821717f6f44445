# SPDX-License-Identifier: BSD-2-Clause
# touches: packet gate watch
# oracle: none, host c plays both peers: the oracle tells hosts apart
"""
The kernel reassembles fragments of two tunnels: the reassembled packet shows one SA.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2
    inner addresses 10.8.0.1, fd08::1 and 10.8.0.2, fd08::2; see lib/tunnels.py

    a connected UDP socket of w is latched to params 7; its peer's datagrams come in three fragments
    1. all under one SA of params 7, or under two: they arrive
    2. one of them under params 8 or in clear, in any order, or all of them: no byte arrives
    3. the peer's next datagram arrives, also when mixtures went to a port without a socket,
       where no gate checks them
    4. the same where all places for marks are taken, but the peer's next datagram may be late
"""
import os
import select
import socket
import struct
import time

import abi
from abi import LATCH_DROP_IDENTITY, LATCH_DROP_MERGED, LATCH_DROP_PLAINTEXT
from checks import FOLDER, LIMIT, conforms, expect, run, until
from gates import Gate
from host import C, W, topology
from latchd import attach
from maps import Latch, latches_of, path
from tunnels import (FRIEND, FRIEND_AGAIN, HERE, HERE6, IMPOSTOR, OUTER_IN, PORT, THERE, THERE6,
                     add_tunnels, bind_each)
from wire import checksum

UNIT = 64  # bytes a fragment: a multiple of 8
CLEAR = 0
UNUSED = 5999  # a port without a socket
OBJECT = 4711  # the mark of some other object, see bpf/packet/object_mark.h
W_RECEIVES = Gate(W, "in")
MIXED = {
    "the last one in clear": ((0, FRIEND), (1, FRIEND), (2, CLEAR)),
    "the impostor's in the middle": ((0, FRIEND), (1, IMPOSTOR), (2, FRIEND)),
    "the impostor's first to arrive": ((2, IMPOSTOR), (0, FRIEND), (1, FRIEND)),
    "the impostor's last to arrive": ((2, FRIEND), (0, FRIEND), (1, IMPOSTOR)),
    "all but the first from the impostor": ((1, IMPOSTOR), (2, IMPOSTOR), (0, FRIEND)),
}
PURE = {
    "all from the impostor": (IMPOSTOR, LATCH_DROP_IDENTITY),
    "all in clear": (CLEAR, LATCH_DROP_PLAINTEXT),
}


class Family:
    def __init__(self, number, here, there):
        self.number, self.here, self.ident = number, here, 1
        self.pair = socket.inet_pton(number, there) + socket.inet_pton(number, here)
        self.raw = {mark: self.sender(mark) for mark in (CLEAR, FRIEND, IMPOSTOR, FRIEND_AGAIN)}
        self.socket = W.datagram_socket(PORT, here)
        self.socket.connect((there, PORT))

    def sender(self, mark):
        sock = C.inside(lambda: socket.socket(self.number, socket.SOCK_RAW, socket.IPPROTO_RAW))
        if mark:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
        return sock

    def datagram(self, payload, port):
        length = 8 + len(payload)
        pseudo = self.pair + struct.pack("!II", length, socket.IPPROTO_UDP)
        header = struct.pack("!4H", PORT, port, length, 0)
        return struct.pack("!4H", PORT, port, length, checksum(pseudo + header + payload)) + payload

    def fragment_header(self, length, ident, offset, more):
        if self.number == socket.AF_INET:
            field = offset // 8 | (0x2000 if more else 0)
            return struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, ident, field, 64,
                               socket.IPPROTO_UDP, 0) + self.pair
        return (struct.pack("!IHBB", 0x60000000, 8 + length, 44, 64) + self.pair +
                struct.pack("!BBHI", socket.IPPROTO_UDP, 0, offset | (1 if more else 0), ident))

    def whole_header(self, length):
        if self.number == socket.AF_INET:
            return self.fragment_header(length, 0, 0, False)
        return struct.pack("!IHBB", 0x60000000, length, socket.IPPROTO_UDP, 64) + self.pair

    def send_fragments(self, letter, which, port=PORT):
        """A datagram of three UNITs, its parts in the order and under the marks given."""
        data = self.datagram(letter * (3 * UNIT - 8), port)
        self.ident += 1
        for part, mark in which:
            piece = data[part * UNIT:(part + 1) * UNIT]
            header = self.fragment_header(len(piece), self.ident, part * UNIT, part < 2)
            self.raw[mark].sendto(header + piece, (self.here, 0))

    def send_whole(self, letter):
        data = self.datagram(letter * 8, PORT)
        self.raw[FRIEND].sendto(self.whole_header(len(data)) + data, (self.here, 0))

    def arrives(self, letter, length):
        """Waits for the datagram of this letter; returns all datagrams before it."""
        seen = []
        while select.select([self.socket], [], [], LIMIT)[0]:
            seen.append(self.socket.recv(65536))
            if seen[-1] == letter * length:
                return seen[:-1]
        return None

    def is_accepted(self, what, marks):
        self.send_fragments(b"C", [(part, mark) for part, mark in enumerate(marks)])
        expect(self.arrives(b"C", 3 * UNIT - 8) == [], what)

    def is_refused(self, what, which, reason=LATCH_DROP_MERGED):
        before = W_RECEIVES.drops(reason)
        self.send_fragments(b"D", which)
        self.send_whole(b"C")
        expect(self.arrives(b"C", 8) == [], f"{what}: only the peer's next datagram arrives")
        expect(W_RECEIVES.drops(reason) == before + 1, f"dropped, counted as {reason.name}")

    def is_refused_in_any_case(self, what, which):
        """The peer's datagrams, too, may count as marked for some seconds."""
        before = W_RECEIVES.drops(LATCH_DROP_MERGED)
        self.send_fragments(b"D", which)
        self.send_whole(b"C")
        until(lambda: W_RECEIVES.drops(LATCH_DROP_MERGED) > before, f"{what}: dropped")
        seen = b""
        while b"C" not in seen:
            self.send_whole(b"C")
            if select.select([self.socket], [], [], 0.5)[0]:
                seen += self.socket.recv(65536)
        expect(b"D" not in seen, f"{what}: only the peer's later datagrams arrive")

    def costs_nothing(self, what, which):
        """Mixtures that no gate checks, each followed by a datagram of the peer."""
        before = W_RECEIVES.drops(LATCH_DROP_MERGED)
        for _ in range(100):
            self.send_fragments(b"D", which, UNUSED)
            self.send_whole(b"C")
        for _ in range(100):
            if self.arrives(b"C", 8) != []:
                expect(False, f"{what}, to an unused port: all datagrams of the peer arrive")
        expect(W_RECEIVES.drops(LATCH_DROP_MERGED) == before,
               f"{what}, to an unused port: all datagrams of the peer arrive")


def take_all_places():
    """Fills each slot with the mark of another object."""
    mark = abi.struct("object_mark").pack({"object": OBJECT, "second": int(time.monotonic()) + 1}).hex(" ")
    batch = os.path.join(FOLDER, "marks")
    with open(batch, "w", encoding="utf-8") as file:
        for name in ("reassemblies", "mixtures"):
            file.writelines(f"map update pinned {path(name)} key {place & 255} {place >> 8} 0 0"
                            f" value hex {mark}\n" for place in range(abi.entries(name)))
    run(f"bpftool batch file {batch}")


def play(family):
    family.send_whole(b"C")
    expect(family.arrives(b"C", 8) == [], "the peer's datagram arrives")
    expect([latch.params for latch in latches_of(PORT)] == [7], "latched to params 7")
    family.is_accepted("its peer's fragments arrive, reassembled", [FRIEND] * 3)
    for what, which in MIXED.items():
        family.is_refused(what, which)
    for what, (mark, reason) in PURE.items():
        family.is_refused(what, [(part, mark) for part in range(3)], reason)
    family.is_accepted("fragments under two SAs of the peer arrive", [FRIEND, FRIEND_AGAIN, FRIEND])
    for what in list(MIXED)[:2]:
        family.costs_nothing(what, MIXED[what])
    family.costs_nothing("the first one in clear", ((0, CLEAR), (1, FRIEND), (2, FRIEND)))


def let_clear_in():
    """Without the gate W would accept what comes in clear: its policies ask for no SA."""
    for here, there in ((HERE, THERE), (HERE6, THERE6)):
        W.ip(f"xfrm policy update src {there} dst {here} dir in"
             f" tmpl src {OUTER_IN[0]} dst {OUTER_IN[1]} proto esp mode tunnel level use")


def forget_latches():
    for latch in Latch.all():
        latch.forget()


topology()
attach()
add_tunnels()
let_clear_in()
bind_each()
os.sched_setaffinity(0, {0})  # so that packets arrive in the order in which they were sent
play(Family(socket.AF_INET, HERE, THERE))
forget_latches()
ipv6 = Family(socket.AF_INET6, HERE6, THERE6)
play(ipv6)
take_all_places()
for kind, parts in MIXED.items():
    ipv6.is_refused_in_any_case(f"all places taken, {kind}", parts)
conforms("R-2-5", "a datagram in fragments of two owners, all under another's SA or all in clear is not accepted,"
                  " IPv4 and IPv6")
