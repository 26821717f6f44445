#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The stack check of BPF objects, on objects that are compiled here, and on the real one."""
import os
import subprocess
import sys
import tempfile
import unittest

import tap

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
PROGRAM = os.path.join(TOP, "tools/make/frames")
BUILD = os.environ.get("BUILD") or os.path.join(TOP, "build")
HEAD = """
#define SEC(name) __attribute__((section(name), used))
#define OWN_FRAME static __attribute__((noinline))
static long (*loop)(int, void *, void *, long) = (void *)181;
static long (*use)(void *, int, const void *) = (void *)113;
OWN_FRAME int small(int x) { volatile char on_stack[40]; on_stack[x & 31] = x; return on_stack[3]; }
OWN_FRAME int large(int x) { volatile char on_stack[400]; on_stack[x & 255] = x; return on_stack[3] + small(x); }
"""


class FramesTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.top = scratch.name

    def frames(self, *arguments, status=0):
        done = subprocess.run([PROGRAM, *arguments], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(done.returncode, status, done.stdout)
        return done.stdout

    def compiled(self, code):
        source, target = os.path.join(self.top, "a.c"), os.path.join(self.top, "a.o")
        with open(source, "w", encoding="utf-8") as file:
            file.write(HEAD + code)
        subprocess.run(["clang", "-target", "bpf", "-O2", "-c", "-o", target, source], check=True)
        return target

    def of(self, code, status=0):
        return self.frames(self.compiled(code), status=status)

    def test_the_frames_of_a_chain_are_rounded_up_and_added(self):
        words = self.of('SEC("a") int program(int *x) { return large(*x); }')
        self.assertIn("512 bytes 3 frames  program 32 > large 416 > small 64", words)

    def test_a_chain_above_512_bytes_is_refused(self):
        words = self.of('SEC("a") int program(int *x) { volatile char own[40]; own[*x & 31] = 1;'
                        ' return large(*x) + own[2]; }', 1)
        self.assertRegex(words, r"^FAIL +544 bytes 3 frames  program 64 > large 416 > small 64")

    def test_of_two_chains_the_deeper_one_counts(self):
        words = self.of('SEC("a") int program(int *x) { return small(*x) + large(x[1]); }')
        self.assertIn("512 bytes 3 frames", words)

    def test_a_function_that_is_verified_by_itself_is_part_of_the_chain(self):
        words = self.of('__attribute__((noinline)) int own(int x) { return large(x); }\n'
                        'SEC("a") int program(int *x) { return own(*x); }', 1)
        self.assertIn("544 bytes 4 frames  program 32 > own 32 > large 416 > small 64", words)

    def test_a_callback_is_part_of_the_chain(self):
        words = self.of('OWN_FRAME long each(int i, void *x) { return large(i); }\n'
                        'SEC("a") int program(int *x) { return loop(4, each, 0, 0); }', 1)
        self.assertIn("> each 32 > large 416", words)

    def test_the_stack_of_a_buffer_for_the_kernel_counts(self):
        words = self.of('SEC("a") int program(int *x) { char text[96]; use(text, 96, x); return 0; }')
        self.assertIn("96 bytes 1 frames  program 96", words)

    def test_a_chain_of_nine_frames_is_refused(self):
        code = "".join("OWN_FRAME int f%d(int x) { volatile int y = x; return y + %s; }\n"
                       % (i, "f%d(y)" % (i - 1) if i else "1") for i in range(8))
        self.assertIn("FAIL", self.of(code + 'SEC("a") int program(int *x) { return f7(*x); }', 1))
        self.assertNotIn("FAIL", self.of(code + 'SEC("a") int program(int *x) { return f6(*x); }'))

    def test_a_file_that_is_no_object_is_refused(self):
        output = self.frames(PROGRAM, status=2)
        self.assertEqual(len(output.splitlines()), 1, output)

    def test_a_disassembler_that_is_absent_is_reported(self):
        output = self.frames("--objdump", "/nonexistent/objdump", PROGRAM, status=2)
        self.assertIn("/nonexistent/objdump", output)

    def test_linux_6_1_has_stack_for_each_program(self):
        words = self.frames(os.path.join(BUILD, "bpf/latchd.bpf.o"))
        for program in "gate_egress", "gate_ingress", "nf_gate_egress", "nf_gate_ingress":
            self.assertRegex(words, r"\d frames  %s \d+ > " % program)


if __name__ == "__main__":
    sys.exit(tap.main("frames", FramesTest))
