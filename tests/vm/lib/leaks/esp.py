# SPDX-License-Identifier: BSD-2-Clause
"""Keys of SAs, as ip xfrm prints them, and the packet inside ESP that they open (RFC 4303).

The ICV is not checked, since it may include sequence numbers that are not in the packet (ESN). A
wrong key shows in the padding."""
import collections
import ipaddress
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from leaks.packet import AH, ESP, EXTENSIONS, FRAGMENT, ICMP, IPIP, IPV6, PROTOCOLS, Packet, read_upper
from leaks.rundir import SPI

HEADER = 8  # SPI and sequence number
BLOCK = 16
DUMMY = 59
NEXT_HEADERS = {*PROTOCOLS.values(), *EXTENSIONS, *ICMP, AH, DUMMY, ESP, FRAGMENT, IPIP, IPV6}


def counter(key, block, text):
    return Cipher(algorithms.AES(key), modes.CTR(block)).decryptor().update(text)


def gcm(key, vector, text):
    """RFC 4106: the key has a salt behind it. Block 1 is for the ICV."""
    return counter(key[:-4], key[-4:] + vector + struct.pack("!I", 2), text)


def chacha(key, vector, text):
    """RFC 7634: likewise, and block 0 is for the ICV."""
    nonce = struct.pack("<I", 1) + key[-4:] + vector
    return Cipher(algorithms.ChaCha20(key[:-4], nonce), None).decryptor().update(text)


def cbc(key, vector, text):
    """RFC 3602; the last block of a packet that is not whole may be cut."""
    whole = text[:len(text) // BLOCK * BLOCK]
    return Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor().update(whole)


def null(_key, _vector, text):
    return text


# By the kernel's name: bytes of the initialization vector in front of the text, and the decryption.
CIPHERS = {"rfc4106(gcm(aes))": (8, gcm), "rfc7539esp(chacha20,poly1305)": (8, chacha),
           "cbc(aes)": (16, cbc), "ecb(cipher_null)": (0, null)}

# icv: its length; ends: the addresses inside, of a BEET SA.
SA = collections.namedtuple("SA", "spi mode cipher key icv ends")


def key_octets(word):
    return bytes.fromhex(word[2:]) if word.startswith("0x") else None


def addresses(words):
    """Of a selector: sel src 10.9.0.1/32 dst 10.9.0.2/32"""
    return tuple(ipaddress.ip_address(words[at].partition("/")[0]).packed for at in (2, 4))


def sa_of(line, spi):
    """The SA of a line of ip -o xfrm, or None without keys."""
    mode = cipher = key = ends = None
    icv = 0
    for words in map(str.split, line.split("\\")):
        if words[:1] == ["proto"]:
            mode = words[-1]
        elif words[:1] == ["aead"]:
            cipher, key, icv = words[1], key_octets(words[2]), int(words[-1]) // 8
        elif words[:1] == ["enc"]:
            cipher, key = words[1], key_octets((words + ["0x"])[2])
        elif words[:1] == ["auth-trunc"]:
            icv = int(words[-1]) // 8
        elif words[:2] == ["sel", "src"] and mode == "beet":
            ends = addresses(words)
    return SA(spi, mode, cipher, key, icv, ends) if key is not None else None


class Keys:
    """The SAs of all hosts, by their keys: SAs of one SPI may be different ones."""

    def __init__(self, monitors):
        """monitors: by host, the lines of ip -o xfrm."""
        self.sas, self.hosts, self.keyless = {}, {}, {}
        for host, lines in monitors.items():
            for line in lines:
                self.add(host, line)

    def add(self, host, line):
        found = SPI.search(line)
        if not found:
            return
        kind, spi = found[1], int(found[2], 16)
        try:
            sa = sa_of(line, spi)
        except (ValueError, IndexError):
            sa = None  # the last line of a monitor may be torn
        if sa:
            self.sas.setdefault(spi, {})[sa] = None
            self.hosts.setdefault((spi, sa.key), set()).add(host)
        else:
            self.keyless.setdefault((kind, spi), set()).add(host)

    def of(self, spi):
        return list(self.sas.get(spi, ()))

    def knows(self, kind, spi):
        return (kind, spi) in self.keyless or kind == "esp" and spi in self.sas

    def holders(self, kind, spi, sa=None):
        """The hosts that had the SA. A report without keys, such as of its end, adds its host."""
        keyed = self.hosts[spi, sa.key] if sa else set()
        return keyed | self.keyless.get((kind, spi), set())

    def readers(self, kind, spi):
        """The hosts that had an SA, for each SA of the SPI."""
        keyed = self.of(spi) if kind == "esp" else []
        return [self.holders(kind, spi, sa) for sa in keyed + [None]]


def decrypt(sa, body):
    """The text; empty if this cannot be a packet of the SA."""
    size, function = CIPHERS[sa.cipher]
    vector, text = body[HEADER:HEADER + size], body[HEADER + size:]
    try:
        return function(sa.key, vector, text)
    except ValueError:
        return b""


def without_trailer(text):
    """(next header, text) of a plausible packet: padding 1, 2, 3, and a header that is known."""
    if len(text) < 2 or text[-1] not in NEXT_HEADERS:
        return None
    end = len(text) - 2 - text[-2]
    if end < 0 or text[end:-2] != bytes(range(1, text[-2] + 1)):
        return None
    return text[-1], text[:end]


def packet_inside(outer, sa, protocol, text):
    inner = Packet(outer.time, text)
    inner.source, inner.target = sa.ends or (outer.source, outer.target)
    # Of an application's own fragments the kernel encrypts each. Of the kernel's, the first has the header.
    inner.fragment, inner.offset = outer.fragment, outer.offset
    read_upper(inner, protocol, text)
    return inner


def beginnings(outer, sa, text):
    """What a packet may be that is not whole: the next header is at its end."""
    if sa.mode == "tunnel":
        protocols = {4: [IPIP], 6: [IPV6]}.get(text[0] >> 4, []) if text else []
    else:
        protocols = PROTOCOLS.values()
    return [packet_inside(outer, sa, protocol, text) for protocol in protocols]


def opened(outer, sa):
    """The packet inside; several if its next header is missing, none if the SA does not open it."""
    whole = outer.esp[:len(outer.esp) - sa.icv]
    found = without_trailer(decrypt(sa, whole))
    if found:
        return [packet_inside(outer, sa, *found)]
    return beginnings(outer, sa, decrypt(sa, outer.esp)) if outer.cut else []
