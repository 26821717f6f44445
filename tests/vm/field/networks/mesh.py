# SPDX-License-Identifier: BSD-2-Clause
"""Four hosts, each with an SA pair in transport mode to each other one.

    W 10.9.0.1 ======== C 10.9.0.2
        ||   \\\\     //   ||
        ||     \\\\ //     ||        every host serves port 7000, and has a stream to each host
        ||     // \\\\     ||        that comes after it in w, c, d, e
        ||   //     \\\\   ||
    D 10.9.0.3 ======== E 10.9.0.4
"""
import itertools

from network import Network
from node import Node, transport
from traffic import Datagrams, Echo, Requests, Stream

PORT = 7000


def network():
    nodes = [Node(name, f"10.9.0.{number}") for number, name in enumerate("wcde", 1)]
    pairs = list(itertools.combinations(nodes, 2))
    return Network(nodes, [transport(here, there) for here, there in pairs], list(parts(nodes, pairs)),
                   latched=2 * len(pairs))


def parts(nodes, pairs):
    for node in nodes:
        yield Echo(node, PORT)
    for here, there in pairs:
        yield stream(here, there)
    for here, there in zip(nodes, nodes[1:] + nodes[:1]):
        yield Requests(f"requests {here.name}-{there.name}", here, there.address, PORT)
        yield Datagrams(f"udp {here.name}-{there.name}", here, there.address, PORT)


def stream(here, there):
    return Stream(f"stream {here.name}-{there.name}", lambda: here.connected(there.address, PORT))
