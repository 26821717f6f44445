# SPDX-License-Identifier: BSD-2-Clause
# touches: gate control
# expect: clean
"""
Packets that wait in a queue while a latch breaks or is closed (RFC 5660 section 2.3.1).

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2
    transport-mode ESP SAs by hand: reqid 1, params 7, and reqid 3, another peer's, params 8;
    the latches of w are broken, healed and closed by the control program

    1. datagrams that are on their way to w under its own SA: dropped when they arrive
    2. datagrams that XFRM holds until there is an SA: they leave if the SA is the latch's own
       and the latch is established, and not otherwise
    3. a closed latch: nothing is sent, and datagrams on their way are not received
    4. TCP, with w's device and its send buffer full: no packet follows those in the device
"""
import errno
import socket
import subprocess

from abi import (LATCH_CONTROL_DONE, LATCH_DROP_BROKEN, LATCH_DROP_CLOSED, LATCH_DROP_IDENTITY,
                 LATCH_REASON_ADMIN, LATCH_SA_BOUND, LATCH_STATE_ESTABLISHED)
from checks import conforms, expect, run_json, until
from flows import register, watch
from gates import Gate
from host import C, HOSTS, W, accept, received, sends, topology, unacknowledged
from latchd import Database
from maps import are, define, dropped

DATAGRAMS = [b"one", b"two", b"three"]
UNUSED = 2  # a reqid that no SA has


def add_sas(reqid):
    for host in HOSTS:
        with host.one_batch():
            host.add_sa(W.address, C.address, 0x1000 * reqid + 1, reqid=reqid)
            host.add_sa(C.address, W.address, 0x1000 * reqid + 2, reqid=reqid)


def bind_sas(reqid, params):
    for way in (1, 2):
        got = database.results("bind", 0x1000 * reqid + way, LATCH_SA_BOUND, params, 0)
        expect(got == [LATCH_CONTROL_DONE] * 2, f"the SAs of reqid {reqid} are bound to params {params} at both hosts")


def use_reqid(host, reqid, verb="update"):
    """Policies of this reqid for all packets out. XFRM then evaluates the packets that it holds anew."""
    host.ip(f"xfrm policy {verb} src {host.address}/32 dst {host.peer.address}/32 dir out"
            f" tmpl proto esp reqid {reqid} mode transport")


# ---- devices

def keep_queues_clean():
    """Only packets of the test are in the devices' queues."""
    for host in HOSTS:
        host.knows_its_peer()
        host.sysctl(f"net.ipv6.conf.{host.device}.disable_ipv6=1")


def queue(host):
    """(packets that wait in its device, packets that it has sent or that wait)"""
    found = run_json(f"ip netns exec {host.name} tc -s -j qdisc show dev {host.device}")[0]
    return found["qlen"], found["packets"] + found["qlen"]


# ---- connected UDP: no protocol repeats a datagram

def conversation(port):
    """w's port and c's, 1000 more; both ends latched."""
    here, there = W.datagram_socket(port), C.datagram_socket(port + 1000)
    here.connect((C.address, port + 1000))
    there.connect((W.address, port))
    register(W, here)
    register(C, there)
    sends(here, there, b"hello", "a datagram arrives")
    sends(there, here, b"hello", "its answer arrives")
    expect(are(port, LATCH_STATE_ESTABLISHED, 7), "both ends are latched to params 7")
    return here, there


def request(verb, port, *reasons):
    """Sends a request for the latch of w's end to the control program."""
    expect(database.results(verb, port, port + 1000, *reasons) == [LATCH_CONTROL_DONE],
           f"w's latch: {verb}")


def send_all(sock):
    for text in DATAGRAMS:
        sock.send(text)


def receives_all(sock, what):
    for text in DATAGRAMS:
        until(lambda: received(sock) == text, f"{what}: {text.decode()}")


def is_refused(sock):
    try:
        sock.send(b"never sent")
    except OSError as error:
        return error.errno == errno.EPERM
    return False


def under_way(verb, reason, port, *reasons):
    """c has sent, and its device has all of it when w's latch ends."""
    here, there = conversation(port)
    C.delay("delay 4s")
    send_all(there)
    request(verb, port, *reasons)
    expect(queue(C)[0] == len(DATAGRAMS), "all datagrams are still in the device of c")
    before = dropped(reason)
    expect(is_refused(here), "w can send nothing (EPERM)")
    until(lambda: dropped(reason)[1] == before[1] + len(DATAGRAMS), "when they arrive, each is dropped")
    expect(dropped(reason)[0] == before[0] + 1, "the datagram of w is dropped, too")
    expect(received(here) == b"", "w's application has none of them")
    C.delay("delay 0s")
    return here, there


def on_the_way_in():
    here, there = under_way("break", LATCH_DROP_BROKEN, 5301, LATCH_REASON_ADMIN)
    request("heal", 5301, LATCH_REASON_ADMIN)
    sends(there, here, b"once more", "healed, w receives again")
    sends(here, there, b"and back", "healed, w sends again")


def closed():
    here, there = under_way("close", LATCH_DROP_CLOSED, 5303)
    before = dropped(LATCH_DROP_CLOSED)[1]
    send_all(there)
    until(lambda: dropped(LATCH_DROP_CLOSED)[1] == before + len(DATAGRAMS),
          "datagrams that are sent now are dropped, too")
    expect(received(here) == b"" and received(there) == b"", "neither application has received a datagram")
    conforms("R-2.3-24", "connected UDP, closed: send() fails, datagrams under way and later ones were dropped")


def a_key_manager_listens():
    """A socket of NETLINK_XFRM in its group ACQUIRE."""
    rows = [line.split() for line in W.run("cat /proc/net/netlink").stdout.splitlines()[1:]]
    return any(row[1] == "6" and int(row[3], 16) & 1 for row in rows)


def held(here, there):
    use_reqid(W, UNUSED)
    send_all(here)
    expect(received(there) == b"", "without an SA XFRM holds w's datagrams")


def none_leaves(reqid, reason, what):
    """The held datagrams get an SA of this reqid; w's egress gate drops them."""
    gate = Gate(W, "out")
    wire, before = gate.crossing(), gate.drops(reason)
    use_reqid(W, reqid)
    until(lambda: wire.so_far() or gate.drops(reason) == before + len(DATAGRAMS), what)
    expect(not wire.so_far(), f"{what}, none has left w")


def held_by_xfrm():
    W.sysctl("net.core.xfrm_larval_drop=0")
    asked = subprocess.Popen("exec ip netns exec w ip xfrm monitor acquire", shell=True,
                             stdout=subprocess.PIPE, text=True)
    until(a_key_manager_listens, "a key manager listens, which negotiates nothing")
    here, there = conversation(5302)
    held(here, there)
    expect("acquire" in asked.stdout.readline(), "XFRM asks the key manager for an SA")
    use_reqid(W, 1)
    receives_all(there, "with an SA of the latch's own all leave")
    held(here, there)
    none_leaves(3, LATCH_DROP_IDENTITY, "with another peer's SA each is dropped")
    expect(received(there) == b"", "no datagram has arrived")
    held(here, there)
    request("break", 5302, LATCH_REASON_ADMIN)
    none_leaves(1, LATCH_DROP_BROKEN, "with its own, but after the latch broke: each is dropped")
    expect(received(there) == b"", "no datagram has arrived")
    request("heal", 5302, LATCH_REASON_ADMIN)
    sends(here, there, b"once more", "healed, w's datagrams arrive again")
    asked.terminate()
    asked.wait()


# ---- TCP

def full_buffer():
    listener, text = C.listen(6304), bytes(range(256)) * 200
    here = W.open_socket()
    here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 200000)
    here.bind((W.address, 5304))
    here.connect_ex((C.address, 6304))
    there = accept(listener, "a connection is established")
    register(W, here)
    register(C, there)
    sends(here, there, b"hello", "data arrives")
    W.delay("delay 2s rate 200kbit limit 1000")
    expect(here.send(text) == len(text), "w's socket takes 51200 bytes")
    until(lambda: queue(W)[0] > 0, "its device is busy with the first packets")
    request("break", 5304, LATCH_REASON_ADMIN)
    waiting, before = queue(W), dropped(LATCH_DROP_BROKEN)[0]
    expect(waiting[0] > 0 and unacknowledged(here), f"{waiting[0]} packets are in the device")
    until(lambda: dropped(LATCH_DROP_BROKEN)[0] >= before + 1, "the gate drops the rest")
    until(lambda: queue(W)[0] == 0, "the device is empty")
    expect(queue(W)[1] == waiting[1], f"{waiting[1]} packets were in it when the latch broke, and none came after")
    W.delay("delay 0s")
    request("heal", 5304, LATCH_REASON_ADMIN)
    got = []

    def whole():
        got.append(received(there))
        return sum(map(len, got)) == len(text)

    until(whole, "healed: C receives the rest")
    expect(b"".join(got) == text, "every byte is in its place")


topology()
watch()
keep_queues_clean()
database = Database()
database.ask("list")
define(7, 2)
define(8, 3)
add_sas(1)
add_sas(3)
bind_sas(1, 7)
bind_sas(3, 8)
for each in HOSTS:
    use_reqid(each, 1, "add")
on_the_way_in()
held_by_xfrm()
full_buffer()
conforms("R-2.3.1-1", "packets on their way in, held by XFRM or in a full socket when the latch broke were dropped")
closed()
