#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""What a scenario in Python leaves of its sockets, as the leak oracle reads it.

    two connected sockets on lo --- tests/vm/lib/flows.py --- flows, sent, recv, events
"""
import os
import socket
import struct
import sys
import tempfile
import unittest

import tap

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
FOLDER = tempfile.TemporaryDirectory()
os.environ["LATCHD_TEST_RUN"] = FOLDER.name
sys.path.insert(0, os.path.join(TOP, "tests/vm/lib"))
import flows  # noqa: E402
from leaks.findings import Findings  # noqa: E402
from leaks.flows import Flows  # noqa: E402
from leaks.received import Received  # noqa: E402
from leaks.rundir import RunDirectory  # noqa: E402


def read(name):
    with open(os.path.join(FOLDER.name, "apps", name), "rb") as file:
        return file.read()


class Pair(unittest.TestCase):
    def setUp(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.client = socket.create_connection(listener.getsockname())
            self.peer, _ = listener.accept()
        for each in (self.client, self.peer):
            each.setblocking(False)
            self.addCleanup(each.close)
        self.tags = flows.register_pair(self.client, self.peer, "for C")

    def foreign(self):
        """The oracle's findings at these two applications."""
        run = RunDirectory(FOLDER.name)
        found, known = Findings([]), Flows(run)
        for flow in known.all:
            if flow.tag in self.tags:
                Received(run, known, found).check(flow)
        return [leak["text"] for leak in found.leaks.values()]

    def words(self, end):
        """The events of the client (0) or its peer (1), without their times."""
        lines = read(self.tags[end] + ".events").decode().splitlines()
        return [line.split(" ", 1)[1] for line in lines]

    def test_what_either_end_sends_and_receives_is_left_and_nothing_is_foreign(self):
        self.client.send(b"for C")
        self.assertEqual(self.peer.recv(100), b"for C")
        self.peer.send(b"thanks")
        self.assertEqual(self.client.recv(100), b"thanks")
        self.assertEqual([read(self.tags[0] + kind) for kind in (".sent", ".recv")], [b"for C", b"thanks"])
        self.assertEqual([read(self.tags[1] + kind) for kind in (".sent", ".recv")], [b"thanks", b"for C"])
        self.assertEqual(self.foreign(), [])

    def test_the_oracle_finds_bytes_that_the_peer_has_not_sent(self):
        self.client.send(b"for C")
        socket.socket.send(self.client, b" FORGED")  # not by the recorded end
        self.peer.recv(100)
        self.assertEqual(self.foreign(), [" FORGED"])

    def test_the_text_of_the_client_condemns_a_packet_in_clear(self):
        known = Flows(RunDirectory(FOLDER.name))
        senders, carriers = known.texts[b"for C"]
        self.assertIn(self.tags[0], [flow.tag for flow in senders])
        self.assertIn(self.tags[1], [flow.tag for flow in carriers])

    def test_an_end_and_a_reset_are_events_and_no_data_is_none(self):
        with self.assertRaises(BlockingIOError):
            self.peer.recv(1)
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
        self.client.shutdown(socket.SHUT_WR)
        self.peer.setblocking(True)
        self.assertEqual(self.peer.recv(1), b"")
        self.client.close()
        self.peer.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        # After a FIN a reset is EPIPE.
        self.assertEqual(self.words(1), ["connected", "eof", "error stream EPIPE"])
        self.assertEqual(self.words(0), ["connected"])

    def test_an_error_of_a_call_is_an_event_and_raised(self):
        self.client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("=ii", 1, 0))
        self.client.close()
        self.peer.setblocking(True)
        with self.assertRaises(ConnectionResetError):
            self.peer.recv(1)
        self.assertEqual(self.words(1), ["connected", "error stream ECONNRESET"])


if __name__ == "__main__":
    sys.exit(tap.main("test_scenario_flows", Pair))
