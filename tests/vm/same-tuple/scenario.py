# SPDX-License-Identifier: BSD-2-Clause
# touches: gate packet
# oracle: none, both flows have the same addresses and ports
# run: conformance
"""
Two flows of one host with equal addresses and ports, on two devices.

    netns w fe80::1 v1 ---- veth ---- fe80::2 netns c    SAs of params 7
            fe80::1 v2 ---- veth ---- fe80::2 netns d    SAs of params 8

    1. the first connection, to c, is latched to params 7
    2. a second one from the same port, to d, has the same key: its SYN leaves under no SA of d
       (identity), and the first one continues
    3. the first one is aborted: the second one is established, latched to params 8

The key of a latch has no device (docs/limitations.md).
"""
import socket

from abi import LATCH_DROP_IDENTITY, LATCH_STATE_ESTABLISHED
from checks import conforms, expect, run, until
from flows import watch
from gates import Gate
from host import C, Host, W, accept, reset_on_close, sends
from latchd import attach
from maps import Sa, define, latches_of

D = Host("d", "10.9.0.3", "fd09::3")
HERE, THERE = "fe80::1", "fe80::2"
LOCAL_PORT, PORT = 40000, 5001
LINKS = ((C, "v1", "c1", 0x1001, 7), (D, "v2", "d1", 0x2001, 8))
TO_D = Gate(W, "out", "v2")


def add_link(host, device, its_device, spi):
    run(f"ip link add {device} netns w type veth peer name {its_device} netns {host.name}")
    for end, name, address in ((W, device, HERE), (host, its_device, THERE)):
        end.ip(f"link set {name} addrgenmode none")
        end.ip(f"link set {name} up")
        end.ip(f"addr add {address}/64 dev {name} nodad")
        end.add_sa(HERE, THERE, spi, reqid=spi)
        end.add_sa(THERE, HERE, spi + 1, reqid=spi)
    for end, name, source, destination in ((W, device, HERE, THERE), (host, its_device, THERE, HERE)):
        end.ip(f"xfrm policy add src {source} dst {destination} proto tcp dev {name} dir out"
               f" tmpl src {source} dst {destination} proto esp reqid {spi} mode transport")


def on_device(host, device):
    made = host.open_socket(family=socket.AF_INET6)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made, host.inside(lambda: socket.if_nametoindex(device))


def listen(host, device):
    made, scope = on_device(host, device)
    made.bind((THERE, PORT, 0, scope))
    made.listen()
    return made


def connect(device):
    made, scope = on_device(W, device)
    made.bind((HERE, LOCAL_PORT, 0, scope))
    made.connect_ex((THERE, PORT, 0, scope))
    return made


def params_of_w():
    return [latch.params for latch in latches_of(PORT)
            if latch.netns == W.cookie() and latch.state == LATCH_STATE_ESTABLISHED]


for each in (W, C, D):
    each.create()
attach()
for peer, ours, its, first, _ in LINKS:
    add_link(peer, ours, its, first)
watch(W, C, D)
for sa in Sa.all():
    sa.bind(7 if sa.spi < 0x2000 else 8)
define(7, 2)
define(8, 3)
at_c, at_d = listen(C, "c1"), listen(D, "d1")

one = connect("v1")
end_of_c = accept(at_c, "the connection to c is established")
sends(one, end_of_c, b"for c", "data arrives")
expect(params_of_w() == [7], "it is latched to params 7")

wire, before = TO_D.crossing(), TO_D.drops(LATCH_DROP_IDENTITY)
other = connect("v2")
until(lambda: socket.IPPROTO_ESP in wire.so_far() or TO_D.drops(LATCH_DROP_IDENTITY) >= before + 2,
      "the SYN of an equal flow to d meets the latch")
expect(not {socket.IPPROTO_ESP, socket.IPPROTO_TCP} & set(wire.so_far()), "nothing of it left w")
sends(one, end_of_c, b"still for c", "the connection to c continues")
expect(params_of_w() == [7], "and keeps its latch")
conforms("R-2-4", "equal addresses and ports on two devices: the flow with other params sends nothing")

reset_on_close(one)
one.close()
end_of_d = accept(at_d, "when it is gone the connection to d is established")
sends(other, end_of_d, b"for d", "data arrives at d")
expect(params_of_w() == [8], "it is latched to params 8")
