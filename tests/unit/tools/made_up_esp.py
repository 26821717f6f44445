# SPDX-License-Identifier: BSD-2-Clause
"""SAs for tests of the leak oracle: their lines in a monitor, and packets that they encrypt.

The AEADs of the library compute the ICV, too; the oracle opens packets block by block without it."""
import hashlib
import hmac
import ipaddress
import struct

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from made_up_packets import ESP, ip, udp

IPIP, IPV6 = 4, 41
ICV = 16


def with_hmac(key, header, text):
    return header + text + hmac.digest(key, header + text, "sha256")[:ICV]


def gcm(key, header, text):
    vector = b"\0\0\0\0\0\0\0\x07"
    return header + vector + AESGCM(key[:16]).encrypt(key[16:20] + vector, text, header)


def chacha(key, header, text):
    vector = b"\0\0\0\0\0\0\0\x07"
    return header + vector + ChaCha20Poly1305(key[:32]).encrypt(key[32:36] + vector, text, header)


def cbc(key, header, text):
    vector = b"\x33" * 16
    encryptor = Cipher(algorithms.AES(key[:32]), modes.CBC(vector)).encryptor()
    return with_hmac(key, header + vector, encryptor.update(text))


def null(key, header, text):
    return with_hmac(key, header, text)


# Words of ip xfrm, the length of the key there, the encryption, the multiple to which it pads.
KINDS = {
    "gcm": ("aead rfc4106(gcm(aes)) %s 128", 20, gcm, 4),
    "chacha": ("aead rfc7539esp(chacha20,poly1305) %s 128", 36, chacha, 4),
    "cbc": ("auth-trunc hmac(sha256) 0x5a5a 128\\\tenc cbc(aes) %s", 32, cbc, 16),
    "null": ("auth-trunc hmac(sha256) 0x5a5a 128\\\tenc ecb(cipher_null) ", 0, null, 4),
    "unknown": ("auth-trunc hmac(sha256) 0x5a5a 128\\\tenc cbc(camellia) %s", 16, null, 4),
}


class SA:
    """Of this SPI; its key follows from SPI and salt."""

    def __init__(self, spi, kind="gcm", mode="transport", salt=b"", selector="0.0.0.0/0 dst 0.0.0.0/0"):
        self.spi, self.mode, self.selector = spi, mode, selector
        self.words, self.size, self.encrypt, self.block = KINDS[kind]
        self.key = (hashlib.sha256(b"%08x" % spi + salt).digest() * 2)[:max(self.size, 32)]

    def line_without_keys(self, protocol="esp"):
        return "src 10.9.0.1 dst 10.9.0.2\\\tproto %s spi 0x%08x reqid 1 mode %s\\\n" % \
            (protocol, self.spi, self.mode)

    def line(self):
        words = self.words
        if "%s" in words:
            words %= "0x" + self.key[:self.size].hex()
        return self.line_without_keys()[:-1] + "\treplay-window 0 \\\t%s\\\tsel src %s \\\n" % \
            (words, self.selector)

    def esp(self, protocol, body):
        pad = -(len(body) + 2) % self.block
        text = body + bytes(range(1, pad + 1)) + bytes((pad, protocol))
        return self.encrypt(self.key, struct.pack("!II", self.spi, 1), text)

    # ---- packets

    def transport(self, packet, place=0):
        """The packet, without extension headers; place: of a fragment."""
        source, target, protocol, body = parts(packet)
        return ip(ESP, self.esp(protocol, body), source, target, place=place)

    def tunnel(self, packet, source, target):
        return ip(ESP, self.esp(IPV6 if packet[0] >> 4 == 6 else IPIP, packet), source, target)

    def in_udp(self, packet):
        source, target, protocol, body = parts(packet)
        return udp(self.esp(protocol, body), source, target, (4500, 4500))


def parts(packet):
    """(source, target, protocol, body)"""
    if packet[0] >> 4 == 6:
        ends, protocol, body = (packet[8:24], packet[24:40]), packet[6], packet[40:]
    else:
        ends, protocol, body = (packet[12:16], packet[16:20]), packet[9], packet[20:]
    return (*(str(ipaddress.ip_address(end)) for end in ends), protocol, body)
