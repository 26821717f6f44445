# SPDX-License-Identifier: BSD-2-Clause
"""What every scenario in Python does: run programs, check, wait, report.

A program that fails ends the scenario with the program's own words, unless the caller
allows the failure (check=False).
"""
import json
import os
import subprocess
import sys
import time

LIMIT = 60
BUILD = os.path.dirname(os.path.dirname(os.path.abspath(sys.argv[1]))) if sys.argv[1:] else "build"
FOLDER = os.environ.get("LATCHD_TEST_RUN", "/run/latchd-test")
CGROUP = "/sys/fs/cgroup"


def program(name):
    """A tool of tests/vm/tools."""
    return os.path.join(BUILD, "tests/vm", name)


def run(command, check=True):
    """By the shell; the finished process with its output as text."""
    done = subprocess.run(command, shell=True, text=True, capture_output=True, check=False)
    if check and done.returncode:
        broken(command, done)
    return done


def broken(command, done):
    words = (done.stderr or done.stdout).strip() or "no output"
    raise SystemExit(f"{command}: exit status {done.returncode}: {words}")


def run_json(command):
    text = run(command).stdout
    try:
        return json.loads(text)
    except ValueError as error:
        raise SystemExit(f"{command}: its output is no JSON ({error}): {text[:200]}") from error


def expect(condition, what):
    print(("ok    " if condition else "FAIL  ") + what, flush=True)
    if not condition:
        raise SystemExit(1)


def until(condition, what, limit=LIMIT):
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            expect(False, what)
        time.sleep(0.05)
    expect(True, what)


def leave(name, text):
    with open(os.path.join(FOLDER, name), "a", encoding="utf-8") as file:
        file.write(text)


def conforms(item, what):
    """As conforms in common.sh: the call belongs into a scenario file, with the item as it is."""
    leave("conforms", f"{item}\t{' '.join(what.split())}\n")
    print(f"conforms: {item} {what}", flush=True)


def skip(why):
    """This kernel lacks what the scenario needs."""
    leave("skip", why)
    print(f"skipped: {why}", flush=True)
    raise SystemExit(0)
