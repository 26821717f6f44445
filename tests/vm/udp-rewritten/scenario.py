# SPDX-License-Identifier: BSD-2-Clause
# touches: gate packet
# expect: clean
"""
Destination NAT of the host itself: the header of a connected UDP socket names another host.

    W 10.9.0.1 ---- veth ---- C 10.9.0.2, and 10.9.0.3 where DNAT sends it
     DNAT: udp port 6001 to 10.9.0.3:6002, port 6003 to 10.9.0.3:6004

    1. a socket is latched to params 7; DNAT comes, and there is no policy for its target: all is
       lost, nothing leaves in clear
    2. a datagram for another address, and a socket that is not latched, are rewritten and arrive
    3. the target has SAs of another peer (params 8): lost; of the same peer (params 7): it arrives
"""
from abi import LATCH_DROP_IDENTITY, LATCH_DROP_PLAINTEXT, LATCH_STATE_ESTABLISHED
from checks import conforms, expect, until
from flows import alias, register, watch
from gates import Gate
from host import C, HOSTS, W, protect, received, topology
from latchd import attach
from maps import Sa, bind, define, latches_of

TARGET = "10.9.0.3"
W_SENDS = Gate(W, "out")


def is_lost(reason, what):
    wire, before = W_SENDS.crossing(), W_SENDS.drops(reason)
    client.send(b"SECRET")
    expect(W_SENDS.drops(reason) == before + 1 and not wire.so_far(), f"{what}: nothing left w")


def arrives(sock, text, what):
    until(lambda: received(sock) == text, what)


def bind_target(params):
    for sa in Sa.all():
        if sa.spi == 0x1003:
            sa.bind(params)


topology()
watch()
C.ip(f"addr add {TARGET}/24 dev vc")
attach()
protect()
bind(7)
define(7, 2)
define(8, 3)
server = C.datagram_socket(6001)
target = C.datagram_socket(6002, TARGET)
aside = C.datagram_socket(6004, TARGET)
client = W.datagram_socket()
client.connect((C.address, 6001))
client.send(b"hello")
until(lambda: received(server) == b"hello", "the first datagram arrives under ESP")
expect([latch.state for latch in latches_of(6001)] == [LATCH_STATE_ESTABLISHED], "its socket is latched")
alias(register(W, client), *client.getsockname(), TARGET, 6002)

W.nft("add table ip t; add chain ip t out { type nat hook output priority -100; }; "
      f"add rule ip t out udp dport 6001 dnat to {TARGET}:6002; "
      f"add rule ip t out udp dport 6003 dnat to {TARGET}:6004")
is_lost(LATCH_DROP_PLAINTEXT, "a latched socket behind DNAT")
conforms("R-2-4", "connected UDP behind DNAT of the host: nothing left in clear for the new target")
client.sendto(b"aside", (TARGET, 6003))
arrives(aside, b"aside", "a datagram for another address is rewritten, too, and passes")
is_lost(LATCH_DROP_PLAINTEXT, "its next datagram for its own peer")
unlatched = W.datagram_socket()
unlatched.connect((C.address, 6001))
unlatched.send(b"not latched")
arrives(target, b"not latched", "a socket without a latch sends by DNAT")

for each in HOSTS:
    each.add_sa(W.address, TARGET, 0x1003)
W.add_policy("out", f"{W.address}/32", f"{TARGET}/32")
C.add_policy("in", f"{W.address}/32", f"{TARGET}/32")
bind_target(8)
is_lost(LATCH_DROP_IDENTITY, "DNAT to another peer's SA")
bind_target(7)
client.send(b"the same peer")
arrives(target, b"the same peer", "DNAT to an SA of the same params passes")
