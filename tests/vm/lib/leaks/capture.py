# SPDX-License-Identifier: BSD-2-Clause
"""Frames of a pcap file: the IP packet, and what its link layer says of it."""
import struct

LINKTYPE_ETHERNET, LINKTYPE_NFLOG, LINKTYPE_SLL2 = 1, 239, 276
MAGIC = {b"\xd4\xc3\xb2\xa1": ("<", 1e6), b"\xa1\xb2\xc3\xd4": (">", 1e6),
         b"\x4d\x3c\xb2\xa1": ("<", 1e9), b"\xa1\xb2\x3c\x4d": (">", 1e9)}
ETHERTYPE_IP = (0x0800, 0x86DD)
ETHERTYPE_VLAN = (0x8100, 0x88A8)
SLL2_HEADER = struct.Struct("!HHIHBB8s")
SLL2_OUTGOING = 4
ARPHRD_ETHER, ARPHRD_LOOPBACK = 1, 772
NFLOG_HEADER, NFLOG_PAYLOAD = 4, 9
# A device of any other type carries packets before their encryption and after their decryption.
WIRE, LOCAL, INNER = "wire", "lo", "inner device"
# The sender of frames that a scenario forges in a host's namespace: they are no packets of that host.
FORGER = "02:00:00:66:66:66"


class Broken(Exception):
    """The file does not hold all that was captured."""


class Frame:
    def __init__(self, time, packet, device=WIRE, sender=None, outgoing=False):
        self.time, self.packet, self.device = time, packet, device
        self.sender, self.outgoing = sender, outgoing


def mac_text(octets):
    return ":".join("%02x" % octet for octet in octets)


def ethernet(time, frame):
    if len(frame) < 14:
        return None
    at = 12
    kind, = struct.unpack_from("!H", frame, at)
    while kind in ETHERTYPE_VLAN and len(frame) >= at + 6:
        at += 4
        kind, = struct.unpack_from("!H", frame, at)
    if kind not in ETHERTYPE_IP:
        return None
    return Frame(time, frame[at + 2:], sender=mac_text(frame[6:12]))


def cooked(time, frame):
    """LINUX_SLL2, of a capture on all devices."""
    if len(frame) < SLL2_HEADER.size:
        return None
    kind, _, _, hardware, way, length, sender = SLL2_HEADER.unpack_from(frame)
    if kind not in ETHERTYPE_IP:
        return None
    device = {ARPHRD_ETHER: WIRE, ARPHRD_LOOPBACK: LOCAL}.get(hardware, INNER)
    return Frame(time, frame[SLL2_HEADER.size:], device, mac_text(sender[:length]),
                 way == SLL2_OUTGOING)


def nflog(time, frame):
    at = NFLOG_HEADER
    while at + 4 <= len(frame):
        length, kind = struct.unpack_from("=HH", frame, at)
        if length < 4:
            return None
        if kind & 0x7FFF == NFLOG_PAYLOAD:
            return Frame(time, frame[at + 4:at + length])
        at += (length + 3) & ~3
    return None


READERS = {LINKTYPE_ETHERNET: ethernet, LINKTYPE_SLL2: cooked, LINKTYPE_NFLOG: nflog}


def records(file, order, fraction):
    while True:
        head = file.read(16)
        if not head:
            return
        if len(head) < 16:
            raise Broken("ends within a packet")
        seconds, part, length, _ = struct.unpack(order + "IIII", head)
        data = file.read(length)
        if len(data) < length:
            raise Broken("ends within a packet")
        yield seconds + part / fraction, data


def frames(path):
    """Yields each IP packet of the file; Broken if the file is not whole."""
    try:
        file = open(path, "rb")
    except FileNotFoundError as error:
        raise Broken("does not exist") from error
    with file:
        head = file.read(24)
        if len(head) < 24 or head[:4] not in MAGIC:
            raise Broken("is no capture")
        order, fraction = MAGIC[head[:4]]
        linktype = struct.unpack(order + "I", head[20:24])[0] & 0xFFFF
        if linktype not in READERS:
            raise Broken("has the unknown link type %d" % linktype)
        for time, data in records(file, order, fraction):
            frame = READERS[linktype](time, data)
            if frame and frame.packet:
                yield frame
