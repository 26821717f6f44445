#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The comparison of tests/vm/field: made-up runs with one fault each, and honest ones with none."""
import collections
import os
import subprocess
import sys
import tempfile
import unittest

import tap

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
sys.path[:0] = [os.path.join(TOP, "tests/vm/field"), os.path.join(TOP, "tests/vm/lib")]

import comparison  # noqa: E402
import node  # noqa: E402
import traffic  # noqa: E402

PHASES = ("calm", "rekey")


def rows(application="stream", network="mesh", **changes):
    """Both runs of an honest application; changes of its second phase: run_column=value"""
    made = [comparison.Row(network, run, phase, application, answers=20, gap_ms=110)
            for run in comparison.RUNS for phase in PHASES]
    for name, value in changes.items():
        run, _, column = name.partition("_")
        setattr(made[1 if run == "without" else 3], column, value)
    return made


def errors(**kinds):
    return collections.Counter(kinds)


class ComparisonTest(unittest.TestCase):
    def test_two_equal_runs_have_no_fault_and_no_remark(self):
        self.assertEqual((comparison.faults(rows()), comparison.remarks(rows())), ([], []))

    def test_a_connection_that_breaks_only_with_latchd_is_a_fault(self):
        self.assertEqual(comparison.faults(rows(with_broken=1)),
                         ["mesh stream: 1 broken connections with latchd, 0 without it (rekey)"])

    def test_a_connection_that_breaks_in_both_runs_is_no_fault(self):
        self.assertEqual(comparison.faults(rows(with_broken=1, without_broken=1)), [])

    def test_more_broken_connections_than_without_latchd_are_a_fault(self):
        self.assertEqual(len(comparison.faults(rows(with_broken=2, without_broken=1))), 1)

    def test_an_error_that_occurs_only_with_latchd_is_a_fault(self):
        self.assertEqual(comparison.faults(rows(with_errors=errors(EPERM=3), without_errors=errors(ENETUNREACH=1))),
                         ["mesh stream: error EPERM with latchd only (rekey, 3 times)"])

    def test_an_error_of_both_runs_is_no_fault_in_any_number(self):
        self.assertEqual(comparison.faults(rows(with_errors=errors(EPERM=3), without_errors=errors(EPERM=1))), [])

    def test_an_error_of_another_application_does_not_count(self):
        found = comparison.faults(rows("a", without_errors=errors(EPERM=1)) + rows("b", with_errors=errors(EPERM=1)))
        self.assertEqual(found, ["mesh b: error EPERM with latchd only (rekey, 1 times)"])

    def test_enobufs_is_excepted_for_sockets_with_recverr_alone(self):
        self.assertEqual(comparison.faults(rows(with_errors=collections.Counter({comparison.EXCEPTED: 2}))), [])
        self.assertEqual(len(comparison.faults(rows(with_errors=errors(ENOBUFS=2)))), 1)

    def test_an_error_that_the_key_manager_causes_is_no_fault_and_another_kind_is_one(self):
        made = rows(with_errors=errors(EPERM=3, EINVAL=1))
        made[3] = comparison.of_key_manager(made[3], "EPERM")
        self.assertEqual(comparison.faults(made), ["mesh stream: error EINVAL with latchd only (rekey, 1 times)"])
        self.assertEqual(comparison.of_key_manager(made[3], None), made[3])

    def test_an_application_without_any_answer_is_a_fault(self):
        made = rows()
        for row in made[2:]:
            row.answers = 0
        self.assertEqual(comparison.faults(made), ["mesh stream: no answer in the whole run with latchd"])

    def test_a_phase_that_is_missing_in_one_run_is_a_fault(self):
        self.assertEqual(comparison.faults(rows()[:-1]), ["mesh stream: 2 phases without latchd, 1 with it"])

    def test_a_run_without_rows_is_a_fault(self):
        self.assertEqual(comparison.faults([]), ["nothing was measured"])
        self.assertEqual(len(comparison.faults(rows()[:2])), 1)

    def test_gaps_and_retransmissions_above_the_bars_are_remarks_and_no_faults(self):
        made = rows(with_gap_ms=361, with_retransmissions=2)
        self.assertEqual(comparison.remarks(made), ["mesh stream: rekey: longest gap 110 -> 361 ms",
                                                    "mesh stream: rekey: retransmissions 0 -> 2"])
        self.assertEqual(comparison.faults(made), [])
        self.assertEqual(comparison.remarks(rows(with_gap_ms=360, with_retransmissions=1)), [])


class Mute(traffic.Application):
    """Asks and has an answer only if it may."""

    may_answer = False

    def ask(self, now):
        if self.may_answer:
            self.answered(now)


class EngineTest(unittest.TestCase):
    def setUp(self):
        self.mute, self.other = Mute("mute"), Mute("other")
        self.other.may_answer = True
        self.engine = traffic.Engine([self.mute, self.other])
        self.engine.start()
        self.addCleanup(self.engine.stop)

    def broken(self):
        return [row.broken for row in self.engine.end_of_phase()]

    def test_an_application_without_an_answer_at_the_beginning_is_named(self):
        with self.assertRaises(SystemExit) as ended:
            self.engine.begun(0.5)
        self.assertEqual(str(ended.exception), "no answer within 0.5 s: mute")

    def test_a_connection_that_stalls_counts_as_broken_once(self):
        self.engine.settle(0.5)
        self.engine.settle(0.5)
        self.assertEqual(self.broken(), [1, 0])

    def test_a_stalled_application_that_answers_again_may_break_again(self):
        self.engine.settle(0.5)
        self.mute.may_answer = True
        self.assertTrue(traffic.holds_within(5, lambda: not self.mute.is_stalled))
        self.mute.may_answer = False
        self.engine.settle(0.5)
        self.assertEqual(self.broken(), [2, 0])


class LogTest(unittest.TestCase):
    """What charon's log says that it has made."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.node = node.Node("w", "10.9.0.1")
        self.node.folder = scratch.name

    def log(self, text):
        with open(self.node.path("charon.log"), "a", encoding="utf-8") as log:
            log.write(text)

    def made(self):
        return [self.node.made(what, "w-c") for what in ("CHILD_SA", "IKE_SA")]

    def test_sas_are_counted_while_the_log_grows(self):
        self.log("1 IKE_SA w-c[1] established between w and c\n2 CHILD_SA w-c{1} established with SPIs\n")
        self.assertEqual(self.made(), [1, 1])
        self.log("3 IKE_SA w-c[2] rekeyed between w and c\n4 CHILD_SA w-c{2} est")
        self.assertEqual(self.made(), [1, 2])
        self.log("ablished with SPIs\n")
        self.assertEqual(self.made(), [2, 2])

    def test_a_rekeyed_child_sa_counts_once_and_another_name_not_at_all(self):
        self.log("1 inbound CHILD_SA w-c{2} established\n2 outbound CHILD_SA w-c{2} established\n"
                 "3 CHILD_SA w-d{3} established\n4 CHILD_SA w-c2{3} established\n5 deleting IKE_SA w-c[1]\n")
        self.assertEqual(self.made(), [1, 0])


class ReportTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.top = scratch.name

    def report(self):
        return subprocess.run([os.path.join(TOP, "tests/vm/field/report"), self.top, self.top + "/out"], text=True,
                              check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def put(self, scenario, made):
        os.makedirs(os.path.join(self.top, scenario))
        comparison.write(os.path.join(self.top, scenario, "field.tsv"), made)

    def test_rows_are_read_as_they_were_written(self):
        made = rows(with_errors=collections.Counter({"exit status 2": 1, "EPERM": 3}), with_broken=1)
        self.put("field-mesh", made)
        self.assertEqual(comparison.read(self.top + "/field-mesh/field.tsv"), made)

    def test_the_report_shows_both_runs_of_each_network_side_by_side(self):
        self.put("field-mesh", rows(with_gap_ms=900))
        self.put("field-bgp", rows(network="bgp", with_errors=errors(EPERM=3)))
        done = self.report()
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"bgp +stream +40 -> 40 +110 -> 110 .* 0 -> 3 EPERM\n")
        self.assertRegex(done.stdout, r"mesh +stream +40 -> 40 +110 -> 900 .* 0 -> 0\n")
        self.assertTrue(done.stdout.endswith("retransmission): 1\nmesh stream: rekey: longest gap 110 -> 900 ms\n"))
        self.assertEqual(len(comparison.read(self.top + "/out/field.tsv")), 8)

    def test_a_report_of_nothing_fails_with_one_line(self):
        done = self.report()
        self.assertEqual((done.returncode, done.stdout.count("\n")), (1, 1))
        self.assertIn("run: make field", done.stdout)


if __name__ == "__main__":
    sys.exit(tap.main("field", ComparisonTest, EngineTest, LogTest, ReportTest))
