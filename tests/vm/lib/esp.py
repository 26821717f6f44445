# SPDX-License-Identifier: BSD-2-Clause
"""Packets that a host sends, by the SA that carries them; segments in ESP without encryption."""
import socket
import struct

from wire import ESP, ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, OF_NEIGHBOURS, tap

# The wire shows the segment, and the SPI in front of it.
NULL_KEYS = f"enc 'ecb(cipher_null)' '' auth-trunc 'hmac(sha256)' 0x{'5a' * 32} 128"
ICV = 16
FIN = 1


class Packet:
    """spi: None of a packet that is not ESP"""

    def __init__(self, packet):
        if packet[0] >> 4 == 6:
            self.take_ipv6(packet)
        else:
            self.take_ipv4(packet)
        self.spi = struct.unpack("!I", self.body[:4])[0] if self.protocol == ESP else None

    def take_ipv4(self, packet):
        self.source, self.destination = (socket.inet_ntoa(packet[at:at + 4]) for at in (12, 16))
        self.protocol = packet[9]
        self.body = packet[(packet[0] & 15) * 4:struct.unpack("!H", packet[2:4])[0]]

    def take_ipv6(self, packet):
        self.source, self.destination = (socket.inet_ntop(socket.AF_INET6, packet[at:at + 16]) for at in (8, 24))
        self.protocol = packet[6]
        self.body = packet[40:40 + struct.unpack("!H", packet[4:6])[0]]

    def __repr__(self):
        under = f"under SPI {self.spi:#x}" if self.spi is not None else f"protocol {self.protocol}"
        return f"{self.source} > {self.destination} {under}"


class Segment:
    """The TCP segment of an ESP packet with NULL_KEYS; length: of its text."""

    def __init__(self, packet):
        text = packet.body[8:-ICV]  # behind SPI and number; its last bytes are the ESP trailer
        self.port, _, self.seq = struct.unpack("!HHI", text[:8])
        self.flags = text[13]
        self.length = len(text) - 2 - text[-2] - (text[12] >> 4) * 4


class Sent:
    """All packets that left a host's devices since this object was made, but those for all neighbours."""

    def __init__(self, host, *devices):
        self.taps = [tap(host, ETH_P_ALL, socket.SOCK_DGRAM, each) for each in devices or (host.device,)]
        self.all = []

    def read(self, made):
        while True:
            try:
                packet, address = made.recvfrom(65536)
            except BlockingIOError:
                return
            if address[1] in (ETH_P_IP, ETH_P_IPV6) and address[2] == socket.PACKET_OUTGOING:
                self.take(Packet(packet))

    def take(self, packet):
        if packet.protocol not in OF_NEIGHBOURS:
            self.all.append(packet)

    def so_far(self):
        for each in self.taps:
            self.read(each)
        return self.all
