#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""Lost tests and skips that no list has fail a run: tools/make/expected, on results made up here."""
import glob
import os
import re
import subprocess
import sys
import tempfile
import unittest

import tap

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
COUNTS = "# suite\tcheck\tconformance\nlint\t1\t0\nunit\t3\t3\nvm-6.1\t1\t2\n"
SKIPS = ("# a comment\nunit\ttest_a a::real\tkernel without ESP\tscenario x\n"
         "vm-6.1\t*\tDebian no longer offers\t6.12\n")
WHOLE = [("lint", "lint", "passed", ""), ("unit", "test_a a::one", "passed", ""),
         ("unit", "test_a a::two", "passed", ""),
         ("unit", "test_a a::real", "skipped", "kernel without ESP (CONFIG_INET_ESP)"),
         ("vm-6.1", "attack", "passed", "")]


class ExpectedTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.top = scratch.name
        os.makedirs(os.path.join(self.top, "tests/expected"))
        self.put("tests/expected/counts.tsv", COUNTS)
        self.put("tests/expected/skips.tsv", SKIPS)

    def put(self, name, text):
        with open(os.path.join(self.top, name), "w", encoding="utf-8") as file:
            file.write(text)

    def get(self, name):
        with open(os.path.join(self.top, name), encoding="utf-8") as file:
            return file.read()

    def run_tool(self, *arguments):
        return subprocess.run([os.path.join(TOP, "tools/make/expected"), *arguments], text=True,
                              check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=dict(os.environ, LATCHD_EXPECTED_TOP=self.top))

    def compared(self, rows, *run):
        """The failures that the tool appended, and what it printed."""
        self.put("results.tsv", "".join("\t".join(row) + "\n" for row in rows))
        done = self.run_tool("results.tsv", *run)
        self.assertEqual(done.returncode, 0, done.stdout)
        added = self.get("results.tsv").splitlines()[len(rows):]
        for line in added:
            self.assertEqual(line.split("\t")[2], "failed")
        return added, done.stdout

    def test_a_whole_run_adds_no_failure(self):
        self.assertEqual(self.compared(WHOLE, "check"), ([], ""))

    def test_a_lost_test_fails_and_tells_how_to_update(self):
        added, _ = self.compared(WHOLE[:2] + WHOLE[3:], "check")
        self.assertEqual(len(added), 1)
        self.assertIn("unit\tcount\tfailed\t2 results instead of 3: tests were lost", added[0])
        self.assertIn("tools/make/expected --update check", added[0])

    def test_a_suite_that_did_not_run_is_lost(self):
        added, _ = self.compared(WHOLE[:4], "check")
        self.assertIn("vm-6.1\tcount\tfailed\t0 results instead of 1", added[0])

    def test_each_run_has_its_own_counts(self):
        added, _ = self.compared(WHOLE, "conformance")
        self.assertEqual([line.split("\t")[0] for line in added], ["vm-6.1"])

    def test_a_part_has_no_counts(self):
        self.assertEqual(self.compared(WHOLE[:2]), ([], ""))

    def test_more_tests_are_named_and_no_failure(self):
        added, words = self.compared(WHOLE + [("unit", "test_b b::new", "passed", "")], "check")
        self.assertEqual(added, [])
        self.assertIn("NOTE  unit: 4 results, 3 expected", words)

    def test_a_failed_test_is_not_lost(self):
        rows = WHOLE[:2] + [("unit", "test_a a::two", "failed", "why")] + WHOLE[3:]
        self.assertEqual(self.compared(rows, "check")[0], [])

    def test_a_skip_that_is_not_listed_fails_in_a_part_too(self):
        for row in (("unit", "test_a a::two", "skipped", "kernel without ESP"),
                    ("unit", "test_a a::real", "skipped", "BPF maps need root"),
                    ("vm-6.12", "attack", "skipped", "Debian no longer offers 6.12"),
                    ("unit", "test_a a::real", "skipped", "")):
            added, _ = self.compared([row])
            self.assertEqual(len(added), 1, row)
            self.assertIn("skipped (%s): tests/expected/skips.tsv" % row[3], added[0])

    def test_a_kernel_that_is_gone_skips_all_its_scenarios(self):
        self.assertEqual(self.compared([("vm-6.1", "pins", "skipped", "Debian no longer offers 6.1")])[0], [])

    def test_an_unknown_run_is_refused(self):
        self.put("results.tsv", "")
        self.assertEqual(self.run_tool("results.tsv", "fast").returncode, 2)

    def test_an_update_writes_the_counts_of_one_run(self):
        rows = WHOLE + [("unit", "test_b b::new", "passed", ""), ("vm-7.2", "attack", "passed", "")]
        self.put("results.tsv", "".join("\t".join(row) + "\n" for row in rows))
        self.assertEqual(self.run_tool("--update", "check", "results.tsv").returncode, 0)
        self.assertEqual(self.get("tests/expected/counts.tsv"),
                         "# suite\tcheck\tconformance\nlint\t1\t0\nunit\t4\t3\nvm-6.1\t1\t2\nvm-7.2\t1\t0\n")
        self.assertEqual(self.compared(rows, "check"), ([], ""))

    def test_the_note_of_a_test_is_the_detail_of_its_result_if_it_passed(self):
        self.put("notes", "a::one\t1000000 connections: ratio 1.46\na::two\t3\n")
        done = subprocess.run([os.path.join(TOP, "tools/make/tap"), "unit", "test_a", "1", os.path.join(self.top, "notes")],
                              input="1..3\nok - a::one  (0.01s)\nnot ok - a::two  (0.00s)\nok - a::three  (0.00s)\n",
                              text=True, stdout=subprocess.PIPE, check=True)
        self.assertEqual(done.stdout, "unit\ttest_a a::one\tpassed\t1000000 connections: ratio 1.46\n"
                                      "unit\ttest_a a::two\tfailed\t\nunit\ttest_a a::three\tpassed\t\n")

    def check(self, counts=0, **variables):
        """What tools/make/check prints of a step that is none. counts: so many suites lost results."""
        environment = {name: value for name, value in os.environ.items()
                       if name not in ("ROOM", "SHARD", "UNIT", "VM", "RUN") and not name.startswith("LATCHD_")}
        done = subprocess.run(["tools/make/check", "nothing"], text=True, check=False, cwd=TOP,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=dict(environment, BUILD=os.path.join(self.top, "build"), **variables))
        self.assertEqual(done.stdout.splitlines()[-1], "0 passed, %d failed, 0 skipped" % (1 + counts), done.stdout)
        return done.stdout

    def test_a_part_says_so_at_its_beginning_and_at_its_end(self):
        for name, value in (("ROOM", "sa"), ("SHARD", "1/3"), ("UNIT", "test_config"), ("VM", "attack"),
                            ("LATCHD_CHURN_SECONDS", "1"), ("LATCHD_CHURN_STEPS", "1"), ("LATCHD_S5_RUNS", "1"),
                            ("LATCHD_S38_NATIVE", "1999"), ("LATCHD_S38_NATIVE", "all")):
            printed = self.check(**{name: value})
            self.assertEqual(printed.count("  PART  only a part of the tests: %s=%s\n" % (name, value)), 2)

    def test_a_whole_run_says_nothing_of_a_part(self):
        self.assertNotIn("PART", self.check())
        self.assertNotIn("PART", self.check(VM="--all"))
        self.assertNotIn("PART", self.check(LATCHD_S38_NATIVE="2000"))

    def test_a_conformance_run_with_less_than_a_million_short_connections_is_a_part(self):
        suites = sum(row[2] != "0" for row in self.rows("counts.tsv"))
        for number, times in (("1000000", 0), ("2000000", 0), ("999999", 2)):
            printed = self.check(0 if times else suites, RUN="conformance", LATCHD_S38_NATIVE=number)
            self.assertEqual(printed.count("  PART  only a part of the tests: LATCHD_S38_NATIVE="), times, number)

    # ---- this tree's lists

    def rows(self, name):
        with open(os.path.join(TOP, "tests/expected", name), encoding="utf-8") as file:
            return [line.split("\t") for line in file.read().splitlines() if not line.startswith("#")]

    def test_every_listed_skip_names_a_test_a_reason_and_what_shows_it_elsewhere(self):
        sources = ""
        for path in glob.glob(os.path.join(TOP, "tests/unit/**/test_*.c"), recursive=True):
            with open(path, encoding="utf-8") as file:
                sources += file.read()
        for row in self.rows("skips.tsv"):
            self.assertEqual(len(row), 4, row)
            self.assertTrue(all(row), row)
            suite, test, reason, _ = row
            self.assertNotRegex(suite + " " + test, r"^vm-6\.12|^unit \*", row)
            if suite == "unit":
                group, case = test.split()[1].split("::")
                self.assertRegex(sources, r"Test\(%s, (\w+_)?%s\b" % (group, re.escape(case)))
                self.assertIn('"' + reason, sources)
            elif test != "*":
                self.assertTrue(glob.glob(os.path.join(TOP, "tests/vm/%s/scenario.*" % test.replace("-ipv6", ""))), row)

    def test_no_scenario_was_lost(self):
        counts = {row[0]: row[1:] for row in self.rows("counts.tsv")}
        for column, arguments in ((0, []), (1, ["--all"])):
            done = subprocess.run([os.path.join(TOP, "tests/vm/run"), "--list", *arguments], text=True,
                                  stdout=subprocess.PIPE, check=True)
            kernels = [line.split()[0] for line in done.stdout.splitlines()]
            for kernel in ("6.1", "6.12", "7.2"):
                self.assertGreaterEqual(kernels.count(kernel), int(counts["vm-" + kernel][column]),
                                        "fewer scenarios than in tests/expected/counts.tsv")


if __name__ == "__main__":
    sys.exit(tap.main("expected", ExpectedTest))
