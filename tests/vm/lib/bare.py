# SPDX-License-Identifier: BSD-2-Clause
"""The programs without latchd: SAs by hand, maps by bpftool, hosts w and c as namespaces."""
import ctypes
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import termios
import time

LIMIT = 60
PIN = "/sys/fs/bpf/latchd/v1"
CGROUP = "/sys/fs/cgroup"
ENFORCE = os.path.join(os.path.dirname(sys.argv[1]), "../tests/vm/enforce")
libc = ctypes.CDLL("libc.so.6", use_errno=True)
PENDING, BOUND = "LATCH_SA_PENDING", 2
LISTENER = "LATCH_STATE_LISTENER"
LARVAL, ESTABLISHED = "LATCH_STATE_LARVAL", "LATCH_STATE_ESTABLISHED"
DROP_PLAINTEXT, DROP_PENDING, DROP_UNKNOWN, DROP_IDENTITY, DROP_QOP = 0, 1, 2, 3, 4


class Database:
    """latchd's controller, by hand: tests/vm/tools/database.c"""

    def __init__(self):
        path = os.path.join(os.path.dirname(ENFORCE), "database")
        self.program = subprocess.Popen([path, CGROUP, "64", "3600000"], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, *words):
        self.program.stdin.write(" ".join(str(w) for w in words) + "\n")
        self.program.stdin.flush()
        lines = []
        for line in self.program.stdout:
            if line == ".\n":
                return lines
            lines.append(line.split())
        raise SystemExit("the control program's tool has ended")

    def results(self, *words):
        return [int(line[1]) for line in self.ask(*words)]

    def latches(self):
        """(local port, remote port): state, reasons, params, drops; of connections, not of listeners"""
        rows = [[int(n) for n in line[1:]] for line in self.ask("list") if line[0] == "latch"]
        return {(r[0], r[1]): r[2:6] for r in rows if r[1]}


def run(command, check=True):
    done = subprocess.run(command, shell=True, text=True, capture_output=True)
    if check and done.returncode:
        raise SystemExit(f"{command}: {done.stderr.strip()}")
    return done


def expect(condition, what):
    print(("ok    " if condition else "FAIL  ") + what, flush=True)
    if not condition:
        raise SystemExit(1)


def leave(name, text):
    with open(os.path.join(os.environ.get("LATCHD_TEST_RUN", "/run/latchd-test"), name), "a",
              encoding="utf-8") as file:
        file.write(text)


def conforms(item, what):
    """As conforms in common.sh: belongs into a scenario file, with the item as it is."""
    leave("conforms", f"{item}\t{' '.join(what.split())}\n")
    print(f"conforms: {item} {what}", flush=True)


def skip(why):
    """What this scenario needs is not on this kernel."""
    leave("skip", why)
    print(f"skipped: {why}", flush=True)
    raise SystemExit(0)


def until(condition, what):
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            expect(False, what)
        time.sleep(0.05)
    expect(True, what)


def dump(name):
    return json.loads(run(f"bpftool -j map dump pinned {PIN}/maps/{name}").stdout)


def sas():
    return [row["formatted"] for row in dump("sas")]


def word(value):
    anonymous = [v for k, v in value["word"].items() if k != "raw"]
    return anonymous[0]


def drops(reason):
    row = dump("drops")[reason]["formatted"]["values"]
    return sum(cpu["value"]["egress"] + cpu["value"]["ingress"] for cpu in row)


def update(name, key, value):
    run(f"bpftool map update pinned {PIN}/maps/{name} key hex {bytes(key).hex(' ')}"
        f" value hex {bytes(value).hex(' ')}")


def raw(row):
    return [[int(byte, 16) for byte in row[part]] for part in ("key", "value")]


def bind(params):
    for row in dump("sas"):
        key, value = raw(row)
        value[4:6] = struct.pack("=H", params)
        value[7] = BOUND
        update("sas", key, value)


def define(params, peer, cipher):
    """struct latch_params: both identities, quality of protection, mode, protocol, checksum"""
    qop = struct.pack("=32s32s3H2B", cipher, b"", 160, 0, 128, 0, 1)
    update("params", struct.pack("=I", params),
           struct.pack("=II", 1, peer) + qop + struct.pack("=BB2xI", 0, 50, 0))


def forget_sas():
    """Empties the table behind the programs' back; what was in it."""
    rows = [raw(row) for row in dump("sas")]
    for key, _ in rows:
        run(f"bpftool map delete pinned {PIN}/maps/sas key hex {bytes(key).hex(' ')}")
    return rows


def in_netns(name, make):
    before = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{name}", os.O_RDONLY)
    libc.setns(there, 0)
    try:
        return make()
    finally:
        libc.setns(before, 0)


def topology():
    """w 10.9.0.1 --- c 10.9.0.2, whatever an earlier scenario has left."""
    for host in ("w", "c"):
        run(f"ip netns del {host}", check=False)
        run(f"ip netns add {host}")
    run("ip link add vw netns w type veth peer name vc netns c")
    for host, address in (("w", "10.9.0.1"), ("c", "10.9.0.2")):
        run(f"ip -n {host} addr add {address}/24 dev v{host}")
        run(f"ip -n {host} link set v{host} up")


def add_sa(host, source, destination, spi):
    return run(f"ip -n {host} xfrm state add src {source} dst {destination} proto esp spi {spi}"
               " reqid 1 mode transport aead 'rfc4106(gcm(aes))'"
               " 0x0102030405060708090a0b0c0d0e0f1011121314 128", check=False)


def protect():
    """Both hosts by two transport-mode SAs, with policies for all that they say to each other."""
    for host, me, you in (("w", "10.9.0.1", "10.9.0.2"), ("c", "10.9.0.2", "10.9.0.1")):
        add_sa(host, "10.9.0.1", "10.9.0.2", "0x1001")
        add_sa(host, "10.9.0.2", "10.9.0.1", "0x1002")
        for way, source, destination in (("out", me, you), ("in", you, me)):
            run(f"ip -n {host} xfrm policy add src {source}/32 dst {destination}/32 dir {way}"
                " tmpl proto esp reqid 1 mode transport")


def attach(configuration=""):
    run(f"{ENFORCE} {CGROUP} 64 5000 {configuration} </dev/null")


def received(peer):
    try:
        return peer.recv(65536)
    except BlockingIOError:
        return b""


def unacknowledged(sock):
    """Bytes that it has taken and the other end has not acknowledged."""
    buffer = bytearray(4)
    fcntl.ioctl(sock, termios.TIOCOUTQ, buffer)
    return struct.unpack("=i", buffer)[0]


def connect(port, address="10.9.0.2"):
    client = in_netns("w", lambda: socket.socket())
    client.setblocking(False)
    client.connect_ex((address, port))
    return client


def listen(port, address="10.9.0.2"):
    listener = in_netns("c", lambda: socket.create_server((address, port)))
    listener.setblocking(False)
    return listener


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


def set_pending_limit(nanoseconds):
    (row,) = dump("settings")
    key, value = raw(row)
    value[0:8] = struct.pack("=Q", nanoseconds)
    update("settings", key, value)


def connections():
    """The latches but those of listeners."""
    rows = [row["formatted"] for row in dump("latches")]
    return [row for row in rows if word(row["value"])["state"] != LISTENER]


def listeners():
    rows = [row["formatted"] for row in dump("latches")]
    return [row for row in rows if word(row["value"])["state"] == LISTENER]


def latches_of(port):
    rows = connections()
    return [row["value"] for row in rows if port in (row["key"]["local_port"], row["key"]["remote_port"])]


def are(port, state, params):
    words = [word(value) for value in latches_of(port)]
    return len(words) == 2 and all(w["state"] == state and w["params"] == params for w in words)


def says(client, peer, text, what):
    client.send(text)
    until(lambda: received(peer) == text, what)


def forget_latch_of_listener(port):
    """As the reaper does with a handshake that left no request socket."""
    for row in dump("latches"):
        if row["formatted"]["key"]["local_port"] == port and row["formatted"]["key"]["remote_port"]:
            run(f"bpftool map delete pinned {PIN}/maps/latches key hex {bytes(raw(row)[0]).hex(' ')}")


def stream_waits_for(peer, client, text, reason, what):
    before = drops(reason)
    client.send(text)
    until(lambda: drops(reason) >= before + 2, what)
    expect(received(peer) == b"", "not one byte of it arrived")
