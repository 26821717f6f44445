# SPDX-License-Identifier: BSD-2-Clause
"""GRE and VXLAN over IPsec: connections inside are not latched, and must go on as without latchd.

    W 10.9.0.1 ======= transport mode ======= C 10.9.0.2
       gre1  10.6.1.1 ------- GRE ------- 10.6.1.2  gre1
       vx1   10.6.2.1 ------ VXLAN ------ 10.6.2.2  vx1
"""
from checks import run
from network import Network, batch
from node import Node, transport
from traffic import Datagrams, Echo, Requests, Stream

PORT = 7000
PLACES = {"direct": "10.9.0", "gre": "10.6.1", "vxlan": "10.6.2"}


def network():
    w, c = Node("w", "10.9.0.1"), Node("c", "10.9.0.2")
    return Network([w, c], [transport(c, w)], list(parts(w, c)), latched=2, setup=devices)


def devices(network):
    run("modprobe -a ip_gre vxlan")
    w, c = network.nodes
    for here, there, end in ((w, c, 1), (c, w, 2)):
        batch(f"-n {here.name}", [
            f"link add gre1 type gre local {here.address} remote {there.address}",
            f"link add vx1 type vxlan id 42 dstport 4789 local {here.address} remote {there.address}",
            f"addr add 10.6.1.{end}/24 dev gre1", f"addr add 10.6.2.{end}/24 dev vx1",
            "link set gre1 up mtu 1350", "link set vx1 up mtu 1350"])


def parts(w, c):
    for place, prefix in PLACES.items():
        yield Echo(w, PORT, f"{prefix}.1")
        yield stream(place, c, f"{prefix}.1")
        yield Requests(f"requests {place}", c, f"{prefix}.1", PORT)
        yield Datagrams(f"udp {place}", c, f"{prefix}.1", PORT)


def stream(place, c, address):
    return Stream(f"stream {place}", lambda: c.connected(address, PORT))
