#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The command line of latchctl: runs the built program with right and wrong arguments."""
import os
import subprocess
import sys
import unittest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
sys.path.append(os.path.join(TOP, "tests/unit/tools"))
import tap  # pylint: disable=wrong-import-position

LATCHCTL = os.path.join(TOP, os.environ.get("BUILD", "build"), "latchctl")
USAGE, UNREACHABLE = 2, 4


def latchctl(*arguments):
    return subprocess.run([LATCHCTL, *arguments], text=True, check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)


class Options(unittest.TestCase):
    def expect_error(self, arguments, code, text):
        done = latchctl(*arguments)
        self.assertEqual((done.returncode, done.stdout), (code, ""), arguments)
        self.assertEqual(done.stderr.count("\n"), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("latchctl: " + text), done.stderr)

    def test_an_unknown_option_is_named(self):
        self.expect_error(["--what"], USAGE, "option --what: unknown")
        self.expect_error(["-x"], USAGE, "option -x: unknown")
        self.expect_error(["--json", "-jxy", "list"], USAGE, "option -x: unknown")
        self.expect_error(["--a\x1b[2J"], USAGE, "option --a\\x1b[2J: unknown")

    def test_an_option_without_its_argument_is_named(self):
        self.expect_error(["list", "--socket"], USAGE, "option -s: argument missing")
        self.expect_error(["list", "-s"], USAGE, "option -s: argument missing")
        self.expect_error(["list", "--color"], USAGE, "option --color: argument missing")

    def test_an_option_with_an_unexpected_argument_is_named(self):
        self.expect_error(["--version=1"], USAGE, "option --version: unknown, or takes no argument")

    def test_an_unknown_word_of_color_is_named(self):
        self.expect_error(["--color", "red"], USAGE, 'option --color: unknown word "red"')

    def test_option_yes_belongs_to_purge(self):
        self.expect_error(["--yes", "list"], USAGE, "option --yes: only purge takes it")

    def test_a_missing_or_unknown_verb_is_a_usage_error(self):
        self.expect_error([], USAGE, "no verb given; run: latchctl help")
        self.expect_error(["lists"], USAGE, 'unknown verb "lists"; run: latchctl help')
        self.expect_error(["sa", "1"], USAGE, 'unexpected argument "1"; run: latchctl help')
        self.expect_error(["break", "1", "2"], USAGE, 'unexpected argument "2"')

    def test_mode_takes_one_of_two_words(self):
        self.expect_error(["mode"], USAGE, 'mode: "" is not a mode; give audit or enforce')
        self.expect_error(["mode", "off"], USAGE, 'mode: "off" is not a mode')
        self.expect_error(["mode", "audit", "1"], USAGE, 'unexpected argument "1"')
        self.expect_error(["mode", "audit", "-s", "/nonexistent"], UNREACHABLE,
                          "control socket /nonexistent: cannot connect")

    def test_a_wrong_condition_of_list_is_a_usage_error(self):
        self.expect_error(["list", "1"], USAGE, 'list: unknown field "1"; use state, peer,')
        self.expect_error(["list", "dport", "22", "state"], USAGE,
                          'list: no value after field "state"')
        self.expect_error(["list", "dport", "22", "-s", "/nonexistent"], UNREACHABLE,
                          "control socket /nonexistent: cannot connect")

    def test_a_wrong_end_of_whois_is_a_usage_error(self):
        self.expect_error(["whois"], USAGE, "whois: 0 ends given; use LOCAL:PORT REMOTE:PORT")
        self.expect_error(["whois", "10.0.0.1:1", "10.0.0.2:2", "x"], USAGE, "whois: 3 ends given")
        for word in ("10.0.0.1", "10.0.0.1:0", "10.0.0.1:*", "10.0.0.1:65536", "10.0.0:1", "fd00::1:80",
                     "[fd00::1]", "", "localhost:80"):
            self.expect_error(["whois", word], USAGE, f'whois: "{word}" is no end of a connection')
        self.expect_error(["whois", "\x1b[2J"], USAGE, 'whois: "\\x1b[2J" is no end')
        self.expect_error(["whois", "10.0.0.1:1", "-s", "/nonexistent"], UNREACHABLE,
                          "control socket /nonexistent: cannot connect")

    def test_a_wrong_process_or_descriptor_of_whois_is_a_usage_error(self):
        for words in ["--pid", "1"], ["--fd", "1"], ["--pid", "1", "--fd", "3", "10.0.0.1:1"]:
            self.expect_error(["whois", *words], USAGE, "whois: options --pid and --fd belong together")
        for word in "", "-1", "+1", " 1", "1x", "2147483648", "18446744073709551617", "\x1b[2J":
            shown = word.replace("\x1b", "\\x1b")
            self.expect_error(["whois", "--pid=" + word, "--fd=3"], USAGE,
                              f'whois: option --pid: "{shown}" is no number')
            self.expect_error(["whois", "--pid=1", "--fd=" + word], USAGE,
                              f'whois: option --fd: "{shown}" is no number')
        self.expect_error(["list", "--pid", "1"], USAGE, "option --pid: only whois takes it")
        self.expect_error(["status", "--fd", "1"], USAGE, "option --fd: only whois takes it")
        self.expect_error(["whois", "--pid"], USAGE, "option --pid: argument missing")
        self.expect_error(["whois", "--fd"], USAGE, "option --fd: argument missing")

    def test_a_wrong_flow_of_explain_is_a_usage_error(self):
        self.expect_error(["explain"], USAGE, "explain: no latch ID and no flow given")
        self.expect_error(["explain", "10.0.0.1"], USAGE, 'explain: cannot read flow: "10.0.0.1"')
        self.expect_error(["explain", "tcp", "10.0.0.1", "10.0.0.2"], USAGE,
                          'explain: cannot read flow: "10.0.0.2": not a remote end')
        self.expect_error(["explain", "tcp", "\x1b[2J", "10.0.0.2:1"], USAGE,
                          'explain: cannot read flow: "\\x1b[2J": not a local end')
        for words in ["1f"], ["tcp", "10.0.0.1", "10.0.0.2:1"]:
            self.expect_error(["explain", *words, "-s", "/nonexistent"], UNREACHABLE,
                              "control socket /nonexistent: cannot connect")

    def test_options_may_follow_the_verb(self):
        self.expect_error(["break", "1", "--socket", "/nonexistent", "-j"], UNREACHABLE,
                          "control socket /nonexistent: cannot connect: No such file")

    def test_help_and_version_succeed_as_verb_and_as_option(self):
        for verb, option in ("help", "-h"), ("help", "--help"), ("version", "--version"):
            done = latchctl(verb)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertGreater(len(done.stdout), 10)
            self.assertEqual(latchctl(option).stdout, done.stdout)


if __name__ == "__main__":
    sys.exit(tap.main("latchctl_options", Options))
