# SPDX-License-Identifier: BSD-2-Clause
"""One gateway with two route-based tunnels, as clouds offer them, and BGP over each.

    W 10.9.0.1 = xfrm41 ===== id 41, 0.0.0.0/0 === 0.0.0.0/0 ===== xfrm41 = C 10.9.0.2
               = xfrm42 ===== id 42, 0.0.0.0/0 === 0.0.0.0/0 ===== xfrm42 = D 10.9.0.3
    inside 10.8.0.1                                                inside 10.8.0.2, 10.8.0.3

bird of each host announces the address inside, and BGP has TCP-MD5. Connections between addresses
inside take the routes of BGP.
"""
from network import Network, batch
from node import Node, Tunnel, child, connection, put, wait_for
from programs import Sessions
from traffic import Echo, Requests, Stream

PORT = 7000
INSIDE = {"w": "10.8.0.1", "c": "10.8.0.2", "d": "10.8.0.3"}
IDS = {"c": 41, "d": 42}


def network():
    w, *clouds = [Node(name, f"10.9.0.{number}", charon="install_routes = no")
                  for number, name in enumerate("wcd", 1)]
    for cloud in clouds:
        connect(w, cloud)
    return Network([w, *clouds], [Tunnel(w, cloud, cloud.name) for cloud in clouds],
                   list(parts(w, clouds)), latched=8, setup=devices, prepare=birds,
                   addresses={node: [INSIDE[node.name]] for node in (w, *clouds)})


def connect(w, cloud):
    number = IDS[cloud.name]
    more = {"local_ts": "0.0.0.0/0", "remote_ts": "0.0.0.0/0", "if_id_in": number, "if_id_out": number}
    w.connections[cloud.name] = connection(
        w, cloud, {cloud.name: child(start_action="start", close_action="start", **more)})
    cloud.connections[cloud.name] = connection(cloud, w, {cloud.name: child(**more)})


def devices(network):
    w, *clouds = network.nodes
    for cloud in clouds:
        number = IDS[cloud.name]
        for node, end in ((w, 1), (cloud, 2)):
            batch(f"-n {node.name}", [f"link add xfrm{number} type xfrm dev eth0 if_id {number}",
                                      f"addr add 169.254.{number}.{end}/30 dev xfrm{number}",
                                      f"link set xfrm{number} up mtu 1400"])


def birds(network):
    w, *clouds = network.nodes
    bird(w, [session(cloud.name, IDS[cloud.name], 1) for cloud in clouds])
    for cloud in clouds:
        bird(cloud, [session("w", IDS[cloud.name], 2)])
    for cloud in clouds:
        wait_for(lambda: INSIDE["w"] in cloud.ip("route").stdout, f"{cloud.name} has the route of BGP")


def session(peer, number, end):
    return f"""protocol bgp {peer} {{
  local 169.254.{number}.{end} as {65000 + end};
  neighbor 169.254.{number}.{3 - end} as {65003 - end};
  password "of {number}";
  connect delay time 1; connect retry time 5; error wait time 1, 5;
  debug {{ states, events }};
  ipv4 {{ import all; export where source = RTS_DEVICE && net ~ 10.8.0.0/16; next hop self; }};
}}
"""


def bird(node, sessions):
    put(node.path("bird.conf"), f"""log "{node.path("bird.log")}" all;
router id {node.address};
protocol device {{ }}
protocol direct {{ ipv4; interface "lo"; }}
protocol kernel {{ ipv4 {{ export where source = RTS_BGP; }}; }}
""" + "".join(sessions))
    node.start(["bird", "-f", "-c", node.path("bird.conf"), "-s", node.path("bird.ctl")], "bird.out")


def parts(w, clouds):
    yield Echo(w, PORT, INSIDE["w"])
    for cloud in clouds:
        inside = INSIDE[cloud.name]
        yield Sessions(f"bgp {cloud.name}", cloud.path("bird.log"), "BGP session established",
                       "BGP session closed")
        yield stream(cloud, inside)
        yield Requests(f"requests {cloud.name}", cloud, INSIDE["w"], PORT, local=inside)


def stream(cloud, inside):
    return Stream(f"stream {cloud.name}",
                  lambda: cloud.connected(INSIDE["w"], PORT, local=inside))
