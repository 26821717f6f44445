# SPDX-License-Identifier: BSD-2-Clause
# touches: gate watch db packet
# expect: clean
"""
The kernel side alone: pending SAs, a latch, an impostor's SA, plaintext.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2
    two transport-mode ESP SAs, installed by hand; the programs watch both hosts

    1. a new SA is PENDING before a packet can use it; a refused duplicate changes nothing
    2. no flow starts under a pending SA before the limit; after it a flow starts,
       LARVAL, and settles on params 7 as soon as its SAs are bound to them
    3. a flow that starts now is ESTABLISHED at once, by SYN or by SYN cookie
    4. each of these at w's egress gate alone, then at c's ingress gate alone; after each the stream
       continues under params 7, nothing lost:
       the SA belongs to another peer (params 8), counted as identity; to the same peer with
       other protection (params 9), qop; to no peer, sa-pending; it is not in the table, sa-unknown
    5. a flow that begins under orphan SAs of params 7 is LARVAL with these params: each gate alone
       lets nothing through under an SA of no peer, however old; under a bound SA it is ESTABLISHED
    6. w's policies are flushed: nothing leaves w, counted as plaintext
       w's end of another connection is not latched, and sends in clear: c accepts nothing
    7. deleted SAs leave the table
"""
import errno
import os
import socket

from abi import (LATCH_DROP_IDENTITY, LATCH_DROP_PLAINTEXT, LATCH_DROP_QOP, LATCH_DROP_SA_PENDING,
                 LATCH_DROP_SA_UNKNOWN, LATCH_SA_ORPHAN, LATCH_SA_PENDING, LATCH_STATE_ESTABLISHED, LATCH_STATE_LARVAL)
from checks import conforms, expect, until
from flows import register, register_pair, watch
from gates import Gate, stops_at
from host import C, W, accept, arrives_whole, flush, protect, reset_on_close, sends, topology
from latchd import attach_with
from maps import (Sa, are, bind, connections, define, forget_latch_of_listener, latches_of,
                  set_pending_limit)

RULES = """
[rule one-sided]
action = off
protocol = tcp
remote-port = 5009
"""
W_SENDS, C_RECEIVES = Gate(W, "out"), Gate(C, "in")

topology()
watch()
attach_with(RULES)
protect()
sas = Sa.all()
expect(len(sas) == 4 and all(sa.state == LATCH_SA_PENDING for sa in sas),
       "four SAs recorded, all pending")
expect(len({sa.netns for sa in sas}) == 2, "in two network namespaces")
serials = sorted(sa.serial for sa in sas)
again = W.add_sa(W.address, C.address, 0x1001, check=False)
expect(again.returncode and os.strerror(errno.EEXIST) in again.stderr, f"a duplicate is refused: {again.stderr}")
expect(sorted(sa.serial for sa in Sa.all()) == serials, "the duplicate changed no record")

set_pending_limit(1 << 40)
wire, before = W_SENDS.crossing(), C_RECEIVES.drops(LATCH_DROP_SA_PENDING)
listener = C.listen(5001)
client = W.connect(5001)
until(lambda: wire.so_far() or W_SENDS.drops(LATCH_DROP_SA_PENDING) >= 2,
      "a SYN under a pending SA is dropped, and so is the next")
expect(not wire.so_far(), "no SYN leaves under a pending SA")
client.close()
W_SENDS.bind(7)
early = W.connect(5001)
until(lambda: C_RECEIVES.drops(LATCH_DROP_SA_PENDING) > before, "a SYN that comes under a pending SA is dropped")
expect(not [latch for latch in connections() if latch.netns == C.cookie()], "the SYN creates no latch")
expect(not C.ss("state connected sport = 5001"), "the SYN opens no connection")
early.close()
W_SENDS.unattribute()
set_pending_limit(1)
client = W.connect(5001)
peer = accept(listener, "beyond the limit the connection is established")
register_pair(client, peer, "for C")
sends(client, peer, b"for C?", "data arrives")
expect(are(5001, LATCH_STATE_LARVAL, 0), "both latches are larval")
bind(7)
sends(client, peer, b"for C only", "data arrives under the bound SA")
until(lambda: are(5001, LATCH_STATE_ESTABLISHED, 7), "both latches are established, with params 7")

other = C.listen(5002)
later = W.connect(5002)
accept(other, "another connection is established").close()
expect(are(5002, LATCH_STATE_ESTABLISHED, 7), "both its latches are established, with params 7")
conforms("L-2-4", "a latch is created with the SYN, at either end")

C.sysctl("net.ipv4.tcp_syncookies=2")


def answers_a_cookie(port, answer, what):
    W.nft("table inet hold { chain out { type filter hook output priority 0;"
          f" tcp dport {port} tcp flags & (syn|ack) == ack counter drop; }}; }}")
    cookie_listener = C.listen(port)
    opener = W.connect(port)
    until(lambda: opener.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
          and W.ss(f"state established dport = {port}"),
          "W answers a SYN cookie, and the answer is held back")
    forget_latch_of_listener(port)
    answer(opener)
    W.nft("delete table inet hold")
    until(lambda: are(port, LATCH_STATE_ESTABLISHED, 7),
          f"the answer to the SYN cookie, {what}, creates a latch")
    return opener, accept(cookie_listener, "the connection is established")


held = [answers_a_cookie(5003, lambda opener: opener.send(b"x"), "with data"),
        answers_a_cookie(5004, lambda opener: opener.shutdown(socket.SHUT_WR), "with the sender's FIN")]

define(7, 2)
define(8, 3)
define(9, 2, b"rfc7539esp(chacha20,poly1305)")
CASES = {"the impostor's SA": (LATCH_DROP_IDENTITY, lambda gate: gate.bind(8)),
         "an SA of other protection": (LATCH_DROP_QOP, lambda gate: gate.bind(9)),
         "an SA without a peer": (LATCH_DROP_SA_PENDING, Gate.unattribute),
         "an unknown SA": (LATCH_DROP_SA_UNKNOWN, Gate.forget)}


def stops_until_its_own(gate, name, what):
    reason, change = CASES[name]
    forgotten = change(gate) or ()
    stops_at(gate, client, peer, b"for C alone", reason, what)
    for sa in forgotten:
        sa.store()
    gate.bind(7)
    arrives_whole(peer, b"for C alone", "under C's own SA the stream continues")


for case in CASES:
    stops_until_its_own(W_SENDS, case, f"w sends nothing under {case}")
    stops_until_its_own(C_RECEIVES, case, f"c accepts nothing under {case}")
conforms("R-2-4", "under SAs of another peer, of other protection, of no peer: nothing was sent, or accepted")


def orphan(sas_of_params_7):
    for sa in sas_of_params_7:
        sa.store(state=LATCH_SA_ORPHAN, params=7)


orphan(Sa.all())
settling_at = C.listen(5006)
settling = W.connect(5006)
settling_peer = accept(settling_at, "a connection under orphan SAs is established")
register_pair(settling, settling_peer, "for C")
sends(settling, settling_peer, b"for C", "data arrives")
expect(are(5006, LATCH_STATE_LARVAL, 7), "both latches are larval, with params 7")
for gate, what in ((W_SENDS, "w sends nothing of it under an SA without a peer"),
                   (C_RECEIVES, "c accepts nothing of it under an SA without a peer")):
    gate.unattribute()
    stops_at(gate, settling, settling_peer, b"for C still", LATCH_DROP_SA_PENDING, what)
    orphan(gate.sas())
    arrives_whole(settling_peer, b"for C still", "under its first peer's SA the stream continues")
bind(7)
sends(settling, settling_peer, b"for C", "data arrives under the bound SA")
until(lambda: are(5006, LATCH_STATE_ESTABLISHED, 7), "both latches are established, with params 7")
reset_on_close(settling)
settling.close()

one_sided = C.listen(5009)
unlatched = W.connect(5009)
peer_of_unlatched = accept(one_sided, "a connection that only C latches is established")
register(C, peer_of_unlatched)
sends(unlatched, peer_of_unlatched, b"also for C", "data arrives")
expect([latch.netns for latch in latches_of(5009)] == [C.cookie()], "C's end is latched, W's is not")
W.flush("policy")
stops_at(W_SENDS, client, peer, b"for C, never in clear", LATCH_DROP_PLAINTEXT, "w sends nothing in clear")
for each in [client] + [opener for opener, _ in held]:
    reset_on_close(each)
    each.close()
C.flush("policy")
stops_at(C_RECEIVES, unlatched, peer_of_unlatched, b"in clear", LATCH_DROP_PLAINTEXT, "c accepts nothing in clear")
flush("state")
expect(not Sa.all(), "deleted SAs leave the table")
