# SPDX-License-Identifier: BSD-2-Clause
# touches: gate net
# oracle: none, host c plays both peers: the oracle tells hosts apart
# run: conformance
"""
SCTP packets in the address of another peer, inside the sender's own tunnel.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2
    inner addresses 10.8.0.1 and 10.8.0.2; see lib/tunnels.py: tunnels of params 7 and of an impostor
    of params 8. W's policy accepts the SA of params 7 only.

    1. the impostor's INIT and COOKIE ECHO pass w's netfilter gate, and w's kernel refuses them: w has
       no latch
    2. the association between these addresses and ports begins at once: latched to params 7
    3. the gate drops the impostor's INIT then, and data still arrives
"""
import re
import socket
import struct
import subprocess

from abi import LATCH_DROP_IDENTITY, LATCH_STATE_ESTABLISHED
from checks import CGROUP, conforms, expect, program, run, skip, until
from gates import Gate
from host import C, HOSTS, W, accept, received, topology
from latchd import has_netfilter_gate
from maps import Latch
from tunnels import FRIEND, HERE, IMPOSTOR, OUTER_IN, PORT, THERE, add_policy, add_tunnels, bind_each

SCTP, INIT, COOKIE_ECHO = 132, 1, 10
IMPOSTORS_SPI = 0x2001
W_RECEIVES = Gate(W, "in")


def crc32c(data):
    """RFC 9260, appendix A"""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def chunk_of(kind):
    if kind == INIT:
        return struct.pack("!BBHIIHHI", INIT, 0, 20, 0x11223344, 65536, 10, 10, 1)
    return struct.pack("!BBH16x", kind, 0, 20)


def send_as_the_peer(kind, tag):
    """From the peer's address and port, through the impostor's tunnel."""
    packet = struct.pack("!HHII", PORT, PORT, tag, 0) + chunk_of(kind)
    packet = packet[:8] + struct.pack("<I", crc32c(packet)) + packet[12:]
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(packet), 1, 0, 64, SCTP, 0)
    addresses = socket.inet_aton(THERE) + socket.inet_aton(HERE)
    with C.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)) as raw:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, IMPOSTOR)
        raw.sendto(header + addresses + packet, (HERE, 0))


def arrived_under_the_impostors_sa():
    text = W.ip(f"-s xfrm state get src {OUTER_IN[0]} dst {OUTER_IN[1]} proto esp spi {IMPOSTORS_SPI:#x}").stdout
    return max(int(number) for number in re.findall(r"(\d+)\(packets\)", text))


def comes_to_w(kind, tag):
    before = arrived_under_the_impostors_sa()
    send_as_the_peer(kind, tag)
    until(lambda: arrived_under_the_impostors_sa() > before, f"w has decrypted the impostor's chunk {kind}")


def latches_of_port():
    return [latch for latch in Latch.all() if latch.local_port == PORT]


def sctp_socket(host, address):
    made = host.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, SCTP))
    made.setblocking(False)
    made.bind((address, PORT))
    return made


def is_sent(sender, text):
    try:
        return sender.send(text) == len(text)
    except (BlockingIOError, BrokenPipeError):
        return False


def delivered(sender, receiver, text, what):
    until(lambda: is_sent(sender, text), "the sender is connected")
    until(lambda: received(receiver) == text, what)


def accept_the_peers_sa_only():
    W.ip(f"xfrm policy update src {THERE} dst {HERE} dir in tmpl src {OUTER_IN[0]} dst {OUTER_IN[1]}"
         f" proto esp reqid {FRIEND} mode tunnel")
    # A socket of SCTP has no mark in its routes: behind the policies with a mark.
    add_policy(C, "out", THERE, HERE, OUTER_IN, "priority 10", f"reqid {FRIEND}")


if not has_netfilter_gate():
    skip("SCTP needs the netfilter gate, and this kernel has none")
run("modprobe sctp")
run("modprobe sctp_diag")
topology()
for each in HOSTS:
    each.sysctl("net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.default.rp_filter=0")
guard = subprocess.Popen([program("guard"), CGROUP, "w"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
expect(guard.stdout.readline().strip() == "ready", "the netfilter gate is attached at W")
add_tunnels()
accept_the_peers_sa_only()
bind_each()
listener = sctp_socket(W, HERE)
listener.listen()

comes_to_w(INIT, 0)
comes_to_w(COOKIE_ECHO, 0x55667788)
expect(not latches_of_port(), "the impostor's packets make no latch")

client = sctp_socket(C, THERE)
client.connect_ex((HERE, PORT))
peer = accept(listener, "the association of the impostor's addresses and ports is established")
delivered(client, peer, b"for W only", "data arrives")
expect([(latch.state, latch.params) for latch in latches_of_port()] == [(LATCH_STATE_ESTABLISHED, 7)],
       "latched to params 7")
conforms("L-5.4-2", "an INIT in another peer's address makes no latch of its sender; the peer's INIT does")

before = W_RECEIVES.drops(LATCH_DROP_IDENTITY)
comes_to_w(INIT, 0)
until(lambda: W_RECEIVES.drops(LATCH_DROP_IDENTITY) > before, "w's gate drops the impostor's INIT")
delivered(client, peer, b"still for W only", "data still arrives")

for each in (client, peer, listener):
    each.close()
guard.stdin.close()
expect(guard.wait() == 0, "the guard ends without an error")
