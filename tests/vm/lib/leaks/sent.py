# SPDX-License-Identifier: BSD-2-Clause
"""What a host sent: packets in clear, and ESP or AH that no other host can decrypt."""
from leaks.capture import FORGER, INNER, LOCAL, WIRE
from leaks.flows import Fragments
from leaks.packet import ICMP, parse


def is_sent(frame):
    """libpcap shows packets of lo once, as incoming ones."""
    return (frame.outgoing != (frame.device == LOCAL) and frame.device != INNER and
            frame.sender != FORGER)


class Sent:
    """The packets that one host sent."""

    def __init__(self, host, run, flows, findings, readable):
        self.host, self.run, self.flows, self.findings = host, run, flows, findings
        self.readable = readable
        self.macs = run.macs[host]
        self.others = set().union(*(sas for other, sas in run.sas.items() if other != host))
        self.spis = {}
        self.saw_protection = False

    def check(self):
        self.check_cable()
        self.check_devices()
        # A host without a flow may forge what it likes.
        if self.flows.of(self.host):
            self.check_protection()

    # ---- captures

    def check_cable(self):
        where, fragments = "wire at " + self.host, Fragments()
        known = set().union(*self.run.macs.values())
        for frame in self.run.frames("wire-" + self.host):
            packet = parse(frame.time, frame.packet)
            self.saw_protection |= bool(packet.protection)
            if frame.sender in self.macs:
                self.check_packet(packet, where, WIRE, fragments)
            # A router's frame. A frame of another host is in the capture of that host's cable.
            elif frame.sender not in known and not packet.protection:
                self.check_text(packet, where, WIRE)
        self.check_fragments(fragments, where, WIRE)

    def check_devices(self):
        """All devices inside the host, but not what its cable has shown."""
        shown = self.macs if "wire-" + self.host in self.run.captures else ()
        fragments = {WIRE: Fragments(), LOCAL: Fragments()}
        for frame in self.run.frames("host-" + self.host):
            packet = parse(frame.time, frame.packet)
            self.saw_protection |= bool(packet.protection)
            if is_sent(frame) and frame.sender not in shown:
                self.check_packet(packet, self.place(frame.device), frame.device,
                                  fragments[frame.device])
        for device, held in fragments.items():
            self.check_fragments(held, self.place(device), device)

    def place(self, device):
        return "%s of %s" % (device, self.host)

    # ---- packets

    def is_protected(self, packet):
        sa = (packet.protection, packet.spi)
        return packet.protection == "esp" or sa in self.others

    def check_packet(self, packet, where, device, fragments):
        later = fragments.takes(packet)
        self.readable.note(self.host, where, packet)
        if packet.protection:
            sa = (packet.protection, packet.spi)
            self.spis[sa] = self.spis.get(sa, 0) + 1
        if self.is_protected(packet) or later:
            return
        flow = self.flows.matching(packet, self.flows.outward, self.host)
        if not flow:
            self.check_text(packet, where, device)
        elif self.is_out(flow, device):
            self.findings.packet("clear", flow, where, packet)

    def is_out(self, flow, device):
        """A flow within one host is on lo, and nowhere else."""
        return device != LOCAL or flow.peer != self.host

    def check_text(self, packet, where, device):
        """True if a text of a flow is in clear."""
        for text, (senders, carriers) in self.flows.texts.items():
            if senders and text in packet.data and not self.is_local(packet, carriers, device):
                self.findings.text("clear", senders[0], where, packet, text)
                return True
        return False

    def is_local(self, packet, carriers, device):
        """On lo are flows within the host, and error messages that quote a packet to its sender."""
        return device == LOCAL and any(
            flow.host == self.host == flow.peer or
            packet.protocol in ICMP and flow.is_end(self.host) for flow in carriers)

    # ---- fragments

    def check_fragments(self, fragments, where, device):
        for packet, first in fragments.pairs():
            if first and self.is_protected(first):
                continue
            flow = self.flows.owner(self.host, packet, first)
            if flow and self.is_out(flow, device):
                self.findings.packet("clear", flow, where, packet)
            elif not flow:
                self.check_text(packet, where, device)

    # ---- SAs

    def check_protection(self):
        if not self.saw_protection:
            self.findings.blind.append("no ESP was seen on the wire at " + self.host)
        for (kind, spi), count in sorted(self.spis.items()):
            if (kind, spi) not in self.others:
                self.findings.leak("unpaired", "-", "SPI 0x%08x of %s" % (spi, self.host), b"",
                                   "%d packets of %s" % (count, kind.upper()))
