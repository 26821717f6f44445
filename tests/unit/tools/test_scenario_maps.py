#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The scenarios' reader of pinned maps: it sees what bpftool sees, and what it writes is there.

    bpffs of its own --- hash, per-CPU array ---+--- tests/vm/lib/bpf.py
                                                `--- bpftool
"""
import json
import os
import subprocess
import sys
import tempfile
import unittest

import tap

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
sys.path.insert(0, os.path.join(TOP, "tests/vm/lib"))
os.environ["PATH"] += ":/usr/sbin:/sbin"
import bpf  # noqa: E402


def bpftool(arguments):
    done = subprocess.run(["bpftool", "-j", *arguments.split()], text=True, check=True, stdout=subprocess.PIPE)
    return json.loads(done.stdout or "null")


def raw(listed):
    return bytes(int(byte, 16) for byte in listed)


class MapTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        subprocess.run(["mount", "-t", "bpf", "bpf", self.folder], check=True)
        self.addCleanup(os.rmdir, self.folder)
        self.addCleanup(subprocess.run, ["umount", self.folder], check=True)

    def made(self, kind, key_size, value_size):
        path = os.path.join(self.folder, kind)
        bpftool(f"map create {path} type {kind} key {key_size} value {value_size} entries 200 name made")
        return path

    def test_all_rows_of_a_hash_are_those_of_bpftool(self):
        path = self.made("hash", 4, 12)
        with bpf.Map(path) as made:
            self.assertEqual(made.rows(), [])
            for number in range(150):
                made.update(number.to_bytes(4, "little"), bytes([number] * 12))
            made.delete((7).to_bytes(4, "little"))
            found = dict(made.rows())
        self.assertEqual(len(found), 149)
        self.assertEqual(found, {raw(row["key"]): raw(row["value"])
                                 for row in bpftool(f"map dump pinned {path}")})

    def test_the_values_of_all_processors_are_read(self):
        path = self.made("percpu_array", 4, 16)
        with bpf.Map(path) as made:
            key = (3).to_bytes(4, "little")
            found = made.per_cpu(key)
        shown = bpftool(f"map lookup pinned {path} key hex 03 00 00 00")["values"]
        self.assertEqual(found, [raw(cpu["value"]) for cpu in shown])

    def test_an_entry_that_is_not_there_has_no_value(self):
        with bpf.Map(self.made("hash", 4, 12)) as made:
            self.assertIsNone(made.value(bytes(4)))
            with self.assertRaises(FileNotFoundError):
                made.delete(bytes(4))

    def test_a_value_of_another_size_is_refused(self):
        with bpf.Map(self.made("hash", 4, 12)) as made:
            for key, value in ((bytes(5), bytes(12)), (bytes(4), bytes(11))):
                with self.assertRaises(ValueError):
                    made.update(key, value)
            self.assertEqual(made.rows(), [])

    def test_a_map_that_is_not_pinned_is_named(self):
        with self.assertRaises(SystemExit) as caught:
            bpf.Map(os.path.join(self.folder, "nothing"))
        self.assertIn("nothing: No such file", str(caught.exception))


if __name__ == "__main__":
    sys.exit(tap.main("scenario_maps", MapTest))
