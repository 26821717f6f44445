# SPDX-License-Identifier: BSD-2-Clause
"""Tunnels of two owners from C to W; both send from one inner address.

A packet of C's takes the tunnel that its mark selects: FRIEND and FRIEND_AGAIN (another SA of the
same owner) have params 7, IMPOSTOR has params 8, IMPOSTOR_AGAIN (of the same peer) params 9. Without
a mark a packet leaves in clear.
"""
from host import C, HOSTS, W
from maps import Sa, define

HERE, THERE, HERE6, THERE6 = "10.8.0.1", "10.8.0.2", "fd08::1", "fd08::2"
PORT = 5001
FRIEND, IMPOSTOR, FRIEND_AGAIN, IMPOSTOR_AGAIN = 1, 2, 3, 4
OWNERS = {0x1001: 7, 0x1002: 7, 0x2001: 8, 0x3001: 7, 0x4001: 9}
OUTER_IN, OUTER_OUT = (C.address, W.address), (W.address, C.address)


def add_policy(host, way, source, destination, outer, more="", reqid=""):
    host.add_policy(way, source, destination,
                    f"src {outer[0]} dst {outer[1]} proto esp mode tunnel {reqid}", more)


def lead(here, there, via_there, via_here):
    """Inner addresses, their policies and routes."""
    add_policy(W, "in", there, here, OUTER_IN)
    add_policy(W, "out", here, there, OUTER_OUT, reqid="reqid 1")
    add_policy(C, "in", here, there, OUTER_OUT)
    for mark in (FRIEND, IMPOSTOR, FRIEND_AGAIN, IMPOSTOR_AGAIN):
        add_policy(C, "out", there, here, OUTER_IN, f"mark {mark}", f"reqid {mark}")
    W.ip(f"addr add {here} dev lo")
    C.ip(f"addr add {there} dev lo")
    W.ip(f"route add {there} via {via_there} dev {W.device} src {here}")
    C.ip(f"route add {here} via {via_here} dev {C.device} src {there}")


def add_tunnels():
    for host in HOSTS:
        for spi, reqid, ends in ((0x1001, FRIEND, OUTER_IN), (0x1002, FRIEND, OUTER_OUT),
                                 (0x2001, IMPOSTOR, OUTER_IN), (0x3001, FRIEND_AGAIN, OUTER_IN),
                                 (0x4001, IMPOSTOR_AGAIN, OUTER_IN)):
            host.add_sa(*ends, spi, "flag af-unspec", reqid, "tunnel")
        host.ip("link set lo up")
        host.add_address6()
    lead(HERE, THERE, C.address, W.address)
    lead(HERE6, THERE6, C.address6, W.address6)


def bind_each():
    """Binds each SA to its owner's params, in place of latchd."""
    for sa in Sa.all():
        sa.bind(OWNERS[sa.spi])
    define(7, 2)
    define(8, 3)
    define(9, 3)
