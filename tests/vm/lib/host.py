# SPDX-License-Identifier: BSD-2-Clause
"""Hosts: network namespaces with addresses, sockets, SAs and policies.

    W 10.9.0.1 ---- veth ---- C 10.9.0.2

Every socket that a Host opens does not block.
"""
import ctypes
import fcntl
import os
import re
import socket
import struct
import sys
import termios
from contextlib import contextmanager

from checks import run, run_json, until

LIBC = ctypes.CDLL("libc.so.6", use_errno=True)
GCM = "aead 'rfc4106(gcm(aes))' 0x0102030405060708090a0b0c0d0e0f1011121314 128"
GCM_NAME = b"rfc4106(gcm(aes))"
SO_NETNS_COOKIE = 71


class Host:
    def __init__(self, name, address, address6):
        self.name, self.address, self.address6 = name, address, address6
        self.device = "v" + name
        self.peer = None
        self.batch = None

    # ---- programs

    def run(self, command, check=True):
        return run(f"ip netns exec {self.name} {command}", check)

    def ip(self, arguments, check=True):
        """Returns nothing while the host collects a batch."""
        if self.batch is None:
            return run(f"ip -n {self.name} {arguments}", check)
        self.batch.append(arguments)
        return None

    @contextmanager
    def one_batch(self):
        """Commands of ip within run at the end, in one process: an emulated machine starts them slowly."""
        self.batch = []
        try:
            yield
            lines, self.batch = self.batch, None
            run(f"ip -n {self.name} -batch - <<'END'\n" + "\n".join(lines) + "\nEND")
        finally:
            self.batch = None

    def ip_json(self, arguments):
        return run_json(f"ip -n {self.name} -j {arguments}")

    def sysctl(self, *settings):
        self.run("sysctl -qw " + " ".join(settings))

    def nft(self, rules):
        self.run(f"nft '{rules}'")

    def ss(self, arguments):
        """The sockets that ss lists, without the header line; an empty text if there is none."""
        return self.run(f"ss -Htn {arguments}").stdout

    def established(self, port):
        return self.ss(f"state established sport = {port}")

    def mac(self, device=None):
        return self.ip_json(f"link show {device or self.device}")[0]["address"]

    def knows_its_peer(self):
        """The host needs no neighbour discovery, and no such packet is in the devices' queues."""
        self.ip(f"neigh replace {self.peer.address} dev {self.device} lladdr {self.peer.mac()}"
                " nud permanent")

    def delay(self, how):
        self.run(f"tc qdisc replace dev {self.device} root netem {how}")

    # ---- the namespace

    def create(self):
        run(f"ip netns del {self.name}", check=False)
        run(f"ip netns add {self.name}")

    def inside(self, make):
        """Calls make() in this network namespace; returns its result."""
        before = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{self.name}", os.O_RDONLY)
        enter(there)
        try:
            return make()
        finally:
            enter(before)
            os.close(there)
            os.close(before)

    def cookie(self):
        """The network namespace in keys of latchd's maps."""
        with self.open_socket() as made:
            return int.from_bytes(made.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8), sys.byteorder)

    def addresses(self):
        """Each in 16 bytes, as in latchd's maps. From /proc: ip takes half a second in the guest."""
        trie, six = self.inside(lambda: [read(f"/proc/thread-self/net/{name}")
                                         for name in ("fib_trie", "if_inet6")])
        four = re.findall(r"\|-- ([0-9.]+)\n +/32 host LOCAL", trie)
        return {address_bytes(each) for each in four} | {bytes.fromhex(line[:32])
                                                         for line in six.splitlines()}

    def add_address6(self):
        self.ip(f"addr add {self.address6}/64 dev {self.device} nodad")

    # ---- sockets

    def open_socket(self, kind=socket.SOCK_STREAM, family=socket.AF_INET, protocol=0):
        made = self.inside(lambda: socket.socket(family, kind, protocol))
        made.setblocking(False)
        return made

    def bound(self, port, address=None, kind=socket.SOCK_STREAM):
        address = address or self.address
        made = self.open_socket(kind, family_of(address))
        if kind == socket.SOCK_STREAM:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        return made

    def listen(self, port, address=None):
        address = address or self.address
        made = self.inside(lambda: socket.create_server((address, port),
                                                        family=family_of(address)))
        made.setblocking(False)
        return made

    def connect(self, port, address=None):
        """Begins a connection to the peer host."""
        address = address or self.peer.address
        made = self.open_socket(family=family_of(address))
        made.connect_ex((address, port))
        return made

    def datagram_socket(self, port=0, address=None):
        return self.bound(port, address, socket.SOCK_DGRAM)

    # ---- IPsec

    def add_sa(self, source, destination, spi, more="", reqid=1, mode="transport", protocol="esp",
               keys=GCM, check=True):
        return self.ip(f"xfrm state add src {source} dst {destination} proto {protocol} spi {spi:#x}"
                       f" reqid {reqid} mode {mode} {keys} {more}", check)

    def add_policy(self, way, source, destination, template="proto esp reqid 1 mode transport",
                   more=""):
        self.ip(f"xfrm policy add src {source} dst {destination} dir {way} {more} tmpl {template}")

    def add_policies(self, ways=("out", "in")):
        """Policies for all packets between this host and its peer."""
        for way in ways:
            here, there = (self, self.peer) if way == "out" else (self.peer, self)
            self.add_policy(way, f"{here.address}/32", f"{there.address}/32")

    def add_sas(self):
        """One SA a direction."""
        self.add_sa(W.address, C.address, 0x1001)
        self.add_sa(C.address, W.address, 0x1002)

    def flush(self, what):
        """what: policy or state"""
        self.ip(f"xfrm {what} flush")


W = Host("w", "10.9.0.1", "fd09::1")
C = Host("c", "10.9.0.2", "fd09::2")
W.peer, C.peer = C, W
HOSTS = (W, C)


def read(path):
    with open(path, encoding="ascii") as file:
        return file.read()


def enter(namespace):
    if LIBC.setns(namespace, 0):
        raise SystemExit(f"setns: {os.strerror(ctypes.get_errno())}")


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def address_bytes(text):
    """As in latchd's maps."""
    return socket.inet_pton(family_of(text), text).ljust(16, b"\0")


def topology():
    """Creates both hosts; deletes those of an earlier scenario first."""
    for host in HOSTS:
        host.create()
    run("ip link add vw netns w type veth peer name vc netns c")
    for host in HOSTS:
        with host.one_batch():
            host.ip(f"addr add {host.address}/24 dev {host.device}")
            host.ip(f"link set {host.device} up")


def protect():
    """Two transport-mode SAs, and policies for all packets between the hosts."""
    for host in HOSTS:
        with host.one_batch():
            host.add_sas()
            host.add_policies()


def flush(what):
    for host in HOSTS:
        host.flush(what)


# ---- sockets that are there


def received(sock):
    try:
        return sock.recv(65536)
    except BlockingIOError:
        return b""


def unacknowledged(sock):
    """The number of bytes that the socket has taken and the other end has not acknowledged."""
    buffer = bytearray(4)
    fcntl.ioctl(sock, termios.TIOCOUTQ, buffer)
    return struct.unpack("=i", buffer)[0]


def accept(listener, what):
    found = []

    def accepted():
        try:
            found.append(listener.accept()[0])
        except BlockingIOError:
            return False
        return True

    until(accepted, what)
    found[0].setblocking(False)
    return found[0]


def sends(sender, receiver, text, what):
    sender.send(text)
    until(lambda: received(receiver) == text, what)


def arrives_whole(sock, text, what):
    """Waits until the whole text has arrived, in any number of pieces."""
    have = b""

    def whole():
        nonlocal have
        have += received(sock)
        return have == text

    until(whole, what)


def reset_on_close(*sockets):
    for each in sockets:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
