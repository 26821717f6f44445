# SPDX-License-Identifier: BSD-2-Clause
"""A hub with fifty clients, each with an identity and a key of its own.

    W 10.9.0.1 ===== transport mode ===== 10.9.1.1, client1.example   \\
               ===== transport mode ===== 10.9.1.2, client2.example    C, one charon
               ===== ...                                              /

The clients are addresses of one host, which saves memory: for the hub they are fifty peers.
"""
from network import Network
from node import Node, Tunnel, child, connection
from traffic import Datagrams, Echo, Requests, Stream

PORT, CLIENTS, TALKERS = 7000, 50, 5


def network():
    w, c = Node("w", "10.9.0.1"), Node("c", "10.9.0.2")
    numbers = range(1, CLIENTS + 1)
    for number in numbers:
        connect(w, c, number)
    return Network([w, c], [Tunnel(c, w, name(number)) for number in numbers], list(parts(w, c, numbers)),
                   latched=2 * CLIENTS, addresses={c: [address(number) for number in numbers]},
                   setup=routes)


def name(number):
    return f"client{number}"


def address(number):
    return f"10.9.1.{number}"


def connect(w, c, number):
    ends = {"w": ("w.example", w.address), "c": (f"{name(number)}.example", address(number))}
    for node, here, there in ((w, "w", "c"), (c, "c", "w")):
        node.connections[name(number)] = connection(
            node, node, {name(number): child(mode="transport", start_action="trap")},
            local_addrs=ends[here][1], remote_addrs=ends[there][1],
            local={"auth": "psk", "id": ends[here][0]}, remote={"auth": "psk", "id": ends[there][0]})
        node.configuration["secrets"][f"ike-{number}"] = {
            "id": f"{name(number)}.example", "secret": f'"secret of {number}"'}


def routes(network):
    w, c = network.nodes
    w.ip(f"route add 10.9.1.0/24 via {c.address}")


def parts(w, c, numbers):
    yield Echo(w, PORT)
    for number in numbers:
        yield stream(w, c, number)
    for number in list(numbers)[:TALKERS]:
        yield Requests(f"requests {number}", c, w.address, PORT, local=address(number))
    yield Datagrams("udp", c, w.address, PORT)


def stream(w, c, number):
    return Stream(f"stream {number}", lambda: c.connected(w.address, PORT, local=address(number)),
                  interval=1)
