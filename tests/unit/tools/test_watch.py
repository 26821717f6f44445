#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The captures of the leak oracle, on real packets of two network namespaces:

    W 10.9.0.1 ---- veth ---- C 10.9.0.2
"""
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import tap
from made_up_run import LIBRARY, oracle

W4, C4, PORT = "10.9.0.1", "10.9.0.2", 7000
TEXT = b"W-TO-C 000000"
LIMIT = 60
NEVER_PROTECTED = ["no ESP was seen on the wire at w",
                   "nothing of w-7000 (w to c) was seen decrypted at w"]


def run(*command, check=True, **more):
    done = subprocess.run(command, text=True, capture_output=True, check=False, **more)
    if check and done.returncode:
        raise AssertionError("%s: %s" % (" ".join(command), done.stdout + done.stderr))
    return done


class Watch(unittest.TestCase):
    def setUp(self):
        self.run_dir = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.run_dir)
        self.environment = dict(os.environ, LATCHD_TEST_RUN=self.run_dir, TOP=self.top())
        self.netns = {host: "oracle-%d-%s" % (os.getpid(), host) for host in ("w", "c")}
        for name in self.netns.values():
            run("ip", "netns", "add", name)
            self.addCleanup(run, "ip", "netns", "del", name, check=False)
        self.addCleanup(self.stop)
        run("ip", "link", "add", "veth", "netns", self.netns["w"], "type", "veth", "peer", "name",
            "veth", "netns", self.netns["c"])
        for host, address in (("w", W4), ("c", C4)):
            self.ip(host, "addr", "add", address + "/24", "dev", "veth")
            self.ip(host, "link", "set", "lo", "up")
            self.ip(host, "link", "set", "veth", "up")
        # An error message that quotes the datagram would be in clear, too.
        self.nft("c", "table inet quiet { chain out { type filter hook output priority 0;"
                 " icmp type destination-unreachable drop; }; }")

    @staticmethod
    def top():
        return os.path.realpath(os.path.join(LIBRARY, "../../.."))

    def ip(self, host, *arguments):
        return run("ip", "-n", self.netns[host], *arguments)

    def nft(self, host, rules):
        return run("ip", "netns", "exec", self.netns[host], "nft", rules)

    def bash(self, text, check=True):
        prelude = '. "$TOP/tests/vm/lib/all.sh"\n'
        return run("bash", "-uo", "pipefail", "-c", prelude + text, check=check,
                   env=self.environment)

    def watch(self, check=True):
        return run(os.path.join(LIBRARY, "watch"), *("%s=%s" % pair for pair in self.netns.items()),
                   check=check, env=self.environment)

    def stop(self):
        self.bash("stop_watching", check=False)

    def put(self, name, text):
        with open(os.path.join(self.run_dir, name), "w", encoding="ascii") as file:
            file.write(text)

    def pid(self, name):
        with open(os.path.join(self.run_dir, name + ".watch"), encoding="ascii") as file:
            return int(file.read())

    def register(self, peer="c", remote=C4):
        row = ("w-7000", "w", peer, W4, str(PORT), remote, str(PORT), "W-TO-C", "-", "udp")
        self.put("apps/flows", "\t".join(row) + "\n")

    def until(self, condition):
        end = time.monotonic() + LIMIT
        while not condition():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.05)

    def captured(self, name, data):
        with open(os.path.join(self.run_dir, name + ".pcap"), "rb") as file:
            return data in file.read()

    def send(self, address, size=0):
        """From W, in its namespace: a child process, since threads of this one stay."""
        code = ("import socket; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM);"
                "s.bind(('%s', %d)); s.sendto(%r.ljust(%d, b'.') + b'last', ('%s', %d))" %
                (W4, PORT, TEXT, size, address, PORT))
        run("ip", "netns", "exec", self.netns["w"], sys.executable, "-c", code)
        self.until(lambda: self.captured("host-w", b"last"))

    def findings(self):
        self.stop()
        found = oracle.find_all(oracle.RunDirectory(self.run_dir))
        return found["leaks"], found["blind"]

    # ---- real packets

    def test_a_real_datagram_in_clear_is_a_leak(self):
        self.watch()
        self.register()
        self.send(C4)
        (leak,), blind = self.findings()
        self.assertEqual((leak["kind"], leak["where"], leak["packets"], leak["first"]),
                         ("clear", "wire of w", 1, "UDP"))
        self.assertEqual(blind, NEVER_PROTECTED)

    def test_real_fragments_in_clear_are_a_leak(self):
        self.watch()
        self.register()
        self.send(C4, 4000)
        (leak,), _ = self.findings()
        self.assertEqual((leak["kind"], leak["packets"], leak["bytes"]), ("clear", 3, 4004))

    def test_a_real_datagram_to_another_host_on_lo_is_a_leak(self):
        self.watch()
        self.register()
        self.ip("w", "addr", "add", C4 + "/32", "dev", "lo")
        self.send(C4)
        (leak,), _ = self.findings()
        self.assertEqual((leak["kind"], leak["where"]), ("clear", "lo of w"))

    def test_a_real_datagram_within_a_host_is_no_leak(self):
        self.watch()
        self.register("w", W4)
        self.send(W4)
        leaks, blind = self.findings()
        self.assertEqual((leaks, blind), ([], NEVER_PROTECTED[:1] + [
            "nothing of w-7000 (w to w) was seen decrypted at w"]))

    def test_a_real_datagram_on_a_later_device_is_a_leak(self):
        self.watch()
        self.register()
        self.ip("w", "link", "add", "later", "type", "veth", "peer", "name", "end")
        for device in ("later", "end"):
            self.ip("w", "link", "set", device, "up")
        self.ip("w", "route", "add", "192.0.2.0/24", "dev", "later")
        self.ip("w", "neigh", "add", "192.0.2.1", "dev", "later", "lladdr", "02:00:00:00:00:01")
        self.register(remote="192.0.2.1")
        self.send("192.0.2.1")
        (leak,), _ = self.findings()
        self.assertEqual((leak["kind"], leak["where"]), ("clear", "wire of w"))

    # ---- captures that fail

    def test_captures_that_work_to_the_end_are_not_blind(self):
        self.watch()
        self.put("apps/flows", "")
        self.assertEqual(self.findings(), ([], ["no application registered a flow"]))

    def ends_early(self, name, sent=signal.SIGTERM):
        self.watch()
        os.kill(self.pid(name), sent)
        self.until(lambda: not os.path.exists("/proc/%d" % self.pid(name)))
        _, blind = self.findings()
        self.assertIn(name + " has ended early", blind)
        return blind

    def test_captures_that_end_early_are_blind(self):
        self.ends_early("captures-host-w")

    def test_captures_that_are_killed_leave_no_report(self):
        blind = self.ends_early("captures-host-w", signal.SIGKILL)
        self.assertIn("capture clear-c ended without a report", blind)

    def test_a_monitor_of_sas_that_ends_early_is_blind(self):
        self.ends_early("xfrm-w")

    def test_a_rule_of_a_capture_that_is_deleted_is_blind(self):
        self.watch()
        self.nft("c", "flush ruleset")
        _, blind = self.findings()
        self.assertIn("the rules of the captures at c are gone", blind)

    def fails_with(self, tool, *words):
        bin_dir = os.path.join(self.run_dir, "bin")
        os.mkdir(bin_dir)
        self.put("bin/" + tool, "#!/bin/sh\necho %s: broken >&2\nexit 1\n" % tool)
        os.chmod(os.path.join(bin_dir, tool), 0o755)
        self.environment["PATH"] = bin_dir + ":" + os.environ["PATH"]
        done = self.watch(check=False)
        self.environment["PATH"] = os.environ["PATH"]
        self.assertNotEqual(done.returncode, 0)
        for word in words:
            self.assertIn(word, done.stdout + done.stderr)

    def test_a_capture_that_cannot_start_fails_the_scenario(self):
        done = self.bash('add_capture wire-w %s none "1000 1000"; start_captures; wait_for_watches'
                         % self.netns["w"], check=False)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("FAILED: capture wire-w: none: ", done.stdout + done.stderr)

    def test_rules_that_cannot_be_made_fail_the_scenario(self):
        self.fails_with("nft", "FAILED: command failed", "nft: broken")

    def test_a_monitor_of_sas_that_cannot_start_fails_the_scenario(self):
        self.fails_with("stdbuf", "FAILED: the monitor of w's SAs", "stdbuf: broken")

    def test_a_namespace_that_does_not_exist_fails_the_scenario(self):
        self.netns["d"] = "oracle-none"
        self.assertNotEqual(self.watch(check=False).returncode, 0)


if __name__ == "__main__":
    sys.exit(tap.main("watch", Watch))
