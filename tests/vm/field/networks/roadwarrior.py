# SPDX-License-Identifier: BSD-2-Clause
"""Clients with virtual addresses, authenticated by EAP-MSCHAPv2, at a gateway with a certificate.

    W 10.9.0.1, inside 10.8.0.1 ===== C 10.9.0.2, carol, 10.7.0.1
                                ===== D 10.9.0.3, dave, 10.7.0.2

The gateway is also the server: its connections are latched to carol and dave. EAP-MSCHAPv2 proves
their identities (eap-identities). Carol opens connections all the time, and moves to another address
(MOBIKE). Dave's host sleeps until W's charon has given it up; then it connects again. A rule keeps his
latches meanwhile.
"""
import vici
from disturbances import ALL
from network import Network, batch
from node import Node, Tunnel, child, connection, wait_for
from traffic import Datagrams, Echo, Requests, Stream

PLUGINS = "eap-identity eap-mschapv2"
INSIDE, PORT = "10.8.0.1", 7000
USERS = {"c": "carol", "d": "dave"}
# A pool of its own for each: leases are lost when the gateway's charon restarts.
ADDRESSES = {"c": "10.7.0.1", "d": "10.7.0.2"}
MOVED = "10.9.0.12"
RULES = f"""[rule sleeps]
action = auto
remote = {ADDRESSES["d"]}
on-dpd = keep
on-reboot = keep
disposition = wait
"""
# Dead-peer detection of W takes some 11 s.
DPD = {"c": "30s", "d": "3s"}
FEW_REPETITIONS = "retransmit_tries = 3"


def network():
    w = Node("w", "10.9.0.1", PLUGINS, FEW_REPETITIONS)
    clients = [Node(name, f"10.9.0.{number}", PLUGINS) for number, name in enumerate("cd", 2)]
    for each in clients:
        serve(w, each)
        client(each, w)
    secrets(w, USERS.values())
    return Network([w, *clients], [Tunnel(each, w, each.name) for each in clients], list(parts(w, clients)),
                   latched=4, feed="eap-identities = c d\n", rules=RULES, addresses={w: [INSIDE]},
                   phases=(*ALL[:4], ("address change", move), ("sleep", sleep), *ALL[4:]),
                   of_key_manager={"address change": "EPERM"})


def move(network):
    """A datagram got EPERM once, and no gate had dropped it. charon blocks the flow by a policy while it
    replaces the SAs (update() in its child_sa.c), and XFRM answers EPERM to what that policy matches
    (xfrm_lookup_with_ifid()). Without latchd the same may happen."""
    w, c, _ = network.nodes
    c.sysctl("net.ipv4.conf.eth0.promote_secondaries=1")
    batch("-n c", [f"addr add {MOVED}/24 dev eth0", f"addr del {c.address}/24 dev eth0"])
    wait_for(lambda: MOVED.encode() in ike_sas(w, "c"), "W's IKE_SA with C has C's new address")


def sleep(network):
    w, _, d = network.nodes
    tunnel = network.tunnels[1]
    before = d.made("CHILD_SA", tunnel.name)
    d.ip("link set eth0 down")
    wait_for(lambda: b"ESTABLISHED" not in ike_sas(w, "d"), "W's charon has given D up")
    d.ip("link set eth0 up")
    d.vici("terminate", ike=tunnel.name, force="yes")
    tunnel.connect()
    wait_for(lambda: d.made("CHILD_SA", tunnel.name) > before, "D has its tunnel again")


def ike_sas(node, name):
    return vici.request(node.socket, "list-sas", {"ike": name}.items(), "list-sa")


def serve(w, node):
    address = ADDRESSES[node.name]
    w.connections[node.name] = connection(
        w, node, {node.name: child(local_ts=f"{INSIDE}/32", dpd_action="clear")}, pools=node.name,
        send_cert="always", mobike="yes", remote_addrs="%any", dpd_delay=DPD[node.name],
        remote={"auth": "eap-mschapv2", "id": f"{node.name}.example", "eap_id": "%any"})
    w.configuration["pools"][node.name] = {"addrs": f"{address}-{address}"}


def client(node, w):
    node.connections[node.name] = connection(
        node, w, {node.name: child(remote_ts=f"{INSIDE}/32", start_action="start", close_action="start")},
        vips="0.0.0.0", keyingtries="0", mobike="yes", local_addrs="%any",
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
