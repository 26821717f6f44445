# SPDX-License-Identifier: BSD-2-Clause
"""Applications that are programs of others: sessions, commands one after another, lines of a log."""
import os
import re
import subprocess
import time

from traffic import ANSWER_LIMIT, Application, Stream


class Pipes:
    """The standard input and output of a program, as Stream wants them."""

    def __init__(self, process):
        self.process = process
        os.set_blocking(process.stdout.fileno(), False)
        os.set_blocking(process.stdin.fileno(), False)

    def fileno(self):
        return self.process.stdout.fileno()

    def send(self, text):
        os.write(self.process.stdin.fileno(), text)

    def recv(self, size):
        return os.read(self.fileno(), size)

    def close(self):
        self.process.terminate()


def session(name, node, command, text=b"0123456789abcdef\n", mark=b"\n", interval=0.5, **how):
    """A program that answers each line of its input with a line."""
    def begin():
        return Pipes(node.start(command, f"{command[0].rpartition('/')[2]}.log", stdin=subprocess.PIPE,
                                stdout=subprocess.PIPE, **how))

    return Stream(name, begin, text, mark, interval)


class Commands(Application):
    """A command, again and again, one at a time; an answer is its exit status 0."""

    def __init__(self, name, node, command, interval=1, **how):
        super().__init__(name, interval)
        self.node, self.command, self.how = node, command, how
        self.process, self.since = None, 0.0

    def ask(self, now):
        if self.process is None:
            self.since = now
            self.process = self.node.start(self.command, self.name.replace(" ", "-") + ".log", **self.how)
        elif self.process.poll() is not None:
            self.finished(self.process.returncode)
        elif now > self.since + ANSWER_LIMIT:
            self.process.kill()
            self.finished("timeout")

    def finished(self, status):
        self.node.started.remove(self.process)
        self.process = None
        if status == 0:
            self.answered(self.since)
        else:
            self.error(status if isinstance(status, str) else f"exit status {status}")


class Lines(Application):
    """What a program writes to its log: each line with a mark is an answer, each with a fault an error."""

    def __init__(self, name, path, mark, fault=None):
        super().__init__(name, 0.5)
        self.path, self.mark, self.fault = path, mark, fault
        self.read = 0

    def ask(self, now):
        if not os.path.exists(self.path):
            return
        with open(self.path, encoding="utf-8", errors="replace") as log:
            log.seek(self.read)
            for line in iter(log.readline, ""):
                self.line(line)
            self.read = log.tell()

    def line(self, line):
        if re.search(self.mark, line):
            self.answered(time.monotonic())
        if self.fault and re.search(self.fault, line):
            self.breaks(re.search(self.fault, line).group())


class Sessions(Lines):
    """A session that a log reports as begun (mark) and ended (fault). While it lasts, each look is answered."""

    def __init__(self, name, path, mark, fault):
        super().__init__(name, path, mark, fault)
        self.is_there = False

    def ask(self, now):
        super().ask(now)
        if self.is_there:
            self.answered(now)

    def line(self, line):
        if re.search(self.mark, line):
            self.is_there = True
        if re.search(self.fault, line):
            self.is_there = False
            self.breaks(re.search(self.fault, line).group())
