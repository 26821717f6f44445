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
        self.doubtful, self.noted, self.closed = {}, {}, {}

    # ---- while the captures are read

    def note(self, host, where, packet):
        """The host sent a packet."""
        sa = sa_of(packet)
        if sa[0] and self.keys.knows(*sa):
            if (host, sa) not in self.doubtful:
                self.doubtful[host, sa] = self.is_doubtful(host, sa)
            if self.doubtful[host, sa]:
                self.noted.setdefault((host, where), []).append(packet)

    def is_doubtful(self, host, sa):
        return any(is_leak(flow, readers) for readers in self.keys.readers(*sa)
                   for flow in self.flows.of(host))

    # ---- when all of them are read

    def check(self):
        for (host, _), packets in self.noted.items():
            fragments = Fragments()
            for packet in packets:
                for inner, readers in self.innermost(host, packet):
                    inner.readers = readers
                    if not fragments.takes(inner):
                        self.check_packet(host, inner, inner)
            for inner, first in fragments.pairs():
                self.check_packet(host, inner, first)
        self.report_closed()

    def innermost(self, host, packet, readers=None):
        """(packet, hosts that can read it), of each packet that may be inside."""
        kind, spi = sa_of(packet)
        if not packet.esp:
            return [(packet, readers or self.keys.holders(kind, spi))]
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
            self.report(flow, packet.readers - {host}, self.findings.packet, packet)
        else:
            self.check_text(packet, packet.readers - {host})

    def check_text(self, packet, others):
        for text, (_, carriers) in self.flows.texts.items():
            if others and text in packet.data and \
                    not any(flow.is_end(other) for flow in carriers for other in others):
                self.report(carriers[0], others, self.findings.text, packet, text)
                return

    def report(self, flow, others, add, *found):
        """A packet that a kernel decrypted is a finding of its own."""
        if not self.findings.has("decrypted", flow):
            add("readable", flow, ", ".join(sorted(others)), *found)

    # ---- what was not opened

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

    def report_closed(self):
        for why, host in self.closed.items():
            self.findings.blind.append("%s sent %s" % (host, why))
