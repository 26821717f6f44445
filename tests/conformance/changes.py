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
        self.top, self.source, self.known = top, source, {source: []}

    def since(self, source):
        """The paths, or None if git cannot tell."""
        if source not in self.known:
            self.known[source] = self.differ(source)
        return self.known[source]

    def git(self, *words):
        return run("git", "-C", self.top, *words)

    def differ(self, source):
        found = self.git("diff", "--name-only", "--no-renames", "--end-of-options", source)
        if found is None:
            return None
        return [path for path in found.splitlines() if not self.only_comments(source, path)]

    def only_comments(self, source, path):
        """Of C files alone; a file that was added or removed is a change."""
        if not path.endswith((".c", ".h")) or not os.path.exists(os.path.join(self.top, path)):
            return False
        before = self.git("show", "%s:%s" % (source, path))
        return before is not None and same_tokens(before, read(os.path.join(self.top, path)))

    def why_stale(self, source, own):
        """In words, empty if the result counts; own: paths of the test."""
        changed = self.since(source)
        if changed is None:
            return "git does not know %s" % source
        found = [path for path in changed if path.startswith(PROGRAMS + own) and
                 not path.startswith(DOCUMENTS)]
        if not found:
            return ""
        return "%s changed after %s%s" % (found[0], short(source), "" if len(found) == 1 else
                                          ", %d more files, too" % (len(found) - 1))
