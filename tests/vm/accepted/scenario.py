# SPDX-License-Identifier: BSD-2-Clause
# touches: watch gate db
# expect: clean
# run: conformance
"""
A listener accepts a connection, and its latch ended during the handshake.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2
    two transport-mode ESP SAs, installed by hand, params 7

The ingress gate is away during the handshake, so that c's end has no latch when it is established,
as if the latch had ended between the ACK's gate and the socket.

    1. under a bound SA: c's socket is blocked (closed), by the gate that is back
    2. under a rule that says off: it goes on unlatched
    3. in clear: it goes on unlatched
    4. with the gate: latched, data arrives
"""
import os
import socket

from abi import LATCH_DROP_CLOSED, LATCH_STATE_ESTABLISHED
from checks import conforms, expect, run, until
from flows import register, watch
from gates import Gate
from host import C, W, accept, flush, protect, sends, topology
from latchd import attach_with
from maps import are, bind, define, latches_of, pins

RULES = """
[rule left-out]
action = off
protocol = tcp
local-port = 5002
"""
C_RECEIVES = Gate(C, "in")


def accepted(port, what):
    """A connection that is established while the ingress gate is away."""
    gates = [name for name in os.listdir(pins("links")) if name.startswith("gate_ingress")]
    for name in gates:
        run(f"bpftool link detach pinned {pins('links')}/{name}")
    expect(gates, "the ingress gate is away")
    listener = C.listen(port)
    client = W.connect(port)
    peer = accept(listener, what)
    listener.close()
    attach_with(RULES)
    return client, peer


def unread(sock):
    """What has arrived, without taking it."""
    try:
        return sock.recv(65536, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


def latches_of_c(port):
    return [latch for latch in latches_of(port) if latch.netns == C.cookie()]


topology()
watch()
attach_with(RULES)
protect()
bind(7)
define(7, 2)

client, peer = accepted(5001, "a connection is accepted under a bound SA, without the ingress gate")
register(C, peer)
expect(not latches_of_c(5001), "c's end has no latch")
before = C_RECEIVES.drops(LATCH_DROP_CLOSED)
client.send(b"for a latched socket")
until(lambda: unread(peer) or C_RECEIVES.drops(LATCH_DROP_CLOSED) >= before + 2, "its data meets the gate")
expect(not unread(peer) and C_RECEIVES.drops(LATCH_DROP_CLOSED) >= before + 2, "c's socket is blocked")
conforms("R-2-4", "a connection that was accepted without the latch that it ought to have carries nothing")

unlatched, other = accepted(5002, "a connection that a rule leaves out is accepted")
expect(not latches_of_c(5002), "c's end has no latch")
sends(unlatched, other, b"left out", "its data arrives")

flush("policy")
plain, third = accepted(5003, "a connection in clear is accepted")
sends(plain, third, b"in clear", "its data arrives")
sends(third, plain, b"answer", "in both directions")
flush("state")
protect()
bind(7)

listener = C.listen(5004)
latched = W.connect(5004)
fourth = accept(listener, "with the gate a connection is accepted")
sends(latched, fourth, b"for C", "its data arrives")
until(lambda: are(5004, LATCH_STATE_ESTABLISHED, 7), "both ends are latched")
