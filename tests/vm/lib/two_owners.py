# SPDX-License-Identifier: BSD-2-Clause
"""Tunnels of two owners from c to w, who send in the name of one inner address.

Which of them a packet of c takes its mark says: FRIEND and FRIEND_AGAIN (another SA of the
same owner) are of params 7, IMPOSTOR of params 8. Without a mark it leaves in clear.
"""
from bare import *  # noqa: F403

HERE, THERE, HERE6, THERE6 = "10.8.0.1", "10.8.0.2", "fd08::1", "fd08::2"
PORT = 5001
FRIEND, IMPOSTOR, FRIEND_AGAIN = 1, 2, 3
OWNERS = {0x1001: 7, 0x1002: 7, 0x2001: 8, 0x3001: 7}
DROP_MERGED = 13
OUTER_IN, OUTER_OUT = ("10.9.0.2", "10.9.0.1"), ("10.9.0.1", "10.9.0.2")


def add_sa(host, source, destination, spi, reqid):
    run(f"ip -n {host} xfrm state add src {source} dst {destination} proto esp spi {spi:#x}"
        f" reqid {reqid} mode tunnel flag af-unspec aead 'rfc4106(gcm(aes))'"
        f" {0x0102030405060708090a0b0c0d0e0f1011121314:#042x} 128")


def add_policy(host, way, source, destination, outer, more="", reqid=""):
    run(f"ip -n {host} xfrm policy add src {source} dst {destination} dir {way} {more}"
        f" tmpl src {outer[0]} dst {outer[1]} proto esp mode tunnel {reqid}")


def lead(here, there, via_there, via_here):
    """Inner addresses, their policies and routes."""
    add_policy("w", "in", there, here, OUTER_IN)
    add_policy("w", "out", here, there, OUTER_OUT, reqid="reqid 1")
    add_policy("c", "in", here, there, OUTER_OUT)
    for mark in (FRIEND, IMPOSTOR, FRIEND_AGAIN):
        add_policy("c", "out", there, here, OUTER_IN, f"mark {mark}", f"reqid {mark}")
    run(f"ip -n w addr add {here} dev lo")
    run(f"ip -n c addr add {there} dev lo")
    run(f"ip -n w route add {there} via {via_there} dev vw src {here}")
    run(f"ip -n c route add {here} via {via_here} dev vc src {there}")


def tunnels():
    for host in ("w", "c"):
        add_sa(host, *OUTER_IN, 0x1001, FRIEND)
        add_sa(host, *OUTER_OUT, 0x1002, FRIEND)
        add_sa(host, *OUTER_IN, 0x2001, IMPOSTOR)
        add_sa(host, *OUTER_IN, 0x3001, FRIEND_AGAIN)
        run(f"ip -n {host} link set lo up")
    for host, address in (("w", "fd09::1"), ("c", "fd09::2")):
        run(f"ip -n {host} addr add {address}/64 dev v{host} nodad")
    lead(HERE, THERE, *OUTER_IN)
    lead(HERE6, THERE6, "fd09::2", "fd09::1")


def bind_each():
    """latchd's part: whose SAs these are."""
    for row in dump("sas"):
        key, value = raw(row)
        value[4:6] = struct.pack("=H", OWNERS[row["formatted"]["key"]["spi"]])
        value[7] = BOUND
        update("sas", key, value)
    define(7, 2, b"rfc4106(gcm(aes))")
    define(8, 3, b"rfc4106(gcm(aes))")
