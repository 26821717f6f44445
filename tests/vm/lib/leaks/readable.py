# SPDX-License-Identifier: BSD-2-Clause
"""What a host sent of its flows under an SA of a host that is no end of them.

That host has the keys, although its kernel may drop the packet: IKE gives both ends the keys, and one
of them installs the SA first."""
from leaks.esp import CIPHERS, Keys, opened
from leaks.flows import Fragments


def sa_of(packet):
    """(protocol, SPI): ESP decides, within AH, too."""
    if packet.esp:
        return "esp", int.from_bytes(packet.esp[:4], "big")
    return packet.protection, packet.spi


def is_leak(flow, readers):
    return flow.peer not in readers and bool(readers - {flow.host})


class Readable:
    """Opens only the packets under SPIs that a flow's peer does not have: most have none."""

    def __init__(self, run, flows, findings):
        self.flows, self.findings = flows, findings
        self.keys = Keys({host: run.lines("xfrm-%s.monitor" % host) for host in run.macs})
        self.unshared, self.fragments, self.found, self.closed = {}, {}, [], {}

    # ---- while the captures are read

    def note(self, host, where, packet):
        """The host sent a packet."""
        sa = sa_of(packet)
        if not sa[0] or not self.keys.knows(*sa):
            return
        if (host, sa) not in self.unshared:
            self.unshared[host, sa] = self.is_unshared(host, sa)
        if self.unshared[host, sa]:
            self.open(host, packet, self.fragments.setdefault((host, where), Fragments()))

    def is_unshared(self, host, sa):
        return any(is_leak(flow, readers) for readers in self.keys.readers(*sa)
                   for flow in self.flows.of(host))

    def open(self, host, packet, fragments):
        found = self.innermost(host, packet)
        if len(found) > 1:
            # One packet, and several guesses: the right one is of a flow, or none is.
            found = [inner for inner in found if self.flows.owner(host, inner, inner)] or found[:1]
        for inner in found:
            if not fragments.takes(inner):
                self.check_packet(host, inner, inner)

    def innermost(self, host, packet, readers=None):
        """Each packet that may be inside, with its readers: the hosts that have the keys."""
        kind, spi = sa_of(packet)
        if not packet.esp:
            packet.readers = self.keys.holders(kind, spi) if readers is None else readers
            return [packet]
        inside = [(inner, self.keys.holders(kind, spi, sa)) for sa in self.keys.of(spi)
                  if sa.cipher in CIPHERS for inner in opened(packet, sa)]
        if not inside:
            self.note_closed(host, spi)
        # Of ESP within ESP a host needs all keys.
        return [found for inner, holders in inside for found in
                self.innermost(host, inner, holders if readers is None else holders & readers)]

    def check_packet(self, host, packet, first):
        flow = self.flows.owner(host, packet, first)
        if flow and is_leak(flow, packet.readers):
            self.found.append((self.findings.packet, flow, packet.readers - {host}, packet))
        else:
            self.check_text(packet, packet.readers - {host})

    def check_text(self, packet, others):
        for text, (_, carriers) in self.flows.texts.items():
            if others and text in packet.data and \
                    not any(flow.is_end(other) for flow in carriers for other in others):
                self.found.append((self.findings.text, carriers[0], others, packet, text))
                return

    def note_closed(self, host, spi):
        unknown = [sa.cipher for sa in self.keys.of(spi) if sa.cipher not in CIPHERS]
        if unknown:
            why = "ESP with %s, which the oracle cannot open" % unknown[0]
        elif self.keys.of(spi):
            why = "ESP under SPI 0x%08x, which its keys do not open" % spi
        elif self.keys.knows("esp", spi):
            why = "ESP under SPI 0x%08x, of which no keys were seen" % spi
        else:
            return
        self.closed.setdefault(why, host)

    # ---- when all of them are read

    def check(self):
        for (host, _), fragments in self.fragments.items():
            for packet, first in fragments.pairs():
                self.check_packet(host, packet, first)
        for add, flow, others, *what in self.found:
            # What a kernel decrypted is a finding already.
            if not self.findings.has("decrypted", flow):
                add("readable", flow, ", ".join(sorted(others)), *what)
        self.findings.blind += ["%s sent %s" % (host, why) for why, host in self.closed.items()]
