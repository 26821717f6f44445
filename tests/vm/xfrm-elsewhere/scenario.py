# SPDX-License-Identifier: BSD-2-Clause
# touches: gate packet
# expect: clean
"""
Route-based IPsec with the SAs in another network namespace than the socket.

    netns w 10.8.0.1 = own0 = 10.9.0.1 ---- veth ---- 10.9.0.2 = own0 = 10.8.0.2 netns c
          |
          | far0: made in x, moved to w
          |
    netns x           SAs = 10.7.0.1 ---- veth ---- 10.7.0.2 = 10.8.0.2 netns d

The kernel loads the module of the interfaces after the programs are attached:

    1. own0, with its SAs in w: a connection to c is latched to params 7, and its stream arrives
    2. w's route leads to far0: w drops the stream as plaintext, and d decrypts nothing
    3. under a rule that requires a latch no connection leaves by far0
    4. any other connection over far0 is established with d, not latched at w, and counted
    5. w's route leads to own0 again: the stream of the latched connection continues
"""
import os
import re
import sys

from abi import (LATCH_COUNTER_SAS_ELSEWHERE, LATCH_DROP_PLAINTEXT, LATCH_DROP_REQUIRED,
                 LATCH_STATE_ESTABLISHED)
from checks import conforms, expect, run, until
from flows import register, watch
from gates import Gate, stops_at
from host import C, Host, W, accept, arrives_whole, reset_on_close, sends, topology
from latchd import attach_with
from maps import are, bind, counter, define, dropped, latches_of

RULES = """
[rule strict]
action = require
protocol = tcp
remote-port = 5003

[rule at-d]
action = off
protocol = tcp
local-port = 5002-5003
"""
X, D = Host("x", "10.7.0.1", "fd07::1"), Host("d", "10.7.0.2", "fd07::2")
X.peer, D.peer = D, X
HERE, THERE = "10.8.0.1", "10.8.0.2"
KIND = (sys.argv[2:] or ["xfrm"])[0]
MODULE = {"xfrm": "xfrm_interface", "vti": "ip_vti", "vti6": "ip6_vti"}[KIND]


def module_is_loaded():
    return os.path.exists(f"/sys/module/{MODULE}")


def outer(host):
    return host.address6 if KIND == "vti6" else host.address


def add_interface(host, name, number):
    if KIND == "xfrm":
        host.ip(f"link add {name} type xfrm dev {host.device} if_id {number}")
    else:
        host.ip(f"link add {name} type {KIND} local {outer(host)} remote {outer(host.peer)}"
                f" key {number}")


def add_tunnel(host, number, here, there):
    """SAs and policies of the host's interface, for the inner addresses."""
    selects = f"{'if_id' if KIND == 'xfrm' else 'mark'} {number}"
    ends = outer(host), outer(host.peer)
    low, high = sorted(ends)
    for spi, source, destination in ((number * 16 + 1, low, high), (number * 16 + 2, high, low)):
        host.add_sa(source, destination, spi, f"flag af-unspec {selects if KIND == 'xfrm' else ''}",
                    mode="tunnel")
    for way, source, destination, pair in (("out", here, there, ends), ("in", there, here, ends[::-1])):
        host.add_policy(way, f"{source}/32", f"{destination}/32",
                        f"src {pair[0]} dst {pair[1]} proto esp reqid 1 mode tunnel", selects)


def use(host, name, there, source):
    host.ip(f"link set {name} up")
    host.sysctl(f"net.ipv4.conf.{name}.rp_filter=0")
    host.ip(f"route replace {there}/32 dev {name} src {source}")


def connect(port, host, what):
    listener = host.listen(port, THERE)
    made = W.connect(port, THERE)
    peer = accept(listener, what)
    sends(made, peer, b"first", "data arrives")
    sends(peer, made, b"answer", "in both directions")
    listener.close()
    return made, peer


def at_w(port):
    return [latch for latch in latches_of(port) if latch.netns == W.cookie()]


def start():
    for host, here, there in ((W, HERE, THERE), (C, THERE, HERE)):
        add_interface(host, "own0", 0x100)
        add_tunnel(host, 0x100, here, there)
        use(host, "own0", there, here)
    add_interface(X, "far0", 0x200)
    X.ip("link set far0 netns w")
    W.ip("link set far0 up")
    W.sysctl("net.ipv4.conf.far0.rp_filter=0")
    add_interface(D, "own0", 0x200)
    add_tunnel(X, 0x200, HERE, THERE)
    add_tunnel(D, 0x200, THERE, HERE)
    use(D, "own0", HERE, THERE)
    bind(7)


def decrypted_at_d():
    return sum(map(int, re.findall(r"(\d+)\(packets\)", D.ip("-s xfrm state").stdout)))


def none_leaves_required():
    before, wire = dropped(LATCH_DROP_REQUIRED)[0], Gate(W, "out", "far0").crossing()
    refused = W.connect(5003, THERE)
    until(lambda: dropped(LATCH_DROP_REQUIRED)[0] > before, "a connection that needs a latch is refused")
    expect(not wire.so_far(), "no packet of it leaves by far0")
    refused.close()


def check():
    client, peer = connect(5001, C, "a connection over an interface with its SAs here is established")
    register(W, client)
    expect(are(5001, LATCH_STATE_ESTABLISHED, 7), "both ends are latched, with params 7")
    expect(counter(LATCH_COUNTER_SAS_ELSEWHERE) == 0, "no packet of it is counted")
    W.ip(f"route replace {THERE}/32 dev far0 src {HERE}")
    stops_at(Gate(W, "out", W.device, "far0"), client, peer, b"for C only", LATCH_DROP_PLAINTEXT,
             "w sends nothing to an interface with SAs elsewhere")
    expect(decrypted_at_d() == 0, "d has decrypted nothing")
    none_leaves_required()
    counted = counter(LATCH_COUNTER_SAS_ELSEWHERE)
    other, its_peer = connect(5002, D, "an ordinary connection over it is established")
    expect(not at_w(5002), "w's end of it is not latched")
    expect(counter(LATCH_COUNTER_SAS_ELSEWHERE) > counted, "its packets are counted")
    expect(decrypted_at_d() > 0, "d has decrypted it")
    reset_on_close(other, its_peer)
    other.close()
    its_peer.close()
    W.ip(f"route replace {THERE}/32 dev own0 src {HERE}")
    arrives_whole(peer, b"for C only", "by its own interface the stream continues")
    reset_on_close(client)
    client.close()


topology()
for each in (X, D):
    each.create()
run("ip link add vx netns x type veth peer name vd netns d")
for each in (X, D):
    each.ip(f"addr add {each.address}/24 dev {each.device}")
    each.ip(f"link set {each.device} up")
for each in (W, C, X, D):
    each.ip("link set lo up")
    each.add_address6()
for each, address in ((W, HERE), (C, THERE), (D, THERE)):
    each.ip(f"addr add {address}/32 dev lo")
watch(W, C, D)
run(f"modprobe -r {MODULE}")
attach_with(RULES)
define(7, 2)
expect(not module_is_loaded(), f"{MODULE} is not loaded when the programs are attached")
start()
expect(module_is_loaded(), "the interfaces have loaded it")
check()
conforms("R-2-4", "nothing of a latched connection left by an interface with SAs in another namespace")
