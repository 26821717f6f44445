# SPDX-License-Identifier: BSD-2-Clause
"""For test_*.py: the options that tests/unit/run gives to a Criterion program,
and the same kind of report: --tap=FILE, the others are ignored.
"""
import os
import sys
import traceback
import unittest


class Report(unittest.TestResult):
    """Criterion's TAP lines."""

    def __init__(self, suite):
        super().__init__()
        self.suite = suite
        self.rows = []

    def row(self, word, test):
        self.rows.append("%s - %s::%s  (0.00s)" % (word, self.suite,
                                                   test.id().rpartition(".")[2][len("test_"):]))

    def addSuccess(self, test):
        self.row("ok", test)

    def addSkip(self, test, reason):
        self.row("ok", test)
        self.rows[-1] += " # SKIP " + reason

    def addFailure(self, test, err):
        self.row("not ok", test)
        frame = traceback.extract_tb(err[2])[-1]
        self.rows.append("  - %s:%d: %s" % (os.path.basename(frame.filename), frame.lineno,
                                            " ".join(str(err[1]).split())))
        traceback.print_exception(*err)

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        """unittest reports no success of a test with a failed subtest."""
        if err:
            self.addFailure(test, err)


def main(suite, *cases):
    """Runs the cases; the exit status."""
    files = [word[6:] for word in sys.argv[1:] if word.startswith("--tap=")]
    report = Report(suite)
    for case in cases:
        unittest.defaultTestLoader.loadTestsFromTestCase(case).run(report)
    text = "\n".join(["1..%d" % report.testsRun] + report.rows) + "\n"
    if files:
        with open(files[0], "w", encoding="utf-8") as file:
            file.write(text)
    else:
        sys.stdout.write(text)
    return 0 if all(not row.startswith("not ok") for row in report.rows) else 1
