#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The man pages against the programs: every option, verb, column, event, reason, counter, JSON key,
error code, exit status and configuration key of one is in the other.

The words of the programs come from their help texts and, by patterns, from their sources. A pattern
searches whole folders, and one without any match is a failure: a file may move, but its words must
not get lost unnoticed.
"""
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


def sources(folder):
    """The texts of all C files below a folder."""
    paths = sorted(os.path.join(where, name)
                   for where, _, names in os.walk(os.path.join(TOP, folder))
                   for name in names if name.endswith((".c", ".h")))
    assert paths, "no C file below " + folder
    return [read(path) for path in paths]


def find(pattern, texts, flags=0):
    """All matches, of which there must be some."""
    found = [match for text in texts for match in re.findall(pattern, text, flags)]
    assert found, "no match of " + pattern
    return found


def help_of(program, argument):
    return subprocess.run([os.path.join(BUILD, program), argument], check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def options_in_help(text):
    return set(find(r"^ +(?:(-\w), )? *(--[a-z-]+)", [text], re.M))


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
    """The line after each .TP: the words that a page explains."""
    found = [plain(after) for line, after in zip(lines, lines[1:]) if line == ".TP"]
    assert found, "no .TP"
    return found


def entry(lines, tag):
    """The text that explains a tag."""
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
    return set(find(r"[\w-]+", [text]))


# ---- the sources


def names_of(function):
    """The texts that a function returns, such as latch_drop_name()."""
    bodies = find(r"^const char \*%s\(enum[^;{]*\)\n\{(.*?)\n\}\n" % function, sources("user"),
                  re.S | re.M)
    assert len(bodies) == 1, function
    return set(find(r'return "([^"]+)"', bodies)) - {"unknown", "none"}


def events():
    found = names_of("latch_event_name")
    found |= set(find(r'\bbegin_\w+\(w, "([^"]+)"', sources("user/latchd/report")))
    return found | set(find(r'\\"event\\":\\"([^"\\]+)', sources("user/latchd/control")))


def json_keys():
    return set(find(r'\w+\((?:walk->)?w, "([^"]+)"', sources("user/latchd/report")))


def error_codes():
    """The code of every error that latchd answers with."""
    found = find(r'client_refuse\(\s*\w+, "([^"]+)"', sources("user/latchd/control"))
    found += find(r'\\"code\\":\\"([^"\\]+)', sources("user/latchd/control"))
    return set(found + find(r'(?:\brefuse\(w, |\(struct words\)\{)"([^"]+)"', sources("user/latchd")))


def config_keys():
    """(section, key) -> the text of the parser's error: the expected value"""
    texts = sources("user/latchd/config")
    named = dict(find(r'#define (EXPECTED_\w+)\s+(?:\\\n\s*)?("[^"]+")', texts))
    rows = find(r'\{CONFIG_SECTION_(\w+), "([^"]+)", \w+,\s+("[^"]+"|EXPECTED_\w+)\}', texts)
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
    """The titles of the table that a verb prints."""
    return find(r'\{"([A-Z/ ]+)", \d+, \d+, \w+\}', [read("user/latchctl/%s.c" % verb)])


class Latchctl(unittest.TestCase):
    def setUp(self):
        self.page = read("user/man/latchctl.8")
        self.sections = sections(self.page)
        self.help = help_of("latchctl", "help")

    def test_every_verb_of_latchctl_is_explained(self):
        verbs = find(r"^  ([a-z]+(?: ID)?)  ", [self.help], re.M)
        self.assertGreater(len(verbs), 8)
        self.assertEqual(tags(self.sections["VERBS"]), verbs)

    def test_every_option_of_latchctl_is_explained(self):
        options = options_in_help(self.help)
        self.assertGreater(len(options), 5)
        self.assertEqual(options_in_page(self.page), options)

    def test_every_column_of_list_and_sa_is_explained(self):
        for verb in "list", "sa":
            explained = ", ".join(tags(self.sections["COLUMNS OF " + verb.upper()]))
            self.assertEqual(explained.split(", "), [c.strip() for c in columns(verb)])

    def test_every_field_of_a_condition_is_explained(self):
        fields = find(r'^\t\{"(\w+)", "[\w.]+", FILTER_', [read("user/latchctl/filter.c")], re.M)
        self.assertGreater(len(fields), 10)
        text = " ".join(plain(line) for line in self.sections["VERBS"])
        self.assertEqual([field for field in fields if not re.search(r"\b%s\b" % field, text)], [])

    def test_every_event_of_monitor_is_explained(self):
        self.assertGreater(len(events()), 14)
        self.assertEqual(set(tags(self.sections["EVENTS"])), events())

    def test_every_drop_reason_is_explained(self):
        self.assertEqual(set(tags(self.sections["DROPPED PACKETS"])), names_of("latch_drop_name"))

    def test_every_counter_is_explained(self):
        self.assertEqual(set(tags(self.sections["COUNTERS"])), names_of("latch_counter_name"))

    def test_every_state_and_reason_is_named(self):
        for function in "latch_state_name", "latch_reason_name", "latch_sa_state_name":
            self.assertEqual(names_of(function) - highlighted(self.page.splitlines()), set())

    def test_every_json_key_is_named(self):
        self.assertGreater(len(json_keys()), 80)
        explained = highlighted(sum((self.sections[heading] for heading in (
            "JSON", "status", "list", "sa", "audit", "mode", "explain", "monitor", "errors",
            "EVENTS")), []))
        self.assertEqual(json_keys() - explained, set())

    def test_every_error_code_is_explained(self):
        self.assertGreater(len(error_codes()), 8)
        self.assertEqual(set(tags(self.sections["errors"])), error_codes())

    def test_every_exit_status_of_latchctl_is_explained(self):
        codes = find(r"CTL_EXIT_\w+ = (\d+)", sources("user/latchctl"))
        self.assertEqual(tags(self.sections["EXIT STATUS"]), codes)


class Latchd(unittest.TestCase):
    def test_every_option_of_latchd_is_explained(self):
        options = options_in_help(help_of("latchd", "--help"))
        self.assertGreater(len(options), 5)
        self.assertEqual(options_in_page(read("user/man/latchd.8")), options)


class Configuration(unittest.TestCase):
    def setUp(self):
        self.explained = config_sections(read("user/man/latchd.conf.5"))

    def test_every_configuration_key_is_explained(self):
        self.assertGreater(len(config_keys()), 18)
        self.assertEqual({(section, key) for section, lines in self.explained.items()
                          for key in tags(lines)}, set(config_keys()))

    def test_every_bound_of_a_value_is_named(self):
        bounds = 0
        for (section, key), expected in config_keys().items():
            text = entry(self.explained[section], key)
            for bound in re.findall(r"\b\d+(?:ms|s)?\b", expected):
                self.assertRegex(text, r"\b%s\b" % bound, "%s of [%s]" % (key, section))
                bounds += 1
        self.assertGreater(bounds, 9)

    def test_the_sample_has_every_key_in_its_section_as_a_comment(self):
        found, section = set(), None
        for line in read("tools/latchd.conf").splitlines():
            heading = re.match(r";?\[(\w+)", line)
            key = re.match(r";([\w-]+) = ", line)
            section = heading.group(1) if heading else section
            if key:
                found.add((section, key.group(1)))
        self.assertEqual(found, set(config_keys()))


class Patterns(unittest.TestCase):
    def test_a_pattern_without_match_is_a_failure(self):
        with self.assertRaises(AssertionError):
            find("no such text", sources("user/latchd/report"))

    def test_a_folder_without_c_file_is_a_failure(self):
        for folder in "user/man", "user/no-such-folder":
            with self.assertRaises(AssertionError):
                sources(folder)


class Rendering(unittest.TestCase):
    def expect_no_warning(self, *command):
        folder = os.path.join(TOP, "user/man")
        names = sorted(os.listdir(folder))
        self.assertGreater(len(names), 2)
        for name in names:
            done = subprocess.run([*command, "./" + name], cwd=folder, text=True, check=False,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.assertEqual((done.returncode, done.stderr), (0, ""), name)
            self.assertIn("NAME", re.sub(".\b|\x1b\\[[0-9]*m", "", done.stdout))

    @unittest.skipUnless(shutil.which("groff"), "no groff here")
    def test_groff_renders_every_page_without_warning(self):
        self.expect_no_warning("groff", "-t", "-ww", "-man", "-Tutf8")

    @unittest.skipUnless(shutil.which("man"), "no man here")
    def test_man_renders_every_page_without_warning(self):
        self.expect_no_warning("man", "--warnings", "-l")


if __name__ == "__main__":
    sys.exit(tap.main("man", Latchctl, Latchd, Configuration, Patterns, Rendering))
