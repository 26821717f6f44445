#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The scenarios of this tree: names, headers, and the parts that tests/vm/run selects."""
import functools
import glob
import os
import re
import subprocess
import sys
import tempfile
import unittest

import tap

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
HEADER_LINES = 60
VARIANT = re.compile(r"^# variant: (\S+)", re.M)
# Wires, SAs and pins are drawn with these.
DRAWING = re.compile(r"--|==|\\")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def files():
    return sorted(glob.glob(os.path.join(TOP, "tests/vm/*/scenario.*")))


def header(path):
    """The comment or docstring before the code."""
    text = read(path)
    return text.split('"""')[1] if path.endswith(".py") else text.split("\n\n")[0]


def line(path, word):
    return re.findall(r"^# %s: *(.*)$" % word, read(path), re.M)


def names_of(path):
    return [os.path.basename(os.path.dirname(path))] + VARIANT.findall(read(path))


def only_in(path, run):
    """Names of the file that only this run has: conformance or field"""
    found = [words[1:] or names_of(path) for words in map(str.split, line(path, "run")) if words[0] == run]
    return sum(found, [])


def all_names():
    """But those of `make field`."""
    return [name for path in files() for name in names_of(path) if name not in only_in(path, "field")]


def execute(*command):
    return subprocess.run([os.path.join(TOP, command[0]), *command[1:]], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@functools.lru_cache(None)
def text_listed(*arguments):
    return execute("tests/vm/run", "--list", *arguments).stdout


def listed(*arguments):
    return text_listed(*arguments).splitlines()


class ScenariosTest(unittest.TestCase):
    def test_every_folder_has_one_scenario(self):
        folders = {os.path.dirname(path) for path in glob.glob(os.path.join(TOP, "tests/vm/*/"))}
        folders -= {os.path.join(TOP, "tests/vm", name) for name in ("lib", "tools")}
        self.assertEqual(sorted(os.path.dirname(path) for path in files()), sorted(folders))
        self.assertEqual({os.path.basename(path) for path in files()},
                         {"scenario.sh", "scenario.py"})

    def test_every_scenario_names_rooms_that_exist(self):
        rooms = set(execute("tools/make/rooms").stdout.split())

        for path in files():
            self.assertEqual(len(line(path, "touches")), 1, path)
            named = line(path, "touches")[0].split()
            self.assertTrue(named, path)
            self.assertLessEqual(set(named), rooms, path)

    def test_every_room_of_programs_and_daemon_has_a_scenario(self):
        touched = {room for path in files() for room in line(path, "touches")[0].split()}
        self.assertLessEqual({"gate", "packet", "watch", "db", "control", "sa", "spd", "latch", "feeds",
                              "vici", "enforce", "net", "report", "maps", "latchctl"}, touched)

    def test_every_scenario_begins_with_a_drawing_and_a_sentence(self):
        for path in files():
            self.assertRegex(header(path), DRAWING, path)
            self.assertRegex(header(path), r"[A-Za-z][^.\n]*[.:]", path)

    def test_every_scenario_has_one_expectation_or_a_reason_for_none(self):
        for path in files():
            expected, unjudged = line(path, "expect"), line(path, "oracle")
            self.assertEqual(len(expected) + len(unjudged), 1, path)
            if path.endswith(".py") and unjudged:
                self.assertRegex(unjudged[0], r"^none, [a-z][^\n]{20,}$", path)
            else:
                self.assertRegex(expected[0], r"^(clean|leak [a-z ]+)$", path)

    def test_a_program_that_the_oracle_checks_is_watched_and_registers_its_flows(self):
        for path in [path for path in files() if path.endswith(".py")]:
            watched = [bool(re.search(call, read(path))) for call in (r"\bwatch\([^)]*\)", r"register(?:_pair)?\(")]
            self.assertEqual(watched, [bool(line(path, "expect"))] * 2, path)

    def test_every_boots_line_is_of_a_program_that_runs_in_conformance(self):
        for path in files():
            for number in line(path, "boots"):
                self.assertEqual((number, line(path, "run")), ("2", ["conformance"]), path)
                self.assertIn("LATCHD_BOOT", read(path), path)

    def test_no_function_of_the_bash_library_is_defined_twice(self):
        names = [name for path in glob.glob(os.path.join(TOP, "tests/vm/lib/*.sh"))
                 for name in re.findall(r"^(\w+)\(\) \{", read(path), re.M)]
        self.assertGreater(len(names), 100)
        self.assertEqual([name for name in names if names.count(name) > 1], [])

    def test_names_of_scenarios_and_variants_are_unique(self):
        names = [name for path in files() for name in names_of(path)]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual(sorted(all_names()),
                         sorted(each.split()[1] for each in listed("--all", "--kernel", "6.12")))

    def test_no_scenario_copies_a_number_of_the_abi(self):
        for path in files() + glob.glob(os.path.join(TOP, "tests/vm/lib/*")):
            if os.path.basename(path) in ("abi.py", "abi.bpf.c") or os.path.isdir(path):
                continue
            text = read(path)
            self.assertNotRegex(text, r"\b(DROP|STATE|REASON|COUNTER)_[A-Z_]+ *= *\d", path)
            self.assertNotIn("/latchd/v1", text, path)

    def test_every_run_line_names_conformance_or_field_and_names_of_its_file(self):
        for path in files():
            found = [words.split() for words in line(path, "run")]
            self.assertEqual(len({words[0] for words in found}), len(found), path)
            self.assertTrue(len(found) < 2 or all(words[1:] for words in found), path)
            named = sum((words[1:] for words in found), [])
            self.assertEqual(len(set(named)), len(named), path)
            for words in found:
                self.assertIn(words[0], ("conformance", "field"), path)
                self.assertLessEqual(set(words[1:]), set(names_of(path)), path)

    # ---- parts

    def test_the_whole_list_has_all_on_each_kernel(self):
        kernels = [each.split()[0] for each in listed("--all")]
        self.assertEqual({kernels.count(kernel) for kernel in ("6.1", "6.12", "7.2")}, {len(all_names())})

    def test_make_field_has_its_networks_on_one_kernel_and_no_other_run_has_them(self):
        names = {name for path in files() for name in only_in(path, "field")}
        self.assertGreater(len(names), 3)
        self.assertEqual(set(listed("--field")), {"6.12 " + name for name in names})
        self.assertEqual(names & {each.split()[1] for each in listed() + listed("--all")}, set())
        self.assertEqual(listed("field-mesh"), ["6.12 field-mesh"])

    def test_make_check_has_the_smoke_set_on_two_kernels_and_all_but_conformance_on_the_third(self):
        kernels = [each.split()[0] for each in listed()]
        self.assertEqual((kernels.count("6.1"), kernels.count("7.2")), (2, 2))
        later = {name for path in files() for name in only_in(path, "conformance")}
        self.assertEqual({each.split()[1] for each in listed() if each.startswith("6.12 ")},
                         set(all_names()) - later)

    def test_a_scenario_of_conformance_runs_by_its_name(self):
        for name in [name for path in files() for name in only_in(path, "conformance")]:
            self.assertEqual(listed(name), ["6.12 " + name])

    def test_a_scenario_runs_with_another_product(self):
        self.assertEqual(listed("attack", "attack@broken"), ["6.12 attack", "6.12 attack@broken"])
        for name in ("attack@", "nothing@broken", "@broken"):
            self.assertEqual(execute("tests/vm/run", "--list", name).returncode, 2, name)

    def test_a_variant_with_another_product_has_its_options_and_its_product(self):
        script = (". tests/vm/lib/scenarios.sh; BUILD_DIR=/b; know_products ipv6@broken;"
                  "echo $(product_of ipv6) $(product_of ipv6@broken) ${SCENARIO_OPTIONS[ipv6@broken]}")
        done = subprocess.run(["bash", "-c", script], cwd=TOP, env=dict(os.environ, TOP=TOP), text=True,
                              stdout=subprocess.PIPE, check=True)
        self.assertEqual(done.stdout.strip(), "/b /b/products/broken family=6")

    def test_a_file_has_scenarios_of_three_runs(self):
        self.assertIn("6.12 attack", listed())
        self.assertNotIn("6.12 encap", listed())
        self.assertIn("6.12 encap", listed("--all"))
        self.assertNotIn("6.12 attack-sid", listed("--all"))
        self.assertIn("6.12 attack-sid", listed("--field"))

    def test_each_newer_charon_has_the_same_scenarios(self):
        found = {}
        for path in files():
            for name, charon in re.findall(r"^# variant: (\S+) .*\bcharon=(\S+)$", read(path), re.M):
                found.setdefault(charon, set()).add(name[:-len(charon)])
        self.assertEqual(set(found), {"trixie", "sid"})
        self.assertEqual(found["trixie"], found["sid"])
        self.assertLessEqual({"attack-", "rekey-storm-", "reauth-", "mobike-", "nat-", "peer-death-",
                              "peer-reboot-", "charon-restart-"}, found["sid"])

    def test_a_newer_charon_that_is_missing_fails_the_scenario_with_the_next_step(self):
        with tempfile.TemporaryDirectory() as folder:
            script = ". tests/vm/lib/all.sh; set_options charon=sid; echo not reached"
            done = subprocess.run(["bash", "-c", script], cwd=TOP, text=True, check=False,
                                  env=dict(os.environ, TOP=TOP, BUILD=folder, LATCHD_TEST_RUN=folder),
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stdout), (1, ""))
            self.assertRegex(done.stderr, r"FAILED: charon of sid is missing; run make field, or for one scenario:"
                                          r" .*tools/strongswan sid.*\n$")
            self.assertTrue(os.path.exists(os.path.join(folder, "failure")))

    def test_a_strongswan_that_is_not_known_is_one_line(self):
        for arguments in ([], ["bookworm"], ["sid", "trixie"]):
            done = execute("tools/strongswan", *arguments)
            self.assertEqual((done.returncode, done.stdout),
                             (2, "strongswan: usage: tools/strongswan trixie | sid\n"), arguments)

    def test_shards_together_are_the_whole(self):
        for whole in ([], ["--all"], ["--kernel", "7.2"], ["attack", "ipv6"]):
            shards = [listed("--shard", "%d/4" % number, *whole) for number in (1, 2, 3, 4)]
            self.assertEqual(sorted(sum(shards, [])), sorted(listed(*whole)))
            self.assertLessEqual(max(map(len, shards)) - min(map(len, shards)), 1)

    def test_a_shard_outside_of_the_whole_is_refused(self):
        for shard in ("0/3", "4/3", "1", "a/b", "1/0"):
            done = execute("tests/vm/run", "--list", "--shard", shard)
            self.assertEqual(done.returncode, 2, shard)
            self.assertIn("write I/N", done.stdout)

    def test_a_room_selects_the_scenarios_that_touch_it(self):
        found = listed("--room", "spd")
        self.assertIn("6.12 spd-edits-short", found)
        self.assertNotIn("6.12 merged", found)
        self.assertEqual({each.split()[0] for each in found}, {"6.12"})

    def test_a_variant_has_the_rooms_of_its_file(self):
        self.assertIn("6.12 ipv6", listed("--room", "sa"))

    def test_an_unknown_room_is_one_line_that_lists_the_rooms(self):
        for command in (("tests/vm/run", "--list", "--room", "attic"), ("tools/make/rooms", "attic"),
                        ("tests/unit/run", "--list", "--room", "attic")):
            done = execute(*command)
            self.assertEqual(done.returncode, 2, command)
            self.assertRegex(done.stdout, r"^no room 'attic'; there are: .*\bsa spd\b.*\n$")

    def test_an_unknown_scenario_is_one_line_that_lists_the_names(self):
        done = execute("tests/vm/run", "--list", "atack")
        self.assertEqual(done.returncode, 2)
        self.assertRegex(done.stdout, r"^tests/vm/run: no scenario 'atack'; .*\bipv6\b.*\n$")

    def test_shards_of_unit_tests_together_are_the_whole(self):
        def programs(*arguments):
            return execute("tests/unit/run", "--list", *arguments).stdout.split()

        self.assertGreater(len(programs()), 50)
        self.assertEqual(sorted(programs("--shard", "1/2") + programs("--shard", "2/2")),
                         sorted(programs()))

    def test_a_room_selects_the_unit_tests_of_its_folder(self):
        found = execute("tests/unit/run", "--list", "--room", "spd").stdout.split()
        folder = os.path.join(TOP, "tests/unit/latchd/spd/test_*.c")
        self.assertEqual(found, sorted(os.path.basename(path)[:-2] for path in glob.glob(folder)))

    def test_the_ci_command_cannot_be_shrunk_from_its_environment(self):
        text = read(os.path.join(TOP, ".ci/run"))
        removed = set(" ".join(re.findall(r"^unset (.*)$", text, re.M)).split())
        less = re.search(r"^less\(\) \{.*?^\}", read(os.path.join(TOP, "tools/make/check")), re.M | re.S).group(0)
        named = set(re.search(r"for name in ([^;]*);", less).group(1).replace("\\", "").split())
        named |= set(re.findall(r"\b(LATCHD_\w+)=", less))
        self.assertLessEqual({"VM", "UNIT", "SHARD", "ROOM", "LATCHD_S38_NATIVE"}, named)
        self.assertLessEqual(named, removed)
        self.assertLess(text.index("\nunset "), text.index("\nmake check"))


if __name__ == "__main__":
    sys.exit(tap.main("scenarios", ScenariosTest))
