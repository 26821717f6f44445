# SPDX-License-Identifier: BSD-2-Clause
"""What has changed since a result: sources, not the comments in them."""
import os
import re
import subprocess

from evidence import read

PROGRAMS, DOCUMENTS = ("bpf/", "include/", "user/", "vmlinux/"), ("user/man/",)
# The tokens of a C file. Directives and macros stay as they are, comments and line breaks go.
TOKENS = ("cc", "-E", "-P", "-dD", "-fpreprocessed", "-x", "c", "-")
WORD = re.compile(r'"(?:[^"\\\n]|\\.)*"|[^\s"]+')


def short(source):
    """783874be2343+changes: 783874b+"""
    commit, plus, _ = source.partition("+")
    return commit[:7] + plus


def run(*command, text=None):
    """The output, or None if the command fails."""
    try:
        done = subprocess.run(command, input=text, text=True, errors="replace", check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    return done.stdout if done.returncode == 0 else None


def same_tokens(before, after):
    """Whether two C files differ in comments, and white space outside of strings, at most."""
    tokens = [run(*TOKENS, text=text) for text in (before, after)]
    return None not in tokens and WORD.findall(tokens[0]) == WORD.findall(tokens[1])


class Changes:
    """What differs between a commit and the tree that is checked out."""

    def __init__(self, top, source):
        self.top, self.source, self.known, self.compared = top, source, {source: {}}, {}

    def since(self, source):
        """Each path with the object that it was, or None if git cannot tell."""
        if source not in self.known:
            self.known[source] = self.differ(source)
        return self.known[source]

    def git(self, *words):
        return run("git", "-C", self.top, *words)

    def differ(self, source):
        found = self.git("diff", "--raw", "--no-renames", "--no-abbrev", "--end-of-options", source)
        if found is None:
            return None
        rows = [line.split(None, 5) for line in found.splitlines()]
        return {path: before for _, _, before, _, _, path in rows}

    def is_real(self, path, before):
        """Not in comments alone. One comparison serves all commits with the same file."""
        key = path, before
        if key not in self.compared:
            self.compared[key] = not self.only_comments(path, before)
        return self.compared[key]

    def only_comments(self, path, before):
        """Of C files alone; a file that was added or removed is a change."""
        now = os.path.join(self.top, path)
        if not path.endswith((".c", ".h")) or not os.path.exists(now):
            return False
        text = self.git("cat-file", "blob", before)
        return text is not None and same_tokens(text, read(now))

    def why_stale(self, source, own):
        """In words, empty if the result counts; own: paths of the test."""
        changed = self.since(source)
        if changed is None:
            return "git does not know %s" % source
        of_test = [path for path in changed if path.startswith(PROGRAMS + own) and
                   not path.startswith(DOCUMENTS)]
        found = next((path for path in of_test if self.is_real(path, changed[path])), None)
        return "%s changed after %s" % (found, short(source)) if found else ""
