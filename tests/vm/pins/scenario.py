# SPDX-License-Identifier: BSD-2-Clause
# touches: enforce maps db
# oracle: none, it is about pins and links: no packet is sent
"""
The enforcement's pins over restarts, crashes and damage.

    /sys/fs/bpf/latchd ---- pins ---- programs ---- SAs of this namespace, one after another

SAs are added all the time; a moment without the programs would leave one out of the table.

    1. a first start that fails leaves nothing
    2. a first start attaches and pins every program once
    3. a killed controller changes nothing; the next one takes the maps over
    4. a start that fails changes nothing
    5. missing links, leftovers and links of other programs are repaired
    6. another cgroup, a removed cgroup
    7. killed in the middle of a start, again and again
    8. no SA was ever missed
"""
import functools
import os
import re
import select
import shutil
import subprocess
import threading

import checks
from abi import struct
from checks import CGROUP, conforms, expect, program, run, run_json
from host import C, GCM, W
from maps import PIN, delete, dump, pins, update

ROOT = os.path.dirname(PIN)
LINKS = pins("links")
until = functools.partial(checks.until, limit=120)


def links():
    return {link["id"]: link["prog_id"] for link in run_json("bpftool -j link show")}


def plain(pin):
    """The pin of a cgroup's link is NAME@ID."""
    return re.sub("@[0-9a-f]+", "", os.path.basename(pin))


def pins_of(name):
    return [f"{LINKS}/{pin}" for pin in os.listdir(LINKS) if plain(pin) == name]


def pinned():
    """name -> (link, program, cgroup) of every link that is pinned"""
    return {plain(pin): (link["id"], link["prog_id"], link.get("cgroup_id"))
            for link in run_json("bpftool -j -f link show")
            for pin in link.get("pinned", ()) if os.path.dirname(pin) == LINKS}


class Controller:
    def __init__(self, cgroup=CGROUP, latches=64, pending=5000):
        self.process = subprocess.Popen(
            [program("enforce"), cgroup, str(latches), str(pending)], text=True, bufsize=0,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def report(self):
        """([(name, hook, on)...], "new|adopted", capacity, on)"""
        programs = []
        for line in self.process.stdout:
            words = line.split()
            if words[0] in ("new", "adopted"):
                return programs, words[0], int(words[1]), words[2] == "on"
            programs.append((words[0], words[1], words[2] == "on"))
        raise SystemExit("enforce: " + self.process.stderr.read().strip())

    def ask(self):
        self.process.stdin.write("?")
        return self.report()

    def has_reported(self):
        return bool(select.select([self.process.stdout], [], [], 0)[0])

    def kill(self):
        self.process.kill()
        return self.process.communicate()[1]

    def leave(self):
        return self.process.communicate()[1]

    def failure(self):
        output, error = self.process.communicate()
        expect(self.process.returncode == 1 and not output, "the start fails")
        print("      " + error.strip())
        return error


def all_attached_once(report, what):
    programs, _, _, on = report
    expect(on and all(p[2] for p in programs), what + ": every program is on")
    pins = sorted(map(plain, os.listdir(LINKS)))
    expect(pins == sorted(pinned()) == sorted(p[0] for p in programs),
           f"each program has one pin, and there is no other pin: {set(pins) ^ {p[0] for p in programs} or ''}")
    until(lambda: set(links()) - BEFORE == {pin[0] for pin in pinned().values()},
          "no other link is attached")


def started_once(what, **how):
    controller = Controller(**how)
    all_attached_once(controller.report(), what)
    return controller


class Traffic(threading.Thread):
    """New SAs, one after another."""

    def __init__(self):
        super().__init__(daemon=True)
        self.added, self.going = [], True

    def run(self):
        while self.going:
            spi = 0x2000 + len(self.added)
            run(f"ip xfrm state add src {W.address} dst {C.address} proto esp spi {spi:#x}"
                f" mode transport {GCM}")
            self.added.append(spi)

    def end(self):
        self.going = False
        self.join()


def recorded():
    return {row["formatted"]["key"]["spi"]: row["value"] for row in dump("sas")}


def settings():
    return dump("settings")[0]["formatted"]["value"]


BEFORE = set(links())
# It adds the same SAs in each run, and no namespace of its own ends with them.
run("ip xfrm state flush")

failure = Controller(cgroup="/proc/self").failure()
expect("/proc/self" in failure and ";" in failure, "the error names the cgroup and a next step")
expect(not os.path.exists(ROOT), "no pin is left")
until(lambda: set(links()) == BEFORE, "nothing is attached")

first = Controller()
report = first.report()
all_attached_once(report, "first start")
expect(report[1:3] == ("new", 64), "the maps are new and have the configured capacity")
hooks = {hook for _, hook, _ in report[0]}
expect({"cgroup_skb/egress", "cgroup_skb/ingress", "sockops", "fentry/xfrm_state_add",
        "fexit/xfrm_state_add", "fentry/__xfrm_state_delete"} <= hooks, "all kinds of hooks")
expect(all(os.stat(d).st_mode & 0o777 == 0o700 for d in (ROOT, PIN, pins("maps"), LINKS)),
       "only root may use the directories")
expect({"latches", "sas", "params", "identities", "settings", "latch_clocks", "drops", "counters",
        "events", "verdicts"} <= set(os.listdir(pins("maps"))), "every map is pinned")
expect((settings()["pending_limit"], settings()["drop_event_interval"]) == (5000000000, 1000000000),
       "the settings are written")

traffic = Traffic()
traffic.start()
update("latches", b"\1" * struct("latch_flow").size, b"\2" * struct("latch").size)
latches = dump("latches")
until(lambda: len(traffic.added) > 2, "SAs are added")
before = pinned()
first.kill()
expect(pinned() == before, "a killed controller leaves everything attached")
seen = recorded()

second = Controller(latches=128, pending=7000)
report = second.report()
all_attached_once(report, "second start")
expect(report[1:3] == ("adopted", 64), "the maps were adopted, with their capacity")
after = pinned()
expect(all(before[n][1] != after[n][1] for n in after), "every program is the new one")
expect(all(before[n][0] == after[n][0] for n in after if after[n][2]),
       "the cgroup's links stayed and changed their programs")
expect(dump("latches") == latches, "the latches are the same")
expect(all(recorded()[spi] == value for spi, value in seen.items()), "the SAs are the same")
expect(settings()["pending_limit"] == 7000000000, "the settings are the new ones")
expect("128" in second.leave(), "a warning says that the capacity stays")

failure = Controller(cgroup="/proc/self", pending=9000).failure()
expect(pinned() == after, "a start that fails changes no link")
expect(settings()["pending_limit"] == 7000000000 and dump("latches") == latches,
       "a start that fails changes no map")

names = sorted(after)
functions = [n for n in names if not after[n][2]]
on_cgroup = [n for n in names if after[n][2]]
os.unlink(f"{LINKS}/{functions[0]}")
os.unlink(*pins_of(on_cgroup[0]))
os.rename(f"{LINKS}/{functions[1]}", f"{LINKS}/{functions[1]}+new")
run(f"bpftool link pin pinned {LINKS}/{functions[2]} {LINKS}/{functions[2]}+new")
doubled, = pins_of(on_cgroup[1])
run(f"bpftool link pin pinned {doubled} {doubled}+new")
run(f"bpftool link pin pinned {LINKS}/{functions[2]} {LINKS}/an_old_program")
healed = started_once("damaged pins")
# One of the removed hooks may be the one that adds SAs: from here on all of them count.
seen_from = len(traffic.added) + 1
healed.leave()

os.mkdir(CGROUP + "/part")
part = os.stat(CGROUP + "/part").st_ino
root = os.stat(CGROUP).st_ino
moved = started_once("another cgroup, with a latched connection", cgroup=CGROUP + "/part")
expect({pin[2] for pin in pinned().values()} == {None, root},
       "the links of the root stay for the connection, and none run twice")
delete("latches", b"\1" * struct("latch_flow").size)
until(lambda: moved.ask()[3] and {pin[2] for pin in pinned().values()} == {None, part},
      "without connections the links belong to the new cgroup alone")
os.rmdir(CGROUP + "/part")
until(lambda: not moved.ask()[3], "a removed cgroup: the enforcement is off")
programs = moved.ask()[0]
expect([hook for _, hook, on in programs if not on] ==
       [hook for name, hook, on in programs if name in on_cgroup], "its programs are off, and no other")
os.mkdir(CGROUP + "/part")
until(lambda: moved.ask()[3], "the cgroup returns: the enforcement is on")
os.rmdir(CGROUP + "/part")
until(lambda: not moved.ask()[3], "and off again")
moved.leave()
update("latches", b"\1" * struct("latch_flow").size, b"\2" * struct("latch").size)
started_once("back on the root").leave()

caught = 0
for _ in range(10):
    victim = Controller()
    while not any("+new" in n for n in os.listdir(LINKS)) and not victim.has_reported():
        pass
    victim.kill()
    caught += any("+" in n for n in os.listdir(LINKS))
print(f"      {caught} of 10 starts left an unfinished pin", flush=True)
expect(caught > 0, "starts were interrupted in the middle")
last = started_once("after all these starts")
until(lambda: len(traffic.added) > seen_from + 5, "SAs are still added")
traffic.end()
missed = set(traffic.added[seen_from:]) - set(recorded())
expect(not missed, f"none of {len(traffic.added) - seen_from} SAs was missed")
expect(dump("latches") == latches, "the latches are the same")
last.leave()
shutil.rmtree(ROOT)
until(lambda: set(links()) == BEFORE, "without pins nothing is attached")
conforms("R-2-16", "latchd killed in any moment of its start: no SA was missed")
