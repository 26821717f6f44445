# SPDX-License-Identifier: BSD-2-Clause
"""Packets and frames for tests of the leak oracle, which has a parser of its own."""
import ipaddress
import struct

MAC = {"w": "020000090001", "c": "020000090002", "d": "020000090003", "router": "0200000900ff", "forger": "020000666666",
       "none": "000000000000"}
W4, C4, W6, C6 = "10.9.0.1", "10.9.0.2", "fd09::1", "fd09::2"
W_PORT, C_PORT = 7000, 40000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
HOP_BY_HOP, ROUTING, FRAGMENT, AH, DESTINATION = 0, 43, 44, 51, 60
TCP, UDP, ESP, SCTP, ICMP = 6, 17, 50, 132, 1
ETHER, LOOPBACK, NONE = 1, 772, 65534
SPI_WC, SPI_CW, SPI_WD, SPI_STRAY = 0xC0000001, 0xC0000002, 0xC0000003, 0xC00000FF


def ip(protocol, body, source=W4, target=C4, ident=1, place=0):
    """place: the field of flags and offset of a fragment; of IPv6 the caller adds the header."""
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    if ":" in source:
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + ends + body
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), ident, place, 64, protocol, 0) + \
        ends + body


def tcp_body(flags, payload=b"", ports=(W_PORT, C_PORT), sequence=1):
    return struct.pack("!HHIIBBHHH", *ports, sequence, 1, 5 << 4, flags, 1000, 0, 0) + payload


def tcp(flags, payload=b"", source=W4, target=C4, ports=(W_PORT, C_PORT), sequence=1):
    return ip(TCP, tcp_body(flags, payload, ports, sequence), source, target)


def udp_body(payload, ports=(W_PORT, C_PORT)):
    return struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload


def udp(payload, source=W4, target=C4, ports=(W_PORT, C_PORT)):
    return ip(UDP, udp_body(payload, ports), source, target)


def sctp(payload, source=W4, target=C4, ports=(W_PORT, C_PORT)):
    chunk = struct.pack("!BBHIHHI", 0, 3, 16 + len(payload), 1, 0, 0, 0) + payload
    return ip(SCTP, struct.pack("!HHII", *ports, 1, 0) + chunk, source, target)


def esp(source=W4, target=C4, spi=SPI_WC):
    return ip(ESP, struct.pack("!II", spi, 1) + b"\x5a" * 32, source, target)


def esp_in_udp(source=W4, target=C4, spi=SPI_WC, ports=(4500, 4500)):
    return udp(struct.pack("!II", spi, 1) + b"\x5a" * 32, source, target, ports)


def ike(source=W4, target=C4):
    return udp(b"\0\0\0\0" + b"\x11" * 28, source, target, (4500, 4500))


def keepalive(source=W4, target=C4):
    return udp(b"\xff", source, target, (4500, 4500))


def ah_header(following, spi):
    return struct.pack("!BBHII", following, 4, 0, spi, 1) + b"\x5a" * 12


def extension(following):
    """Of hop-by-hop, routing and destination options: eight bytes, all of them padding."""
    return struct.pack("!BB", following, 0) + b"\1\4\0\0\0\0"


def fragment_header(following, offset, more, ident=1):
    return struct.pack("!BBHI", following, 0, offset | more, ident)


def to_client(flags, payload=b"", sequence=1):
    return tcp(flags, payload, sequence=sequence)


def to_server(flags, payload=b"", sequence=1):
    return tcp(flags, payload, C4, W4, (C_PORT, W_PORT), sequence)


def ethertype(packet):
    return b"\x86\xdd" if packet[0] >> 4 == 6 else b"\x08\x00"


def cable(sender, packet):
    return bytes.fromhex("ffffffffffff" + MAC[sender]) + ethertype(packet) + packet


def tagged(sender, packet):
    """In VLAN 5."""
    frame = cable(sender, packet)
    return frame[:12] + b"\x81\x00\x00\x05" + frame[12:]


def cooked(sender, packet, hardware, outgoing):
    address = bytes.fromhex(MAC[sender]) + b"\0\0"
    return ethertype(packet) + struct.pack("!HIHBB", 0, 2, hardware, 4 if outgoing else 0, 6) + \
        address + packet


def nflog(packet):
    """As nflog hands it over: a header and attributes, the payload last."""
    mark = struct.pack("=HHI", 8, 2, 0)
    return b"\2\0\0\5" + mark + struct.pack("=HH", 4 + len(packet), 9) + packet
