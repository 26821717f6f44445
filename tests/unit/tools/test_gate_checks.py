#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The scenarios' check of one gate (tests/vm/lib/gates.py), on two made-up hosts."""
import contextlib
import io
import os
import sys
import unittest
from unittest import mock

import tap

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
sys.path.insert(0, os.path.join(TOP, "tests/vm/lib"))
os.environ["PATH"] += ":/usr/sbin:/sbin"
arguments = sys.argv
sys.argv = [arguments[0], os.path.join(BUILD, "bpf/latchd.bpf.o")]
import checks  # noqa: E402
import gates  # noqa: E402
from host import C, W  # noqa: E402
sys.argv = arguments
REASON, ESP = 3, 50


class Socket:
    def __init__(self, port, on_send=None):
        self.port, self.send = port, on_send

    def getsockname(self):
        return ("", self.port)


class World:
    """What a text of w's meets: drops at out of w and in of c, packets on the wire, bytes at c."""

    def __init__(self, out=0, into=0, wire=0, delivered=b"", latches=None):
        self.after = {"ways": [out, into], "wire": [ESP] * wire, "delivered": delivered,
                      "latches": latches or {W: out, C: into}}
        self.now = {"ways": [0, 0], "wire": [], "delivered": b"", "latches": {W: 0, C: 0}}

    def send(self, _text):
        self.now = self.after

    def words(self, host, way):
        """What the check says, or an empty text."""
        gate, out = gates.Gate(host, way), io.StringIO()
        crossing = mock.Mock(so_far=lambda: self.now["wire"])
        with mock.patch.object(gates.Gate, "crossing", lambda _: crossing), \
                mock.patch.object(gates, "dropped", lambda _: self.now["ways"]), \
                mock.patch.object(gates, "drops_at", lambda at, *_: self.now["latches"][at]), \
                mock.patch.object(gates, "received", lambda _: self.now["delivered"]), \
                mock.patch.object(gates, "until", lambda what, text: checks.until(what, text, 0.1)), \
                contextlib.redirect_stdout(out):
            try:
                gates.stops_at(gate, Socket(1, self.send), Socket(2), b"text", REASON, "the text is dropped")
            except SystemExit:
                return out.getvalue().rpartition("FAIL  ")[2].strip()
        return ""


class GateChecksTest(unittest.TestCase):
    def test_drops_at_the_senders_gate_pass(self):
        self.assertEqual(World(out=2).words(W, "out"), "")

    def test_drops_at_the_receivers_gate_pass(self):
        self.assertEqual(World(into=2, wire=2).words(C, "in"), "")

    def test_a_leak_that_the_receivers_gate_drops_fails(self):
        self.assertIn("left w", World(into=2, wire=2).words(W, "out"))

    def test_a_leak_that_the_senders_gate_counts_fails(self):
        self.assertIn("left w", World(out=2, wire=1).words(W, "out"))

    def test_bytes_that_the_receivers_gate_counts_and_lets_in_fail(self):
        self.assertIn("was delivered at c", World(into=2, wire=2, delivered=b"text").words(C, "in"))

    def test_a_text_that_never_came_to_the_receiver_fails(self):
        self.assertIn("came to the device of c", World(into=2).words(C, "in"))

    def test_drops_of_the_senders_gate_are_none_of_the_receivers(self):
        self.assertEqual(World(out=2).words(C, "in"), "the text is dropped")

    def test_drops_of_the_same_direction_at_the_other_host_fail(self):
        self.assertEqual(World(out=2, latches={W: 0, C: 2}).words(W, "out"), "the text is dropped")

    def test_a_gate_that_drops_beside_it_fails(self):
        self.assertIn("no other gate", World(out=2, into=1).words(W, "out"))

    def test_one_drop_is_not_enough(self):
        self.assertEqual(World(out=1).words(W, "out"), "the text is dropped")


if __name__ == "__main__":
    sys.exit(tap.main("gate_checks", GateChecksTest))
