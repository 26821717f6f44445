#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The conformance table, on trees and results made up here, and on this tree's names."""
import os
import subprocess
import sys
import tempfile
import unittest

import tap

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
PROGRAM = os.path.join(TOP, "tools/conformance")
SOURCE = "0123456789ab"
ITEMS = ("R-2-1\tMUST\tone\t\n" "R-2.3-13\tMUST\ttwo\t\n" "L-2.2-5\t-\tthree\t\n"
         "S4\t-\tfour\t\n" "R-2-6\tSHOULD\tfive\tnot built yet\n")
NO_RUN = " – | – | – | – |"


class Tree:
    """A checkout and its build directory: one unit test, one scenario, all passed."""

    def __init__(self, path):
        self.top, self.build = path, os.path.join(path, "build")
        self.put("tests/conformance/items.tsv", "# a comment\n" + ITEMS)
        self.put("tests/unit/test_a.c", "Test(a, R_2_3_13_policy)\n{\n}\nTest(a, other)\n{\n}\n")
        self.put("tests/vm/attack/scenario.sh", "topology\n# conforms S9 not here\n"
                                             "conforms S4 \"nothing leaked\"\n")
        self.put("tests/vm/lib/common.sh", "conforms() {\n\tlog \"conforms: $1\"\n}\n")
        self.unit("passed")
        for kernel in ("6.1", "6.12", "7.2"):
            self.scenario(kernel, "passed")

    def put(self, name, text):
        path = os.path.join(self.top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def unit(self, outcome, source=SOURCE):
        self.put("build/tests/unit/test_a.from", source + "\t6.18\t2026-01-01T00:00:00Z\n")
        self.put("build/tests/unit/test_a.rows",
                 "unit\ttest_a a::R_2_3_13_policy\t%s\twhy\nunit\ttest_a a::other\tpassed\t\n" % outcome)

    def scenario(self, kernel, outcome, detail="", conforms="S4\tnothing leaked\n", source=SOURCE):
        folder = "build/tests/vm/%s/attack/" % kernel
        self.put(folder + "from", "%s\t%s.1-amd64\t2026-01-02T00:00:00Z\n" % (source, kernel))
        self.put(folder + "result", outcome + "\t" + detail + "\n")
        self.put(folder + "conforms", conforms)


class ConformanceTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.tree = Tree(scratch.name)
        self.text = ""

    def make(self, status=0, *more):
        output = os.path.join(self.tree.top, "table.md")
        done = subprocess.run([PROGRAM, "--top", self.tree.top, "--build", self.tree.build,
                               "--source", SOURCE, "--output", output, *more], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual(done.returncode, status, done.stdout)
        if status < 2:
            with open(output, encoding="utf-8") as file:
                self.text = file.read()
        else:
            self.assertFalse(os.path.exists(output))
        return done.stdout

    def row(self, item):
        return next(line for line in self.text.splitlines() if line.startswith("| %s |" % item))

    def refused(self, *words):
        output = self.make(2)
        self.assertEqual(len(output.splitlines()), 1, output)
        for word in words:
            self.assertIn(word, output)

    def test_an_item_of_a_passed_test_is_shown(self):
        self.make()
        self.assertEqual(self.row("R-2.3-13"), "| R-2.3-13 | MUST | two | "
                         "`R_2_3_13_policy (test_a)` | pass | – | – | – |")
        self.assertEqual(self.row("S4"), "| S4 | - | four | `attack` | – | pass | pass | pass |")
        self.assertIn("| S4 | `attack` | 6.12 | nothing leaked |", self.text)
        self.assertIn("Sources: " + SOURCE, self.text)
        self.assertIn("6.12 (6.12.1-amd64)", self.text)
        self.assertIn("2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z", self.text)
        self.assertIn("| MUST | 1 | 0 | 0 | 0 | 1 | 0 |", self.text)

    def test_an_item_without_a_test_is_not_claimed(self):
        self.make()
        self.assertTrue(self.row("R-2-1").endswith("| no test |" + NO_RUN))
        self.assertTrue(self.row("R-2-6").endswith("| no test<br>not built yet |" + NO_RUN))

    def test_a_failed_unit_test_fails_its_item(self):
        self.tree.unit("failed")
        self.assertIn("FAIL  conformance: R-2.3-13", self.make(1))
        self.assertTrue(self.row("R-2.3-13").endswith("| FAIL | – | – | – |"))

    def test_a_failed_scenario_shows_no_item(self):
        self.tree.scenario("6.1", "failed", "leak: a packet")
        self.make(1)
        self.assertTrue(self.row("S4").endswith("| – | FAIL | pass | pass |"))
        self.assertIn("| `attack` | FAIL: leak: a packet | pass | pass |", self.text)
        self.assertNotIn("| S4 | `attack` | 6.1 |", self.text)

    def test_a_skipped_scenario_shows_no_item(self):
        self.tree.scenario("6.1", "skipped", "no netfilter gate")
        self.make()
        self.assertTrue(self.row("S4").endswith("| – | not on this kernel | pass | pass |"))
        self.assertIn("not on this kernel: no netfilter gate", self.text)
        self.assertNotIn("| S4 | `attack` | 6.1 |", self.text)

    def test_a_passed_scenario_without_conforms_shows_no_item(self):
        self.tree.scenario("7.2", "passed", conforms="")
        self.make()
        self.assertTrue(self.row("S4").endswith("| – | pass | pass | not shown |"))

    def test_tests_that_did_not_run_are_reported(self):
        self.tree.put("tests/vm/new/scenario.sh", 'conforms R-2-1 "a"\nconforms S4 "b"\n')
        self.tree.put("tests/unit/test_b.py", "class B:\n    def test_L_2_2_5_heals(self):\n")
        self.make()
        self.assertTrue(self.row("R-2-1").endswith("| – | not run | not run | not run |"))
        self.assertTrue(self.row("L-2.2-5").endswith("| not run | – | – | – |"))
        self.assertIn("| 1 not run, 1 pass |", self.row("S4"))

    def test_results_of_other_sources_do_not_count(self):
        self.tree.unit("passed", source="fedcba987654")
        self.tree.scenario("6.12", "passed", source=SOURCE + "+changes")
        self.make()
        self.assertTrue(self.row("R-2.3-13").endswith("| not run | – | – | – |"))
        self.assertTrue(self.row("S4").endswith("| – | pass | not run | pass |"))
        self.assertIn("Left out, 2 results of other sources", self.text)
        self.assertIn("tests/unit/test\\_a.from (of fedcba987654)", self.text)

    def test_results_of_each_named_source_count(self):
        self.tree.scenario("7.2", "passed", source="fedcba987654")
        self.make(0, "--source", "fedcba987654")
        self.assertTrue(self.row("S4").endswith("| – | pass | pass | pass |"))
        self.assertIn("Sources: native %s (1); 6.1 %s (1); 6.12 %s (1); 7.2 fedcba987654 (1)\n" %
                      (SOURCE, SOURCE, SOURCE), self.text)

    def test_one_test_may_show_several_items(self):
        self.tree.put("tests/unit/test_a.c", "Test(a, R_2_3_13_L_2_2_5_S4)\n{\n}\n")
        self.make()
        for item in ("R-2.3-13", "L-2.2-5", "S4"):
            self.assertIn("`R_2_3_13_L_2_2_5_S4 (test_a)`", self.row(item))

    def test_python_scenarios_show_items_too(self):
        self.tree.put("tests/vm/bare/scenario.py", 'conforms("R-2-1", "a")\n')
        self.make()
        self.assertIn("`bare`", self.row("R-2-1"))

    def test_a_variant_of_a_scenario_has_results_of_its_own(self):
        self.tree.put("tests/vm/attack/scenario.sh", "# variant: ipv6 family=6\nconforms S4 \"a\"\n")
        self.make()
        self.assertIn("`attack`<br>`ipv6`", self.row("S4"))
        self.assertIn("| 1 not run, 1 pass |", self.row("S4"))

    def test_an_unknown_item_of_a_unit_test_is_refused(self):
        self.tree.put("tests/unit/test_a.c", "Test(a, R_2_99_nothing)\n{\n}\n")
        self.refused("test_a.c", "R-2-99")

    def test_an_unknown_item_of_a_scenario_is_refused(self):
        self.tree.put("tests/vm/attack/scenario.sh", 'conforms S44 "nothing"\n')
        self.refused("attack/scenario", "S44")

    def test_an_item_made_at_run_time_is_refused(self):
        self.tree.put("tests/vm/attack/scenario.sh", 'conforms "$item" "nothing"\n')
        self.refused("attack/scenario", "$item")

    def test_one_conforms_call_may_serve_several_items(self):
        self.tree.put("tests/vm/attack/scenario.sh", 'shows() {\n\tconforms "$1" "seen"\n}\n'
                                                  'shows S4\nshows R-2-1\n')
        self.make()
        self.assertIn("`attack`", self.row("S4"))
        self.assertIn("`attack`", self.row("R-2-1"))

    def test_an_item_that_the_scenario_file_does_not_name_is_refused(self):
        self.tree.scenario("6.12", "passed", conforms="R-2-1\tsurprise\n")
        self.refused("6.12/attack/conforms", "R-2-1")

    def test_a_conforms_call_in_the_library_is_refused(self):
        self.tree.put("tests/vm/lib/steps.sh", 'steps() {\n\tconforms S4 "all of them"\n}\n')
        self.refused("lib/steps.sh")

    def test_an_item_listed_twice_is_refused(self):
        self.tree.put("tests/conformance/items.tsv", ITEMS + "S4\t-\tagain\t\n")
        self.refused("S4", "twice")

    def test_an_item_line_without_all_its_fields_is_refused(self):
        self.tree.put("tests/conformance/items.tsv", ITEMS + "S5\tfive\n")
        self.refused("items.tsv:6", "2 fields")

    def test_a_list_without_items_makes_no_table(self):
        self.tree.put("tests/conformance/items.tsv", "# none\n")
        self.refused("no items")

    def test_an_unknown_outcome_is_refused(self):
        self.tree.scenario("6.12", "perhaps")
        self.refused("6.12/attack", "perhaps")

    def test_text_from_a_guest_cannot_break_the_table(self):
        self.tree.scenario("6.12", "passed", conforms="S4\ta | b <script> `c` [d](e)\n")
        self.make()
        self.assertIn("| a \\| b \\<script> \\`c\\` \\[d](e) |", self.text)

    def test_all_item_names_in_this_tree_are_in_the_list(self):
        done = subprocess.run([PROGRAM, "--build", self.tree.top, "--source", SOURCE, "--output",
                               os.devnull], text=True, stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)


if __name__ == "__main__":
    sys.exit(tap.main("conformance", ConformanceTest))
