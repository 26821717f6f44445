# SPDX-License-Identifier: BSD-2-Clause
"""Frames: what a host's device shows, and frames that no gate has seen."""
import socket
import struct

from leaks.capture import FORGER

ETH_P_ALL, ETH_P_IP, ETH_P_IPV6 = 3, 0x0800, 0x86DD  # only a tap for all protocols shows what leaves
TCP, ESP = socket.IPPROTO_TCP, 50
# IGMP, ICMPv6, and hop-by-hop options, which MLD has: the kernel itself sends them, to all neighbours.
OF_NEIGHBOURS = (2, 58, 0)
SYN, RST, ACK = 2, 4, 16


def checksum(data):
    """RFC 1071"""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def tap(host, protocol, kind=socket.SOCK_RAW, device=None):
    """It binds after its options are set: the caller's make() may add some."""
    made = host.open_socket(kind, socket.AF_PACKET, socket.htons(protocol))
    host.inside(lambda: made.bind((device or host.device, protocol)))
    return made


class Arrivals:
    """TCP and ESP packets that came to a host: (protocol, source port, destination port, flags)."""

    def __init__(self, host):
        self.tap = tap(host, ETH_P_IP)
        self.all = []

    def new(self):
        """The packets since the last call."""
        found = []
        while True:
            try:
                frame, address = self.tap.recvfrom(65536)
            except BlockingIOError:
                self.all += found
                return found
            if address[2] == socket.PACKET_OUTGOING:
                continue
            packet = frame[14:]
            rest = packet[(packet[0] & 15) * 4:]
            if packet[9] == TCP:
                found.append((TCP, *struct.unpack("!HH", rest[:4]), rest[13]))
            elif packet[9] == ESP:
                found.append((ESP, 0, 0, 0))

    def so_far(self):
        self.new()
        return self.all


class Crossing:
    """The IP packets, by their outermost protocol, that cross a host's devices out or in."""

    def __init__(self, host, way, devices=()):
        self.outgoing, self.all = way == "out", []
        self.taps = [tap(host, ETH_P_ALL, socket.SOCK_DGRAM, device)
                     for device in devices or (host.device,)]

    def protocol_of(self, packet, address):
        """None: no IP packet in this direction."""
        if (address[2] == socket.PACKET_OUTGOING) != self.outgoing:
            return None
        if address[1] not in (ETH_P_IP, ETH_P_IPV6):
            return None
        protocol = packet[9 if address[1] == ETH_P_IP else 6]
        return None if protocol in OF_NEIGHBOURS else protocol

    def read(self, made):
        while True:
            try:
                protocol = self.protocol_of(*made.recvfrom(64))
            except BlockingIOError:
                return
            if protocol is not None:
                self.all.append(protocol)

    def so_far(self):
        for each in self.taps:
            self.read(each)
        return self.all


def ipv4(source, destination, protocol, payload):
    addresses = socket.inet_aton(source) + socket.inet_aton(destination)
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 1, 0, 64, protocol, 0) + addresses
    return header[:10] + struct.pack("!H", checksum(header)) + header[12:] + payload


def ipv6(source, destination, protocol, payload):
    return (struct.pack("!IHBB", 0x60000000, len(payload), protocol, 64) +
            socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination) +
            payload)


def tcp(source, destination, ports, flags):
    """A segment without data."""
    segment = struct.pack("!HHIIBBHHH", *ports, 1000, 1, 5 << 4, flags, 65535, 0, 0)
    pseudo = (socket.inet_aton(source) + socket.inet_aton(destination) +
              struct.pack("!HH", TCP, len(segment)))
    return segment[:16] + struct.pack("!H", checksum(pseudo + segment)) + segment[18:]


def send_frame(host, packet, device=None, peer_device=None, kind=ETH_P_IP):
    """Sends a forger's frame by the host's device to its peer's; no gate of this host checks it."""
    macs = (host.peer.mac(peer_device), FORGER)
    frame = b"".join(bytes.fromhex(mac.replace(":", "")) for mac in macs) + struct.pack("!H", kind) + packet
    with host.open_socket(socket.SOCK_RAW, socket.AF_PACKET) as out:
        host.inside(lambda: out.bind((device or host.device, 0)))
        out.send(frame)


def send_tcp(host, ports, flags):
    """Sends a forged segment to the peer host."""
    send_frame(host, ipv4(host.address, host.peer.address, TCP,
                          tcp(host.address, host.peer.address, ports, flags)))
