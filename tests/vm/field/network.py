# SPDX-License-Identifier: BSD-2-Clause
"""A network of a field scenario: its hosts, their tunnels and applications, and one run of it.

A file in networks/ draws its topology and has network(), which returns a Network. It may have more:

    gateway     the host at which charon restarts and the policies are flushed (the first one)
    setup       called with the network when its hosts are there: devices
    prepare     called with the network when its tunnels are up: servers and routes that need them
    finish      called at the end of a run, also of a run that failed
    parts       applications and servers of traffic.py, in the order in which they begin
    addresses   of a node, on its loopback device
    rules       sections of latchd.conf
    of_key_manager  of a phase the kind of error that the key manager itself causes
    latched     so many latches must be established with latchd, or the comparison shows nothing
"""
import dataclasses
import json
import os
import shutil
import time

from checks import FOLDER, expect, run
from comparison import RUNS, of_key_manager
from disturbances import ALL
from host import GCM
from latchd import Latchd
from node import stop, wait_for
from traffic import Engine

STARTED = time.monotonic()
BEGIN_LIMIT = 120
EVIDENCE = ("latch-broken", "latch-refused")


class Network:
    def __init__(self, nodes, tunnels=(), parts=(), latched=0, setup=None, prepare=None, finish=None,
                 feed="", rules="", phases=ALL, addresses=None, of_key_manager=None):
        self.nodes, self.tunnels, self.parts, self.latched = nodes, tunnels, parts, latched
        self.setup, self.prepare, self.finish = setup, prepare, finish
        self.feed, self.rules, self.phases = feed, rules, phases
        self.addresses, self.of_key_manager = addresses or {}, of_key_manager or {}
        self.gateway = nodes[0]
        self.latchd = None

    def with_charon(self):
        return [node for node in self.nodes if node.connections]

    def tunnels_of_gateway(self):
        return [tunnel for tunnel in self.tunnels if self.gateway in (tunnel.node, tunnel.peer)]

    def part(self, name):
        return next(part for part in self.parts if getattr(part, "name", None) == name)

    # ---- hosts

    def create(self):
        commands = ["netns add wire"] + [f"netns add {node.name}" for node in self.nodes]
        batch("", commands)
        batch("-n wire", ["link add br0 type bridge mcast_snooping 0", "link set br0 up"])
        warm_up()
        for node in self.nodes:
            os.makedirs(node.folder, exist_ok=True)
            batch("-n wire", [f"link add name {node.name} type veth peer name eth0 netns {node.name}",
                              f"link set dev {node.name} master br0 up"])
            batch(f"-n {node.name}", ["link set lo up", f"addr add {node.address}/24 dev eth0",
                                      "link set eth0 up"] +
                  [f"addr add {address}/32 dev lo" for address in self.addresses.get(node, ())])

    def remove(self):
        if self.finish:
            self.finish(self)
        for node in self.nodes:
            node.stop_programs()
        for name in ["wire"] + [node.name for node in self.nodes]:
            run(f"ip netns pids {name} | xargs -r kill -9", check=False)
            run(f"ip netns del {name}", check=False)

    # ---- tunnels

    def start_charons(self):
        for node in self.with_charon():
            node.configure()
            node.start_charon()
        for node in self.with_charon():
            node.load()
        for tunnel in self.tunnels:
            tunnel.initiate()

    # ---- latchd

    def start_latchd(self):
        feeds = "".join(f"\n[feed {node.name}]\ntype = vici\nsocket = {node.socket}\n{self.feed}"
                        for node in self.with_charon())
        self.latchd = Latchd("latchd", self.rules, more=feeds, latches=1024)
        self.latchd.start()

    def latches(self):
        return [latch for latch in self.latchd.ask("list")["latches"] if latch["state"] == "established"]

    def must_be_latched(self):
        if self.latchd and self.latched:
            wait_for(lambda: len(self.latches()) >= self.latched,
                     f"{self.latched} latches are established")

    def leave_evidence(self):
        if not self.latchd:
            return
        for event in EVIDENCE:
            for found in self.latchd.events(event)[:20]:
                print(json.dumps(found), flush=True)
        for verb in ("status", "list", "sa"):
            with open(self.latchd.path(f"{verb}.json"), "w", encoding="utf-8") as file:
                json.dump(self.latchd.ask(verb), file, indent=1)
        stop(self.latchd.process)

    # ---- a run

    def measure(self, name, which):
        """One run. which: "without" or "with"; returns its rows."""
        self.create()
        if self.setup:
            self.setup(self)
        if which == "with":
            self.start_latchd()
        self.start_charons()
        say(f"{which} latchd: the tunnels are up")
        if self.prepare:
            self.prepare(self)
        engine = Engine(self.parts)
        engine.start()
        try:
            engine.begun(BEGIN_LIMIT)
            rows = [row for phase in self.phases for row in self.phase(engine, name, which, *phase)]
        finally:
            engine.stop()
        self.leave_evidence()
        return rows

    def phase(self, engine, name, which, phase, disturb):
        say(f"{which} latchd: {phase}")
        disturb(self)
        engine.settle()
        if phase == "calm":
            self.must_be_latched()
        rows = [dataclasses.replace(row, network=name, run=which, phase=phase)
                for row in engine.end_of_phase()]
        return [of_key_manager(row, self.of_key_manager.get(phase)) for row in rows]


def say(text):
    print(f"[{time.monotonic() - STARTED:6.1f}] {text}", flush=True)


def warm_up():
    """The first SA of a kernel loads and tests its ciphers, which takes longer than IKE waits here."""
    run(f"ip -n wire xfrm state add src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x1001 mode transport {GCM}")
    run("ip -n wire xfrm state flush")


def batch(options, commands):
    run(f"ip {options} -batch - <<'EOF'\n" + "\n".join(commands) + "\nEOF")


def both_runs(name, make):
    """Each run has a new network; what it left stays in the folder of that name."""
    rows = []
    for which in RUNS:
        network = make()
        try:
            rows += network.measure(name, which)
        finally:
            network.remove()
            keep(network, which)
        expect(True, f"the run {which} latchd is complete")
    return rows


def keep(network, which):
    folder = os.path.join(FOLDER, which)
    os.makedirs(folder, exist_ok=True)
    for node in filter(lambda node: os.path.exists(node.folder), network.nodes):
        shutil.move(node.folder, os.path.join(folder, node.name))
    shutil.rmtree("/sys/fs/bpf/latchd", ignore_errors=True)
