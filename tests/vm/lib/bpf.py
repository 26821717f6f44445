# SPDX-License-Identifier: BSD-2-Clause
"""Pinned BPF maps by system call: a scenario reads them hundreds of times, and bpftool takes a second.

    with Map("/sys/fs/bpf/.../sas") as sas:
        for key, value in sas.rows(): ...
        sas.update(key, value)

Keys and values are bytes. The value of a per-CPU map is that of all processors, one after another.
"""
import ctypes
import errno
import os

SYS_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
# enum bpf_cmd of linux/bpf.h
MAP_LOOKUP, MAP_UPDATE, MAP_DELETE, MAP_NEXT_KEY, OBJ_GET, OBJ_INFO = 1, 2, 3, 4, 7, 15
PER_CPU_TYPES = (5, 6, 10)  # enum bpf_map_type
LIBC = ctypes.CDLL(None, use_errno=True)


class ElementAttr(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_uint32), ("key", ctypes.c_uint64), ("value", ctypes.c_uint64),
                ("flags", ctypes.c_uint64)]


class ObjectAttr(ctypes.Structure):
    _fields_ = [("path", ctypes.c_uint64), ("fd", ctypes.c_uint32), ("flags", ctypes.c_uint32)]


class InfoAttr(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_uint32), ("length", ctypes.c_uint32), ("info", ctypes.c_uint64)]


class MapInfo(ctypes.Structure):
    """The first members of struct bpf_map_info."""
    _fields_ = [(name, ctypes.c_uint32) for name in ("type", "id", "key_size", "value_size")]


def call(command, attr):
    """The result, 0 or a descriptor."""
    result = LIBC.syscall(SYS_BPF, command, ctypes.byref(attr), ctypes.sizeof(attr))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))
    return result


def possible_cpus():
    """The kernel counts from 0 on: "0-3"."""
    with open("/sys/devices/system/cpu/possible", encoding="ascii") as file:
        return int(file.read().strip().split("-")[-1]) + 1


def stride(size):
    """A processor's part of a per-CPU value."""
    return (size + 7) // 8 * 8


class Map:
    def __init__(self, path):
        text = ctypes.create_string_buffer(os.fsencode(path))
        try:
            self.fd = call(OBJ_GET, ObjectAttr(path=ctypes.addressof(text)))
        except OSError as error:
            raise SystemExit(f"{path}: {error.strerror}") from error
        self.path, info = path, MapInfo()
        call(OBJ_INFO, InfoAttr(self.fd, ctypes.sizeof(info), ctypes.addressof(info)))
        self.key_size, self.size = info.key_size, info.value_size
        self.cpus = possible_cpus() if info.type in PER_CPU_TYPES else 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def element(self, command, key, value=None):
        attr = ElementAttr(fd=self.fd, key=ctypes.addressof(key) if key else 0,
                           value=ctypes.addressof(value) if value else 0)
        return call(command, attr)

    def bytes_of(self, data, size):
        if len(data) != size:
            raise ValueError(f"{self.path}: {size} bytes, not {len(data)}")
        return ctypes.create_string_buffer(bytes(data), size)

    def next_key(self, key):
        """The key behind this one, None behind the last."""
        found = ctypes.create_string_buffer(self.key_size)
        try:
            self.element(MAP_NEXT_KEY, key and self.bytes_of(key, self.key_size), found)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return found.raw

    def value(self, key):
        """None without such an entry."""
        found = ctypes.create_string_buffer(stride(self.size) * self.cpus if self.cpus else self.size)
        try:
            self.element(MAP_LOOKUP, self.bytes_of(key, self.key_size), found)
        except OSError as error:
            if error.errno == errno.ENOENT:
                return None
            raise
        return found.raw

    def rows(self):
        """All (key, value). A hash starts again behind a key that was deleted meanwhile."""
        seen, key = {}, self.next_key(None)
        while key is not None and key not in seen:
            seen[key] = self.value(key)
            key = self.next_key(key)
        return [(key, value) for key, value in seen.items() if value is not None]

    def update(self, key, value):
        self.element(MAP_UPDATE, self.bytes_of(key, self.key_size), self.bytes_of(value, self.size))

    def delete(self, key):
        self.element(MAP_DELETE, self.bytes_of(key, self.key_size))

    def per_cpu(self, key):
        """The processors' values."""
        whole, step = self.value(key), stride(self.size)
        return [whole[at * step:at * step + self.size] for at in range(self.cpus)]
