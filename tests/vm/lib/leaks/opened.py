# SPDX-License-Identifier: BSD-2-Clause
"""What a host decrypted of flows that do not end there."""
from leaks.capture import INNER
from leaks.flows import Fragments
from leaks.packet import parse


class Opened:
    """The packets that one host decrypted."""

    def __init__(self, host, run, flows, findings):
        self.host, self.run, self.flows, self.findings = host, run, flows, findings

    def check(self):
        fragments = Fragments()
        for frame in self.run.frames("clear-" + self.host):
            packet = parse(frame.time, frame.packet)
            self.flows.note(packet, self.host, self.flows.outward, self.flows.inward)
            if not fragments.takes(packet):
                self.check_packet(packet, self.host)
        for packet, first in fragments.pairs():
            self.check_fragment(packet, first)
        for frame in self.run.frames("host-" + self.host):
            if frame.device == INNER and not frame.outgoing:
                self.check_packet(parse(frame.time, frame.packet), "inner device of " + self.host)

    def check_packet(self, packet, where):
        flow = self.flows.of_packet(packet)
        if flow and not flow.is_end(self.host):
            self.findings.packet("decrypted", flow, where, packet)
        else:
            self.check_text(packet, where)

    def check_text(self, packet, where):
        for text, (_, carriers) in self.flows.texts.items():
            if text in packet.data and not any(flow.is_end(self.host) for flow in carriers):
                self.findings.text("decrypted", carriers[0], where, packet, text)
                return

    def check_fragment(self, packet, first):
        if first:
            flows = [flow for flow in [self.flows.of_packet(first)] if flow]
        else:
            flows = self.flows.between(packet)
        if flows and not any(flow.is_end(self.host) for flow in flows):
            self.findings.packet("decrypted", flows[0], self.host, packet)
        else:
            self.check_text(packet, self.host)
