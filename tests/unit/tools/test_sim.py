#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The deterministic simulation (tests/sim/): a short round, and that a seed is one interleaving.

    peers, kernel, charon, faults of the seed --> latchd in virtual time --> properties

SIM_FROM (1) and SIM_SEEDS (1000) choose the seeds. `make sim` runs longer rounds.
"""
import os
import re
import subprocess
import sys
import unittest

import tap

SIM = os.path.join(os.environ.get("BUILD", "build"), "tests/sim")
FROM = os.environ.get("SIM_FROM", "1")
SEEDS = os.environ.get("SIM_SEEDS", "1000")
SAME = 20  # seeds that run twice


def simulate(first, count):
    done = subprocess.run([SIM, str(first), str(count)], stdout=subprocess.PIPE, text=True,
                          stdin=subprocess.DEVNULL, check=False)
    return done.returncode, done.stdout


class Simulation(unittest.TestCase):
    def test_S37_every_property_holds_in_random_interleavings(self):
        status, text = simulate(FROM, SEEDS)
        failed = [line for line in text.splitlines() if line.startswith("seed ")]
        self.assertEqual(failed[:5], [], "replay: make sim SEED=N")
        self.assertEqual(status, 0, text)
        # A round without faults and packets shows nothing.
        numbers = re.search(r": (\d+) packets, (\d+) kills, (\d+) failed allocations, (\d+) failed "
                            r"calls, (\d+) lost events, (\d+) interleavings$", text.strip())
        self.assertIsNotNone(numbers, text)
        self.assertTrue(all(int(number) > 100 for number in numbers.groups()), text)

    def test_a_seed_gives_the_same_trace_in_every_process(self):
        one, other = simulate(FROM, SAME), simulate(FROM, SAME)
        self.assertEqual(one, other)
        self.assertRegex(one[1], r"trace [0-9a-f]{16}")
        self.assertNotEqual(one[1], simulate(int(FROM) + SAME, SAME)[1])

    def test_arguments_that_are_no_numbers_are_refused(self):
        done = subprocess.run([SIM, "one", "ten"], stderr=subprocess.PIPE, text=True, check=False)
        self.assertEqual(done.returncode, 2)
        self.assertTrue(done.stderr.startswith("usage: "), done.stderr)


if __name__ == "__main__":
    sys.exit(tap.main("sim", Simulation))
