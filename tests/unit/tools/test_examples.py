#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The examples in manual pages and documents: configurations that latchd accepts, C that compiles,
Python with functions that the module has.
"""
import ast
import glob
import os
import re
import subprocess
import sys
import tempfile
import textwrap
import unittest

import tap

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../.."))
BUILD = os.environ.get("BUILD", os.path.join(TOP, "build"))
ROFF = ((r"\e", "\\"), (r"\-", "-"), (r"\(aq", "'"), (r"\(dq", '"'), (r"\&", ""))
# An example may use what its text has introduced.
FUNCTION = """#include <errno.h>
#include <latch.h>
#include <latch_sockopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int example(int fd, const struct sockaddr *address, socklen_t length);
int example(int fd, const struct sockaddr *address, socklen_t length)
{
	(void)fd, (void)address, (void)length;
%s
	return 0;
}
"""


def text_of(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def pages():
    return sorted(glob.glob("user/man/*", root_dir=TOP))


def documents():
    return ["README.md"] + sorted(glob.glob("docs/*.md", root_dir=TOP))


def of_page(path):
    """Its blocks between .EX and .EE, without those that have requests of roff."""
    for block in re.findall(r"^\.(?:EX|nf)\n(.*?)^\.(?:EE|fi)", text_of(path), re.S | re.M):
        for escaped, plain in ROFF:
            block = block.replace(escaped, plain)
        if not re.search(r"^\.", block, re.M):
            yield block


def of_document(path):
    """Its indented blocks, across empty lines; several examples may follow each other."""
    for block in re.findall(r"(?:^    .*\n|^\n(?=    ))+", text_of(path), re.M):
        yield textwrap.dedent(block).strip("\n") + "\n"


def examples(wanted):
    for paths, blocks in ((pages(), of_page), (documents(), of_document)):
        for path in paths:
            for block in blocks(path):
                if re.search(wanted, block, re.M):
                    yield path, block


def configurations():
    """What follows the first section, without a command in the same block."""
    for path, block in examples(r"\A\[(enforce|control|api|feed|rule|peer)\b"):
        yield path, block.split("\n$ ")[0].split("\nimport ")[0] + "\n"


class Examples(unittest.TestCase):
    def refused(self, path, block, done):
        self.fail("%s:\n%s\n%s" % (path, block, done.stdout + done.stderr))

    def test_latchd_accepts_each_configuration(self):
        found = list(configurations())
        self.assertGreaterEqual(len(found), 5)
        for path, block in found:
            with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
                file.write(block)
                file.flush()
                done = subprocess.run([os.path.join(BUILD, "latchd"), "--check", "--config",
                                       file.name], text=True, capture_output=True, check=False)
            if done.returncode:
                self.refused(path, block, done)

    def test_no_value_has_a_comment_sign_that_is_part_of_it(self):
        for path, block in configurations():
            self.assertNotRegex(block, r"(?m)^\w[\w-]* = .*#", path)

    def test_each_example_in_c_compiles(self):
        found = list(examples(r"latch_\w+\(.*;?"))
        self.assertGreaterEqual(len(found), 4)
        for path, block in found:
            done = subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-x", "c",
                                   "-I", "user/liblatch", "-I", "include", "-"], cwd=TOP, text=True,
                                  input=FUNCTION % block, capture_output=True, check=False)
            if done.returncode:
                self.refused(path, block, done)

    def test_each_example_in_python_uses_functions_of_the_module(self):
        sys.path.insert(0, os.path.join(TOP, "user/liblatch/python"))
        import latch  # pylint: disable=import-outside-toplevel,import-error
        found = list(examples(r"^import latch\b|\blatch\.\w+\("))
        self.assertGreaterEqual(len(found), 4)
        for path, block in found:
            code = block[re.search(r"^(import |try:|(\w.*)?\blatch\.)", block, re.M).start():]
            for node in ast.walk(ast.parse(code, path)):
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and \
                        node.value.id == "latch":
                    self.assertTrue(hasattr(latch, node.attr), "%s: latch.%s" % (path, node.attr))


if __name__ == "__main__":
    sys.exit(tap.main("examples", Examples))
