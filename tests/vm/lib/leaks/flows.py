# SPDX-License-Identifier: BSD-2-Clause
"""The flows of a scenario, and which of them a packet belongs to."""
import ipaddress

from leaks.packet import PROTOCOLS, TCP
from leaks.rundir import Refused

# A first fragment and a later one of the same identification are of one packet.
REASSEMBLY_SECONDS = 30


def ends_of(protocol, laddr, lport, raddr, rport):
    return (protocol, ipaddress.ip_address(laddr).packed, int(lport),
            ipaddress.ip_address(raddr).packed, int(rport))


def mirrored(ends):
    return ends[:1] + ends[3:] + ends[1:3]


class Flow:
    """One end of a flow, as its application registered it."""

    def __init__(self, row, run):
        (self.tag, self.host, self.peer, *ends, self.sends, self.expects, protocol) = row
        if protocol not in PROTOCOLS:
            raise Refused("flow %s: unknown protocol '%s'" % (self.tag, protocol))
        self.protocol = PROTOCOLS[protocol]
        self.out = ends_of(self.protocol, *ends)
        self.events = [line.split() for line in run.lines("apps/%s.events" % self.tag)]
        self.tuples = [self.out]

    def __str__(self):
        return "%s (%s to %s)" % (self.tag, self.host, self.peer)

    def is_end(self, host):
        return host in (self.host, self.peer)

    def first_time(self, word):
        return next((float(event[0]) for event in self.events if event[1] == word), None)

    @property
    def begin(self):
        return self.first_time("connected") or float("-inf")

    @property
    def end(self):
        """When the flow's application wrote its last event."""
        last = self.events[-1] if self.events else ()
        return float(last[0]) if "end" in last[1:2] else float("inf")


class Flows:
    def __init__(self, run):
        self.all = [Flow(row, run) for row in run.rows("apps/flows", 10)]
        by_tag = {flow.tag: flow for flow in self.all}
        if len(by_tag) < len(self.all):
            raise Refused("apps/flows: two flows of one tag")
        for tag, *ends in run.rows("apps/aliases", 5):
            if tag not in by_tag:
                raise Refused("apps/aliases: no flow has the tag " + tag)
            by_tag[tag].tuples.append(ends_of(by_tag[tag].protocol, *ends))
        self.outward, self.inward, self.pairs = {}, {}, {}
        self.seen = set()
        for flow in self.all:
            for ends in flow.tuples:
                self.outward.setdefault(ends, []).append(flow)
                self.inward.setdefault(mirrored(ends), []).append(flow)
                self.pairs.setdefault((ends[0], ends[1], ends[3]), []).append(flow)
                self.pairs.setdefault((ends[0], ends[3], ends[1]), []).append(flow)
        self.texts = self.find_texts()

    def of(self, host):
        return [flow for flow in self.all if flow.host == host]

    def find_texts(self):
        """Of each text: the flows that send it, and the flows with ends that may see it."""
        found = {}
        for flow in self.all:
            for text, sends in ((flow.sends, True), (flow.expects, False)):
                if text == "-":
                    continue
                senders, carriers = found.setdefault(text.encode(), ([], []))
                carriers.append(flow)
                if sends:
                    senders.append(flow)
        return found

    def matching(self, packet, table, host=None):
        """The flow of the packet's addresses and ports: of several, the one that began last."""
        found = [flow for flow in table.get(packet.tuple, ()) if host in (None, flow.host)]
        begun = [flow for flow in found if flow.begin <= packet.time]
        return max(begun, key=lambda flow: flow.begin) if begun else next(iter(found), None)

    def of_packet(self, packet):
        """The sender's end first: the sender leaks."""
        return self.matching(packet, self.outward) or self.matching(packet, self.inward)

    def owner(self, host, packet, first):
        """The host's flow of a packet that it sent; first: the packet itself or, of a later
        fragment, its first fragment or None."""
        if first:
            return self.matching(first, self.outward, host)
        return next((flow for flow in self.between(packet) if flow.host == host), None)

    def mirror(self, flow):
        """The flow's other end, as registered; a NAT may have changed the address."""
        for other in self.all:
            if (other.host, other.peer, other.protocol) == (flow.peer, flow.host, flow.protocol) \
                    and (other.out[2], other.out[4]) == (flow.out[4], flow.out[2]):
                return other
        return None

    def note(self, packet, host, *tables):
        """A packet inside IPsec was seen at this host."""
        for table in tables:
            self.seen.update(flow.tag for flow in table.get(packet.tuple, ()) if flow.host == host)

    def note_datagram(self, packet, host):
        """Of a flow that need not be answered, it is enough that the host sends inside IPsec."""
        if packet.protocol != TCP:
            self.note(packet, host, self.outward)

    def between(self, packet):
        """The flows between the packet's addresses, of its protocol."""
        return self.pairs.get((packet.protocol, packet.source, packet.target), ())


class Fragments:
    """Later fragments have no ports: they wait until all first fragments are known."""

    def __init__(self):
        self.firsts, self.later = {}, []

    def takes(self, packet):
        """True if it is a later fragment. A first one is noted."""
        if packet.offset:
            self.later.append(packet)
        elif packet.fragment:
            self.firsts.setdefault(packet.fragment, []).append(packet)
        return packet.offset > 0

    def pairs(self):
        """Each later fragment, and the first fragment of its packet or None."""
        return [(packet, self.first_of(packet)) for packet in self.later]

    def first_of(self, packet):
        near = [first for first in self.firsts.get(packet.fragment, ())
                if abs(first.time - packet.time) <= REASSEMBLY_SECONDS]
        return min(near, key=lambda first: abs(first.time - packet.time), default=None)
