# SPDX-License-Identifier: BSD-2-Clause
"""An IP packet: its protection, its ports behind extension headers, its place as a fragment."""
import struct

IPIP, TCP, UDP, IPV6, ESP, AH, SCTP = 4, 6, 17, 41, 50, 51, 132
ICMP = (1, 58)
HOP_BY_HOP, ROUTING, FRAGMENT, DESTINATION, MOBILITY = 0, 43, 44, 60, 135
PROTOCOLS = {"tcp": TCP, "udp": UDP, "sctp": SCTP}
NAMES = {number: name for name, number in PROTOCOLS.items()}
FIN, SYN, RST, ACK = 1, 2, 4, 16
IPSEC_PORT = 4500
HEADERS_MAX = 16
EXTENSIONS = (HOP_BY_HOP, ROUTING, DESTINATION, MOBILITY)


class Packet:
    """The innermost packet. It has a protection if it is inside ESP or AH (esp, ah), with its SPI;
    of ESP nothing else is seen, and esp has it from its SPI on, without its end if it is cut. Its
    readers are the hosts with its keys. A later fragment has no ports, and the payload is all of it."""

    def __init__(self, time, data):
        self.time, self.data = time, data
        self.source = self.target = self.protocol = None
        self.protection = self.spi = self.ports = None
        self.fragment, self.offset = None, 0
        self.esp, self.cut, self.readers = b"", False, None
        self.flags, self.sequence, self.payload, self.payload_size = 0, 0, b"", 0

    @property
    def tuple(self):
        if not self.ports:
            return None
        return (self.protocol, self.source, self.ports[0], self.target, self.ports[1])

    def __str__(self):
        if self.offset:
            return "fragment at %d" % self.offset
        if self.protocol == TCP:
            return "TCP flags 0x%02x" % self.flags
        return NAMES.get(self.protocol, "protocol %s" % self.protocol).upper()


def parse(time, data):
    """The packet, as far as its headers are whole."""
    packet = Packet(time, data)
    try:
        network(packet, data)
    except (struct.error, IndexError):
        pass
    return packet


def read_upper(packet, protocol, body):
    """The rest of a packet with known addresses, as far as its headers are whole."""
    try:
        upper(packet, protocol, body, len(body))
    except (struct.error, IndexError):
        pass


def network(packet, data):
    version = data[0] >> 4
    packet.ports = packet.fragment = None
    packet.offset = 0
    if version == 4:
        ipv4(packet, data)
    elif version == 6:
        ipv6(packet, data)


def ipv4(packet, data):
    start = (data[0] & 15) * 4
    total, ident, place = struct.unpack_from("!HHH", data, 2)
    packet.source = data[12:16]
    packet.target = data[16:20]
    packet.protocol = data[9]
    if place & 0x3FFF:
        note_fragment(packet, (data[9], ident), (place & 0x1FFF) * 8)
    # A length of 0 is a packet that the device will cut into segments.
    upper(packet, data[9], data[start:total or len(data)], (total or len(data)) - start)


def ipv6(packet, data):
    size = struct.unpack_from("!H", data, 4)[0] or len(data) - 40
    packet.source = data[8:24]
    packet.target = data[24:40]
    packet.protocol = data[6]
    upper(packet, data[6], data[40:40 + size], size)


def note_fragment(packet, ident, offset):
    packet.offset = offset
    packet.fragment = (packet.source, packet.target, ident)


def protect(packet, kind, spi):
    if not packet.protection:
        packet.protection, packet.spi = kind, spi


def note_esp(packet, body, size):
    """A first fragment has no end, nor has a packet that is longer than what the capture keeps."""
    packet.esp, packet.cut = body, bool(packet.fragment) or len(body) < size


def upper(packet, protocol, body, size):
    """Follows the headers to the innermost one that is readable."""
    for _ in range(HEADERS_MAX):
        packet.protocol = protocol
        if packet.offset:
            packet.payload = body
            if protocol == ESP:
                note_esp(packet, body, size)
            return
        if protocol in EXTENSIONS:
            protocol, skip = body[0], (body[1] + 1) * 8
        elif protocol == FRAGMENT:
            place, ident = struct.unpack_from("!HI", body, 2)
            if place & 0xFFF9:
                note_fragment(packet, ident, place & 0xFFF8)
            protocol, skip = body[0], 8
        elif protocol == AH:
            protect(packet, "ah", struct.unpack_from("!I", body, 4)[0])
            protocol, skip = body[0], (body[1] + 2) * 4
        else:
            break
        body, size = body[skip:], size - skip
    if protocol == ESP:
        protect(packet, "esp", struct.unpack_from("!I", body)[0])
        note_esp(packet, body, size)
    elif protocol in (IPIP, IPV6):
        network(packet, body)
    elif protocol in NAMES:
        transport(packet, body, size)


def transport(packet, body, size):
    packet.ports = struct.unpack_from("!HH", body)
    header = {TCP: 20, UDP: 8, SCTP: 12}[packet.protocol]
    if packet.protocol == TCP and len(body) >= header:
        packet.sequence = struct.unpack_from("!I", body, 4)[0]
        packet.flags = body[13]
        header = (body[12] >> 4) * 4
    packet.payload, packet.payload_size = body[header:], max(0, size - header)
    if packet.protocol == UDP and IPSEC_PORT in packet.ports:
        esp_in_udp(packet)


def esp_in_udp(packet):
    """RFC 3948: IKE has a marker of four zero bytes there, a keepalive is one byte 0xff."""
    spi = packet.payload[:4]
    if len(packet.payload) >= 8 and spi != b"\0\0\0\0":
        protect(packet, "esp", struct.unpack("!I", spi)[0])
        note_esp(packet, packet.payload, packet.payload_size)
        packet.ports, packet.payload, packet.payload_size = None, b"", 0
