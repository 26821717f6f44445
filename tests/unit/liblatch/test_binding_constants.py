#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The numbers in the Go package and the Rust crate are those of latch_sockopt.h: options, states, flags, and the
places of members in struct latch_info. No compiler of Go or Rust is needed.
"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
sys.path.append(os.path.join(TOP, "tests/unit/tools"))
import tap  # pylint: disable=wrong-import-position

ROOM = "user/liblatch"
NAMES = {"STATE": "LATCH_OPT_STATE", "INFO": "LATCH_OPT_INFO", "PEER": "LATCH_OPT_PEER_ID",
         "EXPECT_PEER": "LATCH_OPT_EXPECT_PEER"}
FLAGS = ("INDETERMINATE", "AUDIT", "ABORTED", "UNPROVEN", "PEER_ENDED")
MEMBERS = ("state", "why", "flags", "latch")


def read(path):
    with open(os.path.join(TOP, path), encoding="utf-8") as file:
        return file.read()


def number(text):
    """An integer, or a shift of two."""
    left, _, right = text.partition("<<")
    return int(left, 0) << int(right or "0")


def of_header(text):
    found = {name: number(value) for name, value in
             re.findall(r"\b(LATCH_\w+)\s*=\s*(\d+(?: << \d+)?)", text)}
    found.update({name: number(value) for name, value in
                  re.findall(r"^#define (\w+)\s+(0x\w+|\d+)\b", text, re.M)})
    return found


def places():
    """Where gcc puts the members of struct latch_info, and its size."""
    lines = "".join(f'printf("{name} %zu\\n", offsetof(struct latch_info, {name}));' for name in MEMBERS)
    program = ("#include <stddef.h>\n#include <stdio.h>\n#include \"latch_sockopt.h\"\n"
               f'int main(void) {{ {lines} printf("size %zu\\n", sizeof(struct latch_info)); }}\n')
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "places")
        subprocess.run(["gcc", "-x", "c", "-I", os.path.join(TOP, "include"), "-o", path, "-"], check=True,
                       input=program, text=True)
        output = subprocess.run([path], check=True, text=True, stdout=subprocess.PIPE).stdout
    return {name: int(value) for name, value in (line.split() for line in output.splitlines())}


def upper(name):
    """optExpectPeer: OPT_EXPECT_PEER."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper()


def of_go(text):
    block = re.search(r"^const \(\n(.*?)^\)", text, re.M | re.S).group(1)
    return {upper(name): number(value) for name, value in re.findall(r"^\t(\w+)\s*= (.+)$", block, re.M)}


def states_of_go(text):
    block = re.search(r"State = iota\n(.*?)^\)", text, re.M | re.S)
    return ["NotLatched"] + re.findall(r"^\t(\w+)$", block.group(1), re.M)


def of_rust(text):
    return {name: number(value) for name, value in
            re.findall(r"^(?:pub )?const (\w+): \w+ = (.+);$", text, re.M)}


def states_of_rust(text):
    found = re.findall(r"^ +(\d+) => State::(\w+),$", text, re.M)
    assert [int(value) for value, _ in found] == list(range(len(found)))
    return [name for _, name in found]


class Constants(unittest.TestCase):
    def setUp(self):
        self.header, self.places = of_header(read("include/latch_sockopt.h")), places()

    def common(self, opt, flag):
        """The names of one language, with the numbers of the header."""
        wanted = {opt + name: self.header[there] for name, there in NAMES.items()}
        wanted.update({flag + name: self.header["LATCH_INFO_" + name] for name in FLAGS})
        wanted.update({"SOL_LATCH": self.header["SOL_LATCH"], "TEXT_MAX": self.header["LATCH_TEXT_MAX"],
                       "INFO_SIZE": self.places["size"], "WHY_ENDED": self.header["LATCH_WHY_ENDED"]})
        return wanted

    def check_states(self, names):
        body = re.search(r"enum latch_app_state \{(.*?)\n\};", read("include/latch_sockopt.h"), re.S).group(1)
        wanted = sorted((value, name) for name, value in of_header(body).items())
        self.assertGreater(len(wanted), 5)
        self.assertEqual([(place, "LATCH_APP_" + upper(name)) for place, name in enumerate(names)], wanted)

    def test_go_has_the_numbers_of_the_header(self):
        text = read(ROOM + "/go/latch.go")
        wanted = self.common("OPT_", "FLAG_")
        wanted.update({"INFO_" + name.upper(): self.places[name] for name in ("why", "flags", "latch")})
        self.assertEqual(of_go(text), wanted)
        self.check_states(states_of_go(text))
        self.assertEqual(re.findall(r"State\(answer\[(\d+)\]\)", text), [str(self.places["state"])])

    def test_rust_has_the_numbers_of_the_header(self):
        text = read(ROOM + "/rust/src/lib.rs")
        wanted = self.common("OPT_", "")
        wanted["OPT_PEER_ID"] = wanted.pop("OPT_PEER")
        wanted.update({"UNAVAILABLE": 95, "ENOPROTOOPT": 92, "EINVAL": 22})
        self.assertEqual(of_rust(text), wanted)
        self.check_states(states_of_rust(text))
        self.assertEqual({int(at) for at in re.findall(r"info\[(\d+)\]", text)},
                         {self.places["state"], self.places["why"]})
        self.assertEqual({int(at) for at in re.findall(r"number::<(\d+), INFO_SIZE>", text)},
                         {self.places["flags"], self.places["latch"], self.places["latch"] + 4})


if __name__ == "__main__":
    sys.exit(tap.main("binding_constants", Constants))
