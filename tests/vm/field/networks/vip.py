# SPDX-License-Identifier: BSD-2-Clause
"""A service at an address that moves between two servers (keepalived), in good order and after a crash.

    W 10.9.0.1 ===== transport mode ===== 10.9.0.9 of C 10.9.0.2, or of D 10.9.0.3
      applications                        the same certificate and the same service on both

The server that gets the address begins an IKE_SA, with INITIAL_CONTACT. To W the peer has rebooted, so
W has a rule with on-reboot = keep. A stream ends with its server in both runs.
"""
from disturbances import calm, rekey_children, restart_latchd
from network import Network
from node import Node, Tunnel, child, connection, put, wait_for
from traffic import Datagrams, Echo, Requests, Stream

SERVICE, PORT = "10.9.0.9", 7000
RULES = f"""[rule service]
action = auto
remote = {SERVICE}
on-reboot = keep
"""


def network():
    w, c, d = [Node(name, f"10.9.0.{number}", certificate=owner)
               for number, (name, owner) in enumerate(("ww", "cc", "dc"), 1)]
    for server in (c, d):
        server.connections["service"] = connection(server, w, {
            "service": child(mode="transport", start_action="trap")}, local_addrs=SERVICE)
    w.connections["service"] = connection(w, c, {
        "service": child(mode="transport", start_action="trap")}, remote_addrs=SERVICE)
    return Network([w, c, d], [Tunnel(w, c, "service")], list(parts(w, c, d)), latched=2, rules=RULES,
                   setup=routers, phases=PHASES)


# ---- keepalived


def routers(network):
    """Any of the servers may bind to the address before it has it, as such services do."""
    _, c, d = network.nodes
    for server, other, priority in ((c, d, 100), (d, c, 90)):
        server.sysctl("net.ipv4.ip_nonlocal_bind=1")
        write(server, other, priority)
    start_keepalived(c)
    wait_for(lambda: has_service(c), "C has the address of the service")
    start_keepalived(d)


def write(server, other, priority):
    put(server.path("master"), f"#!/bin/sh\n{swanctl(server)} --initiate --child service --timeout 20"
        f" --uri unix://{server.socket} >>{server.path('master.log')} 2>&1\n", 0o755)
    put(server.path("stop"), f"#!/bin/sh\n{swanctl(server)} --terminate --ike service --force --timeout 1"
        f" --uri unix://{server.socket} >>{server.path('stop.log')} 2>&1\n", 0o755)
    put(server.path("keepalived.conf"), f"""global_defs {{
  script_user root
  enable_script_security
}}
vrrp_instance service {{
  state BACKUP
  nopreempt
  interface eth0
  virtual_router_id 9
  priority {priority}
  advert_int 1
  unicast_src_ip {server.address}
  unicast_peer {{
    {other.address}
  }}
  virtual_ipaddress {{
    {SERVICE}/32 dev eth0
  }}
  notify_master {server.path("master")}
  notify_fault {server.path("stop")}
  notify_stop {server.path("stop")}
}}
""")


def swanctl(server):
    return " ".join([f"STRONGSWAN_CONF={server.path('strongswan.conf')}",
                     f"SWANCTL_DIR={server.path('swanctl')}", "/usr/sbin/swanctl"])


def start_keepalived(server):
    return server.start(["keepalived", "-n", "-l", "-D", "--vrrp", "-f", server.path("keepalived.conf"),
                         "-p", server.path("keepalived.pid"), "-r", server.path("vrrp.pid")],
                        "keepalived.log")


def has_service(server):
    return SERVICE in server.ip("-4 addr show dev eth0").stdout


# ---- the service moves


def moves(network, to, how):
    w = network.nodes[0]
    before = w.made("CHILD_SA", "service")
    how()
    wait_for(lambda: has_service(to), f"{to.name} has the address of the service")
    wait_for(lambda: w.made("CHILD_SA", "service") > before, "the service has SAs again")


def fail_over(network):
    """C's keepalived ends: it gives the address back."""
    _, c, d = network.nodes
    moves(network, d, lambda: stop_keepalived(c))
    start_keepalived(c)


def stop_keepalived(server):
    server.stop_program(next(each for each in server.started if each.args[-1] == server.path("vrrp.pid")))


def crash(network):
    """D is off the wire, without a message; it comes back without the address."""
    _, c, d = network.nodes
    moves(network, c, lambda: d.ip("link set eth0 down"))
    d.ip("link set eth0 up")


PHASES = (("calm", calm), ("fail-over", fail_over), ("CHILD_SA rekey", rekey_children), ("crash", crash),
          ("CHILD_SA rekey again", rekey_children), ("latchd restart", restart_latchd))


def parts(w, c, d):
    yield Echo(c, PORT, SERVICE)
    yield Echo(d, PORT, SERVICE)
    yield Stream("stream", lambda: w.connected(SERVICE, PORT))
    yield Requests("requests", w, SERVICE, PORT)
    yield Datagrams("udp", w, SERVICE, PORT)
