# SPDX-License-Identifier: BSD-2-Clause
"""A host with a tunnel that also rewrites addresses: its own connections' and those that it forwards.

    W 10.9.0.1 ===== tunnel, 10.8.0.1 === 10.5.0.1 ===== C 10.9.0.2, inside 10.5.0.1
        |  ------------ in clear ------------ D 10.9.0.3, inside 10.4.0.1
           ------------ in clear ------------ E 10.9.0.4

W sends its own connections to 192.0.2.7 to C (DNAT), those from 10.8.0.9 from its address in the
tunnel (SNAT), and D's to its port 8080 through the tunnel (DNAT and SNAT). It masquerades 10.4.0.1.
"""
from network import Network, batch
from node import Node, Tunnel, child, connection
from traffic import Datagrams, Echo, Requests, Stream

PORT, FORWARDED_PORT = 7000, 8080
INSIDE, BEHIND, VIRTUAL = "10.5.0.1", "10.4.0.1", "192.0.2.7"
OWN, OTHER = "10.8.0.1", "10.8.0.9"
RULES = f"""table ip nat {{
  chain out {{
    type nat hook output priority -100;
    ip daddr {VIRTUAL} dnat to {INSIDE}
  }}
  chain pre {{
    type nat hook prerouting priority -100;
    tcp dport {FORWARDED_PORT} dnat to {INSIDE}:{PORT}
  }}
  chain post {{
    type nat hook postrouting priority 100;
    ip daddr {INSIDE} ip saddr != {OWN} snat to {OWN}
    ip saddr {BEHIND} masquerade
  }}
}}
"""


def network():
    w, c, d, e = [Node(name, f"10.9.0.{number}") for number, name in enumerate("wcde", 1)]
    for here, there, selectors in ((w, c, {"local_ts": f"{OWN}/32", "remote_ts": f"{INSIDE}/32"}),
                                   (c, w, {"local_ts": f"{INSIDE}/32", "remote_ts": f"{OWN}/32"})):
        here.connections["site"] = connection(here, there, {
            "site": child(start_action="trap|start" if here is w else "trap", **selectors)})
    return Network([w, c, d, e], [Tunnel(w, c, "site")], list(parts(w, c, d, e)), latched=2, setup=devices,
                   addresses={w: [OWN, OTHER], c: [INSIDE], d: [BEHIND]})


def devices(network):
    w, _, d, _ = network.nodes
    w.sysctl("net.ipv4.ip_forward=1", "net.ipv4.conf.all.send_redirects=0",
             "net.ipv4.conf.eth0.send_redirects=0")
    w.nft(RULES)
    batch("-n w", [f"route add {INSIDE}/32 via 10.9.0.2 src {OWN}",
                   f"route add {VIRTUAL}/32 via 10.9.0.2",
                   f"route add {BEHIND}/32 via 10.9.0.3"])
    batch("-n d", ["route add 10.9.0.4/32 via 10.9.0.1 src " + BEHIND])


def parts(w, c, d, e):
    yield Echo(c, PORT, INSIDE)
    yield Echo(e, PORT)
    yield stream("plain", w, INSIDE, local=OWN)
    yield stream("dnat of its own", w, VIRTUAL)
    yield Requests("requests by dnat", w, VIRTUAL, PORT)
    yield stream("snat of its own", w, INSIDE, local=OTHER)
    yield stream("forwarded", d, w.address, port=FORWARDED_PORT)
    yield Requests("requests forwarded", d, w.address, FORWARDED_PORT)
    yield stream("masqueraded", d, e.address, local=BEHIND)
    yield Datagrams("udp by dnat", w, VIRTUAL, PORT)


def stream(name, node, address, port=PORT, local=None):
    return Stream(name, lambda: node.connected(address, port, local=local))
