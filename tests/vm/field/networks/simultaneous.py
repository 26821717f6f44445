# SPDX-License-Identifier: BSD-2-Clause
"""Both key managers begin an IKE_SA at the same moment, over a slow link, after one of them was restarted.

    W 10.9.0.1 ----- IKE_AUTH with INITIAL_CONTACT, under way for 3 s ----> C 10.9.0.2
               <---- an IKE_SA that C begins meanwhile ------------------->

W has no IKE_SA with C yet when it writes its INITIAL_CONTACT (RFC 7296, 2.4). When it arrives, C has one
that is younger than the message, and ends it. No peer has rebooted.
"""
from disturbances import calm, rekey_children, restart_charon
from network import Network
from node import Node, holds_within, transport
from traffic import Datagrams, Echo, Requests, Stream

PORT = 7000
# IKE_AUTH has the number 35 (RFC 7296, 3.1).
SLOW = """send_delay = 3000
  send_delay_type = 35
  send_delay_response = no"""
UNDER_WAY_SECONDS, ATTEMPTS = 8, 3


def network():
    w, c = Node("w", "10.9.0.1", charon=SLOW), Node("c", "10.9.0.2")
    return Network([w, c], [transport(w, c)], list(parts(w, c)), latched=4, phases=PHASES)


def cross(network):
    """W refuses C for good if C asks before W has its configuration: then there is one IKE_SA only."""
    c = network.nodes[1]
    before = ended_by_contact(c)
    for _ in range(ATTEMPTS):
        restart_charon(network)
        if holds_within(UNDER_WAY_SECONDS, lambda: ended_by_contact(c) > before):
            return
    raise SystemExit("no INITIAL_CONTACT has ended an IKE_SA of C")


def ended_by_contact(node):
    with open(node.path("charon.log"), encoding="utf-8", errors="replace") as log:
        return log.read().count("received INITIAL_CONTACT")


PHASES = (("calm", calm), ("crossing", cross), ("CHILD_SA rekey", rekey_children))


def parts(w, c):
    yield Echo(w, PORT)
    yield Echo(c, PORT)
    yield Stream("stream c-w", lambda: c.connected(w.address, PORT))
    yield Stream("stream w-c", lambda: w.connected(c.address, PORT))
    yield Requests("requests", c, w.address, PORT)
    yield Datagrams("udp", c, w.address, PORT)
