#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The scenarios' reader of BTF: right about the objects that are built, loud about missing names."""
import os
import re
import subprocess
import sys
import unittest

import tap

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
OBJECT = os.path.join(BUILD, "bpf/latchd.bpf.o")
LIBRARY = os.path.join(TOP, "tests/vm/lib")
sys.path.insert(0, LIBRARY)
os.environ["PATH"] += ":/usr/sbin:/sbin"
import abi  # noqa: E402

INT = {"id": 1, "kind": "INT", "name": "u32", "size": 4}
BYTE = {"id": 2, "kind": "INT", "name": "u8", "size": 1}
ARRAY = {"id": 3, "kind": "ARRAY", "name": "(anon)", "type_id": 2, "index_type_id": 1, "nr_elems": 6}
TYPEDEF = {"id": 4, "kind": "TYPEDEF", "name": "number", "type_id": 1}
INNER = {"id": 5, "kind": "STRUCT", "name": "(anon)", "size": 8, "members": [
    {"name": "low", "type_id": 1, "bits_offset": 0}, {"name": "high", "type_id": 4, "bits_offset": 32}]}
OUTER = {"id": 6, "kind": "STRUCT", "name": "outer", "size": 24, "members": [
    {"name": "first", "type_id": 1, "bits_offset": 0}, {"name": "(anon)", "type_id": 5, "bits_offset": 32},
    {"name": "text", "type_id": 3, "bits_offset": 96}, {"name": "word", "type_id": 5, "bits_offset": 128}]}
ENUM = {"id": 7, "kind": "ENUM", "name": "colour", "size": 1, "values": [{"name": "RED", "val": 3}]}
TYPES = [INT, BYTE, ARRAY, TYPEDEF, INNER, OUTER, ENUM]


def made(*types):
    return abi.Abi(abi.Btf(list(types), "made"))


def python(code):
    return subprocess.run([sys.executable, "-B", "-c", code, OBJECT], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=LIBRARY)


def scenario_texts():
    """(path, text) of the scenarios and their libraries"""
    for folder, _, files in os.walk(os.path.join(TOP, "tests/vm")):
        for file in files:
            if file.endswith((".py", ".sh")):
                path = os.path.join(folder, file)
                with open(path, encoding="utf-8") as text:
                    yield os.path.relpath(path, TOP), text.read()


class AbiTest(unittest.TestCase):
    def test_members_have_their_offset_and_size(self):
        layout = made(*TYPES).struct("outer")
        self.assertEqual(layout.size, 24)
        self.assertEqual([layout.member(path) for path in ("first", "low", "high", "text", "word.high")],
                         [(0, 4), (4, 4), (8, 4), (12, 6), (20, 4)])

    def test_values_are_written_where_they_are_read(self):
        layout = made(*TYPES).struct("outer")
        data = layout.pack({"high": 0x01020304, "text": b"ab"})
        self.assertEqual(len(data), 24)
        self.assertEqual((layout.get(data, "high"), layout.get(data, "text"), layout.get(data, "low")),
                         (0x01020304, b"ab\0\0\0\0", 0))
        with self.assertRaises(ValueError):
            layout.put(data, "text", b"too long")
        with self.assertRaises(OverflowError):
            layout.put(data, "low", 1 << 32)

    def test_a_missing_member_is_an_error(self):
        layout = made(*TYPES).struct("outer")
        for attempt in (lambda: layout.offset("third"), lambda: layout.pack({"third": 1}),
                        lambda: layout.get(bytes(24), "word.middle")):
            with self.assertRaisesRegex(abi.Missing, "struct outer has no member"):
                attempt()

    def test_a_missing_structure_is_an_error(self):
        with self.assertRaisesRegex(abi.Missing, "no struct inner in the BTF of made"):
            made(*TYPES).struct("inner")

    def test_a_missing_enumerator_is_an_error(self):
        self.assertEqual(made(*TYPES).constant("RED"), 3)
        with self.assertRaisesRegex(abi.Missing, "no enumerator BLUE in the BTF of made"):
            made(*TYPES).constant("BLUE")

    def test_a_missing_map_is_an_error(self):
        with self.assertRaisesRegex(abi.Missing, "no map sas"):
            made(*TYPES).entries("sas")

    def test_two_objects_that_contradict_each_other_are_an_error(self):
        other = dict(ENUM, values=[{"name": "RED", "val": 4}])
        with self.assertRaisesRegex(abi.Missing, "RED is 3, and 4 in second"):
            abi.Abi(abi.Btf(TYPES, "first"), abi.Btf([other], "second"))

    def test_an_object_that_bpftool_cannot_read_is_an_error(self):
        with self.assertRaisesRegex(abi.Missing, "bpftool cannot read the BTF of /dev/null"):
            abi.Btf.of_object("/dev/null")

    def test_an_import_of_a_missing_constant_fails(self):
        done = python("from abi import LATCH_DROP_NEVER")
        self.assertEqual(done.returncode, 1)
        self.assertIn("cannot import name 'LATCH_DROP_NEVER'", done.stderr)

    def test_the_built_object_has_the_values_of_the_header(self):
        with open(os.path.join(TOP, "include/latch_abi.h"), encoding="utf-8") as file:
            header = file.read()
        for name in ("LATCH_STATE_BROKEN", "LATCH_SA_BOUND", "LATCH_REASON_ADMIN", "LATCH_SPD_IN"):
            value = re.search(r"\b%s = ([\d <]+)" % name, header).group(1)
            done = python("import abi; print(int(abi.%s), %s)" % (name, value))
            self.assertEqual(done.stderr, "")
            self.assertEqual(*done.stdout.split())

    def test_every_name_that_a_scenario_uses_is_in_the_built_object(self):
        names = {name for _, text in scenario_texts() for name in re.findall(r"\bLATCH_[A-Z_0-9]+", text)}
        names = {name for name in names if not name.startswith("LATCH_TEST") and name != "LATCH_DROP_NEVER"}
        self.assertGreater(len(names), 20)
        done = python("import abi\nfor name in %r: abi.constant(name)" % sorted(names))
        self.assertEqual(done.stderr, "")

    def test_no_scenario_compares_an_enumeration_with_a_number(self):
        copied = re.compile(r"\b(state|why|reasons|owner|direction|disposition|verdict)\s*[!=]=\s*[0-9]")
        self.assertTrue(copied.search(".state == 3") and copied.search("latch.reasons != 0x1"))
        self.assertEqual([(path, line) for path, text in scenario_texts() for line in text.splitlines()
                          if copied.search(line)], [])


if __name__ == "__main__":
    sys.exit(tap.main("scenario_abi", AbiTest))
