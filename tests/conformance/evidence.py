# SPDX-License-Identifier: BSD-2-Clause
"""The last run of each scenario on each kernel, kept from one session of tests to the next."""
import os


class Refused(Exception):
    """The table cannot be made: one line has the reason."""


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def rows(path, width):
    """The lines of a table; an absent one has none."""
    if not os.path.exists(path):
        return
    for number, line in enumerate(read(path).splitlines(), 1):
        fields = line.split("\t")
        if line.startswith("#"):
            continue
        if len(fields) != width:
            raise Refused("%s:%d: %d fields instead of %d" % (path, number, len(fields), width))
        yield fields


class Run:
    """A scenario on a kernel, once."""

    def __init__(self, source, release, time, outcome, detail, seen):
        self.source, self.release, self.time = source, release, time
        self.outcome, self.detail, self.seen = outcome, detail, seen


class Evidence:
    """The last run of each scenario on each kernel: in the build directory, or kept earlier."""

    HEAD = ("# SPDX-License-Identifier: BSD-2-Clause\n"
            "# Written by tools/conformance: the last run of each scenario.\n# %s\n")
    RUNS = ("scenarios.tsv", "kernel scenario sources release time outcome detail")
    SEEN = ("conforms.tsv", "kernel scenario item what the scenario saw")

    def __init__(self, top, build):
        self.folder, self.build, self.runs = os.path.join(top, "docs/evidence"), build, {}
        for kernel, name, *run in rows(os.path.join(self.folder, self.RUNS[0]), 7):
            self.runs[kernel, name] = Run(*run, {})
        for kernel, name, item, words in rows(os.path.join(self.folder, self.SEEN[0]), 4):
            if (kernel, name) in self.runs:
                self.runs[kernel, name].seen[item] = words

    def last(self, kernel, name):
        """None if it never ran."""
        folder = os.path.join(self.build, "tests/vm", kernel, name)
        kept = self.runs.get((kernel, name))
        for source, release, time in rows(os.path.join(folder, "from"), 3):
            for outcome, detail in rows(os.path.join(folder, "result"), 2):
                if not kept or kept.time <= time:
                    kept = Run(source, release, time, outcome, detail,
                               dict(rows(os.path.join(folder, "conforms"), 2)))
                    self.runs[kernel, name] = kept
        return kept

    def keep(self, names):
        """Of these scenarios; others are no longer in the tree."""
        kept = sorted(key for key in self.runs if key[1] in names)
        runs = [(*key, run.source, run.release, run.time, run.outcome, run.detail)
                for key in kept for run in (self.runs[key],)]
        seen = [(*key, item, words) for key in kept for item, words in self.runs[key].seen.items()]
        self.write(self.RUNS, runs)
        self.write(self.SEEN, seen)

    def write(self, table, lines):
        name, columns = table
        os.makedirs(self.folder, exist_ok=True)
        with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
            file.write(self.HEAD % columns)
            file.writelines("\t".join(fields) + "\n" for fields in lines)
