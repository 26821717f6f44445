#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""tools/make/install into a folder, of a build whose programs are empty files."""
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest

import tap

TOP = os.path.realpath(os.path.join(os.path.dirname(__file__), "../../.."))
BUILT = ("latchd", "latchctl", "liblatch.pc", "liblatch.a", "liblatch.so.1")
PYTHON = "/usr/bin/python3"


class Install(unittest.TestCase):
    def setUp(self):
        self.work = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.work)
        self.root = os.path.join(self.work, "root")
        os.mkdir(os.path.join(self.work, "build"))
        for name in BUILT:
            self.put("build/" + name, "prefix=@PREFIX@\n", 0o755)

    def put(self, name, text, mode=0o644):
        path = os.path.join(self.work, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="ascii") as file:
            file.write(text)
        os.chmod(path, mode)

    def install(self, prefix="/usr/local", **more):
        environment = dict(os.environ, DESTDIR=self.root, PREFIX=prefix,
                           BUILD=os.path.join(self.work, "build"), **more)
        return subprocess.run([os.path.join(TOP, "tools/make/install")], cwd=TOP, text=True,
                              env=environment, capture_output=True, check=False)

    def installed(self, path):
        return os.path.join(self.root, path.lstrip("/"))

    def folder_of_module(self):
        (folder,) = [folder for folder, _, files in os.walk(self.root) if "latch.py" in files]
        return folder[len(self.root):]

    def searched_by_python(self):
        code = "import sys; print('\\n'.join(sys.path))"
        return subprocess.run([PYTHON, "-I", "-c", code], text=True, capture_output=True,
                              check=True).stdout.split("\n")

    def test_the_module_lies_where_python_searches_below_each_usual_prefix(self):
        for prefix in ("/usr", "/usr/local"):
            self.assertEqual(self.install(prefix).returncode, 0)
            folder = self.folder_of_module()
            self.assertIn(folder, self.searched_by_python())
            self.assertTrue(folder.startswith(prefix + "/lib/"))
            shutil.rmtree(self.root)

    def test_below_another_prefix_the_module_has_a_folder_there(self):
        self.assertEqual(self.install("/opt/latch").returncode, 0)
        self.assertEqual(self.folder_of_module(), "/opt/latch/lib/python3/dist-packages")

    def test_without_python_the_module_has_a_folder_all_the_same(self):
        self.assertEqual(self.install(PYTHON="/nonexistent").returncode, 0)
        self.assertEqual(self.folder_of_module(), "/usr/local/lib/python3/dist-packages")

    def test_programs_and_library_name_their_prefix(self):
        self.assertEqual(self.install("/opt/latch").returncode, 0)
        for name in ("sbin/latchd", "sbin/latchctl", "lib/liblatch.so.1"):
            mode = os.stat(self.installed("/opt/latch/" + name)).st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o755)
        with open(self.installed("/opt/latch/lib/pkgconfig/liblatch.pc"), encoding="ascii") as file:
            self.assertEqual(file.read(), "prefix=/opt/latch\n")
        self.assertEqual(os.readlink(self.installed("/opt/latch/lib/liblatch.so")),
                         "liblatch.so.1")

    def test_a_configuration_that_exists_stays(self):
        self.put("root/etc/latchd/latchd.conf", "[enforce]\n")
        done = self.install()
        self.assertIn("KEEP", done.stdout)
        with open(self.installed("/etc/latchd/latchd.conf"), encoding="ascii") as file:
            self.assertEqual(file.read(), "[enforce]\n")

    def test_without_a_build_nothing_is_installed(self):
        os.unlink(os.path.join(self.work, "build/latchd"))
        done = self.install()
        self.assertEqual(done.returncode, 1)
        self.assertIn("latchd and latchctl are not built; run: make", done.stderr)
        self.assertFalse(os.path.exists(self.root))


if __name__ == "__main__":
    sys.exit(tap.main("install", Install))
