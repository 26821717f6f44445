# SPDX-License-Identifier: BSD-2-Clause
"""Clients with virtual addresses, authenticated by EAP-MSCHAPv2, at a gateway with a certificate.

    W 10.9.0.1, inside 10.8.0.1 ===== C 10.9.0.2, carol, 10.7.0.1
                                ===== D 10.9.0.3, dave, 10.7.0.2

The gateway is also the server: its connections are latched to carol and dave. EAP-MSCHAPv2 proves
their identities (eap-identities). One client opens connections all the time.
"""
from network import Network
from node import Node, Tunnel, child, connection
from traffic import Datagrams, Echo, Requests, Stream

PLUGINS = "eap-identity eap-mschapv2"
INSIDE, PORT = "10.8.0.1", 7000
USERS = {"c": "carol", "d": "dave"}
# A pool of its own for each: leases are lost when the gateway's charon restarts.
ADDRESSES = {"c": "10.7.0.1", "d": "10.7.0.2"}


def network():
    w, *clients = [Node(name, f"10.9.0.{number}", PLUGINS) for number, name in enumerate("wcd", 1)]
    for each in clients:
        serve(w, each)
        client(each, w)
    secrets(w, USERS.values())
    return Network([w, *clients], [Tunnel(each, w, each.name) for each in clients], list(parts(w, clients)),
                   latched=4, feed="eap-identities = peer\n", addresses={w: [INSIDE]})


def serve(w, node):
    address = ADDRESSES[node.name]
    w.connections[node.name] = connection(
        w, node, {node.name: child(local_ts=f"{INSIDE}/32")}, pools=node.name, send_cert="always",
        remote={"auth": "eap-mschapv2", "eap_id": "%any"})
    w.configuration["pools"][node.name] = {"addrs": f"{address}-{address}"}


def client(node, w):
    node.connections[node.name] = connection(
        node, w, {node.name: child(remote_ts=f"{INSIDE}/32", start_action="start", close_action="start")},
        vips="0.0.0.0", keyingtries="0",
        local={"auth": "eap-mschapv2", "id": f"{node.name}.example", "eap_id": USERS[node.name]})
    secrets(node, [USERS[node.name]])


def secrets(node, users):
    for user in users:
        node.configuration["secrets"][f"eap-{user}"] = {"id": user, "secret": f'"secret of {user}"'}


def parts(w, clients):
    yield Echo(w, PORT, INSIDE)
    for each in clients:
        yield stream(each)
    c = clients[0]
    yield Requests("requests c", c, INSIDE, PORT)
    yield Datagrams("udp c", c, INSIDE, PORT)


def stream(node):
    return Stream(f"stream {node.name}", lambda: node.connected(INSIDE, PORT))
