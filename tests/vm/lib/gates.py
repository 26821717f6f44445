# SPDX-License-Identifier: BSD-2-Clause
"""One gate at a time: that of one host, in one direction.

    W ==[out]== device ---- wire ---- device ==[in]== C

The table of drops counts the packets of all hosts, and C's gate drops most of what W's gate must
not let out, for the same reason. So a test changes what one gate alone decides by, and a tap shows
on which side of the wire the packet ended:

    Gate(W, "out")   no packet leaves W's devices
    Gate(C, "in")    the packet comes to C's device, and no byte of it is delivered
"""
from abi import LATCH_SA_PENDING
from checks import expect, until
from host import received
from maps import Latch, Sa, dropped
from wire import Crossing

WAYS = ("out", "in")


class Gate:
    def __init__(self, host, way, *devices):
        self.host, self.way, self.devices = host, way, devices

    def sas(self):
        """The SAs by which this gate decides; the peer host has records of its own."""
        cookie, own = self.host.cookie(), self.host.addresses()
        return [sa for sa in Sa.all()
                if sa.netns == cookie and (sa.source in own) == (self.way == "out")]

    def bind(self, params):
        for sa in self.sas():
            sa.bind(params)

    def unattribute(self):
        for sa in self.sas():
            sa.store(state=LATCH_SA_PENDING, params=0)

    def forget(self):
        """Empties its part of the table without the programs' knowledge; returns what was in it."""
        found = self.sas()
        for sa in found:
            sa.forget()
        return found

    def drops(self, reason):
        return dropped(reason)[WAYS.index(self.way)]

    def crossing(self):
        """What crosses this host's devices in the direction of the gate."""
        return Crossing(self.host, self.way, self.devices)


def drops_at(host, local_port, remote_port):
    """Drops that the latches of this flow have counted, at this host; None without a latch."""
    cookie = host.cookie()
    found = [latch.drops for latch in Latch.all()
             if (latch.netns, latch.local_port, latch.remote_port) == (cookie, local_port, remote_port)]
    return sum(found) if found else None


class Account:
    """Drops of a flow for one reason: by the gate's latch, and by any other gate."""

    def __init__(self, gate, sender, receiver, reason):
        ports = sender.getsockname()[1], receiver.getsockname()[1]
        here = ports if gate.way == "out" else ports[::-1]
        ways = dropped(reason)
        self.counted, self.other_way = ways if gate.way == "out" else ways[::-1]
        self.latch, self.other_latch = drops_at(gate.host, *here), drops_at(gate.host.peer, *here[::-1])


def stops_at(gate, sender, receiver, text, reason, what, alone=True):
    """This gate drops the stream's text for this reason, again and again; no other gate meets it.

    alone: nothing else is dropped meanwhile.
    """
    wire, leaving = gate.crossing(), gate.way == "out"
    before = Account(gate, sender, receiver, reason)
    sender.send(text)

    def is_dropped():
        leak = wire.so_far() if leaving else received(receiver)
        if leak:
            expect(False, f"{what}: {leak} {'left' if leaving else 'was delivered at'} {gate.host.name}")
        now = Account(gate, sender, receiver, reason)
        return now.counted >= before.counted + 2 and now.latch >= before.latch + 2

    until(is_dropped, what)
    after = Account(gate, sender, receiver, reason)
    if leaving:
        expect(not wire.so_far(), f"{what}: nothing left {gate.host.name}")
    else:
        expect(wire.so_far(), f"it came to the device of {gate.host.name}")
    expect(received(receiver) == b"", f"{what}: no byte of it arrived")
    expect(after.other_latch == before.other_latch and (not alone or after.other_way == before.other_way),
           "no other gate dropped any of it")
