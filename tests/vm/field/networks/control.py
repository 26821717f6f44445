# SPDX-License-Identifier: BSD-2-Clause
"""The comparison sees a connection that latchd breaks.

    W 10.9.0.1 ===== transport mode ===== C 10.9.0.2
       streams of C's ports 7001 and 7002; latchd closes the latch of the first
"""
from checks import expect, run
from disturbances import calm
from node import Node, transport
from traffic import Echo, Stream

PORT, CLOSED_PORT = 7000, 7001


def network():
    from network import Network
    w, c = Node("w", "10.9.0.1"), Node("c", "10.9.0.2")
    return Network([w, c], [transport(c, w)],
                   [Echo(w, PORT), Stream("closed", lambda: c.connected(w.address, PORT, CLOSED_PORT)),
                    Stream("other", lambda: c.connected(w.address, PORT))],
                   latched=4, phases=(("calm", calm), ("close", close)))


def close(network):
    if network.latchd:
        latch = next(each for each in network.latches() if each["local"]["port"] == CLOSED_PORT)
        run(f"{network.latchd.latchctl} close {latch['id']}")


def conclude(faults):
    print("\n".join(faults))
    expect(any(fault.startswith("control closed: 1 broken connections with latchd, 0 without")
               for fault in faults), "the comparison finds the connection that latchd has broken")
    expect(not any("other" in fault for fault in faults), "it finds no fault of the other connection")
