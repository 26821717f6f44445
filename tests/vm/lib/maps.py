# SPDX-License-Identifier: BSD-2-Clause
"""latchd's pinned maps: latches, SAs, drops, and the tables that latchd writes."""
import os
import zlib

import abi
from bpf import Map
from checks import run_json, until
from host import GCM_NAME

PIN = f"/sys/fs/bpf/latchd/v{abi.ABI_VERSION:d}"
IPPROTO_ESP = 50


def path(name):
    return f"{PIN}/maps/{name}"


def open_map(name):
    return Map(path(name))


def dump(name):
    """As an administrator reads it."""
    return run_json(f"bpftool -j map dump pinned {path(name)}")


def update(name, key, value):
    with open_map(name) as found:
        found.update(key, value)


def delete(name, key):
    with open_map(name) as found:
        found.delete(key)


def index(number):
    """Key of an array."""
    return number.to_bytes(4, "little")


def forget_passes():
    """After a write into a map: the programs would have advanced an epoch (bpf/db/epochs.h).

    The first word counts for all flows. Its upper half, so that no advance is lost in the lower one.
    """
    with open_map("flow_epochs") as epochs:
        value = bytearray(epochs.value(index(0)))
        value[4:8] = (int.from_bytes(value[4:8], "little") + 1).to_bytes(4, "little")
        epochs.update(index(0), value)


class Row:
    """An entry of a map: the bytes of its key and value, and their members by name."""

    table = key_layout = layout = None

    def __init__(self, key, value):
        self.raw_key, self.raw_value = bytearray(key), bytearray(value)

    @classmethod
    def all(cls):
        with open_map(cls.table) as found:
            return [cls(*row) for row in found.rows()]

    def get(self, member):
        return abi.struct(self.layout).get(self.raw_value, member)

    def key(self, member):
        return abi.struct(self.key_layout).get(self.raw_key, member)

    def store(self, **members):
        """Writes the entry, with new values of these members of its word."""
        for name, value in members.items():
            abi.struct(self.layout).put(self.raw_value, "word." + name, value)
        update(self.table, self.raw_key, self.raw_value)
        forget_passes()

    def forget(self):
        delete(self.table, self.raw_key)
        forget_passes()


class Latch(Row):
    table, key_layout, layout = "latches", "latch_flow", "latch"

    state = property(lambda self: self.get("word.state"))
    reasons = property(lambda self: self.get("word.reasons"))
    params = property(lambda self: self.get("word.params"))
    direction = property(lambda self: self.get("direction"))
    owner = property(lambda self: self.get("owner"))
    spd = property(lambda self: self.get("spd"))
    drops = property(lambda self: self.get("drops"))
    spawned = property(lambda self: self.get("spawned"))
    association = property(lambda self: self.get("association"))
    netns = property(lambda self: self.key("netns"))
    local_port = property(lambda self: self.key("local_port"))
    remote_port = property(lambda self: self.key("remote_port"))
    is_listener = property(lambda self: self.state == abi.LATCH_STATE_LISTENER)

    def address(self, end):
        """end: local_addr or remote_addr; 16 bytes"""
        return self.key(end)

    def __repr__(self):
        return (f"{self.local_port}-{self.remote_port} state {self.state} reasons {self.reasons:#x}"
                f" params {self.params} owner {self.owner} association {self.association}"
                f" drops {self.drops}")


class Sa(Row):
    table, key_layout, layout = "sas", "latch_sa_key", "latch_sa"

    state = property(lambda self: self.get("word.state"))
    serial = property(lambda self: self.get("word.serial"))
    spi = property(lambda self: self.key("spi"))
    netns = property(lambda self: self.key("netns"))
    source = property(lambda self: self.get("saddr"))

    def addresses(self):
        """{source, destination}, each of 16 bytes"""
        return {self.source, self.key("daddr")}

    def bind(self, params):
        self.store(params=params, state=abi.LATCH_SA_BOUND)


# ---- latches


def connections():
    """All latches but those of listeners."""
    return [latch for latch in Latch.all() if not latch.is_listener]


def listeners():
    return [latch for latch in Latch.all() if latch.is_listener]


def latches_of(port):
    return [latch for latch in connections() if port in (latch.local_port, latch.remote_port)]


def are(port, state, params):
    """True if both ends of the connection have latches with this state and these params."""
    found = latches_of(port)
    return len(found) == 2 and all(latch.state == state and latch.params == params
                                   for latch in found)


def forget_latch_of_listener(port):
    """Deletes the latch, as the reaper does for a handshake without a request socket."""
    for latch in Latch.all():
        if latch.local_port == port and latch.remote_port:
            latch.forget()


# ---- SAs


def bind(params):
    """Binds every SA to these params, in place of latchd."""
    for sa in Sa.all():
        sa.bind(params)


def bind_beside_latchd(params):
    """latchd makes the SAs orphans first: no feed of its configuration has reported them."""
    until(lambda: all(sa.state == abi.LATCH_SA_ORPHAN for sa in Sa.all()),
          "latchd has marked the SAs of a feed that it does not have")
    bind(params)


def forget_sas():
    """Empties the table without the programs' knowledge; returns the SAs that were in it."""
    found = Sa.all()
    for sa in found:
        sa.forget()
    return found


def with_checksum(layout, values):
    """CRC-32 of all before the checksum."""
    made = layout.pack(values)
    layout.put(made, "checksum", zlib.crc32(made[:layout.offset("checksum")]))
    return made


def define(params, peer, cipher=GCM_NAME, **more):
    """Params of this peer, of transport-mode ESP. latchd checks the checksum, the programs do not."""
    layout = abi.struct("latch_params")
    values = {"local_id": 1, "peer_id": peer, "protocol": IPPROTO_ESP, "qop.encryption": cipher,
              "qop.encryption_bits": 160, "qop.icv_bits": 128, "qop.replay_protection": 1}
    update("params", index(params), with_checksum(layout, dict(values, **more)))


def define_identity(number, text):
    layout = abi.struct("latch_identity")
    update("identities", index(number),
           with_checksum(layout, {"authority": b"manual", "id": text, "auth": 1}))


# ---- counters and settings


def dropped(reason):
    """(sent, received) packets that were dropped for this reason"""
    count = abi.struct("latch_drop_count")
    with open_map("drops") as found:
        rows = found.per_cpu(index(reason))
    return [sum(count.get(cpu, way) for cpu in rows) for way in ("egress", "ingress")]


def drops(reason):
    return sum(dropped(reason))


def counter(number):
    with open_map("counters") as found:
        return sum(int.from_bytes(cpu, "little") for cpu in found.per_cpu(index(number)))


def set_pending_limit(nanoseconds):
    with open_map("settings") as settings:
        value = bytearray(settings.value(index(0)))
        abi.struct("latch_settings").put(value, "pending_limit", nanoseconds)
        settings.update(index(0), value)


def pins(folder):
    return os.path.join(PIN, folder)
