# SPDX-License-Identifier: BSD-2-Clause
"""What the leak oracle reads of a program's hosts: captures, and the flows that it checks.

    watch()                 after the devices exist, before SAs and flows; the harness stops it
    register(W, client)     this end is protected and is to stay so: the oracle checks its host's packets
    alias("w1", ...)        other addresses of a flow (SCTP paths)

The oracle compares its findings with the scenario's "expect:" line. It takes no other packets for a
leak: not those of an end that is not registered, nor frames of a MAC that no watched host has.
"""
import os
import socket
import subprocess

from checks import FOLDER
from host import HOSTS

IPPROTO_SCTP = 132
numbers = {}


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


def register(host, sock):
    """The host's end of a connected socket; returns its tag."""
    local, remote = sock.getsockname(), sock.getpeername()
    numbers[host] = numbers.get(host, 0) + 1
    tag = f"{host.name}{numbers[host]}"
    leave("flows", tag, host.name, host.peer.name, *local[:2], *remote[:2], "-", "-", protocol_of(sock))
    return tag


def alias(tag, local, local_port, remote, remote_port):
    leave("aliases", tag, local, local_port, remote, remote_port)


def leave(name, *columns):
    os.makedirs(os.path.join(FOLDER, "apps"), exist_ok=True)
    with open(os.path.join(FOLDER, "apps", name), "a", encoding="utf-8") as file:
        file.write("\t".join(map(str, columns)) + "\n")
