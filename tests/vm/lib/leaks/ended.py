# SPDX-License-Identifier: BSD-2-Clause
"""Which packet ended a flow, and whether the true peer encrypted it."""
from leaks.capture import LOCAL
from leaks.packet import FIN, RST, TCP, parse

# The events of an application have milliseconds. A packet of NFLOG has the time at which the
# capture read it, which on a busy machine is later than what it caused.
EVENT_SECONDS = 0.001
NFLOG_SECONDS = 0.25
# Errors that only a segment from the network raises.
NETWORK_ERRORS = ("ECONNRESET", "ECONNREFUSED", "EPIPE")


def key(packet):
    """What decides whether a socket takes a RST or FIN. Segmentation changes its first byte, not
    its end."""
    end = (packet.sequence + packet.payload_size) & 0xFFFFFFFF
    return packet.ports, end, packet.flags & (RST | FIN)


def closes(packet):
    return packet.protocol == TCP and packet.ports and packet.flags & (RST | FIN)


class Ended:
    def __init__(self, run, flows, findings):
        self.run, self.flows, self.findings = run, flows, findings
        self.arrived = {host: self.arrivals(host) for host in run.macs}
        self.sealed = {host: self.encrypted(host) for host in run.macs}

    def arrivals(self, host):
        """(time of its earliest effect, packet) of the RST and FIN that came to the host, in clear or decrypted."""
        found = []
        for name, delay in (("wire-", EVENT_SECONDS), ("host-", EVENT_SECONDS), ("clear-", NFLOG_SECONDS)):
            for frame in self.run.frames(name + host):
                packet = parse(frame.time, frame.packet)
                own = frame.outgoing or frame.sender in self.run.macs[host]
                if closes(packet) and not own and frame.device != LOCAL:
                    found.append((packet.time - delay, packet))
        return found

    def encrypted(self, host):
        """The keys of those that the host encrypted."""
        found = set()
        for frame in self.run.frames("sealed-" + host):
            packet = parse(frame.time, frame.packet)
            self.flows.note_datagram(packet, host)
            if closes(packet):
                found.add(key(packet))
        return found

    def check(self, flow):
        if flow.protocol != TCP:
            return
        for event in flow.events:
            if event[1:3] == ["error", "stream"] and event[3] in NETWORK_ERRORS:
                self.find_cause(flow, float(event[0]), RST, event[3])
            elif event[1] == "eof":
                self.find_cause(flow, float(event[0]), FIN, "eof")

    def find_cause(self, flow, time, flag, effect):
        causes = [packet for earliest, packet in self.arrived[flow.host]
                  if packet.flags & flag and earliest <= time and
                  flow in self.flows.inward.get(packet.tuple, ())]
        if any(key(packet) in self.sealed.get(flow.peer, ()) for packet in causes):
            return
        if causes:
            self.findings.leak("injected", flow, "application " + flow.tag, b"",
                               "%s by %s, which %s did not encrypt" %
                               (effect, causes[-1], flow.peer))
        elif effect != "EPIPE":
            self.findings.blind.append("no captured packet explains the %s of %s" % (effect, flow))
