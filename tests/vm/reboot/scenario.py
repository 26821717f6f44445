# SPDX-License-Identifier: BSD-2-Clause
# touches: spd enforce
# oracle: none, the restart ends the captures; what is left in the kernel is checked, not packets
# boots: 2
# run: conformance
"""
The machine restarts without a shutdown while latches and latchd's own policies are there.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2
    two transport-mode ESP SAs and policies of priority 100, made by hand and bound to c.example

    boot 1   a latched connection keeps its protection under a BYPASS by two policies of latchd's;
             then the kernel restarts (sysrq b)
    boot 2   with the changed files of the first: the kernel has no policy and no pin. The
             administrator's SPD is loaded, latchd starts with the same configuration: no latch, no
             policy of latchd's, and a new connection is latched
"""
import os
import time

from abi import LATCH_SPD_IN, LATCH_SPD_OUT, LATCH_STATE_ESTABLISHED
from checks import conforms, expect, run, until
from host import C, HOSTS, W, accept, sends, topology
from latchd import Latchd, attach
from maps import PIN, are, bind, bind_beside_latchd, connections, define, define_identity, latches_of

KEPT, BOOT = os.environ["LATCHD_KEPT"], int(os.environ["LATCHD_BOOT"])
PORT = 5004
RULES = f"""
[rule steadfast]
action = auto
protocol = tcp
remote-port = {PORT}
on-policy-change = protect
"""
BYPASS = (f"src {W.address}/32 dst {C.address}/32 proto tcp dport {PORT} dir out priority 1"
          " action allow")
# All that can be written on this root file system and is no memory file system on a real one.
DISK = "/etc /var"


def kept(name):
    return os.path.join(KEPT, name)


def keep(name, text):
    with open(kept(name), "w", encoding="utf-8") as file:
        file.write(text)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def boot_id():
    return read("/proc/sys/kernel/random/boot_id").strip()


def spd():
    return sorted(W.ip("-o xfrm policy").stdout.splitlines())


def own_policies():
    """Those of latchd are for one pair of ports."""
    return [line for line in spd() if f" dport {PORT} " in line and " sport " in line or
            f" sport {PORT} " in line and " dport " in line]


def load_administrators_configuration():
    for host in HOSTS:
        host.add_sas()
        for way, here, there in (("out", host, host.peer), ("in", host.peer, host)):
            host.add_policy(way, f"{here.address}/32", f"{there.address}/32", more="priority 100")


def controller():
    """Identities and SAs as a feed of latchd would report them."""
    define_identity(1, b"w.example")
    define_identity(2, b"c.example")
    define(7, 2)
    bind(7)


def latched_connection():
    listener = C.listen(PORT)
    client = W.connect(PORT)
    peer = accept(listener, "a connection is established")
    until(lambda: all(each.spd == LATCH_SPD_OUT | LATCH_SPD_IN for each in latches_of(PORT)),
          "latchd has seen that the SPD protects it")
    expect(are(PORT, LATCH_STATE_ESTABLISHED, 7), "both ends are latched")
    sends(client, peer, b"data", "data arrives")
    return client, peer


def restart():
    run(f"find {DISK} -xdev -type f -newer {kept('marker')} -print0"
        f" | tar --create --null --files-from=- --file={kept('disk.tar')} 2>/dev/null")
    keep("boot-again", "")
    os.sync()
    with open("/proc/sysrq-trigger", "w", encoding="ascii") as trigger:
        trigger.write("b")
    time.sleep(600)


def first():
    keep("marker", "")
    keep("boot_id", boot_id())
    attach()
    load_administrators_configuration()
    keep("spd", "\n".join(spd()))
    controller()
    latchd = Latchd("reboot", RULES)
    latchd.start()
    bind_beside_latchd(7)
    client, peer = latched_connection()
    W.ip(f"xfrm policy add {BYPASS}")
    until(lambda: len(own_policies()) == 2, "a BYPASS above: it has policies of its own, out and in")
    sends(client, peer, b"as protected as before", "its stream continues")
    expect(set(own_policies()).isdisjoint(read(kept("spd")).splitlines()),
           "the administrator's configuration has neither of them")
    expect(os.path.isdir(PIN) and connections() != [], "latches are in the pinned maps")
    restart()


def second():
    expect(boot_id() != read(kept("boot_id")), "another boot of the kernel")
    run(f"tar --extract --directory=/ --file={kept('disk.tar')}")
    expect(spd() == [] and run("ip -o xfrm policy").stdout == "", "the kernel has no policy")
    expect(not os.path.exists(PIN), "the kernel has no pin of latchd")
    attach()
    expect(connections() == [], "no latch is in the database")
    load_administrators_configuration()
    expect("\n".join(spd()) == read(kept("spd")), "the administrator's SPD is there, nothing else")
    controller()
    latchd = Latchd("reboot", RULES)
    latchd.start()
    expect([latch for latch in latchd.ask("list")["latches"] if latch["state"] != "listener"] == [],
           "latchd knows no latch")
    bind_beside_latchd(7)
    latched_connection()
    expect(own_policies() == [], "no policy of latchd's is left")
    expect("\n".join(spd()) == read(kept("spd")), "the SPD is the administrator's")
    latchd.stop()
    conforms("R-2-18", "a restart without shutdown under latches: no latch, pin or policy is left")
    conforms("L-2.3-5", "a restart under two latches: the database of the next boot has none")
    conforms("R-2.3-15", "policies for one connection did not survive the restart, the administrator's"
                         " were loaded")


topology()
(first if BOOT == 1 else second)()
