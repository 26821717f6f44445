# SPDX-License-Identifier: BSD-2-Clause
"""The scenarios of the tree: see tests/vm/lib/scenarios.sh."""
import glob
import os
import re

from evidence import read

LIBRARIES = ("tests/vm/lib/", "tests/vm/tools/")
VARIANT = re.compile(r"^# variant: (\S+)", re.M)
FIELD = re.compile(r"^# run: field\b *(.*)$", re.M)


def scenario_names(path):
    """The folder's name, and those of its variants."""
    return [os.path.basename(os.path.dirname(path))] + VARIANT.findall(read(path))


def names_of_field(path):
    """Those that only `make field` runs. They show no items: `make conformance` has no results of them."""
    found = FIELD.findall(read(path))
    return " ".join(found).split() or (scenario_names(path) if found else [])


def scenario_files(top):
    """The file of each scenario; a variant has the one that names it."""
    return {name: path for path in sorted(glob.glob(os.path.join(top, "tests/vm/*/scenario.*")))
            for name in scenario_names(path)}


def own_paths(top, path):
    """What a result of the scenario depends on, beside the programs."""
    return (os.path.relpath(os.path.dirname(path), top) + "/",) + LIBRARIES
