# SPDX-License-Identifier: BSD-2-Clause
# touches: db watch gate
# oracle: none, its connections start under unattributed SAs: it counts, and breaks no latch
"""
SAs and flows of other user namespaces have a share of the tables, not all of them.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2     of the host's user namespace
    a user namespace of its own with a network namespace: no address at all, but SAs

    1. SAs of that namespace: half of the table, then no more; the host's are recorded as before;
       an SA that the namespace deletes, or that ends with the namespace, is no longer counted
    2. connections under unattributed SAs are LARVAL; where those SAs are not the host's, or found
       no room, they may take a quarter of the table; one more continues unlatched; a latch that
       settles or ends is no longer counted
    3. connections between two namespaces of a user namespace of its own, under SAs made there,
       count there: the host's counters stay
"""
import subprocess

import abi
from abi import (LATCH_COUNTER_FOREIGN_SAS_OVER_QUOTA, LATCH_COUNTER_FOREIGN_UNLATCHED_PENDING,
                 LATCH_COUNTER_SAS_OVER_QUOTA, LATCH_COUNTER_UNLATCHED_PENDING,
                 LATCH_STATE_ESTABLISHED, LATCH_STATE_LARVAL)
from checks import expect, run, until
from host import C, GCM, Host, W, accept, protect, reset_on_close, sends, topology
from latchd import attach
from maps import (Sa, are, bind, counter, dump, forget_sas, index, latches_of, set_pending_limit, update)

LATCHES, SAS = 64, abi.entries("sas")


def clock():
    return dump("latch_clocks")[0]["formatted"]["value"]


def pretend(**members):
    """Sets the counters of latch_clock."""
    update("latch_clocks", index(0), abi.struct("latch_clock").pack(dict(clock(), **members)))


def over_quota():
    return counter(LATCH_COUNTER_FOREIGN_SAS_OVER_QUOTA)


def sa(verb, spi):
    keys = "" if verb == "delete" else f"reqid 1 mode transport {GCM}"
    return f"xfrm state {verb} src {W.address} dst {C.address} proto esp spi {spi:#x} {keys}"


def add_sa(ip, spi):
    run(f"{ip} {sa('add', spi)}")


def own_namespace():
    """A process in a new user namespace; ip as root there."""
    process = subprocess.Popen(["unshare", "--user", "--map-root-user", "--net", "sh", "-c",
                                "echo ready; exec sleep infinity"], stdout=subprocess.PIPE, text=True)
    process.stdout.readline()
    return process, f"nsenter --target {process.pid} --user --net --preserve-credentials ip"


def spis():
    return sorted(each.spi for each in Sa.all())


def of_other_users():
    process, ip = own_namespace()
    pretend(foreign_sas=SAS // 2 - 1)
    for spi in (0x101, 0x102, 0x103):
        add_sa(ip, spi)
    expect(spis() == [0x101], "of three SAs of another user namespace one finds room")
    expect(over_quota() == 2 and counter(LATCH_COUNTER_SAS_OVER_QUOTA) == 0,
           "the two others are counted, and not as the host's")
    add_sa("ip -n w", 0x1001)
    expect(spis() == [0x101, 0x1001], "an SA of the host finds room")
    run(f"{ip} {sa('delete', 0x101)}")
    expect(clock()["foreign_sas"] == SAS // 2 - 1, "a deleted SA is no longer counted")
    add_sa(ip, 0x104)
    expect(spis() == [0x104, 0x1001], "the next SA takes its place")
    run(f"{ip} {sa('update', 0x102)}")
    run(f"{ip} {sa('delete', 0x104)}")
    run(f"{ip} {sa('update', 0x102)}")
    expect(spis() == [0x1001] and clock()["foreign_sas"] == SAS // 2 - 1,
           "an edit of an SA that was not recorded records nothing")
    add_sa(ip, 0x104)
    process.kill()
    process.wait()
    until(lambda: spis() == [0x1001], "the namespace ends, and its SA leaves the table")
    expect(clock()["foreign_sas"] == SAS // 2 - 1, "this SA is no longer counted either")
    W.flush("state")


def connected(port):
    listener = C.listen(port)
    client = W.connect(port)
    return client, accept(listener, f"a connection to {port} is established")


def under_unattributed_sas():
    protect()
    set_pending_limit(1)
    held = [connected(5001)]
    expect(counter(LATCH_COUNTER_UNLATCHED_PENDING) > 0 and
           counter(LATCH_COUNTER_FOREIGN_UNLATCHED_PENDING) == 0, "it counts as the host's")
    expect(are(5001, LATCH_STATE_LARVAL, 0) and clock()["foreign_larvals"] == 0,
           "under the host's own unattributed SAs: larval at both ends and not counted")
    forgotten = forget_sas()
    pretend(foreign_larvals=LATCHES // 4 - 2)
    held.append(connected(5002))
    expect(are(5002, LATCH_STATE_LARVAL, 0) and clock()["foreign_larvals"] == LATCHES // 4,
           "under SAs that found no room: larval at both ends, and counted")
    held.append(connected(5003))
    expect(not latches_of(5003), "one connection too many continues unlatched")
    for each in forgotten:
        each.store()
    bind(7)
    sends(*held[1], b"attributed", "data arrives under the bound SA")
    until(lambda: are(5002, LATCH_STATE_ESTABLISHED, 7), "both latches are established, with params 7")
    expect(clock()["foreign_larvals"] == LATCHES // 4 - 2, "established latches are no longer counted")
    forget_sas()
    client, peer = connected(5004)
    expect(are(5004, LATCH_STATE_LARVAL, 0), "there is room for two more")
    reset_on_close(peer)
    peer.close()
    until(lambda: len(latches_of(5004)) == 1, "the end that is reset has no latch")
    expect(clock()["foreign_larvals"] == LATCHES // 4 - 1, "its latch is no longer counted")


def attach_name(name):
    """A network namespace of a new user namespace gets a name, as ip netns has it."""
    process, _ = own_namespace()
    run(f"ip netns attach {name} {process.pid}")
    return process


def of_local_users():
    ends = [Host("lw", "10.9.0.1", "fd09::1"), Host("lc", "10.9.0.2", "fd09::2")]
    ends[0].peer, ends[1].peer = reversed(ends)
    held = [attach_name(end.name) for end in ends]
    run("ip link add vlw netns lw type veth peer name vlc netns lc")
    for end in ends:
        end.ip(f"addr add {end.address}/24 dev {end.device}")
        end.ip(f"link set {end.device} up")
        end.add_sas()
        end.add_policies()
    before = counter(LATCH_COUNTER_UNLATCHED_PENDING)
    listener = ends[1].listen(5101)
    client = ends[0].connect(5101)
    held += [client, accept(listener, "a connection of another user namespace is established")]
    expect(counter(LATCH_COUNTER_FOREIGN_UNLATCHED_PENDING) >= 2 and
           counter(LATCH_COUNTER_UNLATCHED_PENDING) == before,
           "connections of local users have counters of their own")


topology()
attach()
of_other_users()
under_unattributed_sas()
of_local_users()
