#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The man pages against the programs: what one names, the other has."""
import os
import re
import shlex
import shutil
import subprocess
import sys
import unittest

import tap

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def help_of(program, argument):
    return subprocess.run([os.path.join(BUILD, program), argument], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def options_in_help(text):
    return set(re.findall(r"^ +(?:(-\w), )? *(--[a-z-]+)", text, re.M))


# ---- roff


def plain(line):
    """A line without its macro and its fonts; macros of two fonts join their arguments."""
    line = re.sub(r"\\f.|\\&", "", line).replace(r"\-", "-")
    macro = re.match(r"\.([A-Z]+) (.*)", line)
    if not macro:
        return line
    return ("" if re.fullmatch("[BIR]{2}", macro.group(1)) else " ").join(
        shlex.split(macro.group(2)))


def sections(page):
    """heading -> its lines"""
    found = {}
    lines = []
    for line in page.splitlines():
        if line.startswith((".SH ", ".SS ")):
            lines = found.setdefault(plain(line), [])
        else:
            lines.append(line)
    return found


def tags(lines):
    """What is explained: the line after each .TP"""
    return [plain(after) for line, after in zip(lines, lines[1:]) if line == ".TP"]


def entry(lines, tag):
    """The text that explains it."""
    start = next(i for i, line in enumerate(lines)
                 if i and lines[i - 1] == ".TP" and plain(line) == tag)
    end = next((i for i in range(start, len(lines)) if lines[i] == ".TP"), len(lines))
    return " ".join(plain(line) for line in lines[start + 1:end])


def options_in_page(page):
    found = set()
    for tag in tags(sections(page)["OPTIONS"]):
        short = re.match(r"-\w\b", tag)
        found.add((short.group() if short else "", re.search(r"--[a-z-]+", tag).group()))
    return found


def highlighted(lines):
    """The words in bold and italics."""
    text = " ".join(plain(line) for line in lines if re.match(r"\.[BIR]+ ", line))
    return set(re.findall(r"[\w-]+", text))


# ---- the sources


def names_of(function):
    """The texts that a function of names.c returns."""
    body = re.search(r"\*%s\(.*?\n}\n" % function, read("user/common/names.c"), re.S).group()
    return set(re.findall(r'return "([^"]+)"', body)) - {"unknown", "none"}


def events():
    found = names_of("latch_event_name")
    found |= set(re.findall(r'begin_now\(w, "([^"]+)"', read("user/latchd/report/report_events.c")))
    return found | set(re.findall(r'\\"event\\":\\"([^"\\]+)', read("user/latchd/control/control.c")))


def json_keys():
    found = set()
    for name in os.listdir(os.path.join(TOP, "user/latchd/report")):
        if re.match(r"report.*\.c$", name):
            found |= set(re.findall(r'\w+\((?:walk->)?w, "([^"]+)"', read("user/latchd/report/" + name)))
    return found


def config_keys():
    """(section, key) -> what the parser says it expects"""
    text = read("user/latchd/config/config_load.c")
    named = dict(re.findall(r'#define (EXPECTED_\w+)\s+(?:\\\n\s*)?("[^"]+")', text))
    rows = re.findall(r'\{CONFIG_SECTION_(\w+), "([^"]+)", \w+,\s+("[^"]+"|EXPECTED_\w+)\}', text)
    return {(section.lower(), key): named.get(expected, expected).strip('"')
            for section, key, expected in rows}


def config_sections(page):
    found = {}
    for heading, lines in sections(page).items():
        match = re.match(r"SECTION \[(\w+)", heading)
        if match:
            found[match.group(1)] = lines
    return found


def columns(verb):
    return re.findall(r'\{"([A-Z/ ]+)", \d+, \d+\}', read("user/latchctl/%s.c" % verb))


class Latchctl(unittest.TestCase):
    def setUp(self):
        self.page = read("user/man/latchctl.8")
        self.sections = sections(self.page)
        self.help = help_of("latchctl", "help")

    def test_verbs(self):
        verbs = re.findall(r"^  ([a-z]+(?: ID)?)  ", self.help, re.M)
        self.assertGreater(len(verbs), 8)
        self.assertEqual(tags(self.sections["VERBS"]), verbs)

    def test_latchctl_options(self):
        options = options_in_help(self.help)
        self.assertGreater(len(options), 5)
        self.assertEqual(options_in_page(self.page), options)

    def test_columns(self):
        for verb in "list", "sa":
            explained = ", ".join(tags(self.sections["COLUMNS OF " + verb.upper()]))
            self.assertEqual(explained.split(", "), [c.strip() for c in columns(verb)])

    def test_events(self):
        self.assertGreater(len(events()), 9)
        self.assertEqual(set(tags(self.sections["EVENTS"])), events())

    def test_drops(self):
        self.assertEqual(set(tags(self.sections["DROPPED PACKETS"])), names_of("latch_drop_name"))

    def test_counters(self):
        self.assertEqual(set(tags(self.sections["COUNTERS"])), names_of("latch_counter_name"))

    def test_states_and_reasons(self):
        for function in "latch_state_name", "latch_reason_name", "latch_sa_state_name":
            self.assertTrue(names_of(function))
            self.assertEqual(names_of(function) - highlighted(self.page.splitlines()), set())

    def test_json_keys(self):
        self.assertGreater(len(json_keys()), 50)
        explained = highlighted(sum((self.sections[heading] for heading in (
            "JSON", "status", "list", "sa", "monitor", "EVENTS")), []))
        self.assertEqual(json_keys() - explained, set())

    def test_exit_statuses(self):
        codes = re.findall(r"CTL_EXIT_\w+ = (\d+)", read("user/latchctl/latchctl.h"))
        self.assertEqual(tags(self.sections["EXIT STATUS"]), codes)


class Latchd(unittest.TestCase):
    def test_latchd_options(self):
        options = options_in_help(help_of("latchd", "--help"))
        self.assertGreater(len(options), 5)
        self.assertEqual(options_in_page(read("user/man/latchd.8")), options)


class Configuration(unittest.TestCase):
    def setUp(self):
        self.explained = config_sections(read("user/man/latchd.conf.5"))

    def test_config_keys(self):
        self.assertGreater(len(config_keys()), 6)
        self.assertEqual({(section, key) for section, lines in self.explained.items()
                          for key in tags(lines)}, set(config_keys()))

    def test_ranges(self):
        for (section, key), expected in config_keys().items():
            text = entry(self.explained[section], key)
            for bound in re.findall(r"\b\d+(?:ms|s)?\b", expected):
                self.assertRegex(text, r"\b%s\b" % bound, "%s of [%s]" % (key, section))

    def test_sample(self):
        """The sample has every key, in its section, as a comment."""
        found, section = set(), None
        for line in read("tools/latchd.conf").splitlines():
            heading = re.match(r";?\[(\w+)", line)
            key = re.match(r";([\w-]+) = ", line)
            section = heading.group(1) if heading else section
            if key:
                found.add((section, key.group(1)))
        self.assertEqual(found, set(config_keys()))


class Rendering(unittest.TestCase):
    @unittest.skipUnless(shutil.which("groff"), "no groff here")
    def test_no_warning(self):
        folder = os.path.join(TOP, "user/man")
        for name in sorted(os.listdir(folder)):
            done = subprocess.run(["groff", "-ww", "-man", "-Tutf8", name], cwd=folder, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            self.assertIn("NAME", re.sub(".\b|\x1b\\[[0-9]*m", "", done.stdout))


if __name__ == "__main__":
    sys.exit(tap.main("man", Latchctl, Latchd, Configuration, Rendering))
