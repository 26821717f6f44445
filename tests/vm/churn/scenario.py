# SPDX-License-Identifier: BSD-2-Clause
# touches: gate control db watch
# oracle: none, its own model checks each packet, and without the netfilter gate the kernel's resets leave in clear
"""
S37: random events in the real kernel, beside a model of what must be true.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2
    a pair of transport-mode ESP SAs at a time, with a null cipher: the wire can be read

SAs are added, deleted and bound to other params, at both hosts or at one; policies are flushed
and restored; latches are broken, healed and closed; connections open, close and end with
their process. After every step:

    I1  state, reasons and params of every latch are the model's
    I2  no packet leaves or is delivered for a latch that is not ESTABLISHED, or not under
        an SA of its params: receivers get nothing, drops are counted, the wire has none
    I3  receivers have the sent bytes, in order, and all of them once the latch is
        established again
    I4  in the end there are as many latches as sockets: none

LATCHD_CHURN_SEED chooses the events (printed), LATCHD_CHURN_SECONDS how long (100).
LATCHD_CHURN_WITHOUT=egress or =ingress detaches that gate as soon as a connection is established.
"""
import glob
import os
import random
import signal
import socket
import struct
import subprocess
import time

from abi import (LATCH_CONTROL_DONE, LATCH_CONTROL_UNCHANGED, LATCH_DROP_SA_PENDING,
                 LATCH_REASON_ADMIN, LATCH_REASON_PEER_DEAD, LATCH_REASON_PEER_REBOOTED,
                 LATCH_REASON_SA_CONFLICT, LATCH_REASON_SPD_CHANGE, LATCH_SA_BOUND, LATCH_SA_PENDING,
                 LATCH_STATE_BROKEN, LATCH_STATE_ESTABLISHED)
from checks import LIMIT, conforms, expect, run, until
from host import C, HOSTS, LIBC, W, received, reset_on_close, topology, unacknowledged
from latchd import Database
from maps import define, drops, pins
from wire import ESP, ETH_P_ALL, RST, SYN, TCP

SEED = int(os.environ.get("LATCHD_CHURN_SEED", "5660"))
SECONDS = int(os.environ.get("LATCHD_CHURN_SECONDS", "100"))
WITHOUT = os.environ.get("LATCHD_CHURN_WITHOUT")
PORT, FIRST_CLIENT = 5000, 6000
CONNECTIONS = 4
CONFLICT, SPD = LATCH_REASON_SA_CONFLICT, LATCH_REASON_SPD_CHANGE
DEAD, REBOOTED = LATCH_REASON_PEER_DEAD, LATCH_REASON_PEER_REBOOTED
ADMIN = LATCH_REASON_ADMIN
STICKY, ALL_REASONS = DEAD | REBOOTED, CONFLICT | SPD | DEAD | REBOOTED | ADMIN
SO_NETNS_COOKIE, SO_TIMESTAMPNS, SO_RCVBUFFORCE, THIN_LINEAR = 71, 35, 33, 16
PR_SET_PDEATHSIG = 1
# A null cipher: the wire can be read.
KEYS = "enc ecb(cipher_null) \"\" auth-trunc hmac(sha256) 0x" + "5a" * 32 + " 128"
choose = random.Random(SEED)


class Connection:
    """Two sockets, two latches, and the process that holds the client's."""

    def __init__(self, number):
        self.number, self.port = number, FIRST_CLIENT + number
        self.reasons = {W: 0, C: 0}  # None: the latch was closed
        self.sent = {W: b"", C: b""}
        self.got = {W: b"", C: b""}
        self.flows = True
        self.params = self.holder = None
        self.sockets = {}

    def key(self, host):
        return (self.port, PORT) if host is W else (PORT, self.port)

    def send(self):
        for host in HOSTS:
            text = f"<{host.name}{self.number}:{len(self.sent[host])}>".encode()
            self.sockets[host].send(text)
            self.sent[host] += text

    def receive(self):
        for host in HOSTS:
            self.got[host] += received(self.sockets[host])

    def all_received(self):
        self.receive()
        return all(self.got[h.peer] == self.sent[h] and not unacknowledged(self.sockets[h])
                   for h in HOSTS)


def check(condition, what):
    if not condition:
        print(f"LATCHD_CHURN_SEED={SEED}: after step {step}: {story[-1]}", flush=True)
        expect(False, what)


def wait_for(condition, what):
    deadline = time.monotonic() + LIMIT
    while not condition():
        check(time.monotonic() < deadline, what)
        time.sleep(0.02)


# ---- the world: the SAs, the policies, and the params of the SAs at either host

class World:
    def __init__(self):
        self.spi = 0x1000
        self.here = False  # the SAs
        self.policies = False
        self.bound = {W: 0, C: 0}  # params; 0 = unattributed

    def batch(self, host, *commands):
        done = subprocess.run(["ip", "-n", host.name, "-batch", "-"], text=True, check=False,
                              capture_output=True, input="\n".join(commands) + "\n")
        if done.returncode:
            raise SystemExit(f"ip -n {host.name}: {commands}: {done.stderr.strip()}")

    def sa_names(self):
        return (f"src {W.address} dst {C.address} proto esp spi {self.spi:#x}",
                f"src {C.address} dst {W.address} proto esp spi {self.spi + 1:#x}")

    def add_sas(self):
        self.spi += 2
        self.here, self.bound = True, {W: 0, C: 0}
        for host in HOSTS:
            self.batch(host, *(f"xfrm state add {name} reqid 1 mode transport {KEYS}"
                               for name in self.sa_names()))

    def delete_sas(self):
        for host in HOSTS:
            self.batch(host, *(f"xfrm state delete {name}" for name in self.sa_names()))
        self.here = False

    def set_policies(self, there):
        self.policies = there
        for host in HOSTS:
            me, you = host.address, host.peer.address
            self.batch(host, *(["xfrm policy flush"] if not there else [
                f"xfrm policy add src {a}/32 dst {b}/32 dir {way} tmpl proto esp reqid 1"
                " mode transport" for way, a, b in (("out", me, you), ("in", you, me))]))

    def bind(self, host, params):
        state = LATCH_SA_BOUND if params else LATCH_SA_PENDING
        for spi in (self.spi, self.spi + 1):
            got = database.results("bind", spi, state, params, cookie[host])
            check(len(got) == 1 and got[0] in (LATCH_CONTROL_DONE, LATCH_CONTROL_UNCHANGED),
                  f"{host.name} has one SA {spi:#x}")
        self.bound[host] = params

    def serves(self, connection, host):
        """True if latch and SA let this end send and receive now."""
        return (connection.reasons[host] == 0 and self.here
                and self.bound[host] == connection.params)

    def carries(self, connection):
        return self.policies and all(self.serves(connection, h) for h in HOSTS)


# ---- the wire

class Wire:
    """All that c's device sends and receives. The cipher is null: a TCP header follows ESP's."""

    def __init__(self):
        self.sock = C.open_socket(socket.SOCK_RAW, socket.AF_PACKET)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 22)
        C.inside(lambda: self.sock.bind((C.device, ETH_P_ALL)))
        self.protected = 0

    def packets(self):
        while True:
            try:
                data, control, _, _ = self.sock.recvmsg(4096, 256)
            except BlockingIOError:
                return
            seconds, nanoseconds = struct.unpack("=qq", control[0][2][:16])
            parsed = self.parse(data)
            if parsed:
                yield (seconds + nanoseconds / 1e9,) + parsed

    def parse(self, data):
        """(sender, spi or None, ports, flags) of a TCP segment"""
        if data[12:14] != b"\x08\x00" or data[14] >> 4 != 4:
            return None
        ip, offset, spi = data[14:], (data[14] & 15) * 4, None
        if ip[9] == ESP:
            spi, offset = struct.unpack(">I", ip[offset:offset + 4])[0], offset + 8
        elif ip[9] != TCP:
            return None
        ports = struct.unpack(">HH", ip[offset:offset + 4])
        sender = W if socket.inet_ntoa(ip[12:16]) == W.address else C
        return sender, spi, ports, ip[offset + 13]


def check_wire(before, changed):
    """A packet on the wire must be allowed now, or if it is older than the change, before it."""
    for when, sender, spi, ports, flags in wire.packets():
        found = [x for x in connections if x.key(sender) == ports]
        # Packets without a full socket are the netfilter gate's, which is not attached here.
        if not found or flags & (SYN | RST):
            continue
        allowed = leaves(found[0], sender, spi) or (
            when <= changed and (found[0].number, sender, spi) in before)
        check(allowed, f"I2: {sender.name} has sent port {found[0].port}'s packet under "
              f"{'no SA' if spi is None else hex(spi)}")
        wire.protected += 1


def leaves(connection, host, spi):
    return spi in (world.spi, world.spi + 1) and world.serves(connection, host)


def may_leave():
    return {(x.number, h, s) for x in connections for h in HOSTS
            for s in (world.spi, world.spi + 1) if leaves(x, h, s)}


# ---- steps; each returns its description, or None if it did nothing

def rebind():
    if not world.here:
        return None
    params, hosts = choose.choice((0, 7, 7, 7, 8, 9)), choose.choice(((W,), (C,), HOSTS, HOSTS))
    for host in hosts:
        world.bind(host, params)
    return f"rebind {''.join(host.name for host in hosts)} {params}"


def replace_sas():
    if world.here:
        world.delete_sas()
    world.add_sas()
    params = choose.choice((7, 7, 8, 0))
    for host in HOSTS:
        world.bind(host, params)
    return f"replace {world.spi:#x} {params}"


def lose_sas():
    if not world.here:
        return None
    world.delete_sas()
    return "delete SAs"


def change_policies():
    world.set_policies(not world.policies)
    return f"policies {world.policies}"


def any_end():
    if not connections:
        return None, None
    return choose.choice(connections), choose.choice(HOSTS)


def expected_result(connection, host, after):
    if connection.reasons[host] is None:
        return []
    return [LATCH_CONTROL_DONE if after != connection.reasons[host] else LATCH_CONTROL_UNCHANGED]


def break_latch():
    connection, host = any_end()
    if not connection:
        return None
    reasons = choose.choice((ADMIN, SPD, CONFLICT, ADMIN | SPD, CONFLICT, DEAD, REBOOTED))
    after = (connection.reasons[host] or 0) | reasons
    got = database.results("break", *connection.key(host), reasons)
    check(got == expected_result(connection, host, after), f"break gives {got}")
    if connection.reasons[host] is not None:
        connection.reasons[host] = after
    return f"break {connection.port} {host.name} {reasons:#x}"


def heal_latch():
    connection, host = any_end()
    if not connection:
        return None
    reasons = choose.choice((ADMIN, SPD, CONFLICT, ALL_REASONS, ALL_REASONS, ALL_REASONS))
    after = (connection.reasons[host] or 0) & ~(reasons & ~STICKY)
    got = database.results("heal", *connection.key(host), reasons)
    check(got == expected_result(connection, host, after), f"heal gives {got}")
    if connection.reasons[host] is not None:
        connection.reasons[host] = after
    return f"heal {connection.port} {host.name} {reasons:#x}"


def close_latch():
    connection, host = any_end()
    if not connection or choose.randrange(2):
        return None
    got = database.results("close", *connection.key(host))
    check(got == ([] if connection.reasons[host] is None else [LATCH_CONTROL_DONE]), f"close gives {got}")
    connection.reasons[host] = None
    return f"close {connection.port} {host.name}"


def may_connect():
    return (world.here and world.policies and world.bound[W] == world.bound[C]
            and world.bound[W] != 0)


def hold(sock):
    """A process that holds only this socket. When it is killed the kernel closes the socket."""
    pid = os.fork()
    if pid == 0:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        os.closerange(0, sock.fileno())
        os.closerange(sock.fileno() + 1, 1024)
        while True:
            signal.pause()
    return pid


def new_client(port):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.setsockopt(socket.IPPROTO_TCP, THIN_LINEAR, 1)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reset_on_close(client)
    client.bind((W.address, port))
    client.setblocking(False)
    client.connect_ex((C.address, PORT))
    return client


def accepted(port):
    try:
        sock, address = listener.accept()
    except BlockingIOError:
        return None
    check(address[1] == port, "the connection that was opened is accepted")
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, THIN_LINEAR, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    reset_on_close(sock)
    return sock


def open_connection():
    global opened
    if len(connections) == CONNECTIONS or not may_connect():
        return None
    connection = Connection(opened)
    opened += 1
    connection.params = world.bound[W]
    connection.sockets[W] = W.inside(lambda: new_client(connection.port))
    connection.holder = hold(connection.sockets[W])

    def arrived():
        connection.sockets[C] = accepted(connection.port)
        return connection.sockets[C]

    wait_for(arrived, f"connection {connection.port} is established")
    connections.append(connection)
    return f"open {connection.port} {connection.params}"


def refuse_connection():
    """A connection under an unattributed SA does not start."""
    global opened
    if not (world.here and world.policies) or world.bound[W]:
        return None
    port, before = FIRST_CLIENT + opened, drops(LATCH_DROP_SA_PENDING)
    opened += 1
    client = W.inside(lambda: new_client(port))
    wait_for(lambda: drops(LATCH_DROP_SA_PENDING) > before, "its SYN is dropped")
    check((port, PORT) not in database.latches(), "the SYN creates no latch")
    client.close()
    return f"refuse {port}"


def end_connection(connection, killed):
    if killed:
        connection.sockets[W].close()
    kill(connection.holder)
    connection.sockets[W].close()
    connection.sockets[C].close()
    connections.remove(connection)


def kill(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def close_connection():
    connection, _ = any_end()
    if not connection:
        return None
    killed = choose.random() < 0.5
    end_connection(connection, killed)
    return f"{'kill' if killed else 'close'} {connection.port}"


STEPS = ([rebind] * 5 + [replace_sas] * 2 + [lose_sas] + [change_policies] * 2 + [break_latch] * 5
         + [heal_latch] * 5 + [close_latch] + [open_connection] * 4 + [refuse_connection]
         + [close_connection])


def restore():
    """Blocked streams retry ever more rarely: now and then every connection may send again."""
    if not world.here:
        world.add_sas()
    if not world.policies:
        world.set_policies(True)
    wanted = connections[0].params if connections else 7
    for host in HOSTS:
        world.bind(host, wanted)
    for connection in connections:
        for host in HOSTS:
            if connection.reasons[host]:
                database.results("heal", *connection.key(host), ALL_REASONS)
                connection.reasons[host] &= STICKY
    for connection in [x for x in connections if any(r != 0 for r in x.reasons.values())
                       or x.params != wanted]:
        end_connection(connection, True)
    return "restore"


# ---- after a step

def drops_of(latches, connection):
    return {h: latches[connection.key(h)][3] for h in HOSTS if connection.key(h) in latches}


def dropping_hosts(connection):
    """The ends that must count drops; none where the kernel has no SA to use."""
    if world.policies and not world.here:
        return []
    return [h for h in HOSTS if connection.reasons[h] is not None
            and not (world.policies and world.serves(connection, h))]


def settle_connection(connection, dropped):
    flowed, connection.flows = connection.flows, world.carries(connection)
    if connection.flows:
        connection.send()
        wait_for(connection.all_received, f"I3: port {connection.port}'s stream continues, whole")
        return
    frozen = dict(connection.got)
    if flowed:
        connection.send()
        for host in dropping_hosts(connection):
            wait_for(lambda: drops_of(database.latches(), connection)[host] > dropped[host],
                     f"I2: {host.name} drops the data of port {connection.port}")
    connection.receive()
    check(connection.got == frozen, f"I2: nothing of port {connection.port} is delivered")


def latches_left():
    database.ask("reap")
    return database.latches()


def check_latches():
    wanted = sum(r is not None for x in connections for r in x.reasons.values())
    wait_for(lambda: len(latches_left()) == wanted, "I4: one latch for each end of an open connection")
    latches = database.latches()
    for connection in connections:
        for host in HOSTS:
            row, reasons = latches.get(connection.key(host)), connection.reasons[host]
            if reasons is None:
                check(row is None, f"{host.name} has no latch of port {connection.port} any more")
                continue
            state = LATCH_STATE_BROKEN if reasons else LATCH_STATE_ESTABLISHED
            check(row and row[:3] == [state, reasons, connection.params],
                  f"I1: {host.name}'s latch of port {connection.port} is {row and row[:3]}, must be "
                  f"{[state, reasons, connection.params]}")


def check_streams():
    for connection in connections:
        for host in HOSTS:
            check(connection.sent[host.peer].startswith(connection.got[host]),
                  f"I3: {host.name} has the bytes sent on port {connection.port}, in order")


def take_step(event):
    before, latches = may_leave(), database.latches()
    did = event()
    if not did:
        return False
    story.append(did)
    check_wire(before, time.time())
    for connection in connections:
        settle_connection(connection, drops_of(latches, connection))
    check_wire(set(), 0)
    check_latches()
    check_streams()
    return True


print(f"LATCHD_CHURN_SEED={SEED}", flush=True)
topology()
database = Database()
database.ask("list")
for number, peer in ((7, 2), (8, 3)):
    define(number, peer, b"cipher_null")
define(9, 2, b"cbc(aes)")
cookie = {}
for each in HOSTS:
    probe = each.open_socket()
    cookie[each] = struct.unpack("=Q", probe.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8))[0]
    probe.close()
world, wire = World(), Wire()
connections, story, opened, step = [], ["start"], 0, 0
listener = C.listen(PORT)
world.set_policies(True)
world.add_sas()
restore()
expect(take_step(open_connection), "a connection is established, latched at both ends")
if WITHOUT:
    links = glob.glob(f"{pins('links')}/gate_{WITHOUT}@*")
    expect(links, f"gate_{WITHOUT} is attached")
    for link in links:
        run(f"bpftool link detach pinned {link}")
deadline, seen = time.monotonic() + SECONDS, set()
while time.monotonic() < deadline or not set(STEPS) <= seen:
    step += 1
    event = restore if step % 12 == 0 else choose.choice(STEPS)
    if take_step(event):
        seen.add(event)
        print(f"step {step}: {story[-1]}", flush=True)
expect(len(story) > len(seen), f"{len(story)} events, every kind of them; {opened} connections")
expect(wire.protected > len(story), f"{wire.protected} segments on the wire, each under an SA of its latch")
while connections:
    end_connection(connections[0], True)
until(lambda: not latches_left(), "I4: no socket, no latch")
conforms("L-2.3-6", f"after each of {len(story)} events the latches were those of open sockets, with state and reasons")
conforms("S37", f"{len(story)} random events, seed {SEED}: I1 to I4 held")
