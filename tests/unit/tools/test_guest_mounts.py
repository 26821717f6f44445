#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""guest-run in a mount namespace that hides the checkout, as a guest's own /tmp and /var/tmp do."""
import os
import subprocess
import sys
import tempfile
import unittest

import tap

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
# As tools/vm prepares it: the state directory, and below it a mount for each directory.
SCRIPT = """
set -euo pipefail
mount -t tmpfs none /run
state=%(state)s
n=0
while IFS=$'\\t' read -r way path when; do
	mkdir -p $state/mount$n
	mount --bind "$path" $state/mount$n
	[ $way = rw ] || mount -o remount,bind,ro $state/mount$n
	printf '%%s\\t%%s\\t%%s\\n' $state/mount$n "$path" $when >>$state/mounts
	n=$((n + 1))
done <$state/wanted
# The guest's own file system hides everything but the state directory.
mkdir /run/state
mount --rbind $state /run/state
mount -t tmpfs none %(hidden)s
mkdir -p $state
mount --rbind /run/state $state
exec bash $state/guest-run $state %(top)s
"""


class GuestMounts(unittest.TestCase):
    def setUp(self):
        if os.geteuid() or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
            self.skipTest("needs root and mount namespaces")
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.hidden = scratch.name
        self.top = self.path("clone")
        self.put("clone/tests/vm/lib/guest-init", "#!/bin/sh\n", 0o755)
        self.put("clone/file", "of the clone\n")
        os.makedirs(self.path("clone/build/results"))
        self.state = self.path("state")
        with open(os.path.join(TOP, "tests/vm/lib/guest-run"), encoding="utf-8") as file:
            self.put("state/guest-run", file.read())

    def path(self, name):
        return os.path.join(self.hidden, name)

    def put(self, name, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def guest(self, command, *mounts):
        """The output of a command in the guest, and the exit status that it left."""
        self.put("state/wanted", "".join("%s\t%s\t%s\n" % each for each in mounts))
        self.put("state/command", command)
        self.put("state/cwd", self.top)
        done = subprocess.run(["unshare", "-m", "--propagation", "private", "bash", "-c", SCRIPT %
                               {"state": self.state, "hidden": self.hidden, "top": self.top}], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        status = os.path.join(self.state, "status")
        left = ""
        if os.path.exists(status):
            with open(status, encoding="utf-8") as file:
                left = file.read().strip()
        return done.stdout, left

    def test_a_hidden_checkout_is_mounted_where_it_belongs(self):
        self.assertEqual(self.guest("cat file", ("ro", self.top, "absent")), ("of the clone\n", "0"))

    def test_a_directory_to_write_lies_over_the_checkout(self):
        results = self.path("clone/build/results")
        output, status = self.guest("touch build/results/seen; ! touch build/other",
                                    ("ro", self.top, "absent"), ("rw", results, "always"))
        self.assertEqual(status, "0", output)
        self.assertTrue(os.path.exists(os.path.join(results, "seen")))
        self.assertFalse(os.path.exists(self.path("clone/build/other")))

    def test_a_checkout_that_is_not_mounted_is_an_error(self):
        output, status = self.guest("true", ("ro", "/usr", "absent"))
        self.assertEqual(status, "")
        self.assertIn("guest-init", output)

    def test_the_exit_status_of_the_command_is_left(self):
        self.assertEqual(self.guest("(exit 7)", ("ro", self.top, "absent"))[1], "7")


if __name__ == "__main__":
    sys.exit(tap.main("guest_mounts", GuestMounts))
