# SPDX-License-Identifier: BSD-2-Clause
"""What the leak oracle reads of a program's hosts: captures, and the flows that it checks.

    watch()                 after the devices exist, before SAs and flows; the harness stops it
    register(W, client)     this end is protected and is to stay so: the oracle checks its host's packets
    register_pair(client, peer, "for C")
                            both ends, at W and at C: what they send, receive and report is left for the
                            oracle, too, and W's text is nowhere in clear
    alias("w1", ...)        other addresses of a flow (SCTP paths)

The oracle compares its findings with the scenario's "expect:" line. It takes no other packets for a
leak: not those of an end that is not registered, nor frames of a MAC that no watched host has.
With two hosts none can be "decrypted": each is an end of every flow.
"""
import errno
import os
import socket
import subprocess
import time
import weakref

from checks import FOLDER
from host import C, HOSTS, W

IPPROTO_SCTP = 132
numbers = {}
tags = weakref.WeakKeyDictionary()  # of the sockets of pairs


def watch(*hosts):
    names = [f"{host.name}={host.name}" for host in hosts or HOSTS]
    # Not by run(): the captures keep its output open.
    done = subprocess.run([os.path.join(os.path.dirname(__file__), "watch"), *names], check=False)
    if done.returncode:
        raise SystemExit(f"watch {' '.join(names)}: exit status {done.returncode}")


def protocol_of(sock):
    if sock.type == socket.SOCK_DGRAM:
        return "udp"
    return "sctp" if sock.proto == IPPROTO_SCTP else "tcp"


class Recorded(socket.socket):
    """A socket of a pair. Without members of its own, so that a socket can become one."""
    __slots__ = ()

    def send(self, data, *flags):
        count = self.reporting(super().send, data, *flags)
        self.leave("sent", data[:count])
        return count

    def recv(self, size, *flags):
        data = self.reporting(super().recv, size, *flags)
        if data:
            self.leave("recv", data)
        else:
            self.event("eof")
        return data

    def getsockopt(self, level, option, *size):
        value = super().getsockopt(level, option, *size)
        if (level, option) == (socket.SOL_SOCKET, socket.SO_ERROR) and value:
            self.event("error stream " + errno.errorcode[value])
        return value

    def reporting(self, call, *arguments):
        try:
            return call(*arguments)
        except BlockingIOError:
            raise
        except OSError as error:
            self.event("error stream " + errno.errorcode[error.errno])
            raise

    def leave(self, kind, data):
        """Messages have a line each."""
        append(f"{tags[self]}.{kind}", data + (b"" if protocol_of(self) == "tcp" else b"\n"))

    def event(self, words):
        append(f"{tags[self]}.events", f"{time.time():.3f} {words}\n".encode())


def register(host, sock, sends="-", expects="-"):
    """The host's end of a connected socket; returns its tag."""
    local, remote = sock.getsockname(), sock.getpeername()
    numbers[host] = numbers.get(host, 0) + 1
    tag = f"{host.name}{numbers[host]}"
    leave("flows", tag, host.name, host.peer.name, *local[:2], *remote[:2], sends, expects, protocol_of(sock))
    return tag


def register_pair(client, peer, text="-"):
    """The ends at W and at C, before either has sent; text: a part of all that W sends. Returns their tags."""
    found = register(W, client, sends=text), register(C, peer, expects=text)
    for sock, tag in zip((client, peer), found):
        sock.__class__, tags[sock] = Recorded, tag
        sock.event("connected")
        for kind in ("sent", "recv"):
            append(f"{tag}.{kind}", b"")
    return found


def alias(tag, local, local_port, remote, remote_port):
    leave("aliases", tag, local, local_port, remote, remote_port)


def leave(name, *columns):
    append(name, ("\t".join(map(str, columns)) + "\n").encode())


def append(name, data):
    os.makedirs(os.path.join(FOLDER, "apps"), exist_ok=True)
    with open(os.path.join(FOLDER, "apps", name), "ab") as file:
        file.write(data)
