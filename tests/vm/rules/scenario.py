# SPDX-License-Identifier: BSD-2-Clause
# touches: gate db control config report latch
# expect: clean
# variant: rules-short short
# run: conformance rules
"""
Rules, in the kernel and with latchd beside it. With the argument "short": 1, 2 and 5 to 7 without the
parts that other connections and a full table need.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2

    5000 to 5009  action = off
    6000 to 6999  action = require, for every listener there
    all else      no rule: auto

    1. require, no SA: nothing leaves; nothing leaves under an unattributed SA, however old; the
       first packet on the wire is ESP, after the latch
       a connection that started larval under other rules waits for that, too
       a RST obeys the rule of its flow, under a rule for all connections, too
    2. require: a SYN in clear draws no SYN-ACK, nor with SYN cookies; a SYN or SYN-ACK in
       clear does not change a connection that is being opened
    3. off: no latch under the same SAs
    4. a full table: no connection starts under require, nor under auto
    5. conflicting SAs: no SYN on the wire
    6. the same with latchd: connect() fails at once; while an SA is unattributed it does not
    7. the netfilter gate, where the kernel has it: no RST in clear for a port without a socket
"""
import errno
import socket
import sys

import abi
from abi import (LATCH_DROP_CONTESTED, LATCH_DROP_LATCHES_FULL, LATCH_DROP_REQUIRED,
                 LATCH_DROP_SA_PENDING, LATCH_SA_CONTESTED, LATCH_SA_PENDING,
                 LATCH_STATE_ESTABLISHED, LATCH_STATE_LARVAL)
from checks import FOLDER, LIMIT, conforms, expect, until
from flows import register, watch
from gates import Gate
from host import C, HOSTS, W, accept, flush, received, sends, topology
from latchd import Latchd, attach_with
from maps import (Latch, Sa, are, bind, connections, delete, dropped, latches_of, listeners,
                  set_pending_limit, update)
from wire import ACK, ESP, RST, SYN, TCP, Arrivals, send_tcp

SHORT = "short" in sys.argv[2:]
RULES = "".join(f"""
[rule {name}-{side}]
action = {action}
protocol = tcp
{side}-port = {ports}
""" for name, action, ports in (("free", "off", "5000-5009"), ("bound", "require", "6000-6999"))
    for side in ("local", "remote"))
LATE = RULES + """
[rule late]
action = require
protocol = tcp
%s-port = 5120
"""
LATE_RULES = {"out": LATE % "remote", "in": LATE % "local"}  # for w's end, for c's end
LOOSE_RULES = """
[rule here]
action = off
remote = 127.0.0.0/8

[rule all]
action = require
protocol = tcp
"""


# ---- protection


def add_sas():
    for host in HOSTS:
        host.add_sas()


def add_policies(*ways):
    for host in HOSTS:
        host.add_policies(ways)


def unattribute_sas():
    for sa in Sa.all():
        sa.store(state=LATCH_SA_PENDING, params=0)


def set_flags(flags):
    for sa in Sa.all():
        sa.store(flags=flags)


def no_packet(wire, what):
    seen = wire.new()
    expect(not seen, f"{what}: nothing on the wire {seen or ''}")


def retries(reason, what):
    """Two drops by w's egress gate, so that the caller's next check follows all that the first caused."""
    before = dropped(reason)[0]
    until(lambda: dropped(reason)[0] >= before + 2, what)


def reconnect(client, port):
    """A new connection sends SYNs soon; an old one ever later, before Linux 6.5."""
    client.close()
    return W.connect(port)


def refused_with(client):
    return client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def fill():
    """Fills the table with latches without a socket."""
    flow, latch = abi.struct("latch_flow"), abi.struct("latch")
    keys = [flow.pack({"local_port": number, "family": socket.AF_INET, "protocol": TCP})
            for number in range(1, 65 - len(Latch.all()))]
    for key in keys:
        update("latches", key, bytes(latch.size))
    return keys


def forget(kind):
    for each in kind.all():
        each.forget()


# ---- 1 and 2: require


def nothing_leaves_before_the_latch():
    flush("policy")
    add_policies("in", "out")
    listener, wire = C.listen(6001), Arrivals(C)
    client = W.connect(6001)
    timeouts = W.run("nstat -az TcpExtTCPTimeouts").stdout
    until(lambda: W.run("nstat -az TcpExtTCPTimeouts").stdout != timeouts, "the SYN has been repeated")
    no_packet(wire, "require, no SA")
    set_pending_limit(1 << 40)
    add_sas()
    client = reconnect(client, 6001)
    retries(LATCH_DROP_SA_PENDING, "a SYN under an unattributed SA is dropped")
    set_pending_limit(1)
    client = reconnect(client, 6001)
    retries(LATCH_DROP_REQUIRED, "the SYN does not pass beyond the limit either")
    no_packet(wire, "require, an unattributed SA")
    expect(not connections(), "there is no latch, not even a larval one")
    bind(7)
    peer = accept(listener, "under a bound SA the connection is established")
    expect(are(6001, LATCH_STATE_ESTABLISHED, 7), "it is latched at both ends")
    seen = wire.new()
    expect(seen and all(packet[0] == ESP for packet in seen), "all packets on the wire were ESP")
    conforms("R-2-2", "require: no SYN leaves without an SA, nor under an unattributed one;"
                      " all packets seen are ESP")
    register(W, client)
    register(C, peer)
    sends(client, peer, b"protected", "data arrives")
    client.close()
    peer.close()


def waits_for_a_latch(gate, client, peer, what):
    wire, before = gate.crossing(), gate.drops(LATCH_DROP_REQUIRED)
    client.send(b"to no peer")

    def is_dropped():
        if wire.so_far() if gate.way == "out" else received(peer):
            expect(False, what)
        return gate.drops(LATCH_DROP_REQUIRED) >= before + 2

    until(is_dropped, f"restarted with a rule that requires a latch: {what}")
    expect(received(peer) == b"" and (gate.way == "out") == (not wire.so_far()), "no byte of it arrived")


def larval_obeys_a_new_rule():
    unattribute_sas()
    listener = C.listen(5120)
    client = W.connect(5120)
    peer = accept(listener, "auto, an SA unattributed beyond the limit: the connection is established")
    register(W, client)
    register(C, peer)
    expect(are(5120, LATCH_STATE_LARVAL, 0), "larval at both ends")
    for gate, what in ((Gate(W, "out"), "its data does not leave w"), (Gate(C, "in"), "c does not accept its data")):
        attach_with(LATE_RULES[gate.way])
        set_pending_limit(1)
        waits_for_a_latch(gate, client, peer, what)
        attach_with(RULES)
        set_pending_limit(1)
        until(lambda: received(peer) == b"to no peer", "without the rule it arrives")
    bind(7)
    sends(client, peer, b"to its peer", "its SA is bound: data arrives")
    expect(are(5120, LATCH_STATE_ESTABLISHED, 7), "the connection is latched to the SA's peer")
    client.close()
    peer.close()
    listener.close()


def resets_have_the_rule_of_their_flow():
    """The kernel sends resets from its control socket, which has no flow."""
    attach_with(LOOSE_RULES)
    W.ip("link set lo up")
    for address, what in (("127.0.0.1", "off: in clear"), (C.address, "require: under a bound SA")):
        client = W.connect(5009, address)
        until(lambda: refused_with(client) == errno.ECONNREFUSED,
              f"{what}, a port without a socket refuses the connection")
        client.close()
    attach_with(RULES)


def clear_requests_are_ignored():
    flush("policy")
    listener, free = C.listen(6002), C.listen(5101)
    wire = Arrivals(W)
    C.sysctl("net.ipv4.tcp_syncookies=1")
    send_tcp(W, (40000, 5101), SYN)
    until(lambda: any(packet[:3] == (TCP, 5101, 40000) for packet in wire.so_far()),
          "without a rule a SYN in clear draws a SYN-ACK")
    for cookies in (1, 2):
        C.sysctl(f"net.ipv4.tcp_syncookies={cookies}")
        before = dropped(LATCH_DROP_REQUIRED)[1]
        send_tcp(W, (40000 + cookies, 6002), SYN)
        until(lambda: dropped(LATCH_DROP_REQUIRED)[1] > before, "under require it is dropped")
        send_tcp(W, (40010 + cookies, 5101), SYN)
        until(lambda: any(packet[:3] == (TCP, 5101, 40010 + cookies) for packet in wire.so_far()),
              "a later SYN to another port is answered")
        expect(not any(packet[1] == 6002 for packet in wire.all), "the dropped SYN is never answered")
    expect(not C.ss("state syn-recv sport = :6002"), "there is no half-open connection")
    C.sysctl("net.ipv4.tcp_syncookies=1")
    listener.close()
    free.close()


def clear_answers_are_ignored():
    flush("policy")
    flush("state")
    W.add_policies(("out",))
    add_sas()
    set_pending_limit(1)
    back = Arrivals(C)
    client = W.connect(6004)
    port = client.getsockname()[1]
    retries(LATCH_DROP_REQUIRED, "a connection is being opened, its SA is unattributed")
    for flags, name in ((SYN | ACK, "SYN-ACK"), (SYN, "crossing SYN")):
        before = dropped(LATCH_DROP_REQUIRED)[1]
        send_tcp(C, (6004, port), flags)
        until(lambda: dropped(LATCH_DROP_REQUIRED)[1] > before, f"a {name} in clear is dropped")
    expect(W.ss("state syn-sent dport = 6004"), "the connection is still being opened")
    no_packet(back, "W answers neither of them")
    conforms("R-2-3", "require: clear SYN, with and without SYN cookies, draws no SYN-ACK;"
                      " clear SYN-ACK and crossing SYN are dropped")
    client.close()


# ---- 3 to 5


def off_creates_no_latch():
    flush("policy")
    flush("state")
    forget(Latch)
    add_policies("in", "out")
    add_sas()
    bind(7)
    listener, wire = C.listen(5009), Arrivals(C)
    client = W.connect(5009)
    peer = accept(listener, "off: a connection is established")
    sends(client, peer, b"not latched", "data arrives")
    expect(all(packet[0] == ESP for packet in wire.new()), "the policies protect it")
    expect(not connections(), "there is no latch")
    expect(not any(each.spawned for each in listeners() if each.local_port == 5009),
           "the listener's latch counts none")
    conforms("R-2-13", "action = off: no latch, the connection works under the same SAs")
    client.close()
    peer.close()
    listener.close()


def full_table():
    for port, name in ((6005, "require"), (5105, "auto")):
        forget(Latch)
        keys = fill()
        listener, wire = C.listen(port), Arrivals(C)
        client = W.connect(port)
        retries(LATCH_DROP_LATCHES_FULL, f"{name}: no room for the latch, the SYN is dropped")
        no_packet(wire, name)
        for key in keys:
            delete("latches", key)
        peer = accept(listener, "with room the connection is established")
        expect(are(port, LATCH_STATE_ESTABLISHED, 7), "latched at both ends")
        client.close()
        peer.close()
        listener.close()


def conflict_in_the_kernel():
    for port in (6006, 5106):
        listener, wire = C.listen(port), Arrivals(C)
        set_flags(LATCH_SA_CONTESTED)
        client = W.connect(port)
        retries(LATCH_DROP_CONTESTED, "under SAs in conflict the SYN is dropped")
        no_packet(wire, "conflict")
        expect(not latches_of(port), "there is no latch")
        client.close()
        listener.close()
    set_flags(0)


# ---- 6: with latchd


def refusals(port):
    return [event for event in latchd.events("latch-refused") if event["remote"]["port"] == port]


def connect_fails(port, reason, what):
    client = W.open_socket()
    client.settimeout(LIMIT)
    wire = Arrivals(C)
    failed = 0
    try:
        client.connect((C.address, port))
    except OSError as error:
        failed = error.errno
    expect(failed == errno.ECONNABORTED, f"{what}: connect() fails with ECONNABORTED ({failed})")
    no_packet(wire, what)
    until(lambda: any(event["reason"] == reason for event in refusals(port)),
          "the monitor reports the reason")


def listed():
    return [row for row in latchd.ask("list")["latches"] if row["state"] != "listener"]


def errors_at_once():
    forget(Latch)
    forget(Sa)
    flush("state")
    flush("policy")
    latchd.start()
    until(latchd.events, "the monitor listens")
    expect(latchd.ask("status")["rules"] == 4, "status shows four rules")
    connect_fails(6010, "required", "require, in clear")
    expect(refusals(6010)[0]["rule"] == "bound-remote", "the monitor names the rule")
    conforms("R-2.3-18", "connect() that can have no latch fails at once")
    listener = C.listen(5110)
    client = W.connect(5110)
    peer = accept(listener, "auto, in clear: the connection is established")
    expect(not latches_of(5110), "it has no latch")
    expect(not listed(), "list shows none")
    conforms("L-2.3-2", "a SYN in clear: refused under require; under auto accepted, without a latch in the list")
    client.close()
    peer.close()
    add_policies("in", "out")
    add_sas()
    client = W.connect(6011)
    retries(LATCH_DROP_SA_PENDING, "require, an unattributed SA: the SYN is dropped")
    expect(not refused_with(client) and W.ss("state syn-sent dport = 6011"),
           "the application receives no error yet")
    bind(7)
    set_flags(LATCH_SA_CONTESTED)
    connect_fails(6012, "conflict", "conflict under require")
    connect_fails(5112, "conflict", "conflict under auto")
    set_flags(0)
    listener = C.listen(6013)
    client = W.connect(6013)
    peer = accept(listener, "under good SAs a connection is established")
    rules = {row["rule"] for row in listed() if 6013 in (row["local"]["port"], row["remote"]["port"])}
    expect(rules == {"bound-local", "bound-remote"}, "list shows its rules")
    no_reset_in_clear()
    latchd.stop()


def no_reset_in_clear():
    if not any(netns["netfilter_gate"] for netns in latchd.ask("status")["netns"]):
        print("the netfilter gate is not in this kernel: no check of resets", flush=True)
        return
    flush("policy")
    wire = Arrivals(W)
    send_tcp(W, (40020, 5199), SYN)
    until(lambda: any(packet[1] == 5199 and packet[3] & RST for packet in wire.so_far()),
          "without a rule a SYN to a port without a socket draws a RST")
    answers, requests = dropped(LATCH_DROP_REQUIRED)
    send_tcp(W, (40021, 6099), SYN)
    until(lambda: dropped(LATCH_DROP_REQUIRED)[1] == requests + 1, "under require the SYN is dropped as it comes")
    send_tcp(W, (40022, 6099), ACK)
    until(lambda: dropped(LATCH_DROP_REQUIRED)[0] == answers + 1, "the answer to an ACK is dropped as it leaves")
    send_tcp(W, (40023, 5199), SYN)
    until(lambda: any(packet[2] == 40023 for packet in wire.so_far()), "a later SYN is answered")
    expect(not any(packet[1] == 6099 for packet in wire.all), "nothing left from the other port")


latchd = Latchd("rules", RULES, "pending-limit = 60s\n",
                f"[feed none]\ntype = vici\nsocket = {FOLDER}/absent.vici\n")
topology()
watch()
attach_with(RULES)
nothing_leaves_before_the_latch()
if not SHORT:
    larval_obeys_a_new_rule()
    resets_have_the_rule_of_their_flow()
clear_requests_are_ignored()
if not SHORT:
    clear_answers_are_ignored()
    off_creates_no_latch()
    full_table()
    conflict_in_the_kernel()
errors_at_once()
