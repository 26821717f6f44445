#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The layer check of `make lint`, on trees of a few files in a scratch folder, and on this tree."""
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile
import unittest

import tap

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
PROGRAM = os.path.join(TOP, "tools/make/layers")
TABLE = """bpf/db:
bpf/gate: bpf/db
common:
latchd/maps: common
latchd/sa: common latchd/maps
latchd: *
"""
FILES = {
    "bpf/db/maps.h": "",
    "bpf/gate/gate.bpf.c": '#include "db/maps.h"\n#include "latch_abi.h"\n',
    "include/latch_abi.h": "",
    "user/common/log.h": "",
    "user/latchd/main.c": '#include "latchd/sa/sa.h"\n',
    "user/latchd/maps/maps.h": '#include "common/log.h"\n',
    "user/latchd/sa/sa.h": '#include "common/log.h"\n#include "latchd/maps/maps.h"\n',
    "user/latchd/sa/sa.c": '#include "latchd/sa/sa.h"\n#include "latchd.skel.h"\n',
}

# What no room may ever use, not even through a third one; each name stands for the rooms below it, too.
NEVER = (
    ("latchd/feeds", "latchd/maps"), ("latchd/feeds", "latchd/sa"),
    ("latchd/maps", "latchd/net"), ("latchd/net", "latchd/maps"),
    ("latchd/config", "latchd/maps"),
    ("latchd/sa", "latchd/spd"), ("latchd/sa", "latchd/latch"),
    ("latchd/sa", "latchd/report"), ("latchd/sa", "latchd/control"),
    ("latchd/spd", "latchd/sa"), ("latchd/spd", "latchd/latch"),
    ("latchd/spd", "latchd/report"), ("latchd/spd", "latchd/control"),
    ("latchd/latch", "latchd/sa"), ("latchd/latch", "latchd/spd"),
    ("latchd/latch", "latchd/report"), ("latchd/latch", "latchd/control"),
    ("latchctl", "latchd"),
    ("bpf", "common"), ("bpf", "latchctl"), ("bpf", "latchd"), ("bpf", "liblatch"),
)
# Arrows that lead from one side of a pair to the other through a third room.
EXCEPTIONS = {
    # sa asks choice which policy a CHILD_SA is for. choice reads it with spd's parser.
    ("latchd/choice", "latchd/spd"),
}


def real_table():
    """(rooms of this tree, what its table allows to each)"""
    loader = importlib.machinery.SourceFileLoader("layers", PROGRAM)
    layers = importlib.util.module_from_spec(importlib.util.spec_from_loader("layers", loader))
    loader.exec_module(layers)
    rooms = layers.Tree(TOP).rooms
    return rooms, layers.read_table(os.path.join(TOP, "tools/make/layers.table"), rooms)


def below(room, name):
    return room == name or room.startswith(name + "/")


def reached(table, room):
    """The rooms that a room uses, and those that they use. "*" is all rooms."""
    found, left = set(), [room]
    while left:
        here = left.pop()
        for target in table if "*" in table[here] else table[here]:
            if target not in found and (here, target) not in EXCEPTIONS:
                found.add(target)
                left.append(target)
    return found


def violations(table):
    return {(room, target) for room in table for target in reached(table, room)
            if any(below(room, user) and below(target, used) for user, used in NEVER)}


ROOMS, REAL = real_table()


class LayersTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.top = scratch.name
        self.put("table", TABLE)
        for name, text in FILES.items():
            self.put(name, text)

    def put(self, name, text):
        path = os.path.join(self.top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def check(self, status, *more):
        """What the program printed; it must end with this status."""
        done = subprocess.run([PROGRAM, "--top", self.top, "--table",
                               os.path.join(self.top, "table"), *more],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_includes_of_the_table_pass(self):
        self.assertIn("6 rooms, 7 files", self.check(0))

    def test_a_forbidden_include_fails(self):
        self.put("user/latchd/maps/walk.c", '#include "latchd/sa/sa.h"\n')
        self.assertIn("user/latchd/maps/walk.c: uses latchd/sa/sa.h: "
                      "latchd/maps must not use latchd/sa", self.check(1))

    def test_a_forbidden_include_of_the_same_folder_by_path_fails(self):
        self.put("user/latchd/maps/walk.c", '#include "../sa/sa.h"\n')
        self.assertIn("latchd/maps must not use latchd/sa", self.check(1))

    def test_a_bpf_program_that_includes_a_daemon_header_fails(self):
        self.put("bpf/gate/udp.h", '#include "../../user/latchd/sa/sa.h"\n')
        self.assertIn("bpf/gate must not use latchd/sa", self.check(1))

    def test_a_room_that_is_not_in_the_table_fails(self):
        self.put("user/latchd/spd/spd.c", '#include "common/log.h"\n')
        self.assertIn("the table has no room 'latchd/spd'", self.check(1))

    def test_two_files_that_include_each_other_fail(self):
        self.put("user/latchd/sa/bind.h", '#include "latchd/sa/sa.h"\n')
        self.put("user/latchd/sa/sa.c", '#include "latchd/sa/bind.h"\n')
        self.assertIn("files use each other: user/latchd/sa/bind -> user/latchd/sa/sa -> "
                      "user/latchd/sa/bind", self.check(1))

    def test_a_cycle_in_the_table_fails(self):
        self.put("table", TABLE.replace("latchd/maps: common", "latchd/maps: common latchd/sa"))
        self.assertIn("the table has a cycle: latchd/maps -> latchd/sa -> latchd/maps",
                      self.check(2))

    def test_a_room_of_the_table_without_a_folder_fails(self):
        self.put("table", TABLE + "latchd/agent:\n")
        self.assertIn("no folder 'latchd/agent'", self.check(2))

    def test_a_room_with_two_lines_fails(self):
        self.put("table", TABLE + "common:\n")
        self.assertIn("table:7: expected one 'room: rooms' per room", self.check(2))

    def test_a_missing_table_fails(self):
        os.remove(os.path.join(self.top, "table"))
        self.assertIn("table", self.check(2))

    def compile(self, name, text):
        self.put(name, text)
        compiled = os.path.join(self.top, "obj", name[:-len(".c")] + ".o")
        os.makedirs(os.path.dirname(compiled), exist_ok=True)
        subprocess.run(["gcc", "-c", os.path.join(self.top, name), "-o", compiled], check=True)

    def compile_all(self, maps, sa, other="int binding;\n"):
        self.compile("user/latchd/main.c", "int main(void) { return 0; }\n")
        self.compile("user/latchd/maps/maps.c", maps)
        self.compile("user/latchd/sa/sa.c", sa)
        self.compile("user/latchd/sa/binding.c", other)
        return "--objects", os.path.join(self.top, "obj")

    def test_calls_of_the_table_pass(self):
        self.check(0, *self.compile_all("int maps(void) { return 0; }\n",
                                        "int maps(void); int sa(void) { return maps(); }\n"))

    def test_a_forbidden_call_without_an_include_fails(self):
        objects = self.compile_all("int sa(void); int maps(void) { return sa(); }\n",
                                   "int sa(void) { return 0; }\n")
        self.assertIn("user/latchd/maps/maps.c: uses sa: latchd/maps must not use latchd/sa",
                      self.check(1, *objects))

    def test_two_files_that_call_each_other_fail(self):
        objects = self.compile_all("int maps;\n", "int bind(void); int sa(void) { return bind(); }\n",
                                   "int sa(void); int bind(void) { return sa(); }\n")
        self.assertIn("files use each other: user/latchd/sa/binding -> user/latchd/sa/sa -> "
                      "user/latchd/sa/binding", self.check(1, *objects))

    def test_a_source_that_is_not_compiled_is_an_error(self):
        objects = self.compile_all("int maps;\n", "int sa;\n")
        self.put("user/latchd/sa/new.c", "")
        self.assertIn("user/latchd/sa/new.c: nm: ", self.check(2, *objects))

    def test_an_arrow_without_use_fails(self):
        objects = self.compile_all("int maps;\n", "int sa;\n")
        self.put("user/latchd/sa/sa.h", '#include "latchd/maps/maps.h"\n')
        self.assertIn("the table allows latchd/sa -> common, which no include and no call needs",
                      self.check(1, *objects))

    # ---- the table of this tree

    def table(self):
        return {room: list(allowed) for room, allowed in REAL.items()}

    def test_the_table_has_a_line_for_each_room(self):
        self.assertEqual(set(REAL), ROOMS)

    def test_the_table_allows_nothing_that_must_never_be(self):
        self.assertEqual(violations(REAL), set())

    def test_each_arrow_that_must_never_be_is_found_if_the_table_allows_it(self):
        for user, used in NEVER:
            users, targets = ([room for room in REAL if below(room, name)] for name in (user, used))
            self.assertTrue(users and targets, "no room of %s -> %s" % (user, used))
            for room in users:
                for target in targets:
                    table = self.table()
                    table[room].append(target)
                    self.assertIn((room, target), violations(table))

    def test_a_way_through_a_third_room_that_must_never_be_is_found(self):
        table = self.table()
        table["latchd/news"].append("latchd/report")
        self.assertIn(("latchd/latch", "latchd/report"), violations(table))

    def test_each_exception_is_an_arrow_of_the_table(self):
        for room, target in EXCEPTIONS:
            self.assertIn(target, REAL[room])

    def test_this_tree_and_its_objects_pass(self):
        build = os.path.join(TOP, os.environ.get("BUILD", "build"))
        done = subprocess.run([PROGRAM, "--objects", os.path.join(build, "obj")],
                              capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    sys.exit(tap.main("layers", LayersTest))
