# SPDX-License-Identifier: BSD-2-Clause
"""What the oracle has found."""
import re

from leaks.packet import ACK, RST, TCP

# An application is informed of its socket's end a moment after the kernel.
REPORT_SECONDS = 1.0
TEXT_MAX = 400


def printable(data):
    return re.sub(r"[^ -~]", ".", data.decode("latin-1"))


def is_after_end(flow, packet):
    """Is this the RST of a kernel that has no socket any more?"""
    if packet.offset or packet.protocol != TCP or packet.payload or not packet.flags & RST:
        return False
    # With an ACK it may be the socket's own last packet.
    grace = 0 if packet.flags & ACK else REPORT_SECONDS
    return packet.time >= flow.end - grace


class Findings:
    def __init__(self, blind):
        self.blind = blind
        self.leaks, self.after_end = {}, {}

    def leak(self, kind, flow, where, data, what):
        found = self.leaks.setdefault((kind, str(flow), where), {
            "kind": kind, "flow": str(flow), "where": where, "packets": 0, "bytes": 0,
            "first": what, "text": ""})
        found["packets"] += 1
        found["bytes"] += len(data)
        if len(found["text"]) < TEXT_MAX:
            found["text"] += printable(data)

    def has(self, kind, flow):
        return any(found[:2] == (kind, str(flow)) for found in self.leaks)

    def packet(self, kind, flow, where, packet):
        """A packet of a flow is where it must not be."""
        if is_after_end(flow, packet):
            self.after_end[flow.tag] = self.after_end.get(flow.tag, 0) + 1
        else:
            self.leak(kind, flow, where, packet.payload, str(packet))

    def text(self, kind, flow, where, packet, text):
        self.leak(kind, flow, where, packet.data[packet.data.find(text):],
                  "text of the flow in " + str(packet))
