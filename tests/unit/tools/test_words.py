#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The word check of `make lint`, on trees of a few files in a scratch folder, and on this tree."""
import os
import subprocess
import sys
import tempfile
import unittest

import tap

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
PROGRAM = os.path.join(TOP, "tools/make/words")
LINE = "%s: '%s': name the SA, peer, flow or socket instead\n"


class WordsTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.top = scratch.name
        self.put("README.md", "# A peer\n")

    def put(self, name, text):
        path = os.path.join(self.top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)

    def check(self, status, top=None):
        """The lines that the program printed; it must end with this status."""
        done = subprocess.run([PROGRAM, top or self.top], capture_output=True, text=True,
                              check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stderr

    def test_a_tree_without_these_words_passes(self):
        self.assertEqual(self.check(0), "")

    def test_a_word_in_a_comment_is_found_with_file_and_line(self):
        self.put("bpf/gate/gate.h", "int a;\n/* Nobody owns the SA. */\n")
        self.assertEqual(self.check(1), LINE % ("bpf/gate/gate.h:2", "Nobody"))

    def test_a_word_in_a_name_is_found(self):
        self.put("tests/unit/test_a.c", "Test(a, nobody_knows)\n")
        self.assertEqual(self.check(1), LINE % ("tests/unit/test_a.c:1", "nobody"))

    def test_a_word_of_several_parts_is_found(self):
        self.put("docs/a.md", "see gate (b)\n")
        self.assertEqual(self.check(1), LINE % ("docs/a.md:1", "gate (b)"))

    def test_a_part_of_a_longer_word_passes(self):
        self.put("tools/a", "# timekeeper untold\n")
        self.assertEqual(self.check(0), "")

    def test_generated_documents_are_not_checked(self):
        self.put("docs/mutation.md", "nobody\n")
        self.put("docs/evidence/mutations.tsv", "nobody\n")
        self.assertEqual(self.check(0), "")

    def test_a_tree_without_files_is_an_error(self):
        os.remove(os.path.join(self.top, "README.md"))
        self.assertIn("no files", self.check(2))

    def test_this_tree_passes(self):
        self.assertEqual(self.check(0, TOP), "")


if __name__ == "__main__":
    sys.exit(tap.main("words", WordsTest))
