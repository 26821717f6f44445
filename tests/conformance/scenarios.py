# SPDX-License-Identifier: BSD-2-Clause
"""The scenarios of the tree: see tests/vm/lib/scenarios.sh."""
import glob
import os
import re

from evidence import read

LIBRARIES = ("tests/vm/lib/", "tests/vm/tools/")
VARIANT = re.compile(r"^# variant: (\S+)", re.M)


def scenario_files(top):
    """The file of each scenario; a variant has the one that names it."""
    found = {}
    for path in sorted(glob.glob(os.path.join(top, "tests/vm/*/scenario.*"))):
        for name in [os.path.basename(os.path.dirname(path))] + VARIANT.findall(read(path)):
            found[name] = path
    return found


def own_paths(top, path):
    """What a result of the scenario depends on, beside the programs."""
    return (os.path.relpath(os.path.dirname(path), top) + "/",) + LIBRARIES
