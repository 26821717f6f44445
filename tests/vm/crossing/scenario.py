# SPDX-License-Identifier: BSD-2-Clause
# touches: gate db
# expect: clean
# run: conformance
"""
Simultaneous open (RFC 5660 section 4), and SYNs under an SA that is gone.

    netns w 10.9.0.1:5201 ---- veth, slow ---- netns c 10.9.0.2:5201
    both connect to each other; two transport-mode ESP SAs by hand

    1. the SYNs cross, the connection is established, both ends are latched to params 7;
       the same where C's SYN arrives at W before W's own could leave
    2. the connection obeys its latch: under another peer's SA (params 8) the sender lets nothing
       out, and the receiver accepts nothing
    3. a SYN arrives under an SA that is gone before the SYN-ACK leaves; the next SA
       belongs to another peer (params 8): the SYN-ACK does not leave; it leaves under the latch's
       own peer, and w, where the SA belongs to params 8, does not accept it
    4. the other peer's own SYN, between the same two ports: its connection is latched to
       this peer, and receives nothing of the stale SYN's data (TCP Fast Open)
"""
import socket

from abi import LATCH_DIRECTION_IN, LATCH_DROP_IDENTITY, LATCH_STATE_ESTABLISHED
from checks import conforms, expect, until
from flows import register, watch
from gates import Gate, stops_at
from host import C, HOSTS, W, accept, arrives_whole, protect, sends, topology
from latchd import attach, attach_netfilter_gate, has_netfilter_gate
from maps import are, bind, define, forget_latch_of_listener, latches_of

CIPHER = b"cipher of hand-made SAs"


def hold_back(host, match):
    host.nft("table inet hold { chain out { type filter hook output priority -400;"
             f" {match} counter drop; }}; }}")


def let_through(host):
    host.nft("delete table inet hold")


def cross(port):
    """Both ends, each of which connects to the other."""
    ends = [host.bound(port) for host in HOSTS]
    for end, host in zip(ends, HOSTS):
        end.connect_ex((host.peer.address, port))
    return ends


def both_established(port):
    return W.established(port) and C.established(port)


def register_both(end_of_w, end_of_c):
    register(W, end_of_w)
    register(C, end_of_c)


def obeys_its_latch(host, sender, receiver):
    for gate, what in ((Gate(host, "out"), "nothing leaves under D's SA"),
                       (Gate(host.peer, "in"), "nothing is accepted under D's SA")):
        gate.bind(8)
        stops_at(gate, sender, receiver, b"not for D", LATCH_DROP_IDENTITY, what)
        gate.bind(7)
        arrives_whole(receiver, b"not for D", "under its own SA the stream continues")


topology()
watch()
attach()
if has_netfilter_gate():
    attach_netfilter_gate()
protect()
define(7, 2, CIPHER)
define(8, 3, CIPHER)
bind(7)
for each in HOSTS:
    each.delay("delay 2s")
w_end, c_end = cross(5201)
expect(all(host.ss("state syn-sent sport = 5201") for host in HOSTS), "both are in SYN-SENT")
until(lambda: both_established(5201), "the SYNs crossed, the connection is established")
register_both(w_end, c_end)
for each in HOSTS:
    each.run(f"tc qdisc del dev {each.device} root")
sends(w_end, c_end, b"for C", "data arrives")
expect(are(5201, LATCH_STATE_ESTABLISHED, 7), "latched at both ends to params 7")
conforms("L-4-1", "crossing SYNs under the same SAs: one connection, latched at both ends")
conforms("S27", "both sides open at once on the same terms: one connection, latched at both ends")
obeys_its_latch(W, w_end, c_end)

# W's own SYN cannot leave before C's arrives.
hold_back(W, "tcp dport 5204")
w_end, c_end = cross(5204)
until(lambda: W.ss("state syn-recv sport = 5204"),
      "C's SYN has arrived at W, and W's own could not leave")
let_through(W)
until(lambda: both_established(5204), "the connection is established")
register_both(w_end, c_end)
expect(are(5204, LATCH_STATE_ESTABLISHED, 7), "latched at both ends to params 7")
sends(w_end, c_end, b"for C", "data arrives")
obeys_its_latch(C, c_end, w_end)

# C gets a SYN under C's and W's SA; before C answers, the SA belongs to another peer.
listener = C.listen(5202)
hold_back(C, "tcp sport 5202")
W.sysctl("net.ipv4.tcp_fastopen=5")
client = W.bound(5203)
try:
    client.sendto(b"data of the stale SYN", socket.MSG_FASTOPEN, (C.address, 5202))
except BlockingIOError:
    pass
until(lambda: C.ss("state syn-recv sport = 5202"), "the SYN has arrived")
until(lambda: [latch for latch in latches_of(5202) if latch.direction == LATCH_DIRECTION_IN],
      "its flow is latched to the peer of its SA")
answers, receives = Gate(C, "out"), Gate(W, "in")


def no_answer_leaves():
    """C has no full socket of this connection yet."""
    answers.bind(8)
    departures, refused = answers.crossing(), answers.drops(LATCH_DROP_IDENTITY)
    let_through(C)
    until(lambda: departures.so_far() or answers.drops(LATCH_DROP_IDENTITY) >= refused + 2,
          "the SYN-ACK is dropped under D's SA, and so is the next")
    expect(not departures.so_far(), "the SYN-ACK does not leave under D's SA")
    expect(not W.established(5203) and not C.established(5202), "no connection is established")
    hold_back(C, "tcp sport 5202")


if has_netfilter_gate():
    no_answer_leaves()
receives.bind(8)
answers.bind(7)
wire, before = receives.crossing(), receives.drops(LATCH_DROP_IDENTITY)
let_through(C)
until(lambda: W.established(5203) or receives.drops(LATCH_DROP_IDENTITY) > before,
      "the next SYN-ACK leaves, and is dropped at W under D's SA")
expect(wire.so_far() and not W.established(5203), "it came to W's device, and W does not accept it under D's SA")
bind(8)
expect(not W.established(5203) and not C.established(5202), "no connection is established")
expect(all(latch.params == 7 for latch in latches_of(5202)), "no latch has changed its params")
if has_netfilter_gate():
    conforms("L-2.3.1-2", "an SA that changed its peer behind a SYN: the answer does not leave, nor is it accepted")
else:
    conforms("L-2.3.1-2", "an SA that changed its peer behind a SYN: the answer is not accepted")

client.close()
C.sysctl("net.ipv4.tcp_synack_retries=1")
until(lambda: not C.ss("state syn-recv sport = 5202"), "C gives the stale SYN up")
forget_latch_of_listener(5202)
until(lambda: not latches_of(5202), "no latch of it is left")
client = W.bound(5203)
client.connect_ex((C.address, 5202))
peer = accept(listener, "D's own SYN, between the same ports: its connection is established")
expect(are(5202, LATCH_STATE_ESTABLISHED, 8), "latched to D at both ends")
sends(client, peer, b"data of D", "the application receives D's data and nothing else")
conforms("S34", "no connection for the stale SYN; the next one of these ports is latched to the new peer,"
                " and receives this peer's data only")
