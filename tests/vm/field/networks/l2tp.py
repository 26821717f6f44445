# SPDX-License-Identifier: BSD-2-Clause
"""L2TP/IPsec, the clients of many systems: PPP in UDP port 1701, in transport mode (RFC 3193).

    W 10.9.0.1 ===== transport mode, udp/1701 ===== C 10.9.0.2
      ppp0 10.6.3.1 -------- PPP in L2TP -------- 10.6.3.2 ppp0

The connections inside are not latched, and must go on as without latchd.
"""
from checks import run
from network import Network
from node import Node, put, transport, wait_for
from traffic import Datagrams, Echo, Requests, Stream

PORT, INSIDE, CLIENT = 7000, "10.6.3.1", "10.6.3.2"
PPP = """noauth
noccp
nodeflate
nobsdcomp
mtu 1300
mru 1300
"""


def network():
    w, c = Node("w", "10.9.0.1"), Node("c", "10.9.0.2")
    selectors = {"local_ts": "dynamic[udp/1701]", "remote_ts": "dynamic[udp/1701]"}
    return Network([w, c], [transport(c, w, **selectors)], list(parts(w, c)), latched=1, prepare=connect)


def connect(network):
    w, c = network.nodes
    run("modprobe -a l2tp_ppp ppp_generic ppp_async")
    daemon(w, f"[lns default]\nip range = {CLIENT}\nlocal ip = {INSIDE}\n")
    daemon(c, f"[lac w]\nlns = {w.address}\nautodial = yes\nredial = yes\nredial timeout = 1\n")
    for node, address in ((w, INSIDE), (c, CLIENT)):
        wait_for(lambda: address in node.ip("-4 addr").stdout, f"{node.name} has {address}")


def daemon(node, role):
    put(node.path("ppp"), PPP + f"logfile {node.path('pppd.log')}\n")
    put(node.path("l2tp-secrets"), "")
    put(node.path("xl2tpd.conf"), f"""[global]
port = 1701
listen-addr = {node.address}
auth file = {node.path("l2tp-secrets")}

{role}pppoptfile = {node.path("ppp")}
length bit = yes
""")
    node.start(["xl2tpd", "-D", "-c", node.path("xl2tpd.conf"), "-p", node.path("xl2tpd.pid"),
                "-C", node.path("xl2tpd.ctl")], "xl2tpd.log")


def parts(w, c):
    yield Echo(w, PORT, INSIDE)
    yield Stream("stream in l2tp", lambda: c.connected(INSIDE, PORT))
    yield Requests("requests in l2tp", c, INSIDE, PORT)
    yield Datagrams("udp in l2tp", c, INSIDE, PORT)
