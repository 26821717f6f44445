# SPDX-License-Identifier: BSD-2-Clause
# touches: spd latch net gate report
# expect: clean
# variant: spd-edits-short short
# run: conformance spd-edits
"""
latchd, and edits of w's SPD by an administrator under a latched connection.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2
    two transport-mode ESP SAs and policies of priority 100, made by hand and bound to c.example

After each edit, except the last ones: the latch of w is BROKEN, reason spd-change, and the
monitor names the policy that decides now; no byte arrives and none is in clear. The edit is
reverted, and the connection, whose disposition is to wait, continues.

    1. a BYPASS of higher priority, out and in; a BLOCK
    2. the policy names a template of another mode; the policy is gone; all are flushed
    3. without a policy, the default action is turned from accept to block
    4. edits that change nothing for the flow: no event of the latch
    5. an edit while latchd does not run
    6. a connection that does not wait is reset
    7. a connection with on-policy-change = protect keeps its protection by policies for it
       alone (RFC 5660, R-2.3-14), which are deleted with the edit
    8. a peer that does not latch sends in clear, as its SPD allows: w drops it

With the argument "short": two edits of 1 and 2, and 6.
"""
import collections
import errno
import socket
import sys

from abi import (LATCH_DROP_BROKEN, LATCH_DROP_PLAINTEXT, LATCH_REASON_SPD_CHANGE, LATCH_SPD_IN,
                 LATCH_SPD_OUT, LATCH_STATE_BROKEN, LATCH_STATE_ESTABLISHED)
from checks import conforms, expect, run_json, until
from flows import register, watch
from gates import Gate, stops_at
from host import C, HOSTS, W, accept, arrives_whole, received, sends, topology, unacknowledged
from latchd import Latchd, attach
from maps import are, bind, bind_beside_latchd, connections, define, define_identity, latches_of

SHORT = "short" in sys.argv[2:]
RULES = """
[rule patient]
action = auto
protocol = tcp
remote-port = 5001-5002
disposition = wait

[rule steadfast]
action = auto
protocol = tcp
remote-port = 5004
on-policy-change = protect

[rule carefree]
action = off
protocol = tcp
local-port = 5005
"""
OUT = f"src {W.address}/32 dst {C.address}/32 proto tcp dir out"
IN = f"src {C.address}/32 dst {W.address}/32 proto tcp dir in"


# ---- w and c


def policy(host, verb, way, rest="priority 100 tmpl proto esp reqid 1 mode transport"):
    """way: in or out, as w sees it"""
    source, destination = (W, C) if way == "out" else (C, W)
    there = {"in": "out", "out": "in"}[way] if host is C else way
    host.ip(f"xfrm policy {verb} src {source.address}/32 dst {destination.address}/32"
            f" dir {there} {rest}")


def on_w(line):
    return lambda: W.ip(f"xfrm policy {line}")


def protect():
    for host in HOSTS:
        host.add_sas()
        for way in ("out", "in"):
            policy(host, "add", way)
        # It counts before any gate of latchd drops.
        host.nft("table inet clear { chain in { type filter hook prerouting priority -400;"
                 " meta l4proto tcp meta ipsec missing counter; }; }")


def packets_in_clear(host=C):
    listing = run_json(f"ip netns exec {host.name} nft -j list table inet clear")
    rules = [entry["rule"] for entry in listing["nftables"] if "rule" in entry]
    return [part["counter"]["packets"] for part in rules[0]["expr"] if "counter" in part][0]


# ---- latches


def latch(port):
    """The latch of w, which connects."""
    return next(each for each in latches_of(port) if each.remote_port == port)


def state(port):
    return latch(port).state


def is_protected(port):
    return all(each.spd == LATCH_SPD_OUT | LATCH_SPD_IN for each in latches_of(port))


def new_connection(port):
    listener = C.listen(port)
    client = W.connect(port)
    peer = accept(listener, f"a connection to port {port} is established")
    until(lambda: is_protected(port), "latchd has seen that the SPD protects it, both ways")
    expect(are(port, LATCH_STATE_ESTABLISHED, 7), "both latches are established, with params 7")
    return client, peer


def count(event):
    return len(latchd.events(event))


# ---- an edit


def broken(what, direction, action, default=False):
    until(lambda: state(5001) == LATCH_STATE_BROKEN, f"{what}: the latch is broken")
    expect(latch(5001).reasons == LATCH_REASON_SPD_CHANGE, "the only reason is spd-change")
    until(lambda: count("latch-broken") == broken.count + 1, "the monitor reports it once")
    broken.count += 1
    event = latchd.events("latch-broken")[-1]
    decides = event["policy"]
    expect(event["reason"] == "spd-change" and event["expected"]["id"] == "c.example",
           "the event names the reason and the latched peer")
    expect((decides["direction"], decides["action"], decides["default"])
           == (direction, action, default), f"the event names the policy that decides now: {decides}")


broken.count = 0


def edits_of_w():
    return [event["netns"] for event in latchd.events("policy-changed")].count(W.cookie())


def edit(what, make, revert, *outcome):
    text = what.encode()
    before, edits = count("latch-healed"), edits_of_w()
    make()
    until(lambda: edits_of_w() > edits, f"{what}: the monitor reports an edit in w's namespace")
    broken(what, *outcome)
    if outcome[0] == "out" and outcome[1] != "bypass":
        # XFRM itself blocks the data, or has no SA of that kind: no packet reaches the gates.
        client.send(text)
        until(lambda: unacknowledged(client), "the data waits in the socket")
        expect(received(peer) == b"", "no byte of it arrived")
    else:
        stops_at(Gate(W, "out"), client, peer, text, LATCH_DROP_BROKEN, "w's egress gate drops the data")
    revert()
    until(lambda: state(5001) == LATCH_STATE_ESTABLISHED, "reverted: the latch is established again")
    until(lambda: count("latch-healed") == before + 1, "the monitor reports that once")
    arrives_whole(peer, text, "its stream continues, nothing lost")
    expect(packets_in_clear() == 0, "no packet was in clear")


def default_block():
    policy(W, "delete", "out", "")
    W.ip("xfrm policy setdefault out block")


def default_back():
    before = count("policy-changed")
    W.ip("xfrm policy setdefault out accept")
    until(lambda: count("policy-changed") > before, "the monitor reports a new default action, too")
    policy(W, "add", "out")


def bypass_out():
    edit("bypass out", on_w(f"add {OUT} priority 1 action allow"), on_w(f"delete {OUT}"), "out", "bypass")


def policy_is_deleted():
    edit("deleted", lambda: policy(W, "delete", "out", ""), lambda: policy(W, "add", "out"),
         "out", "bypass", True)


def all_other_edits():
    edit("bypass in", on_w(f"add {IN} priority 1 action allow"), on_w(f"delete {IN}"), "in", "bypass")
    edit("block out", on_w(f"add {OUT} priority 1 action block"), on_w(f"delete {OUT}"), "out", "block")
    edit("another mode",
         lambda: policy(W, "update", "out", f"priority 100 tmpl src {W.address} dst {C.address}"
                                            " proto esp reqid 1 mode tunnel"),
         lambda: policy(W, "update", "out"), "out", "protect")
    edit("flushed", on_w("flush"), lambda: [policy(W, "add", way) for way in ("out", "in")],
         "out", "bypass", True)
    conforms("R-2.3-12", "six edits of the SPD: no packet in clear, no byte before the revert")
    conforms("R-2.3-13", "each made the latch BROKEN, reason SPD change; each revert ESTABLISHED")
    conforms("S13", "PROTECT deleted, replaced, flushed; BYPASS and BLOCK above it: BROKEN, nothing in clear")
    conforms("S14", "each of them reverted: ESTABLISHED, the stream continues")
    edit("default block", default_block, default_back, "out", "block", True)


def edits_beside_the_flow():
    """Returns a second connection, of the same disposition."""
    healed = count("latch-healed")
    for line in ("add src 10.9.0.1/32 dst 10.9.0.2/32 proto udp dir out priority 1 action allow",
                 "add src 10.9.0.1/32 dst 10.9.0.2/32 proto tcp dport 5009 dir out priority 1 action block",
                 "add src 10.9.0.1/32 dst 10.9.0.3/32 dir out priority 1 action allow",
                 "add src 10.9.0.0/24 dst 10.9.0.0/24 dir in priority 200 action allow",
                 "add src 10.9.0.1/32 dst 10.9.0.2/32 proto tcp dir out priority 1"
                 " tmpl proto esp reqid 1 mode transport",
                 "add src 10.9.0.1/32 dst 10.9.0.2/32 dir out priority 1 action block if_id 9"):
        on_w(line)()
    W.ip("xfrm policy setdefault out block")
    other = new_connection(5002)
    W.ip("xfrm policy setdefault out accept")
    until(lambda: [event for event in latchd.events("latch-established") if event["remote"]["port"] == 5002],
          "the monitor shows what came later")
    expect(state(5001) == LATCH_STATE_ESTABLISHED, "edits that change nothing for the flow break no latch")
    expect((count("latch-broken"), count("latch-healed")) == (broken.count, healed),
           "the monitor reports no latch")
    sends(client, peer, b"still here", "its stream continues")
    # The kernel may clean up a namespace of an earlier scenario only now: one event, of its flush.
    others = collections.Counter(event["netns"] for event in latchd.events("policy-changed")
                                 if event["netns"] not in (W.cookie(), C.cookie()))
    expect(0 not in others and set(others.values()) <= {1},
           "all edits are reported in a namespace that exists")
    conforms("S15", "seven edits that do not cover the flow or do not change its outcome: no event")
    return other


def edit_while_no_latchd_runs():
    latchd.stop()
    on_w(f"update {OUT} priority 1 action allow")()
    latchd.start()
    bind_beside_latchd(7)
    until(lambda: state(5001) == state(5002) == LATCH_STATE_BROKEN,
          "an edit from before latchd started breaks both latches")
    on_w(f"delete {OUT}")()
    until(lambda: state(5001) == state(5002) == LATCH_STATE_ESTABLISHED, "the revert heals both latches")


def connection_that_does_not_wait():
    """Returns its ends: if the peer's closed, w's kernel would answer with a reset in clear."""
    last, last_peer = new_connection(5003)
    on_w(f"add src {W.address}/32 dst {C.address}/32 proto tcp dport 5003 dir out priority 1 action allow")()
    until(lambda: last.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNABORTED,
          "a connection that does not wait is reset: ECONNABORTED")
    expect(state(5001) == LATCH_STATE_ESTABLISHED, "the edit was for its port only: the others stay")
    expect(packets_in_clear() == 0, "no packet was in clear")
    return last, last_peer


def own_policies(port):
    return [line for line in W.ip("-o xfrm policy").stdout.splitlines()
            if f"sport {port} dport 5004 " in line or f"sport 5004 dport {port} " in line]


def keeps_its_protection():
    listener = C.listen(5004)
    client = W.connect(5004)
    peer = accept(listener, "a connection that is to keep its protection is established")
    register(W, client)
    register(C, peer)
    until(lambda: is_protected(5004), "latchd has seen that the SPD protects it")
    port, reported = client.getsockname()[1], count("latch-broken")
    bypass = OUT.replace(" dir", " dport 5004 dir")
    on_w(f"add {bypass} priority 1 action allow")()
    until(lambda: len(own_policies(port)) == 2, "a BYPASS above: it has policies of its own, out and in")
    until(lambda: count("latch-held") == 1, "the monitor reports that once")
    sends(client, peer, b"as protected as before", "its stream continues")
    expect(packets_in_clear() == 0, "no packet is in clear")
    expect(are(5004, LATCH_STATE_ESTABLISHED, 7) and count("latch-broken") == reported,
           "its latch is not broken")
    later = W.connect(5004)
    until(lambda: packets_in_clear() > 0, "a new connection to the same port starts in clear, as the BYPASS allows")
    expect(not own_policies(later.getsockname()[1]), "the new connection has no policy of its own")
    later.close()
    conforms("R-2.3-14", "a BYPASS above: policies for this 5-tuple alone, its stream continues protected")
    on_w(f"delete {bypass}")()
    until(lambda: not own_policies(port), "reverted: its policies are gone")
    until(lambda: count("latch-released") == 1, "the monitor reports that once")
    sends(client, peer, b"and once more", "its stream continues")


def peers_plaintext_is_dropped():
    """C does not latch, and its SPD lets it send in clear; W's lets that in, which latchd cannot see."""
    W.nft("add chain inet clear marked { type filter hook prerouting priority mangle; };"
          " add rule inet clear marked meta ipsec missing tcp sport 5005 meta mark set 7")
    on_w(f"add {IN} mark 7 mask 0xff priority 1 action allow")()
    listener = C.listen(5005)
    client = W.connect(5005)
    peer = accept(listener, "a connection that C does not latch is established")
    register(W, client)
    sends(client, peer, b"to C", "data arrives")
    sends(peer, client, b"to W", "in both directions")
    expect([each.remote_port for each in connections() if 5005 in (each.local_port, each.remote_port)]
           == [5005], "W's end is latched, C's is not")
    clear = packets_in_clear(W)
    bypass = f"src {C.address}/32 dst {W.address}/32 proto tcp sport 5005 dir out"
    C.ip(f"xfrm policy add {bypass} priority 1 action allow")
    stops_at(Gate(W, "in"), peer, client, b"a secret of C's", LATCH_DROP_PLAINTEXT,
             "C's data in clear is dropped at W")
    expect(packets_in_clear(W) > clear, "the data was on the wire: W cannot prevent that")
    expect(state(5005) == LATCH_STATE_ESTABLISHED, "W's latch is established")
    C.ip(f"xfrm policy delete {bypass}")
    policy(C, "update", "in")
    until(lambda: received(client) == b"a secret of C's", "protected again W receives it")
    conforms("S36", "C does not latch and sent in clear: W's end, latched, received nothing of it, and counted it")


latchd = Latchd("spd-edits", RULES, "policy-grace = 5s\n")
topology()
watch()
attach()
define_identity(1, b"w.example")
define_identity(2, b"c.example")
define(7, 2)
protect()
bind(7)
latchd.start()
bind_beside_latchd(7)
client, peer = new_connection(5001)
register(W, client)
register(C, peer)
sends(client, peer, b"for C only", "data arrives")

bypass_out()
policy_is_deleted()
if not SHORT:
    all_other_edits()
    second = edits_beside_the_flow()
    edit_while_no_latchd_runs()
third = connection_that_does_not_wait()
if not SHORT:
    keeps_its_protection()
    peers_plaintext_is_dropped()
latchd.stop()
