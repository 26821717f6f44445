#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The conformance table, on trees and results made up here, and on this tree's names."""
import os
import shutil
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
SHORT = SOURCE[:7]
PASS = "pass " + SHORT


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

    def scenario(self, kernel, outcome, detail="", conforms="S4\tnothing leaked\n", source=SOURCE,
                 time="2026-01-02T00:00:00Z", name="attack"):
        folder = "build/tests/vm/%s/%s/" % (kernel, name)
        self.put(folder + "from", "%s\t%s.1-amd64\t%s\n" % (source, kernel, time))
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
                         "`R_2_3_13_policy (test_a)` | shown | %s | – | – | – |" % PASS)
        self.assertEqual(self.row("S4"),
                         "| S4 | - | four | `attack` | shown | – | %s | %s | %s |" % (PASS, PASS, PASS))
        self.assertIn("| S4 | `attack` | 6.12 | nothing leaked |", self.text)
        self.assertIn("Sources: " + SOURCE, self.text)
        self.assertIn("6.12 (6.12.1-amd64)", self.text)
        self.assertIn("2026-01-01T00:00:00Z to 2026-01-02T00:00:00Z", self.text)
        self.assertIn("| MUST | 1 | 0 | 0 | 0 | 0 | 1 | 0 |", self.text)

    def test_the_detail_of_a_passed_unit_test_is_shown(self):
        self.make()
        self.assertIn("| R-2.3-13 | `R_2_3_13_policy (test_a)` | native | why |", self.text)
        self.tree.unit("failed")
        self.make(1)
        self.assertNotIn("| native | why |", self.text)

    def test_an_item_without_a_test_is_not_claimed(self):
        self.make()
        self.assertTrue(self.row("R-2-1").endswith("| no test | no test |" + NO_RUN))
        self.assertTrue(self.row("R-2-6").endswith("| no test, reason given: not built yet |" + NO_RUN))

    def test_a_failed_unit_test_fails_its_item(self):
        self.tree.unit("failed")
        self.assertIn("FAIL  conformance: R-2.3-13", self.make(1))
        self.assertTrue(self.row("R-2.3-13").endswith("| failed | FAIL %s | – | – | – |" % SHORT))

    def test_a_failed_scenario_shows_no_item(self):
        self.tree.scenario("6.1", "failed", "leak: a packet")
        self.make(1)
        self.assertTrue(self.row("S4").endswith("| – | FAIL %s | %s | %s |" % (SHORT, PASS, PASS)))
        self.assertIn("| `attack` | FAIL: leak: a packet %s | %s | %s |" % (SHORT, PASS, PASS), self.text)
        self.assertNotIn("| S4 | `attack` | 6.1 |", self.text)

    def test_a_skipped_scenario_shows_no_item(self):
        self.tree.scenario("6.1", "skipped", "no netfilter gate")
        self.make()
        self.assertTrue(self.row("S4").endswith("| shown | – | not on this kernel | %s | %s |" % (PASS, PASS)))
        self.assertIn("not on this kernel: no netfilter gate", self.text)
        self.assertNotIn("| S4 | `attack` | 6.1 |", self.text)

    def test_a_passed_scenario_without_conforms_shows_no_item(self):
        self.tree.scenario("7.2", "passed", conforms="")
        self.make()
        self.assertTrue(self.row("S4").endswith(
            "| shown in part: not shown on 7.2 | – | %s | %s | not shown |" % (PASS, PASS)))

    def test_tests_that_did_not_run_are_reported(self):
        self.tree.put("tests/vm/new/scenario.sh", 'conforms R-2-1 "a"\nconforms S4 "b"\n')
        self.tree.put("tests/unit/test_b.py", "class B:\n    def test_L_2_2_5_heals(self):\n")
        self.make()
        self.assertTrue(self.row("R-2-1").endswith("| – | not run | not run | not run |"))
        self.assertIn("| not shown yet: not run on 6.1; ", self.row("R-2-1"))
        self.assertTrue(self.row("L-2.2-5").endswith("| not run | – | – | – |"))
        self.assertIn("| 1 not run, 1 %s |" % PASS, self.row("S4"))
        self.assertIn("| shown in part: not run on 6.1; ", self.row("S4"))

    # ---- results of earlier runs

    def keep(self):
        self.make(0, "--keep")

    def forget_builds(self):
        shutil.rmtree(os.path.join(self.tree.build, "tests/vm"))

    def test_a_scenario_without_a_result_in_the_build_has_its_kept_one(self):
        self.keep()
        self.forget_builds()
        self.make()
        self.assertTrue(self.row("S4").endswith("| shown | – | %s | %s | %s |" % (PASS, PASS, PASS)))
        self.assertIn("| S4 | `attack` | 6.12 | nothing leaked |", self.text)

    def test_a_kept_failure_is_a_failure(self):
        self.tree.scenario("6.12", "failed", "leak: a packet")
        self.make(1, "--keep")
        self.forget_builds()
        self.make(1)
        self.assertIn("FAIL: leak: a packet", self.text)

    def test_a_kept_result_gives_way_to_a_newer_one_only(self):
        self.keep()
        self.tree.scenario("6.1", "failed", "later", time="2026-01-03T00:00:00Z")
        self.tree.scenario("7.2", "failed", "earlier", time="2026-01-01T00:00:00Z")
        self.make(1)
        self.assertIn("FAIL: later", self.text)
        self.assertNotIn("earlier", self.text)

    def test_the_results_of_a_removed_scenario_are_dropped(self):
        self.keep()
        os.rename(os.path.join(self.tree.top, "tests/vm/attack"),
                  os.path.join(self.tree.top, "tests/vm/renamed"))
        self.keep()
        for name in "scenarios.tsv", "conforms.tsv":
            with open(os.path.join(self.tree.top, "docs/evidence", name), encoding="utf-8") as file:
                self.assertNotIn("attack", file.read())

    # ---- what is not shown whole

    def test_a_reservation_is_not_shown_whole(self):
        self.tree.put("tests/conformance/items.tsv", ITEMS.replace("four\t", "four\tno test reboots one"))
        self.make()
        self.assertIn("| `attack` | shown in part: no test reboots one | – | %s |" % PASS, self.row("S4"))
        self.assertIn("| other | 0 | 1 | 0 | 0 | 0 | 1 | 0 |", self.text)

    def test_a_kernel_that_cannot_be_had_shows_no_item(self):
        self.tree.scenario("6.1", "unavailable", "Debian no longer offers 6.1", conforms="")
        self.make()
        self.assertIn("| shown in part: no such kernel to be had on 6.1 |", self.row("S4"))

    def test_a_result_of_a_commit_that_git_does_not_know_is_stale(self):
        self.tree.unit("passed", source="fedcba987654")
        self.tree.scenario("6.12", "passed", source=SOURCE + "+changes")
        self.make()
        self.assertTrue(self.row("R-2.3-13").endswith(
            "| stale: git does not know fedcba987654 | stale fedcba9 | – | – | – |"))
        self.assertTrue(self.row("S4").endswith("| shown in part: git does not know %s+changes"
                                                " | – | %s | stale %s+ | %s |" %
                                                (SOURCE, PASS, SHORT, PASS)))
        self.assertIn("Stale, older than the programs or the test: 2 results\n", self.text)
        self.assertIn("Results: native fedcba987654 (1); 6.1 %s (1);" % SOURCE, self.text)

    def git(self, *words):
        done = subprocess.run(["git", "-C", self.tree.top, "-c", "user.name=x", "-c", "user.email=x@y",
                               *words], text=True, stdout=subprocess.PIPE, check=True)
        return done.stdout.strip()

    def commit(self, name, text):
        """One more commit; the name of the one before."""
        self.tree.put(name, text)
        self.git("add", ".")
        before = self.git("rev-parse", "--short=12", "HEAD")
        self.git("commit", "-qm", name)
        return before

    def standing_after(self, name):
        """Of R-2.3-13 (a unit test) and S4 (a scenario), when this file changed after they ran."""
        before = self.commit(name, "changed\n")
        self.tree.unit("passed", source=before)
        for kernel in ("6.1", "6.12", "7.2"):
            self.tree.scenario(kernel, "passed", source=before)
        self.make(0, "--source", self.git("rev-parse", "--short=12", "HEAD"))
        return [self.row(item).split(" | ")[4] for item in ("R-2.3-13", "S4")]

    def test_results_older_than_what_they_test_are_stale(self):
        self.tree.put(".gitignore", "build\ntable.md\n")
        self.git("init", "-q")
        self.git("add", ".")
        self.git("commit", "-qm", "first")
        for name in ("docs/more.md", "user/man/latchd.8", "README.md", "tests/vm/other/note",
                     "tools/x", "tests/mutation/mutations.toml"):
            self.assertEqual(self.standing_after(name), ["shown", "shown"], name)
        for name in ("bpf/gate/tcp.h", "include/abi.h", "user/latchd/daemon.c"):
            for standing in self.standing_after(name):
                self.assertRegex(standing, r"^stale: %s changed after [0-9a-f]{7}$" % name)
        for name in ("tests/vm/attack/more", "tests/vm/lib/hosts.sh", "tests/vm/tools/stream.c"):
            unit, scenario = self.standing_after(name)
            self.assertEqual(unit, "shown", name)
            self.assertIn("stale: %s changed" % name, scenario)
        for name in ("tests/unit/lib/gate.h", "tests/fake/vici.c"):
            unit, scenario = self.standing_after(name)
            self.assertIn("stale: %s changed" % name, unit)
            self.assertEqual(scenario, "shown", name)

    def test_a_change_that_is_not_committed_makes_results_stale(self):
        self.tree.put(".gitignore", "build\ntable.md\n")
        self.tree.put("bpf/gate/tcp.h", "1\n")
        self.git("init", "-q")
        self.git("add", ".")
        self.git("commit", "-qm", "first")
        head = self.git("rev-parse", "--short=12", "HEAD")
        self.tree.unit("passed", source=head)
        self.tree.put("bpf/gate/tcp.h", "2\n")
        self.make(0, "--source", head + "+changes")
        self.assertIn("| stale: bpf/gate/tcp.h changed after %s |" % head[:7], self.row("R-2.3-13"))

    def standing_after_edit(self, before, after):
        """Of R-2.3-13, when a header of the gates changed in this way after the test ran."""
        self.tree.put("bpf/gate/tcp.h", before)
        self.git("init", "-q")
        self.git("add", ".")
        self.git("commit", "-qm", "first")
        source = self.commit("bpf/gate/tcp.h", after)
        self.tree.unit("passed", source=source)
        self.make(0, "--source", self.git("rev-parse", "--short=12", "HEAD"))
        return self.row("R-2.3-13").split(" | ")[4]

    def test_a_change_of_comments_makes_no_result_stale(self):
        self.tree.put(".gitignore", "build\ntable.md\n")
        self.assertEqual(self.standing_after_edit("/* its */\n#define A 1 /* a */\nint a;\n",
                                                  "#define A 1\n// the flow's\n\nint\ta;\n"), "shown")

    def test_a_change_beside_a_comment_makes_a_result_stale(self):
        for after in ("#define A 2 /* a */\nint a;\n", "#define A 1\nint a; int b;\n",
                      "#define A 1\nint a;\nchar *b = \"/* */\";\n"):
            shutil.rmtree(os.path.join(self.tree.top, ".git"), ignore_errors=True)
            self.tree.put(".gitignore", "build\ntable.md\n")
            self.assertIn("stale: bpf/gate/tcp.h", self.standing_after_edit("#define A 1\nint a;\n", after))

    def test_white_space_in_a_string_is_a_change(self):
        self.tree.put(".gitignore", "build\ntable.md\n")
        self.assertIn("stale: bpf/gate/tcp.h", self.standing_after_edit("char a[] = \"a b\";\n",
                                                                        "char a[] = \"a  b\";\n"))

    def test_a_stale_failure_is_a_failure(self):
        self.tree.unit("failed", source="fedcba987654")
        self.assertIn("FAIL  conformance: R-2.3-13", self.make(1))

    def test_an_item_that_a_stale_result_names_may_be_gone_from_the_scenario(self):
        self.tree.scenario("6.12", "passed", conforms="R-2-1\tlong ago\n", source="fedcba987654")
        self.make()
        self.assertNotIn("long ago", self.text)

    def test_one_test_may_show_several_items(self):
        self.tree.put("tests/unit/test_a.c", "Test(a, R_2_3_13_L_2_2_5_S4)\n{\n}\n")
        self.make()
        for item in ("R-2.3-13", "L-2.2-5", "S4"):
            self.assertIn("`R_2_3_13_L_2_2_5_S4 (test_a)`", self.row(item))

    def test_a_test_that_a_macro_makes_shows_its_item(self):
        self.tree.put("tests/unit/test_a.c", "CONFLICT(R_2_3_13_policy, other.mode = 1)\n")
        self.make()
        self.assertIn("`R_2_3_13_policy (test_a)`", self.row("R-2.3-13"))

    def test_a_test_with_both_families_has_failed_if_one_has(self):
        self.tree.put("tests/unit/test_a.c", "TEST_BOTH(R_2_3_13_policy)\n")
        self.tree.put("build/tests/unit/test_a.rows",
                      "unit\ttest_a a::R_2_3_13_policy_ipv6\tfailed\twhy\n"
                      "unit\ttest_a a::R_2_3_13_policy_ipv4\tpassed\t\n")
        self.assertIn("FAIL  conformance: R-2.3-13", self.make(1))

    def test_python_scenarios_show_items_too(self):
        self.tree.put("tests/vm/bare/scenario.py", 'conforms("R-2-1", "a")\n')
        self.make()
        self.assertIn("`bare`", self.row("R-2-1"))

    def test_a_variant_of_a_scenario_has_results_of_its_own(self):
        self.tree.put("tests/vm/attack/scenario.sh", "# variant: ipv6 family=6\nconforms S4 \"a\"\n")
        self.make()
        self.assertIn("`attack`<br>`ipv6`", self.row("S4"))
        self.assertIn("| 1 not run, 1 %s |" % PASS, self.row("S4"))

    def with_short_form(self):
        self.tree.put("tests/vm/attack/scenario.sh", "# variant: attack-short steps=1\nconforms S4 \"a\"\n")
        for kernel in ("6.1", "6.12", "7.2"):
            self.tree.scenario(kernel, "passed", conforms="", name="attack-short")

    def test_a_short_form_may_leave_out_what_the_whole_scenario_shows(self):
        self.with_short_form()
        self.make()
        self.assertIn("| shown |", self.row("S4"))
        self.assertIn("| 1 not shown, 1 %s |" % PASS, self.row("S4"))

    def test_another_variant_leaves_out_nothing(self):
        self.tree.put("tests/vm/attack/scenario.sh", "# variant: ipv6 family=6\nconforms S4 \"a\"\n")
        self.tree.scenario("7.2", "passed", conforms="", name="ipv6")
        self.make()
        self.assertIn("not shown on 7.2", self.row("S4"))

    def test_a_short_form_does_not_stand_for_the_whole_scenario(self):
        self.with_short_form()
        self.tree.scenario("7.2", "passed", conforms="")
        self.make()
        self.assertIn("| shown in part: not shown on 7.2 |", self.row("S4"))

    def test_a_variant_of_make_field_shows_no_item(self):
        self.tree.put("tests/vm/attack/scenario.sh", "# run: conformance attack\n# run: field newer\n"
                                                     "# variant: newer charon=sid\nconforms S4 \"a\"\n")
        self.make()
        self.assertNotIn("newer", self.row("S4"))
        self.assertNotIn("not run", self.row("S4"))

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
        self.refused("attack on 6.12", "R-2-1")

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
        self.refused("attack on 6.12", "perhaps")

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
