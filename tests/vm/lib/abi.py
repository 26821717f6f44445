# SPDX-License-Identifier: BSD-2-Clause
"""Constants and structures of latchd's maps, read from the BTF of the objects under test.

    from abi import LATCH_DROP_QOP, struct, entries

    LATCH_DROP_QOP                 an enumerator of any enum: an int that knows its name
    struct("latch_sa").size        a structure or union; members by their path in C
    struct("latch_sa").offset("word.params")
    entries("sas")                 max_entries in the definition of a map

Nothing here has a default: a name that the objects do not have is an error at once (Missing;
ImportError in a from-import). The objects are latchd.bpf.o, the scenario's argument, and
abi.bpf.o with the types that the compiler leaves out of it.
"""
import json
import os
import subprocess
import sys

AGGREGATES = ("STRUCT", "UNION")


class Missing(LookupError):
    """The objects under test have no such name."""


class Constant(int):
    """An enumerator: its value, and its name as bpftool prints it."""

    def __new__(cls, value, name):
        made = super().__new__(cls, value)
        made.name = name
        return made

    def __repr__(self):
        return self.name


class Layout:
    """Where the members of a structure are. Anonymous members have no part in a path."""

    def __init__(self, name, size, members, arrays):
        self.name, self.size, self.members, self.arrays = name, size, members, arrays

    def member(self, path):
        """(offset, size) in bytes"""
        if path not in self.members:
            raise Missing(f"struct {self.name} has no member {path}")
        return self.members[path]

    def offset(self, path):
        return self.member(path)[0]

    def get(self, data, path):
        """An integer; of an array its bytes."""
        offset, size = self.member(path)
        part = bytes(data[offset:offset + size])
        return part if path in self.arrays else int.from_bytes(part, sys.byteorder)

    def put(self, data, path, value):
        """Into a bytearray."""
        offset, size = self.member(path)
        if isinstance(value, int):
            value = int(value).to_bytes(size, sys.byteorder)
        if len(value) > size:
            raise ValueError(f"struct {self.name}: {path} has {size} bytes, not {len(value)}")
        data[offset:offset + size] = value.ljust(size, b"\0")

    def pack(self, values):
        """A whole structure of {path: value}; members that are not named are zero."""
        data = bytearray(self.size)
        for path, value in values.items():
            self.put(data, path, value)
        return data


class Btf:
    """The types of one object, as `bpftool -j btf dump file` prints them."""

    def __init__(self, types, origin):
        self.origin = origin
        self.by_id = {each["id"]: each for each in types}

    @classmethod
    def of_object(cls, path):
        done = subprocess.run(["bpftool", "-j", "btf", "dump", "file", path], text=True,
                              capture_output=True, check=False)
        if done.returncode:
            raise Missing(f"bpftool cannot read the BTF of {path}: "
                          f"{(done.stderr or done.stdout).strip()}")
        return cls(json.loads(done.stdout)["types"], path)

    def named(self, kinds, name):
        return next((each for each in self.by_id.values()
                     if each["kind"] in kinds and each["name"] == name), None)

    def constants(self):
        return {value["name"]: value["val"] for each in self.by_id.values()
                if each["kind"] == "ENUM" for value in each["values"]}

    def resolved(self, number):
        """Through typedefs and qualifiers."""
        found = self.by_id[number]
        while found["kind"] in ("TYPEDEF", "CONST", "VOLATILE"):
            found = self.by_id[found["type_id"]]
        return found

    def size(self, number):
        found = self.resolved(number)
        if found["kind"] == "PTR":
            return 8
        if found["kind"] == "ARRAY":
            return found["nr_elems"] * self.size(found["type_id"])
        return found["size"]

    def layout(self, name):
        found = self.named(AGGREGATES, name)
        if not found:
            return None
        members, arrays = {}, set()
        self.collect(found, "", 0, members, arrays)
        return Layout(name, found["size"], members, arrays)

    def collect(self, aggregate, prefix, base, members, arrays):
        for member in aggregate["members"]:
            if member.get("bitfield_size"):
                continue
            offset = base + member["bits_offset"] // 8
            inner = self.resolved(member["type_id"])
            path = prefix
            if member["name"] != "(anon)":
                path = prefix + ("." if prefix else "") + member["name"]
                members[path] = (offset, self.size(member["type_id"]))
                if inner["kind"] == "ARRAY" or inner["kind"] in AGGREGATES:
                    arrays.add(path)
            if inner["kind"] in AGGREGATES:
                self.collect(inner, path, offset, members, arrays)

    def entries(self, name):
        """__uint(max_entries, N) is a pointer to an array of N."""
        variable = self.named(("VAR",), name)
        if not variable:
            return None
        for member in self.resolved(variable["type_id"])["members"]:
            if member["name"] == "max_entries":
                return self.by_id[self.by_id[member["type_id"]]["type_id"]]["nr_elems"]
        return None


class Abi:
    """The first object that has a name decides; a second one must not contradict it."""

    def __init__(self, *objects):
        self.objects, self.values, self.layouts = objects, {}, {}
        for each in objects:
            for name, value in each.constants().items():
                if self.values.setdefault(name, value) != value:
                    raise Missing(f"{name} is {self.values[name]}, and {value} in {each.origin}")

    def found(self, what, answers):
        answer = next((answer for answer in answers if answer is not None), None)
        if answer is None:
            raise Missing(f"no {what} in the BTF of " + ", ".join(o.origin for o in self.objects))
        return answer

    def constant(self, name):
        return Constant(self.found(f"enumerator {name}", [self.values.get(name)]), name)

    def struct(self, name):
        if name not in self.layouts:
            self.layouts[name] = self.found(f"struct {name}",
                                            (each.layout(name) for each in self.objects))
        return self.layouts[name]

    def entries(self, name):
        return self.found(f"map {name}", (each.entries(name) for each in self.objects))


_abi = None


def current():
    """Of the object that the scenario was given; read once."""
    global _abi
    if _abi is None:
        product = sys.argv[1]
        tests = os.path.join(os.path.dirname(product), "../tests/vm/abi.bpf.o")
        _abi = Abi(Btf.of_object(product), Btf.of_object(tests))
    return _abi


def constant(name):
    return current().constant(name)


def struct(name):
    return current().struct(name)


def entries(name):
    return current().entries(name)


def __getattr__(name):
    if not name.isupper():
        raise AttributeError(name)
    try:
        return current().constant(name)
    except Missing as error:
        raise AttributeError(str(error)) from error
