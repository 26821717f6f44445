#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The mutation command, on a product of one line, and on this tree's list."""
import fcntl
import glob
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import unittest

import tap

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../..")
PROGRAM = os.path.join(TOP, "tools/mutation")
LIST = os.path.join(TOP, "tests/mutation/mutations.toml")
ONE = """[[mutation]]
name = "one"
breaks = "two is three"
file = "product"
old = "two"
new = "%s"
unit = "test_a"
case = "counts"
"""
GUEST = """[[mutation]]
name = "guest"
breaks = "four is five"
file = "product"
old = "four"
new = "five"
vm = "attack"
says = "%s"
"""
MAKEFILE = """vm-tests: build/latchd
build/latchd: product
\t! grep -q syntax product
\tmkdir -p build/tests/vm
\tcp product $@
build/tests/unit/test_a: product
\t! grep -q syntax product
\tmkdir -p build/tests/unit
\tcp product $@
"""
# Fails as a whole when the product has the word crash.
UNIT_RUN = """#!/bin/bash
a=build/tests/unit/test_a
result() { grep -q "$1" $a && ! grep -q crash $a && echo passed || echo failed; }
printf 'unit\\t%s\\t%s\\twhy\\n' "test_a a::R_2_1_counts" "$(result two)" \\
    "test_a a::other" "$(result one)" >$a.rows
! grep -q absent $a || rm $a.rows
"""
# The guest ends early when a product has the word crash.
VM_RUN = """#!/bin/bash
echo "$@" >>runs
crashed=
for name in "${@:3}"; do
\tproduct=build
\t[[ $name != *@* ]] || product=build/products/${name#*@}
\tfolder=build/tests/vm/6.12/$name
\tmkdir -p $folder
\techo 'FAIL  four is missing' >$folder/log
\tif [[ -n $crashed ]]; then printf 'failed\\tnot run: the guest ended\\n'
\telif grep -q four $product/latchd; then printf 'passed\\t\\n'
\telse printf 'failed\\t\\n'; fi >$folder/result
\t! grep -q crash $product/latchd || crashed=1
done
"""


# Folders without a mutation, and why.
CONTROL = "a control: latchd does not run, so there is no product to break"
OPENED = "a control: its gate is away, so that the leak must be seen"
WITHOUT_MUTATION = {
    "attack-without-latchd": CONTROL,
    "esp-burst-without-latchd": CONTROL,
    "live-attack-without-latchd": CONTROL,
    "plaintext-in-without-latchd": CONTROL,
    "plaintext-out-without-latchd": CONTROL,
    "policy-grace-without-latchd": CONTROL,
    "queues-conflict-without-latchd": CONTROL,
    "churn-without-gate": OPENED,
    "no-full-socket-without-netfilter-gate": OPENED,
    "foreign": "tests of the kernel's tree, run by `make field` only",
    "field": "networks of honest peers, run by `make field` only",
    "bindings": "run by `make field` only: its compilers are packages of that command",
}
PYTHON_FORMAT = re.compile(r'f"([^"\n]{10,})"'), re.compile(r"{[^{}]*}")
SHELL_FORMAT = re.compile(r'"([^"\n]*\$[^"\n]*)"'), re.compile(r"\$(?:\w+|{[^}]*}|\([^)]*\))")


def says(scenario, words):
    """Whether the scenario can: word by word, by a format string, or by the oracle's findings."""
    if re.match("leak: (clear|decrypted|foreign|injected|readable|unpaired) at ", words):
        return True
    text = "".join(re.sub(r'"\n +f?"', "", text_of(path)) for path in files_of(scenario))
    return words in text or any(re.fullmatch(pattern, words) for pattern in
                                (*formats(text, *PYTHON_FORMAT), *formats(text, *SHELL_FORMAT)))


def formats(text, literal, variable):
    """Patterns of the strings with variables, of which the fixed words tell them from others."""
    for found in literal.findall(text):
        words = variable.split(found)
        if len("".join(words)) >= 8:
            yield ".+".join(map(re.escape, words))


def folders():
    """Each folder with a scenario: its own name, and those of its variants."""
    return {os.path.basename(os.path.dirname(path)):
            [os.path.basename(os.path.dirname(path)),
             *re.findall(r"^# variant: (\S+)", text_of(path), re.M)]
            for path in glob.glob(os.path.join(TOP, "tests/vm/*/scenario.*"))}


def files_of(scenario):
    """Its file, of a variant the file that names it, and the steps that the scenarios share."""
    found = [path for path in glob.glob(os.path.join(TOP, "tests/vm/*/scenario.*"))
             if os.path.basename(os.path.dirname(path)) == scenario
             or re.search(r"^# variant: %s( |$)" % re.escape(scenario), text_of(path), re.M)]
    return found[:1] + glob.glob(os.path.join(TOP, "tests/vm/lib/*.sh")) if found else []


def text_of(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


# A test that shows more items than before is the same test; a macro makes one for each family.
ITEMS = re.compile(r"^(?:(?:[RL](?:_\d+)+|S\d+)_)+")
FAMILY = re.compile(r"_ipv[46]$")


def source_of_each_test():
    """The text of each program of the unit tests, by its name."""
    found = {}
    for folder, _, names in os.walk(os.path.join(TOP, "tests/unit")):
        for name in names:
            if name.startswith("test_") and name.endswith((".c", ".py")):
                with open(os.path.join(folder, name), encoding="utf-8") as file:
                    found[os.path.splitext(name)[0]] = file.read()
    return found


class MutationTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.top = scratch.name
        self.put("product", "one two\nfour\n")
        self.put("Makefile", MAKEFILE)
        self.put("tests/unit/run", UNIT_RUN, 0o755)
        self.put("tests/vm/run", VM_RUN, 0o755)
        self.put("tools/make/source", "#!/bin/sh\necho 0123456789ab\n", 0o755)

    def path(self, name):
        return os.path.join(self.top, name)

    def put(self, name, text, mode=0o644):
        os.makedirs(os.path.dirname(self.path(name)), exist_ok=True)
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)

    def read(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def run_it(self, status, *more, mutations=ONE % "three"):
        self.put("tests/mutation/mutations.toml", mutations)
        done = subprocess.run([PROGRAM, "--top", self.top, "--build", self.path("build"),
                               "--output", self.path("table.md"), *more], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        self.assertEqual(done.returncode, status, done.stdout)
        self.assertEqual(self.read("product").count("two"), 1, "the checkout was changed")
        self.assertEqual(os.path.exists(self.path("table.md")), status < 2)
        return done.stdout

    def keep_passed(self, source):
        """attack passed on the unbroken product of these sources."""
        self.put("tests/vm/attack/scenario.sh", "")
        self.put("docs/evidence/scenarios.tsv", "\t".join(
            ("6.12", "attack", source, "6.12.1", "2026-01-01T00:00:00Z", "passed", "")) + "\n")

    def run_products(self):
        self.put("tests/mutation/mutations.toml", GUEST % "four is missing")
        subprocess.run([PROGRAM, "--top", self.top, "--build", self.path("build"), "--products"],
                       check=True, stdout=subprocess.PIPE)

    def test_a_mutation_that_fails_its_test_is_caught(self):
        self.assertIn("CAUGHT    one", self.run_it(0))
        self.assertIn("| one | two is three | `product` | `test_a a::R_2_1_counts` | why | 0123456789ab |",
                      self.read("table.md"))
        self.assertIn("1 mutations, 1 tried, 1 caught.", self.read("table.md"))

    def test_a_mutation_that_passes_its_test_survives(self):
        self.assertIn("SURVIVED  one", self.run_it(1, mutations=ONE % "two two"))
        self.assertIn("**not caught**", self.read("table.md"))

    def test_a_mutation_without_its_old_text_fails(self):
        output = self.run_it(1, mutations=ONE.replace('"two"', '"six"') % "three")
        self.assertIn("0 times in product", output)

    def test_a_mutation_with_its_old_text_twice_fails(self):
        self.put("product", "one two\nfour four\n")
        output = self.run_it(1, mutations=ONE.replace('"two"', '"four"') % "three")
        self.assertIn("2 times in product", output)

    def test_a_mutation_that_does_not_build_is_not_caught(self):
        self.assertIn("does not build", self.run_it(1, mutations=ONE % "syntax"))

    def test_a_mutation_that_fails_every_test_is_not_caught(self):
        self.assertIn("SURVIVED", self.run_it(1, mutations=ONE % "three crash"))

    def test_a_mutation_without_a_report_of_its_test_is_not_caught(self):
        self.assertIn("SURVIVED", self.run_it(1, mutations=ONE % "absent"))

    def test_each_mutation_is_tried_alone(self):
        other = ONE.replace('"one"', '"other"').replace('"two"', '"four"')
        output = self.run_it(1, mutations=ONE % "three" + other % "five")
        self.assertIn("CAUGHT    one", output)
        self.assertIn("SURVIVED  other", output)

    def test_a_scenario_that_fails_with_the_expected_words_catches(self):
        self.assertIn("CAUGHT    guest", self.run_it(0, mutations=GUEST % "four is missing"))
        self.assertIn("`tests/vm/attack`", self.read("table.md"))

    def test_a_scenario_that_fails_for_another_reason_does_not_catch(self):
        self.assertIn("SURVIVED  guest", self.run_it(1, mutations=GUEST % "no guest"))

    def test_all_broken_products_are_tried_in_one_guest(self):
        other = (GUEST % "four is missing").replace('"guest"', '"other"').replace('"five"', '"six"')
        output = self.run_it(0, mutations=GUEST % "four is missing" + other)
        self.assertIn("CAUGHT    guest", output)
        self.assertIn("CAUGHT    other", output)
        self.assertRegex(self.read("build/mutation/runs"),
                         r"\A--kernel 6.12 attack attack@[0-9a-f]{12} attack@[0-9a-f]{12}\n\Z")

    def test_a_scenario_that_passed_unbroken_is_run_on_broken_products_only(self):
        self.keep_passed("0123456789ab")
        self.assertIn("CAUGHT    guest", self.run_it(0, mutations=GUEST % "four is missing"))
        self.assertRegex(self.read("build/mutation/runs"), r"\A--kernel 6.12 attack@[0-9a-f]{12}\n\Z")

    def test_a_scenario_that_passed_with_other_sources_is_run_unbroken_again(self):
        self.keep_passed("ba9876543210")
        self.assertIn("CAUGHT    guest", self.run_it(0, mutations=GUEST % "four is missing"))
        self.assertRegex(self.read("build/mutation/runs"),
                         r"\A--kernel 6.12 attack attack@[0-9a-f]{12}\n\Z")

    def test_mutations_of_the_same_text_share_a_product(self):
        other = (GUEST % "four is gone").replace('"guest"', '"other"')
        output = self.run_it(1, mutations=GUEST % "four is missing" + other)
        self.assertIn("CAUGHT    guest", output)
        self.assertIn("SURVIVED  other", output)
        self.assertEqual(len(os.listdir(self.path("build/mutation/build/products"))), 1)

    def test_products_are_built_without_a_guest_and_used_later(self):
        self.run_products()
        self.assertFalse(os.path.exists(self.path("build/mutation/runs")))
        product, = os.listdir(self.path("build/mutation/build/products"))
        path = "build/mutation/build/products/%s/latchd" % product
        self.assertEqual(self.read(path), "one two\nfive\n")
        self.put(path, "one two\nfive\nkept\n")
        self.assertIn("CAUGHT    guest", self.run_it(0, mutations=GUEST % "four is missing"))
        self.assertIn("kept", self.read(path))

    def test_a_product_of_other_sources_is_built_anew(self):
        self.run_products()
        product, = os.listdir(self.path("build/mutation/build/products"))
        self.put("build/mutation/build/products/%s/latchd" % product, "four of other sources")
        self.put("bpf/other", "new")
        self.assertIn("CAUGHT    guest", self.run_it(0, mutations=GUEST % "four is missing"))

    def test_a_scenario_that_the_guest_did_not_come_to_is_no_result(self):
        crash = (GUEST % "four is missing").replace('"five"', '"crash"')
        late = (GUEST % "four is missing").replace('"guest"', '"late"')
        self.assertIn("mutation late was not tried", self.run_it(2, mutations=crash + late))

    def test_a_scenario_that_fails_unbroken_is_refused(self):
        self.put("product", "one two\nfive\n")
        output = self.run_it(2, mutations=(GUEST % "x").replace('"four"', '"one"'))
        self.assertIn("attack does not pass on the unbroken product", output)

    def test_a_test_that_fails_unbroken_is_refused(self):
        self.put("product", "two\nfour\n")
        self.put("tests/unit/run", UNIT_RUN.replace("result two", "result none"), 0o755)
        self.assertIn("case counts does not pass on the unbroken product", self.run_it(2))

    def test_a_missing_case_is_refused(self):
        output = self.run_it(2, mutations=(ONE % "three").replace('"counts"', '"count"'))
        self.assertIn("no such test", output)

    def test_a_product_that_does_not_build_is_refused(self):
        self.put("product", "two syntax\n")
        self.assertIn("the unbroken product does not build", self.run_it(2))

    def test_mutations_can_be_chosen_by_name(self):
        both = ONE % "three" + GUEST % "four is missing"
        self.assertIn("1 not tried", self.run_it(0, "guest", mutations=both))
        self.assertIn("| `product` | not tried |", self.read("table.md"))
        self.assertIn("1 not tried", self.run_it(0, "--unit", mutations=both))
        os.remove(self.path("table.md"))
        self.assertIn("no mutation 'two'", self.run_it(2, "two", mutations=both))

    def test_results_of_other_mutations_are_kept(self):
        both = ONE % "three" + GUEST % "four is missing"
        self.run_it(0, "guest", mutations=both)
        self.put("tools/make/source", "#!/bin/sh\necho another\n", 0o755)
        self.run_it(0, "one", mutations=both)
        self.assertIn("2 mutations, 2 tried, 2 caught.", self.read("table.md"))
        self.assertRegex(self.read("table.md"), r"\| guest .* 0123456789ab \|\n")
        self.assertRegex(self.read("table.md"), r"\| one .* another \|\n")

    def test_the_result_of_an_edited_mutation_is_dropped(self):
        self.run_it(0, "guest", mutations=ONE % "three" + GUEST % "four is missing")
        self.run_it(0, "one", mutations=ONE % "three" + GUEST % "four is gone")
        self.assertIn("2 mutations, 1 tried, 1 caught.", self.read("table.md"))

    def test_a_second_run_in_the_same_build_is_refused(self):
        os.makedirs(self.path("build"), exist_ok=True)
        with open(self.path("build/mutation.lock"), "w", encoding="utf-8") as first:
            fcntl.flock(first, fcntl.LOCK_EX)
            self.assertIn("another run uses", self.run_it(2, mutations=ONE % "three"))
        self.run_it(0, mutations=ONE % "three")

    def test_a_malformed_list_is_refused(self):
        self.assertIn("its fields must be", self.run_it(2, mutations='[[mutation]]\nname = "a"\n'))
        self.assertIn("mutations.toml", self.run_it(2, mutations="[[mutation\n"))
        self.assertIn("no mutations", self.run_it(2, mutations="# none\n"))
        self.assertIn("two of one name", self.run_it(2, mutations=ONE % "a" + ONE % "b"))

    def test_every_mutation_of_this_tree_applies(self):
        with open(LIST, "rb") as file:
            found = tomllib.load(file)["mutation"]
        self.assertGreaterEqual(len(found), 14)
        for mutation in found:
            with open(os.path.join(TOP, mutation["file"]), encoding="utf-8") as file:
                self.assertEqual(file.read().count(mutation["old"]), 1, mutation["name"])

    def test_the_case_of_every_unit_mutation_is_a_test_of_its_program(self):
        sources = source_of_each_test()
        with open(LIST, "rb") as file:
            found = [mutation for mutation in tomllib.load(file)["mutation"] if "unit" in mutation]
        self.assertTrue(found)
        for mutation in found:
            self.assertIn(mutation["unit"], sources, mutation["name"])
            case = ITEMS.sub("", FAMILY.sub("", mutation["case"].rpartition("::")[2]))
            self.assertIn(case, sources[mutation["unit"]], mutation["name"])

    def test_the_words_of_every_scenario_mutation_are_in_its_scenario(self):
        with open(LIST, "rb") as file:
            found = [mutation for mutation in tomllib.load(file)["mutation"] if "vm" in mutation]
        self.assertTrue(found)
        for mutation in found:
            words = re.sub("^FAIL(  |ED: )", "", mutation["says"])
            self.assertTrue(says(mutation["vm"], words), mutation["name"])

    def test_every_folder_with_a_scenario_has_a_mutation_or_a_reason_for_none(self):
        with open(LIST, "rb") as file:
            tried = {mutation.get("vm") for mutation in tomllib.load(file)["mutation"]}
        without = {folder for folder, names in folders().items() if not tried & set(names)}
        self.assertEqual(without, set(WITHOUT_MUTATION))


if __name__ == "__main__":
    sys.exit(tap.main("mutation", MutationTest))
