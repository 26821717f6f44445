# SPDX-License-Identifier: BSD-2-Clause
# touches: packet gate watch
# oracle: none, host c plays both peers: the oracle tells hosts apart
"""
The kernel merges datagrams of two tunnels (GRO): the merged packet shows one SA.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2
    inner addresses 10.8.0.1 and 10.8.0.2; see lib/tunnels.py: tunnels of params 7 and of
    params 8, whose owner sends from the other owner's inner address and port

    1. a connected UDP socket with UDP_GRO is latched to params 7; its peer's datagrams are merged
    2. both owners send at once: no byte of params 8 arrives
    3. the owner of params 8 is quiet: the peer's datagrams arrive again
    4. that owner alone has datagrams merged, under two SAs of its own: none arrives, and every
       datagram of the peer does
    5. the same as 2 for a socket behind W's own destination NAT, and merged datagrams are split
       again: no byte of params 8 arrives, and the peer's do
"""
import ctypes
import fcntl
import select
import socket
import struct
import time

from abi import LATCH_DROP_IDENTITY, LATCH_DROP_MERGED
from checks import LIMIT, conforms, expect, run, until
from gates import Gate
from host import C, W, topology
from latchd import attach
from maps import latches_of
from tunnels import FRIEND, HERE, IMPOSTOR, IMPOSTOR_AGAIN, PORT, THERE, add_tunnels, bind_each

SIZE, ROUNDS, PAIRS = 100, 4000, 20
NAMED, NAT_PORT = "10.8.0.9", 5002  # W's name for the peer, and the port that it uses for it
GATHERED = 0.03  # seconds, longer than packets gather
UDP_GRO, SIOCETHTOOL, ETHTOOL_SGRO = 104, 0x8946, 0x2C


def merge():
    """GRO as network cards have it; packets gather for 20 ms, so that they arrive together."""
    value = ctypes.create_string_buffer(struct.pack("=II", ETHTOOL_SGRO, 1))
    with W.open_socket(socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCETHTOOL, struct.pack("16sP", b"vw", ctypes.addressof(value)))
    run("tc -n c qdisc add dev vc root netem slot 20ms limit 10000")


def sender(mark):
    sock = C.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, mark)
    sock.bind((THERE, PORT))
    return sock


def receiver():
    sock = W.datagram_socket(PORT, HERE)
    sock.connect((THERE, PORT))
    sock.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    return sock


def burst(senders, rounds=ROUNDS, to=None):
    """The bytes that arrived of each letter, and the size of the largest packet."""
    arrived, largest, to = {}, 0, to or here
    for _ in range(rounds):
        for sock, letter in senders:
            sock.sendto(letter * SIZE, to.getsockname())
        while select.select([to], [], [], 0)[0]:
            data = to.recv(65536)
            largest = max(largest, len(data))
            for letter in set(data):
                arrived[chr(letter)] = arrived.get(chr(letter), 0) + data.count(letter)
    return arrived, largest


topology()
attach()
add_tunnels()
merge()
bind_each()
here, friend, impostor = receiver(), sender(FRIEND), sender(IMPOSTOR)
_, largest_packet = burst([(friend, b"C")])
expect([latch.params for latch in latches_of(PORT)] == [7], "latched to params 7")
expect(largest_packet > SIZE, f"its peer's datagrams are merged: {largest_packet} bytes in one")
seen, _ = burst([(friend, b"C"), (impostor, b"D")])
expect(seen.get("D", 0) == 0, f"no byte of the impostor arrived: {seen}")
expect(Gate(W, "in").drops(LATCH_DROP_MERGED) > 0, "datagrams of both owners were merged and dropped")
conforms("R-2-4", "merged with the peer's, datagrams under another's SA are not accepted")


def peers_datagrams_arrive():
    arrived, largest = burst([(friend, b"C")], 50)
    return set(arrived) == {"C"} and largest > SIZE


until(peers_datagrams_arrive, "the peer's datagrams arrive again, and merged")


def arrived_within(limit):
    """All that arrives until nothing does for so long."""
    data = b""
    while select.select([here], [], [], limit)[0]:
        data += here.recv(65536)
    return data


def impostors_drops():
    return sum(W_RECEIVES.drops(reason) for reason in (LATCH_DROP_MERGED, LATCH_DROP_IDENTITY))


def pair_of_the_impostor():
    """Both in the peer's name; returns the bytes that arrive."""
    before, data = impostors_drops(), b""
    for sock in (impostor, again):
        sock.sendto(b"D" * SIZE, (HERE, PORT))
    deadline = time.monotonic() + LIMIT
    while before == impostors_drops() and b"D" not in data:
        expect(time.monotonic() < deadline, "the impostor's pair is dropped or arrives")
        data += arrived_within(0.01)
    return data + arrived_within(GATHERED)


def peers_datagram_arrives():
    friend.sendto(b"C" * SIZE, (HERE, PORT))
    return bool(select.select([here], [], [], 1)[0]) and here.recv(65536) == b"C" * SIZE


again = sender(IMPOSTOR_AGAIN)
W_RECEIVES = Gate(W, "in")
merged_before, late, foreign = W_RECEIVES.drops(LATCH_DROP_MERGED), 0, 0
arrived_within(GATHERED)
for _ in range(PAIRS):
    foreign += b"D" in pair_of_the_impostor()
    late += not peers_datagram_arrives()
expect(not foreign, "no byte of the impostor's pairs arrived")
expect(W_RECEIVES.drops(LATCH_DROP_MERGED) > merged_before, "pairs of the impostor were merged")
expect(not late, f"every datagram of the peer arrives: {PAIRS - late} of {PAIRS}")


def shared():
    sock = W.open_socket(socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind((HERE, NAT_PORT))
    return sock


def behind_nat():
    """The kernel merges for a socket that is found before NAT; behind NAT it is another one."""
    W.ip(f"route add {NAMED} via {C.address} dev {W.device} src {HERE}")
    W.nft("add table ip t; add chain ip t out { type nat hook output priority -100; }; "
          f"add rule ip t out ip daddr {NAMED} dnat to {THERE}")
    before_nat, behind = shared(), shared()
    before_nat.setsockopt(socket.IPPROTO_UDP, UDP_GRO, 1)
    behind.connect((NAMED, PORT))
    behind.send(b"W")
    return behind, before_nat


translated, merging = behind_nat()
expect([latch.params for latch in latches_of(NAT_PORT)] == [7], "behind NAT: latched to params 7")
merged_before = W_RECEIVES.drops(LATCH_DROP_MERGED)
seen, _ = burst([(friend, b"C"), (impostor, b"D")], to=translated)
expect(seen.get("D", 0) == 0, f"behind NAT no byte of the impostor arrived: {seen}")
expect(W_RECEIVES.drops(LATCH_DROP_MERGED) > merged_before, "datagrams of both owners were merged, split and dropped")
until(lambda: "C" in burst([(friend, b"C")], 50, translated)[0], "behind NAT the peer's datagrams arrive")
merging.close()
