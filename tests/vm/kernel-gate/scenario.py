# SPDX-License-Identifier: BSD-2-Clause
# touches: gate watch db packet
"""
The kernel side alone: pending SAs, a latch, an impostor's SA, plaintext.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2
    two transport-mode ESP SAs, installed by hand; the programs watch both hosts

    1. a new SA is PENDING before a packet can use it; a refused duplicate changes nothing
    2. no flow starts under a pending SA before the limit; after it a flow starts,
       LARVAL, and settles on params 7 as soon as its SAs are bound to them
    3. a flow that starts now is ESTABLISHED at once, by SYN or by SYN cookie
    4. the SAs belong to another peer (params 8): no byte arrives, counted as identity
    5. the same identities, but other protection (params 9): nothing arrives, counted as qop
    6. an SA that is not in the table: nothing arrives, counted as sa-unknown
    7. back to params 7: the stream continues, nothing lost
    8. the policies are flushed: no byte in clear, counted as plaintext
    9. deleted SAs leave the table
"""
import socket

from abi import (LATCH_DROP_IDENTITY, LATCH_DROP_PLAINTEXT, LATCH_DROP_QOP, LATCH_DROP_SA_PENDING,
                 LATCH_DROP_SA_UNKNOWN, LATCH_SA_PENDING, LATCH_STATE_ESTABLISHED, LATCH_STATE_LARVAL)
from checks import conforms, expect, until
from host import C, W, accept, arrives_whole, flush, protect, sends, topology
from latchd import attach
from maps import (Sa, are, bind, connections, define, drops, forget_latch_of_listener, forget_sas,
                  set_pending_limit, stream_waits_for)

topology()
attach()
protect()
sas = Sa.all()
expect(len(sas) == 4 and all(sa.state == LATCH_SA_PENDING for sa in sas),
       "four SAs recorded, all pending")
expect(len({sa.netns for sa in sas}) == 2, "in two network namespaces")
serials = sorted(sa.serial for sa in sas)
expect(W.add_sa(W.address, C.address, 0x1001, check=False).returncode != 0, "a duplicate is refused")
expect(sorted(sa.serial for sa in Sa.all()) == serials, "the duplicate changed no record")

set_pending_limit(1 << 40)
listener = C.listen(5001)
client = W.connect(5001)
until(lambda: drops(LATCH_DROP_SA_PENDING) >= 2,
      "a SYN under a pending SA is dropped, and so is the next")
expect(not connections(), "the SYN creates no latch")
set_pending_limit(1)
peer = accept(listener, "beyond the limit the connection is established")
sends(client, peer, b"to which peer?", "data arrives")
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
bind(8)
stream_waits_for(peer, client, b"still for C, ", LATCH_DROP_IDENTITY, "the impostor's SA is refused")
bind(9)
stream_waits_for(peer, client, b"as protected ", LATCH_DROP_QOP, "an SA of other protection is refused")
forgotten = forget_sas()
stream_waits_for(peer, client, b"as ever", LATCH_DROP_SA_UNKNOWN, "an unknown SA is refused")
for sa in forgotten:
    sa.store()
bind(7)
arrives_whole(peer, b"still for C, as protected as ever", "under C's own SA the stream continues")
conforms("R-2-4", "under SAs of another peer, of other protection, of no peer: nothing was sent")

flush("policy")
stream_waits_for(peer, client, b"never in clear", LATCH_DROP_PLAINTEXT, "plaintext is refused")
flush("state")
expect(not Sa.all(), "deleted SAs leave the table")
