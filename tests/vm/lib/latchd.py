# SPDX-License-Identifier: BSD-2-Clause
"""latchd under test, or a part of it: the programs alone, its controller by hand, the daemon."""
import atexit
import json
import os
import signal
import subprocess

from checks import BUILD, CGROUP, FOLDER, LIMIT, broken, program, run, until

UNREACHABLE = 4  # latchctl(8), EXIT STATUS


def attach(configuration=""):
    """The programs, loaded and pinned as latchd does, and no controller beside them."""
    run(f"{program('enforce')} {CGROUP} 64 5000 {configuration} </dev/null")


def attach_with(rules):
    """The same with these rules, in place of those that are there."""
    configuration = os.path.join(FOLDER, "rules.conf")
    with open(configuration, "w", encoding="utf-8") as file:
        file.write(rules)
    attach(configuration)


def has_netfilter_gate():
    """BPF programs of netfilter: since Linux 6.4."""
    return tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (6, 4)


def attach_netfilter_gate():
    """At both hosts, beside the cgroup gate, which misses packets without a full socket."""
    run(f": | {program('guard')} {CGROUP} w c")


class Database:
    """latchd's controller by hand: tests/vm/tools/database.c"""

    def __init__(self):
        self.program = subprocess.Popen([program("database"), CGROUP, "64", "3600000"], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, *words):
        self.program.stdin.write(" ".join(f"{w:d}" if isinstance(w, int) else w for w in words) + "\n")
        self.program.stdin.flush()
        lines = []
        for line in self.program.stdout:
            if line == ".\n":
                return lines
            lines.append(line.split())
        raise SystemExit(f"tests/vm/tools/database ended with status {self.program.wait()}")

    def results(self, *words):
        return [int(line[1]) for line in self.ask(*words)]

    def latches(self):
        """(local port, remote port): state, reasons, params, drops; of connections, not of listeners"""
        rows = [[int(n) for n in line[1:]] for line in self.ask("list") if line[0] == "latch"]
        return {(r[0], r[1]): r[2:6] for r in rows if r[1]}


class Latchd:
    """The daemon, its latchctl and its events, in a folder of their own."""

    def __init__(self, name, rules, enforce="", more="", latches=64):
        self.folder = os.path.join(FOLDER, name)
        os.makedirs(self.folder, exist_ok=True)
        self.process = self.monitor = None
        self.configuration = self.path("conf")
        with open(self.configuration, "w", encoding="utf-8") as file:
            file.write(f"[enforce]\ncgroup = {CGROUP}\nlatches = {latches}\n{enforce}"
                       f"[control]\nsocket = {self.path('sock')}\n{more}{rules}")
        self.latchctl = f"{BUILD}/latchctl --json --socket {self.path('sock')}"

    def path(self, name):
        return os.path.join(self.folder, name)

    def start(self):
        """Starts latchd and its monitor. Events are appended to those of an earlier monitor."""
        with open(self.path("log"), "a", encoding="utf-8") as log:
            self.process = subprocess.Popen(
                [f"{BUILD}/latchd", "--config", self.configuration, "--foreground"],
                stdout=log, stderr=log)
        atexit.register(self.process.kill)
        until(self.answers, "latchd answers")
        with open(self.path("events"), "a", encoding="utf-8") as out:
            self.monitor = subprocess.Popen(f"exec {self.latchctl} monitor", shell=True, stdout=out)

    def answers(self):
        """True if latchd answers, False if it cannot be reached yet. Any other failure is an error."""
        if self.process.poll() is not None:
            raise SystemExit(f"latchd ended with status {self.process.returncode}: {self.last_words()}")
        done = run(f"{self.latchctl} list", check=False)
        if done.returncode not in (0, UNREACHABLE):
            broken("latchctl list", done)
        return done.returncode == 0

    def last_words(self):
        with open(self.path("log"), encoding="utf-8") as log:
            return (log.read().strip().splitlines() or ["it logged nothing"])[-1]

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(LIMIT)
        self.monitor.wait(LIMIT)

    def ask(self, verb):
        """status has exit status 1 where enforcement is off."""
        done = run(f"{self.latchctl} {verb}", check=False)
        if done.returncode not in ((0, 1, 3) if verb == "status" else (0,)):
            broken(f"latchctl {verb}", done)
        return json.loads(done.stdout)

    def events(self, name=None):
        """A monitor that has ended while latchd runs can report nothing."""
        if self.monitor.poll() is not None and self.process.poll() is None:
            raise SystemExit(f"latchctl monitor ended with status {self.monitor.returncode}")
        with open(self.path("events"), encoding="utf-8") as lines:
            found = [json.loads(line) for line in lines if line.endswith("\n")]
        return [event for event in found if name is None or event["event"] == name]
