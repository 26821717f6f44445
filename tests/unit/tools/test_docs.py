#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The documents against the tree: links resolve, paths exist, README.md stays short, and each behaviour
that a mutation breaks has a row with its file."""
import glob
import os
import re
import sys
import tempfile
import tomllib
import unittest

import tap

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
README_LINES_MAX = 130
# Their texts quote results of other commits, with the paths of that time.
GENERATED = {"docs/conformance.md", "docs/mutation.md"}
TOP_LEVEL = ("bpf", "docs", "include", "tests", "tools", "user", "vmlinux", ".ci")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
REPOSITORY_PATH = re.compile(r"(?:%s)(?:/[\w.+-]+)*/?" % "|".join(map(re.escape, TOP_LEVEL)))
SCENARIO_TABLE = "docs/coverage.md"
# The subject of a sentence is a noun of the field: docs/CONTRIBUTING.md. Sources may have these
# two words; tools/make/words has those that no file may have.
PERSONS = re.compile(r"\b(?:who|whose)\b", re.I)
MUTATIONS = "tests/mutation/mutations.toml"
BEHAVIOURS = "docs/architecture.md"
PRODUCT = ("bpf", "user", "include")
SOURCE = re.compile(r"`(?:%s)/[\w./-]+\.(?:[ch]|py)`" % "|".join(PRODUCT))
EVIDENCE = re.compile(r"^- \*\*Evidence\.\*\*(.*?)(?=^- \*\*|^$|\Z)", re.M | re.S)
# Its decisions are about tests.
OF_TESTS = "docs/decisions/12-tests.md"


def documents(top):
    found = ["README.md"]
    for folder, _, names in os.walk(os.path.join(top, "docs")):
        found += [os.path.relpath(os.path.join(folder, name), top)
                  for name in names if name.endswith(".md")]
    return sorted(found)


def read(top, path):
    with open(os.path.join(top, path), encoding="utf-8") as file:
        return file.read()


def prose(text):
    """Without blocks of code."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)
    return re.sub(r"^ {4}.*$", "", text, flags=re.M)


def anchors(text):
    """As GitHub makes them of headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
            for heading in re.findall(r"^#+ (.*)$", text, re.M)}


def broken_links(top, path):
    for link in LINK.findall(prose(read(top, path))):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        target = os.path.normpath(os.path.join(os.path.dirname(path), target)) if target else path
        if target.startswith("..") or not os.path.exists(os.path.join(top, target)):
            yield "%s: %s: no such file" % (path, link)
        elif anchor and anchor not in anchors(read(top, target)):
            yield "%s: %s: no such heading" % (path, link)


def missing_paths(top, path):
    for code in CODE.findall(prose(read(top, path))):
        name = code.split()[0]
        # A single word such as "tools" is a path only with its slash.
        if "/" in name and REPOSITORY_PATH.fullmatch(name) and \
           not os.path.exists(os.path.join(top, name)) and not re.search(r"[A-Z]{4,}", name):
            yield "%s: `%s` does not exist" % (path, name)


def scenarios(top):
    """Folders and variants, as tests/vm/lib/scenarios.sh names them."""
    found = set()
    for path in glob.glob(os.path.join(top, "tests/vm/*/scenario*")):
        if not re.fullmatch(r"scenario(\.sh|\.py)?", os.path.basename(path)):
            continue
        found.add(os.path.basename(os.path.dirname(path)))
        found |= set(re.findall(r"^# variant: (\S+)", read(top, path), re.M))
    return found


def missing_scenarios(top):
    rows = re.findall(r"^\|[^|]*\|([^|]*)\|$", read(top, SCENARIO_TABLE), re.M)
    for name in CODE.findall("".join(rows[1:])):
        if name not in scenarios(top):
            yield "%s: no scenario %s" % (SCENARIO_TABLE, name)


def missing_behaviours(top):
    """Files that a mutation breaks, without a row in the tables of behaviours."""
    _, _, tables = read(top, BEHAVIOURS).partition("## Where to find a behaviour")
    rows = re.findall(r"^\|[^|]*\|([^|]*)\|$", tables.partition("## Layers")[0], re.M)
    with open(os.path.join(top, MUTATIONS), "rb") as file:
        broken = {mutation["file"] for mutation in tomllib.load(file)["mutation"]}
    return sorted(name for name in broken - set(CODE.findall("".join(rows)))
                  if name.startswith(tuple(folder + "/" for folder in PRODUCT)))


def decisions(top):
    """Document and evidence of each."""
    for path in documents(top):
        if path.startswith("docs/decisions/") and path != "docs/decisions/README.md":
            for evidence in EVIDENCE.findall(read(top, path)):
                yield path, " ".join(evidence.split())


def decisions_without_source(top):
    for path, evidence in decisions(top):
        if path != OF_TESTS and not SOURCE.search(evidence) and "No file of latchd" not in evidence:
            yield "%s: %s" % (path, evidence)


def silent_headers(top):
    """Headers that do not begin with a comment behind the line of their licence."""
    for folder in PRODUCT:
        for path in glob.glob(os.path.join(top, folder, "**/*.h"), recursive=True):
            with open(path, encoding="utf-8") as file:
                if not file.read().partition("\n")[2].startswith("/*"):
                    yield os.path.relpath(path, top)


class Documents(unittest.TestCase):
    def setUp(self):
        self.names = documents(TOP)
        self.assertGreater(len(self.names), 15)

    def test_relative_links_resolve(self):
        self.assertEqual([found for name in self.names for found in broken_links(TOP, name)], [])

    def test_paths_in_backticks_exist(self):
        self.assertEqual([found for name in self.names if name not in GENERATED
                          for found in missing_paths(TOP, name)], [])

    def test_scenarios_of_the_coverage_table_exist(self):
        self.assertEqual(list(missing_scenarios(TOP)), [])

    def test_sentences_have_no_persons(self):
        for name in set(self.names) - GENERATED:
            text = prose(read(TOP, name))
            if name == "README.md":
                text = text.partition("## ")[2]
            self.assertEqual(PERSONS.findall(CODE.sub("", text)), [], name)

    def test_every_document_is_linked(self):
        linked = {os.path.normpath(os.path.join(os.path.dirname(name), link.partition("#")[0]))
                  for name in self.names for link in LINK.findall(prose(read(TOP, name)))}
        self.assertEqual(set(self.names) - linked, {"README.md"})

    def test_readme_is_short_and_shows_both_commands(self):
        text = read(TOP, "README.md")
        self.assertLessEqual(len(text.splitlines()), README_LINES_MAX)
        self.assertIn("make demo", text)
        self.assertIn("make check", text)

    def test_every_scenario_is_in_a_document(self):
        text = "".join(read(TOP, name) for name in self.names if name not in GENERATED)
        self.assertGreater(len(scenarios(TOP)), 40)
        named = {name.removeprefix("tests/vm/") for name in CODE.findall(text)}
        # Their partners are named; the documents say what all of these are for.
        self.assertEqual({name for name in scenarios(TOP) - named if "without-latchd" not in name}, set())


    def test_every_file_that_a_mutation_breaks_is_in_the_tables_of_behaviours(self):
        self.assertEqual(missing_behaviours(TOP), [])

    def test_every_decision_names_the_source_that_decides(self):
        self.assertGreater(len(list(decisions(TOP))), 150)
        self.assertEqual(list(decisions_without_source(TOP)), [])

    def test_every_header_begins_with_what_it_decides(self):
        self.assertEqual(list(silent_headers(TOP)), [])


class TheCheck(unittest.TestCase):
    """The checks find faults in a tree of a few files."""

    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.top = scratch.name
        for folder in "docs", "bpf/gate", "tests/vm/attack":
            os.makedirs(os.path.join(self.top, folder))
        self.put("bpf/gate/gate.bpf.c", "")
        self.put("tests/vm/attack/scenario.sh", "# variant: tunnel --mode tunnel\n")

    def put(self, name, text):
        with open(os.path.join(self.top, name), "w", encoding="utf-8") as file:
            file.write(text)

    def test_broken_links_are_found(self):
        self.put("docs/a.md", "# A heading, with `code`\n")
        self.put("README.md", "[a](docs/a.md) [b](docs/b.md) [c](https://example.org/c)\n"
                              "[d](docs/a.md#a-heading-with-code) [e](docs/a.md#none) [f](../x.md)\n"
                              "```\n[g](g.md)\n```\n    [h](h.md)\n")
        self.assertEqual([found.split(": ")[1] for found in broken_links(self.top, "README.md")],
                         ["docs/b.md", "docs/a.md#none", "../x.md"])

    def test_missing_paths_are_found(self):
        self.put("README.md", "`bpf/gate/gate.bpf.c` `bpf/gate/` `bpf/gate/tcp.h` `tools` "
                              "`/sys/fs/bpf` `tests/vm/NAME` `tools/setup build` `x/bpf/y`\n")
        self.assertEqual(list(missing_paths(self.top, "README.md")),
                         ["README.md: `bpf/gate/tcp.h` does not exist",
                          "README.md: `tools/setup` does not exist"])

    def test_missing_scenarios_are_found(self):
        self.put("docs/coverage.md", "| behaviour | shown by |\n|---|---|\n"
                                     "| one | `attack`, `tunnel`, `none` |\n")
        self.assertEqual(list(missing_scenarios(self.top)), ["docs/coverage.md: no scenario none"])

    def test_missing_behaviours_are_found(self):
        os.makedirs(os.path.join(self.top, "tests/mutation"))
        self.put(MUTATIONS, "".join('[[mutation]]\nfile = "%s"\n' % name for name in
                                    ("bpf/gate/gate.bpf.c", "bpf/gate/tcp.h", "tests/vm/lib/all.sh")))
        self.put(BEHAVIOURS, "`bpf/gate/tcp.h`\n## Where to find a behaviour\n| one | `bpf/gate/gate.bpf.c` |\n"
                             "## Layers\n| two | `bpf/gate/tcp.h` |\n")
        self.assertEqual(missing_behaviours(self.top), ["bpf/gate/tcp.h"])

    def test_decisions_without_source_are_found(self):
        os.makedirs(os.path.join(self.top, "docs/decisions"))
        self.put("docs/decisions/01-a.md",
                 "## One\n\n- **Evidence.** `tests/vm/attack`.\n\n`bpf/gate/gate.bpf.c`\n\n"
                 "## Two\n\n- **Evidence.** Decided in\n  `bpf/gate/gate.bpf.c`.\n\n"
                 "## Three\n\n- **Evidence.** No file of latchd decides here.\n")
        self.assertEqual(list(decisions_without_source(self.top)),
                         ["docs/decisions/01-a.md: `tests/vm/attack`."])

    def test_silent_headers_are_found(self):
        self.put("bpf/gate/tcp.h", "/* SPDX */\n#ifndef TCP\n")
        self.put("bpf/gate/udp.h", "/* SPDX */\n/* UDP. */\n#ifndef UDP\n")
        self.assertEqual(list(silent_headers(self.top)), ["bpf/gate/tcp.h"])


if __name__ == "__main__":
    sys.exit(tap.main("docs", Documents, TheCheck))
