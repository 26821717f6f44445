# SPDX-License-Identifier: BSD-2-Clause
# touches: api gate watch
# run: conformance ask-fuzz
# variant: ask-fuzz-short 60
# limit: 900 ask-fuzz
# oracle: none, its connections carry no stream: it checks what sockets answer, and what passes a wish
"""
Hostile questions and wishes, from threads and processes at once (tests/vm/tools/ask_fuzz.c).

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2: the peer c.example
                                            10.9.0.3: the peer d.example
    transport-mode ESP SAs, installed by hand and bound to their peers

W has latched connections to both peers, TCP and UDP. ask_fuzz asks them by each way into the kernel:
random options, sizes and pointers, 32-bit system calls, io_uring, while other threads close and abort
them. A socket tells its own peer, whole, or none. The sockets of ask_fuzz itself are of all kinds; they
have no latch, and no peer. A wish is taken whole, or refused without a change, and holds. Afterwards the kernel has
as much memory and as many descriptors as before, and has logged nothing.
"""
import re
import socket
import subprocess
import sys

import abi
from abi import LATCH_STATE_ESTABLISHED
from checks import conforms, expect, program, run, until
from host import C, HOSTS, W, accept, address_bytes, protect, received, reset_on_close, sends, topology
from latchd import attach_with
from maps import Sa, define, index, latches_of, update, with_checksum

SECONDS = int(sys.argv[2]) if sys.argv[2:] else 600
SEED = 20261201
D_ADDRESS = "10.9.0.3"
# params: peer, local, connection, numbers of both identities
C_PEER = (7, "c.example", "w.example", "to-c", 2, 1)
D_PEER = (8, "C=CH, O=d, CN=d.example", "gate.w.example", "to-d", 3, 4)
PEERS = {C.address: C_PEER, D_ADDRESS: D_PEER}
CONNECTIONS = 4  # of each kind to each peer; the last ones may be aborted
STAY = 2
SLACK_KB = 16384
FAULT = re.compile(r"\b(BUG|WARNING|Oops|Call Trace|general protection|refcount|leak)\b")


def add_second_peer():
    C.ip(f"addr add {D_ADDRESS}/24 dev {C.device}")
    for host, (here, there) in ((W, (W.address, D_ADDRESS)), (C, (D_ADDRESS, W.address))):
        with host.one_batch():
            host.add_sa(W.address, D_ADDRESS, 0x2001, reqid=2)
            host.add_sa(D_ADDRESS, W.address, 0x2002, reqid=2)
            for way, source, destination in (("out", here, there), ("in", there, here)):
                host.add_policy(way, f"{source}/32", f"{destination}/32", "proto esp reqid 2 mode transport")


def define_identity(number, text, connection):
    """maps.py has the same without a connection."""
    update("identities", index(number), with_checksum(abi.struct("latch_identity"), {
        "authority": b"manual", "config": connection.encode(), "id": text.encode(), "auth": 1}))


def know_peers():
    for params, peer, local, connection, number, local_number in PEERS.values():
        define(params, number, local_id=local_number)
        define_identity(number, peer, connection)
        define_identity(local_number, local, "unused")
    for sa in Sa.all():
        sa.bind(8 if address_bytes(D_ADDRESS) in sa.addresses() else 7)


def stream(address, port):
    listener = C.listen(port, address)
    client = W.connect(port, address)
    peer = accept(listener, f"a connection to {address}, port {port}")
    listener.close()
    sends(client, peer, b"under the SA", "data arrives")
    return client, peer


def datagrams(address, port):
    bound = C.datagram_socket(port, address)
    made = W.datagram_socket()
    made.connect((address, port))
    made.send(b"under the SA")
    until(lambda: received(bound) == b"under the SA", f"a datagram to {address}, port {port}")
    return made, bound


def is_latched(port, params):
    return (LATCH_STATE_ESTABLISHED, params) in [(latch.state, latch.params) for latch in latches_of(port)
                                                 if latch.netns == W.cookie()]


def latched_sockets():
    """Sockets of W, each as ask_fuzz wants it; all that must stay open."""
    words, sockets, port = [], [], 7000
    for address, (params, *answers) in PEERS.items():
        for number in range(CONNECTIONS):
            for make in (stream, datagrams):
                port += 1
                made, other = make(address, port)
                until(lambda at=port, of=params: is_latched(at, of), f"it is latched, with params {params}")
                words.append("|".join(map(str, [made.fileno(), *answers])) + ("|mortal" if number >= STAY else ""))
                sockets += [made, other]
    return words, sockets


def fuzz(seconds, words, sockets):
    command = [program("ask_fuzz"), str(SEED + seconds), str(seconds), "4", "2", *words]
    done = W.inside(lambda: subprocess.run(command, pass_fds=[each.fileno() for each in sockets], text=True,
                                           capture_output=True, check=False))
    print(done.stdout, done.stderr, flush=True)
    expect(not done.returncode, f"hostile questions and wishes for {seconds} s: "
           f"{done.stderr.strip() or 'no fault'}")


def unreclaimable_kb():
    with open("/proc/meminfo", encoding="ascii") as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith("SUnreclaim:"))


def kernel_faults():
    return [line for line in run("dmesg").stdout.splitlines() if FAULT.search(line)]


topology()
for each in HOSTS:
    each.ip("link set lo up")
before = kernel_faults()
attach_with("[api]\nenabled = on\n")
protect()
add_second_peer()
know_peers()
asked, kept = latched_sockets()
fuzz(8, asked, kept)
memory = unreclaimable_kb()
fuzz(SECONDS, asked, kept)
until(lambda: unreclaimable_kb() < memory + SLACK_KB,
      f"the kernel's tables are no larger than before: {memory} kB and {SLACK_KB} kB")
logged = [line for line in kernel_faults() if line not in before]
expect(not logged, f"the kernel has logged no fault: {logged}")
conforms("R-2-6", "hostile questions from many threads at once get the answer of their own socket, or none")
conforms("R-2-10", "a wish with hostile arguments is taken whole, or refused without a change")
reset_on_close(*[each for each in kept if each.type == socket.SOCK_STREAM])
