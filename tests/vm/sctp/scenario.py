# SPDX-License-Identifier: BSD-2-Clause
# touches: gate net latch db
# expect: clean
# variant: sctp-short short
# run: conformance sctp
"""
SCTP at the netfilter gate: one latch for each path, all of one peer (RFC 5660 section 5.4).

    netns w 10.9.0.1 ---- 10.9.0.2 netns c    one transport-mode ESP SA a direction and
            10.9.1.1 ---- 10.9.1.2            pair of addresses, installed by hand

    1. one path: latched at both ends by INIT; w's egress gate lets nothing out under an impostor's
       SA (params 8) or in clear, c's ingress gate accepts nothing; it continues under its own SA;
       its end leaves no latch and no mark; the same over IPv6
    2. two paths: latched as they are used, four pairs of addresses in all; when a path's
       SA belongs to another peer the data takes the other path; so it does when one path's latch is
       broken: w sends nothing more there, and nothing is reset
    3. a path that is added (ASCONF) carries nothing under another peer's SA, nor in clear, w to c
       or c to w;
       under the peer's own SA it is latched, and all its packets have the SPI of the SA for
       their pair of addresses; deleted again, its latches are gone; INIT in clear from an
       address of the association starts nothing
    4. the break of the only path resets the association, and no packet leaves the host;
       over IPv6 it does not reset it, and no packet leaves either

With the argument "short": one path over IPv4, and 2.
"""
import errno
import select
import socket
import struct
import subprocess
import sys

from abi import (LATCH_DROP_BROKEN, LATCH_DROP_COUNT, LATCH_DROP_IDENTITY, LATCH_DROP_PLAINTEXT,
                 LATCH_OWNER_SOCKET, LATCH_STATE_BROKEN, LATCH_STATE_ESTABLISHED)
from checks import CGROUP, conforms, expect, program, run, run_json, skip, until
from esp import Sent
from flows import alias, register_pair, watch
from gates import Gate, stops_at
from host import C as HOST_C
from host import HOSTS, W as HOST_W
from host import accept, address_bytes, family_of, flush, received
from latchd import has_netfilter_gate
from maps import Latch, Sa, bind, define, dropped, dump
from wire import ETH_P_IPV6, ipv4, ipv6, send_frame

SHORT = "short" in sys.argv[2:]
SCTP, RTOINFO, ASSOCINFO, NODELAY, PADDR, BINDX_ADD, BINDX_REM = 132, 0, 1, 3, 9, 100, 101
PATH_ACTIVE = 2  # SCTP_ACTIVE in the kernel's enum sctp_spinfo_state
W, C = ("10.9.0.1", "10.9.1.1", "10.9.2.1"), ("10.9.0.2", "10.9.1.2", "10.9.2.2")
W6, C6 = HOST_W.address6, HOST_C.address6
W_SENDS, W_RECEIVES = (Gate(HOST_W, way, "w0", "w1", "w2") for way in ("out", "in"))
C_SENDS, C_RECEIVES = (Gate(HOST_C, way, "c0", "c1", "c2") for way in ("out", "in"))
PAIRS = [(w, c) for w in W[:2] for c in C[:2]]


def add_link(number):
    run(f"ip link add w{number} netns w type veth peer name c{number} netns c")
    for host, address in ((HOST_W, W[number]), (HOST_C, C[number])):
        host.ip(f"addr add {address}/24 dev {host.name}{number}")
        host.ip(f"link set {host.name}{number} up")


def add_ipv6():
    for host in HOSTS:
        host.ip(f"addr add {host.address6}/64 dev {host.name}0 nodad")


def spi_of(w, c):
    """From W to C; 256 more from C to W."""
    return 0x2000 if w == W6 else 0x1000 + 16 * W.index(w) + C.index(c)


def protect_pair(w, c):
    spi = spi_of(w, c)
    bits = 128 if w == W6 else 32
    for source, destination, number in ((w, c, spi), (c, w, spi + 256)):
        for host in HOSTS:
            host.add_sa(source, destination, number, reqid=spi)
            way = "out" if source == (w if host is HOST_W else c) else "in"
            host.add_policy(way, f"{source}/{bits}", f"{destination}/{bits} proto sctp",
                            f"proto esp reqid {spi} mode transport")


def bind_pair(params, w, c, *gates):
    """The SAs of these gates, else both directions' at both hosts."""
    for sa in [sa for gate in gates for sa in gate.sas()] or Sa.all():
        if sa.addresses() == {address_bytes(w), address_bytes(c)}:
            sa.bind(params)


def sctp_socket(host, family=socket.AF_INET):
    made = host.inside(lambda: socket.socket(family, socket.SOCK_STREAM, SCTP))
    made.setsockopt(SCTP, NODELAY, 1)
    made.setsockopt(SCTP, ASSOCINFO, struct.pack("=iHHIII", 0, 1000, 0, 0, 0, 0))
    made.setsockopt(SCTP, RTOINFO, struct.pack("=iIII", 0, 500, 1000, 300))
    return made


def set_paths(s, interval, retransmissions):
    """For every peer address: enables heartbeats, and sets the limit for unreachable."""
    any_address = struct.pack("=H126x", s.family)
    s.setsockopt(SCTP, PADDR, struct.pack("=i128sIHIIIIB1x", 0, any_address, interval, retransmissions,
                                          0, 0, 1, 0, 0))


def change_addresses(s, option, *addresses, port):
    packed = b"".join(struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(a)
                      + bytes(8) for a in addresses)
    s.setsockopt(SCTP, option, packed)


def associate(port, w_addresses, c_addresses):
    """A listener at C, a client at W of port - 1000; the paths' limits make failover quick."""
    listener = sctp_socket(HOST_C, family_of(c_addresses[0]))
    listener.bind((c_addresses[0], port))
    if c_addresses[1:]:
        change_addresses(listener, BINDX_ADD, *c_addresses[1:], port=port)
    set_paths(listener, 500, 1)
    listener.listen()
    listener.setblocking(False)
    client = sctp_socket(HOST_W, family_of(w_addresses[0]))
    client.bind((w_addresses[0], port - 1000))
    if w_addresses[1:]:
        change_addresses(client, BINDX_ADD, *w_addresses[1:], port=port - 1000)
    set_paths(client, 500, 1)
    client.setblocking(False)
    client.connect_ex((c_addresses[0], port))
    return listener, client


def address_text(family, packed):
    return socket.inet_ntop(family, packed if family == socket.AF_INET6 else packed[:4])


def paths_of(port):
    """(local, remote) -> latch, of both ends"""
    found = {}
    for latch in Latch.all():
        if port in (latch.local_port, latch.remote_port):
            ends = (latch.address("local_addr"), latch.address("remote_addr"))
            found[tuple(address_text(latch.key("family"), end) for end in ends)] = latch
    return found


def latched(port, pairs, params=7):
    """Exactly these paths of W and their mirror images at C, established with these params."""
    expected = set(pairs) | {(c, w) for w, c in pairs}
    found = paths_of(port)
    return set(found) == expected and all(
        latch.state == LATCH_STATE_ESTABLISHED and latch.params == params for latch in found.values())


def at_w(port, *addresses):
    """Pairs that have a latch at W, of these addresses of its."""
    return {pair for pair in paths_of(port) if pair[0] in (addresses or W)}


def show(port):
    print("      marks", [(r["formatted"]["key"]["pad"], r["formatted"]["value"]) for r in marks()], flush=True)
    print("      drops", [dropped(reason) for reason in range(LATCH_DROP_COUNT)], flush=True)
    for pair, latch in paths_of(port).items():
        print("     ", pair, latch, flush=True)


def marks():
    return dump("associations")


def protect_all():
    with HOST_W.one_batch(), HOST_C.one_batch():
        for pair in PAIRS + [(W6, C6)]:
            protect_pair(*pair)


def watch_wire():
    """Counts packets that arrive at C in clear, before a gate there could drop them."""
    hooks = "".join(f"chain c{n} {{ type filter hook ingress device c{n} priority -500;"
                    " ip protocol sctp counter; ip6 nexthdr sctp counter; }; " for n in (0, 1))
    HOST_C.nft(f"table netdev watch {{ {hooks}}}")


def seen_in_clear():
    rules = run_json("ip netns exec c nft -j list table netdev watch")["nftables"]
    return sum(e["counter"]["packets"] for r in rules if "rule" in r for e in r["rule"]["expr"] if "counter" in e)


def error_of(s):
    return s.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or error_of_read(s)


def error_of_read(s):
    try:
        s.recv(1)
    except OSError as error:
        return error.errno
    return 0


def associations(host):
    return host.run("cat /proc/net/sctp/assocs").stdout


def path_states(host):
    """The state of each path to a peer's address: the last column."""
    rows = host.run("cat /proc/net/sctp/remaddr").stdout.splitlines()[1:]
    return [int(row.split()[-1]) for row in rows]


def protected_packets(host, source, destination):
    text = host.ip(f"-s xfrm state list src {source} dst {destination}").stdout
    return [line.split(",")[1].strip() for line in text.splitlines() if "(packets)" in line and "bytes" in line]


def sent_any(host, source, destination):
    return [number for number in protected_packets(host, source, destination) if number != "0(packets)"]


def sent(sender, text):
    """An accepted association may not be ready yet: until the COOKIE-ACK send() fails with EPIPE."""
    try:
        sender.send(text)
    except BrokenPipeError:
        return False
    return True


def register_both(client, peer, w_addresses, c_addresses):
    """All pairs of addresses belong to the association."""
    tags = register_pair(client, peer, "for C")
    for tag, sock, here, there in zip(tags, (client, peer), (w_addresses, c_addresses), (c_addresses, w_addresses)):
        ports = sock.getsockname()[1], sock.getpeername()[1]
        for local in here:
            for remote in there:
                alias(tag, local, ports[0], remote, ports[1])


def delivered(client, peer, text, what):
    got = b""
    until(lambda: sent(client, text), "the sender is connected")

    def all_there():
        nonlocal got
        got += received(peer)
        return got == text

    until(all_there, what)


def sctp_packet(ports, tag, chunk):
    """tag: its four bytes"""
    packet = struct.pack("!HH", *ports) + tag + bytes(4) + chunk
    return packet[:8] + struct.pack("<I", crc32c(packet)) + packet[12:]


def abort(source, destination, port, tag):
    """From W's wire, past W's own gate, to C's end of the association."""
    packet = sctp_packet((port - 1000, port), struct.pack("=I", tag), struct.pack("!BBH", 6, 0, 4))
    if ":" in source:
        send_frame(HOST_W, ipv6(source, destination, SCTP, packet), "w0", "c0", ETH_P_IPV6)
    else:
        send_frame(HOST_W, ipv4(source, destination, SCTP, packet), "w0", "c0")


def crc32c(data):
    """RFC 9260, appendix A"""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def init_in_clear(source, destination, interface, port):
    """From C's wire, past C's own gate: to W's end of the association of C's port."""
    chunk = struct.pack("!BBHIIHHI", 1, 0, 20, 0x11223344, 65536, 10, 10, 1)
    sctp = sctp_packet((port, port - 1000), bytes(4), chunk)
    send_frame(HOST_C, ipv4(source, destination, SCTP, sctp), interface, interface.replace("c", "w"))


if not has_netfilter_gate():
    skip("SCTP needs the netfilter gate, and this kernel has none")
for module in ("sctp", "sctp_diag"):
    run(f"modprobe {module}")
for each in HOSTS:
    each.create()
for link in (0, 1, 2):
    add_link(link)
for each in HOSTS:
    each.ip("link set lo up")
    each.sysctl("net.sctp.addip_enable=1", "net.sctp.auth_enable=1",
                "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
guard = subprocess.Popen([program("guard"), CGROUP, "w", "c"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
expect(guard.stdout.readline().strip() == "ready", "the netfilter gate is attached at W and C, the reaper runs")
watch_wire()
add_ipv6()
watch()
protect_all()
define(7, 2)
define(8, 3)
bind(7)


def paths_with(port, address):
    return [pair for pair in paths_of(port) if address in pair]


def nothing_is_left(port):
    until(lambda: not paths_of(port), "the association has ended: no latch is left")
    until(lambda: not marks(), "no mark is left")


def is_not_aborted(w, c, port):
    """C's own tag proves the peer to its kernel, but not to the gate."""
    before = dropped(LATCH_DROP_PLAINTEXT)[1]
    abort(w, c, port, paths_of(port)[c, w].get("tag_seen"))
    until(lambda: dropped(LATCH_DROP_PLAINTEXT)[1] > before or f" {port} " not in associations(HOST_C),
          "an ABORT in clear comes to c")
    expect(f" {port} " in associations(HOST_C) and dropped(LATCH_DROP_PLAINTEXT)[1] > before,
           "c accepts nothing in clear")


def one_path(w, c, port):
    listener, client = associate(port, [w], [c])
    peer = accept(listener, "an association of one path is established")
    register_both(client, peer, [w], [c])
    delivered(client, peer, b"for C only", "data arrives")
    expect(latched(port, [(w, c)]), "latched at both ends, to params 7")
    expect(all(latch.owner == LATCH_OWNER_SOCKET for latch in paths_of(port).values()),
           "both have an association")
    for gate, what in ((W_SENDS, "w sends nothing under the impostor's SA"),
                       (C_RECEIVES, "c accepts nothing under the impostor's SA")):
        bind_pair(8, w, c, gate)
        stops_at(gate, client, peer, b"still for C", LATCH_DROP_IDENTITY, what)
        bind_pair(7, w, c, gate)
        until(lambda: received(peer) == b"still for C", "under C's own SA the stream continues")
    HOST_W.flush("policy")
    before = seen_in_clear()
    stops_at(W_SENDS, client, peer, b"for C, never in clear", LATCH_DROP_PLAINTEXT, "w sends nothing in clear")
    expect(seen_in_clear() == before, "no packet of it was on the wire")
    HOST_C.flush("policy")
    is_not_aborted(w, c, port)
    flush("state")
    protect_all()
    bind(7)
    until(lambda: received(peer) == b"for C, never in clear", "protected again it continues")
    for s in (client, peer, listener):
        s.close()
    nothing_is_left(port)


def one_path_of_ipv4():
    one_path(W[0], C[0], 7001)
    conforms("L-5.4-2", "INIT received creates a latch")
    conforms("L-5.4-3", "INIT sent creates a latch")
    conforms("L-5.4-5", "the end of an association closes its latches")


def one_path_of_ipv6():
    one_path(W6, C6, 7005)
    conforms("L-5.4-2", "INIT received creates a latch, over IPv4 and IPv6")
    conforms("L-5.4-3", "INIT sent creates a latch, over IPv4 and IPv6")


def takes_the_other_path(gate, client, peer, what):
    """At one gate all but one of the pairs' SAs belong to another peer."""
    until(lambda: path_states(HOST_W) == [PATH_ACTIVE] * 2, f"{what}: both paths were active")
    before = gate.drops(LATCH_DROP_IDENTITY)
    for pair in PAIRS[:3]:
        bind_pair(8, *pair, gate)
    sent = [protected_packets(HOST_W, *pair) for pair in PAIRS[:3]]
    delivered(client, peer, b"for C by the other path", f"{what}: the data takes the other path")
    until(lambda: gate.drops(LATCH_DROP_IDENTITY) > before, f"{what}: counted as identity")
    if gate is W_SENDS:
        expect(sent == [protected_packets(HOST_W, *pair) for pair in PAIRS[:3]],
               "w sent nothing under the SAs of the other peer")
    for pair in PAIRS[:3]:
        bind_pair(7, *pair, gate)


def two_paths():
    listener, client = associate(7002, W[:2], C[:2])
    peer = accept(listener, "an association of two paths is established")
    register_both(client, peer, W[:2], C[:2])
    delivered(client, peer, b"for C over two paths", "data arrives")
    until(lambda: latched(7002, [(W[0], C[0]), (W[1], C[1])]), "both paths are latched at both ends, to params 7")
    expect(len({latch.association for pair, latch in paths_of(7002).items() if pair[0] in W}) == 1,
           "one association at W")
    HOST_W.ip(f"route add {C[1]}/32 via {C[0]} dev w0 onlink src {W[0]}")
    HOST_W.ip(f"route add {C[0]}/32 via {C[1]} dev w1 onlink src {W[1]}")
    until(lambda: at_w(7002) == set(PAIRS), "each of the four pairs of addresses has its latch at W")
    conforms("L-5.4-7", "N x M latches: each pair of addresses that is used has one")
    HOST_W.ip(f"route del {C[1]}/32")
    HOST_W.ip(f"route del {C[0]}/32")
    for gate, what in ((W_SENDS, "w sends nothing by the first path"), (C_RECEIVES, "c accepts nothing by the first path")):
        takes_the_other_path(gate, client, peer, what)
    one_of_two_breaks(client, peer)
    for s in (client, peer, listener):
        s.close()
    nothing_is_left(7002)


def path_spi(packet):
    """The SPI that a packet between two addresses must have."""
    if packet.source in W:
        return spi_of(packet.source, packet.destination)
    return spi_of(packet.destination, packet.source) + 256


def break_latches(*words):
    """At W, of a local port, and of a peer's address or of all: by latchd's own control and disposition."""
    guard.stdin.write(" ".join(words) + "\n")
    guard.stdin.flush()


def one_of_two_breaks(client, peer):
    until(lambda: path_states(HOST_W) == [PATH_ACTIVE] * 2, "both paths are active again")
    by_the_first = Sent(HOST_W, "w0", "w1")
    before = W_SENDS.drops(LATCH_DROP_BROKEN)

    def to_the_first():
        return [packet for packet in by_the_first.so_far() if packet.destination == C[0]]

    until(to_the_first, "w sends by the first path")
    break_latches("6002", C[0])
    until(lambda: {pair for pair, latch in paths_of(7002).items() if latch.state == LATCH_STATE_BROKEN}
          == {(w, C[0]) for w in W[:2]}, "its latches at W are broken, and no other")
    left = len(to_the_first())
    delivered(client, peer, b"for C by the path that is left", "the data takes the other path")
    until(lambda: W_SENDS.drops(LATCH_DROP_BROKEN) >= before + 2, "w's packets for the first path are dropped")
    until(lambda: sorted(path_states(HOST_W)) != [PATH_ACTIVE] * 2, "w has given up the first path")
    delivered(client, peer, b"for C once more", "data arrives")
    expect(len(to_the_first()) == left, "w has sent nothing more by the first path")
    expect(not select.select([guard.stdout], [], [], 0)[0] and error_of(client) == error_of(peer) == errno.EAGAIN
           and "6002" in associations(HOST_W), "nothing was reset")
    conforms("S32", "one of two paths BROKEN: failover, nothing reset, no packet more on its wire")


class PathWire:
    """The packets that either host sends from or to an address of W, on all links."""

    def __init__(self, address):
        self.address = address
        self.hosts = [Sent(host, *(f"{host.name}{number}" for number in (0, 1, 2))) for host in HOSTS]

    def packets(self):
        return [packet for host in self.hosts for packet in host.so_far()
                if self.address in (packet.source, packet.destination)]

    def is_quiet(self, what):
        expect(not self.packets(), f"{what}: no packet of it is on the wire {self.packets() or ''}")

    def is_under_its_sas(self):
        found = self.packets()
        astray = [packet for packet in found if packet.spi != path_spi(packet)]
        expect(not astray, f"its {len(found)} packets on the wire: each under the SA of its pair of addresses"
                           f" {astray or ''}")


def added_path():
    listener, client = associate(7004, W[:2], C[:2])
    peer = accept(listener, "an association of two paths is established")
    register_both(client, peer, W, C[:2])
    delivered(client, peer, b"for C over two paths", "data arrives")
    pairs = [(W[2], C[0]), (W[2], C[1])]
    for pair in pairs:
        protect_pair(*pair)
        bind_pair(8, *pair)
    path, before = PathWire(W[2]), C_SENDS.drops(LATCH_DROP_IDENTITY)
    change_addresses(client, BINDX_ADD, W[2], port=6004)
    until(lambda: C_SENDS.drops(LATCH_DROP_IDENTITY) > before, "c sends nothing to an added path under another's SA")
    expect(not paths_with(7004, W[2]), "it has no latch")
    expect(not any(sent_any(HOST_C, c, w) for w, c in pairs), "c sends nothing to an added path under another's SA")
    path.is_quiet("under another's SA")
    before = W_RECEIVES.drops(LATCH_DROP_IDENTITY)
    for pair in pairs:
        bind_pair(7, *pair, W_SENDS, C_SENDS)
    until(lambda: W_RECEIVES.drops(LATCH_DROP_IDENTITY) > before or at_w(7004, W[2]),
          "what C sends to it under its own SA comes to W")
    expect(not at_w(7004, W[2]), "w accepts nothing from an added path under another's SA")
    for pair in pairs:
        bind_pair(7, *pair)
    until(lambda: len(paths_with(7004, W[2])) >= 2, "under the peer's own SA it is latched at both ends")
    # By itself W sends nothing from the added address, since its routes prefer others.
    HOST_W.ip(f"route add {C[0]}/32 dev w0 src {W[2]}")
    delivered(client, peer, b"for C from the added address", "data arrives")
    until(lambda: {packet.source in W for packet in path.packets()} == {True, False}, "both hosts use the added path")
    path.is_under_its_sas()
    HOST_W.ip(f"route del {C[0]}/32")
    conforms("L-5.4-4", "ASCONF that adds an address creates latches")
    conforms("S32", "an added path: no packet on the wire under another's SA; under the peer's own each has its SPI")
    change_addresses(client, BINDX_REM, W[2], port=6004)
    until(lambda: not paths_with(7004, W[2]), "deleted again, its latches are gone")
    conforms("L-5.4-6", "ASCONF that deletes an address closes the latches of its paths")
    for w, c in pairs:
        for host, out, into in ((HOST_W, w, c), (HOST_C, c, w)):
            host.ip(f"xfrm policy del src {out}/32 dst {into}/32 proto sctp dir out")
            host.ip(f"xfrm policy del src {into}/32 dst {out}/32 proto sctp dir in")
    path = PathWire(W[2])
    wire, before = C_SENDS.crossing(), C_SENDS.drops(LATCH_DROP_PLAINTEXT)
    change_addresses(client, BINDX_ADD, W[2], port=6004)
    until(lambda: C_SENDS.drops(LATCH_DROP_PLAINTEXT) > before or SCTP in wire.so_far(), "an added path in clear is refused")
    expect(SCTP not in wire.so_far(), "c sends nothing to an added path in clear")
    expect(not paths_with(7004, W[2]), "it has no latch")
    path.is_quiet("in clear")
    delivered(client, peer, b"for C as before", "the other paths carry data")
    change_addresses(client, BINDX_REM, W[2], port=6004)
    until(lambda: W[2] not in associations(HOST_C), "the path is deleted again")
    before = W_RECEIVES.drops(LATCH_DROP_PLAINTEXT)
    init_in_clear(C[0], W[2], "c2", 7004)
    until(lambda: W_RECEIVES.drops(LATCH_DROP_PLAINTEXT) > before, "INIT in clear from an address of the association is refused")
    expect(not paths_with(7004, W[2]), "the INIT starts nothing")
    for s in (client, peer, listener):
        s.close()
    nothing_is_left(7004)


def last_path():
    listener, client = associate(7003, W[:1], C[:1])
    peer = accept(listener, "an association of one path is established")
    register_both(client, peer, W[:1], C[:1])
    delivered(client, peer, b"for C only", "data arrives")
    listener.close()
    # Without the drop W's kernel answers C, once the latch is released, that it has no such association.
    HOST_C.nft("table inet hold { chain out { type filter hook output priority -400;"
               " meta l4proto sctp drop; }; }")
    break_latches("6003")
    expect(guard.stdout.readline().split() == ["reset", "6003", "done"],
           "its latch at W is broken, the association reset")
    before = protected_packets(HOST_W, W[0], C[0])
    until(lambda: error_of(client) == errno.ECONNRESET, "W's application sees ECONNRESET")
    expect("6003" not in associations(HOST_W), "W's association is gone")
    expect(protected_packets(HOST_W, W[0], C[0]) == before, "W has sent nothing")
    expect("7003" in associations(HOST_C), "C's association has received nothing of it")
    until(lambda: not [pair for pair in paths_of(7003) if pair[0] in W], "W's latch is gone with it")
    conforms("R-5.5-3", "SCTP: the break of the only path resets the association, ECONNRESET")
    HOST_C.nft("delete table inet hold")
    peer.close()


def last_path_of_ipv6():
    listener, client = associate(7006, [W6], [C6])
    peer = accept(listener, "an association of one path is established")
    register_both(client, peer, [W6], [C6])
    delivered(client, peer, b"for C only", "data arrives")
    break_latches("6006")
    expect("not supported" in guard.stdout.readline(), "its latch at W is broken, it cannot be reset")
    before = protected_packets(HOST_W, W6, C6)
    # C's heartbeats come to W, which drops them, too.
    stops_at(W_SENDS, client, peer, b"for C, never sent", LATCH_DROP_BROKEN, "its data is dropped, again and again", alone=False)
    expect(protected_packets(HOST_W, W6, C6) == before, "W has sent nothing")
    conforms("R-2.3-21", "SCTP over IPv6, its only path BROKEN: nothing was sent")


def passes(part, port):
    """The failure of one part does not hide the others."""
    print(f"---- {part.__name__}", flush=True)
    bind(7)
    try:
        part()
        return True
    except (SystemExit, OSError) as failure:
        print(f"FAIL  {part.__name__}: {failure!r}", flush=True)
        show(port)
        print(associations(HOST_W) + associations(HOST_C), flush=True)
        return False


PARTS = [(one_path_of_ipv4, 7001), (two_paths, 7002)]
if not SHORT:
    PARTS += [(one_path_of_ipv6, 7005), (added_path, 7004), (last_path, 7003), (last_path_of_ipv6, 7006)]
passed = [passes(part, port) for part, port in PARTS]
guard.stdin.close()
expect(guard.wait() == 0, "the guard ends without an error")
expect(all(passed), "all parts have passed")
conforms("R-5.5-3", "SCTP of two paths: a broken path fails over and nothing is reset")
if not SHORT:
    conforms("S32", "2 x 2 paths: four latches, failover, a path added and deleted (ASCONF)")
