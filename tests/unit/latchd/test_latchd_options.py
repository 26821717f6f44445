#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The command line of latchd: the built program with configurations that cannot work here. Without
--check, too, it must end before it needs a privilege or touches the kernel."""
import os
import re
import subprocess
import sys
import tempfile
import unittest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
sys.path.append(os.path.join(TOP, "tests/unit/tools"))
import tap  # pylint: disable=wrong-import-position

LATCHD = os.path.join(TOP, os.environ.get("BUILD", "build"), "latchd")
RETRY, FAULT = 1, 2


class Options(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.folder = scratch.name
        self.file = self.path("plain")
        with open(self.file, "w", encoding="utf-8"):
            pass

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_latchd(self, lines, *options):
        config = self.path("latchd.conf")
        with open(config, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        return subprocess.run([LATCHD, "--config", config, *options], text=True, check=False,
                              timeout=120, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)

    def expect_fault(self, lines, text):
        """The check and the start: one line, exit status 2."""
        for options in ("--check",), ():
            done = self.run_latchd(lines, *options)
            self.assertEqual((done.returncode, done.stdout), (FAULT, ""), done.stderr)
            self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
            self.assertIn(text, done.stderr)
            self.assertIn("; ", done.stderr)

    def expect_retry(self, lines, text):
        """systemd tries again: what is missing may come."""
        done = self.run_latchd(lines)
        self.assertEqual((done.returncode, done.stdout), (RETRY, ""), done.stderr)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertIn(text, done.stderr)

    def test_a_group_that_a_name_service_may_still_bring_is_tried_again(self):
        self.expect_retry(["[control]", "group = no-such-group"], 'no group "no-such-group"')

    def test_a_cgroup_that_is_none_is_a_fault_of_the_configuration(self):
        self.expect_fault(["[enforce]", "cgroup = " + self.folder], "not a cgroup v2 directory")
        self.expect_fault(["[enforce]", "cgroup = " + self.file], "not a cgroup v2 directory")

    def test_a_cgroup_that_may_come_later_is_tried_again(self):
        self.expect_retry(["[enforce]", "cgroup = " + self.path("later")], "mount cgroup2")

    def test_a_cgroup_below_another_is_a_fault_of_the_configuration(self):
        self.expect_fault(["[enforce]", "cgroup = /sys/fs/cgroup/a", "cgroup = /sys/fs/cgroup/a/b"],
                          "above or below")

    def test_the_unit_starts_latchd_after_the_groups_can_be_read(self):
        with open(os.path.join(TOP, "tools/systemd/latchd.service"), encoding="utf-8") as file:
            self.assertIn("\nAfter=nss-user-lookup.target\n", file.read())

    def test_the_unit_ends_starts_that_fail_again_and_again(self):
        with open(os.path.join(TOP, "tools/systemd/latchd.service"), encoding="utf-8") as file:
            keys = dict(line.strip().split("=", 1) for line in file if re.match("[A-Z][A-Za-z]*=", line))
        burst, wait = int(keys["StartLimitBurst"]), int(keys["RestartSec"].removesuffix("s"))
        interval = 60 * int(keys["StartLimitIntervalSec"].removesuffix("min"))
        self.assertGreaterEqual(burst * wait, 600, "a name service may need ten minutes")
        self.assertGreater(interval, 2 * burst * wait, "a start itself takes time")

    def test_a_control_socket_that_cannot_be_made_is_a_fault_of_the_configuration(self):
        for path, text in ((self.file, "no socket"), (self.file + "/sock", "no directory"),
                           (self.path("a/b/sock"), "cannot be made")):
            self.expect_fault(["[control]", "socket = " + path], text)

    def test_a_feed_at_a_file_that_is_no_socket_is_a_fault_of_the_configuration(self):
        self.expect_fault(["[feed a]", "type = vici", "socket = " + self.file], "is no socket")

    def test_sockets_and_directories_that_can_still_be_made_are_good(self):
        done = self.run_latchd(["[control]", "socket = " + self.path("new/sock"), "group = root",
                                "[feed a]", "type = vici", "socket = " + self.path("later")],
                               "--check")
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def check(self, lines):
        done = self.run_latchd(["[control]", "socket = " + self.path("sock"), "group = root", *lines], "--check")
        self.assertEqual(done.returncode, 0, done.stderr)
        return done

    def test_the_check_counts_feeds_rules_and_sets_of_peers(self):
        done = self.check(["[peer a]", "class = psk", "id = a.example", "[peer b]", "class = psk", "id = b.example",
                           "id = c.example", "[rule r]", "action = require", "peer = a"])
        self.assertEqual(done.stdout, self.path("latchd.conf") + ": good, 1 feeds, 1 rules, 2 sets of peers\n")
        self.assertEqual(done.stderr, "")

    def test_a_number_sign_behind_a_value_is_part_of_it_and_the_check_warns(self):
        good = ["[peer a] # a heading", "# a line", "class = psk", "id = a#b.example", "id = #1"]
        self.assertEqual(self.check(good).stderr, "")
        done = self.check([*good, "id = c.example # the web server", "id = d.example\t# another"])
        self.assertIn("good", done.stdout)
        self.assertEqual(done.stderr.count("\n"), 2, done.stderr)
        for line, text in zip((9, 10), done.stderr.splitlines()):
            self.assertIn(f"{self.path('latchd.conf')}:{line}: ", text)
            self.assertIn("part of it", text)


if __name__ == "__main__":
    sys.exit(tap.main("latchd_options", Options))
