# SPDX-License-Identifier: BSD-2-Clause
"""Two runs of one network, without latchd and with it: what was measured, and what may not be.

A row has one application in one phase of one run. A phase is a disturbance and what follows it, until
every application has had an answer again.

    faults()    connections that broke and kinds of errors that an application had only with latchd
    remarks()   retransmissions and gaps above the bars: reported, no fault
    table()     both runs side by side
"""
import collections
import dataclasses

RUNS = ("without", "with")
COLUMNS = ("network", "run", "phase", "application", "answers", "gap_ms", "retransmissions", "lost", "broken",
           "errors")
GAP_BAR_MS = 250
RETRANSMISSIONS_BAR = 1
# udp_send_skb() of the kernel reports a lost datagram to a socket with IP_RECVERR alone.
EXCEPTED = "ENOBUFS (IP_RECVERR)"
# Of errors that the key manager itself causes, in some runs and not in others.
OF_KEY_MANAGER = " (key manager)"


@dataclasses.dataclass
class Row:
    network: str
    run: str
    phase: str
    application: str
    answers: int = 0
    gap_ms: int = 0
    retransmissions: int = 0
    lost: int = 0
    broken: int = 0
    errors: collections.Counter = dataclasses.field(default_factory=collections.Counter)

    def text(self):
        errors = ",".join(f"{kind}={count}" for kind, count in sorted(self.errors.items())) or "-"
        return "\t".join([self.network, self.run, self.phase, self.application]
                         + [str(getattr(self, name)) for name in COLUMNS[4:9]] + [errors])


def of_key_manager(row, kind):
    """The row, with errors of that kind put down to the key manager."""
    errors = collections.Counter({each + OF_KEY_MANAGER if each == kind else each: count
                                  for each, count in row.errors.items()})
    return dataclasses.replace(row, errors=errors)


def parsed(line):
    columns = line.rstrip("\n").split("\t")
    if len(columns) != len(COLUMNS):
        raise ValueError(f"not {len(COLUMNS)} columns: {line!r}")
    errors = collections.Counter()
    for each in [] if columns[9] == "-" else columns[9].split(","):
        kind, _, count = each.rpartition("=")
        errors[kind] = int(count)
    return Row(*columns[:4], *map(int, columns[4:9]), errors)


def write(path, rows):
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(["\t".join(COLUMNS)] + [row.text() for row in rows]) + "\n")


def read(path):
    with open(path, encoding="utf-8") as file:
        return [parsed(line) for line in file.readlines()[1:]]


def applications(rows):
    """(network, application), each once, in the order of the rows"""
    return list(dict.fromkeys((row.network, row.application) for row in rows))


def of(rows, application, run):
    return [row for row in rows if (row.network, row.application) == application and row.run == run]


def whole(rows):
    """All phases of an application in one run as one row."""
    errors = sum((row.errors for row in rows), collections.Counter())
    return dataclasses.replace(rows[0], phase="all", errors=errors,
                               gap_ms=max(row.gap_ms for row in rows),
                               **{name: sum(getattr(row, name) for row in rows)
                                  for name in ("answers", "retransmissions", "lost", "broken")})


def phases(rows):
    return [row.phase for row in rows]


def faults(rows):
    if not rows:
        return ["nothing was measured"]
    return [fault for each in applications(rows) for fault in faults_of(rows, each)]


def faults_of(rows, application):
    name = " ".join(application)
    without, having = (of(rows, application, run) for run in RUNS)
    if phases(without) != phases(having):
        return [f"{name}: {len(without)} phases without latchd, {len(having)} with it"]
    found = [f"{name}: no answer in the whole run {run} latchd"
             for run, part in zip(RUNS, (without, having)) if not whole(part).answers]
    return found + broken_only_with(name, without, having) + errors_only_with(name, without, having)


def broken_only_with(name, without, having):
    before, after = whole(without).broken, whole(having).broken
    if after <= before:
        return []
    where = ", ".join(row.phase for row in having if row.broken)
    return [f"{name}: {after} broken connections with latchd, {before} without it ({where})"]


def errors_only_with(name, without, having):
    known = set(whole(without).errors) | {EXCEPTED}
    return [f"{name}: error {kind} with latchd only ({row.phase}, {row.errors[kind]} times)"
            for row in having for kind in sorted(set(row.errors) - known)
            if not kind.endswith(OF_KEY_MANAGER)]


def remarks(rows):
    found = []
    for application in applications(rows):
        for without, having in zip(*(of(rows, application, run) for run in RUNS)):
            found += above_the_bars(" ".join(application), without, having)
    return found


def above_the_bars(name, without, having):
    gap = having.gap_ms - without.gap_ms
    again = having.retransmissions - without.retransmissions
    found = []
    if gap > GAP_BAR_MS:
        found.append(f"{name}: {without.phase}: longest gap {without.gap_ms} -> {having.gap_ms} ms")
    if again > RETRANSMISSIONS_BAR:
        found.append(f"{name}: {without.phase}: retransmissions "
                     f"{without.retransmissions} -> {having.retransmissions}")
    return found


HEAD = ("network", "application", "answers", "longest gap (ms)", "retransmitted", "lost", "broken", "errors")


def table(rows):
    """Lines; each cell of a number is "without -> with"."""
    cells = [HEAD] + [cells_of(rows, each) for each in applications(rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in cells]


def cells_of(rows, application):
    runs = [whole(found) if found else Row(*application, run, "none")
            for run, found in ((run, of(rows, application, run)) for run in RUNS)]
    return application + tuple(" -> ".join(str(getattr(each, name)) for each in runs)
                               for name in COLUMNS[4:9]) + (" -> ".join(map(kinds, runs)),)


def kinds(row):
    return ", ".join(f"{count} {kind}" for kind, count in sorted(row.errors.items())) or "0"
