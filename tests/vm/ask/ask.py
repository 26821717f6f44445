#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""An application that asks its own socket for its latch by latch.py, without privileges.

	ask.py [--WISH[=TEXT]...] [--say=TEXT] serve ADDR PORT | connect ADDR PORT | held ADDR PORT |
	       udp|late|moved|loose ADDR PORT PEER PORT

One JSON object a line, ten times a second: what the socket answers, and each new error or end of
file. It goes on asking when the connection has ended, until it is killed. A UDP socket sends from
SIGUSR1 on: what it receives before it is connected may be of any host. late connects only when it has
received a datagram, which it has not read. moved connects elsewhere at a second SIGUSR1, and sends nothing
more. held wishes at once, and connects at SIGUSR1. WISH is require, peer, connection, local, tag, class, bits (of the
key), disposition or datagrams, of a TCP socket, and of the UDP socket of loose; a wish that is not taken ends the
program. loose never connects: it sends to the peer, and tells the error, and the different texts that it has read.
"""
import errno
import json
import os
import select
import signal
import socket
import sys
import time

# tests/vm/lib/asking.sh puts it beside this program.
import latch


def say(**members):
    print(json.dumps(members), flush=True)


def ask(question, sock):
    """The answer, or the name of the error."""
    try:
        return question(sock)
    except OSError as error:
        return errno.errorcode[error.errno]


def info_of(sock):
    info = ask(latch.info, sock)
    return info if isinstance(info, str) else info._replace(latch=f"{info.latch:x}")._asdict()


def key_of(party):
    """In hexadecimal digits; null: not known."""
    return party if isinstance(party, str) else party.key and party.key.hex()


def binding_of(sock):
    octets = ask(latch.binding, sock)
    return octets if isinstance(octets, str) else octets.hex()


def answers(sock):
    return {
        "uid": os.getuid(),
        "state": ask(latch.state, sock),
        "peer": ask(latch.peer, sock),
        "local": ask(latch.local, sock),
        "connection": ask(latch.connection, sock),
        "tags": ask(latch.tags, sock),
        "key": key_of(ask(latch.peer_party, sock)),
        "own_key": key_of(ask(latch.local_party, sock)),
        "binding": binding_of(sock),
        "info": info_of(sock),
    }


WISHES = {"require": lambda sock, text: latch.require(sock), "peer": latch.expect_peer,
          "connection": latch.expect_connection, "local": latch.expect_local,
          "tag": latch.expect_tag,
          "class": lambda sock, text: latch.expect_class(sock, latch.Class[text]),
          "bits": lambda sock, text: latch.expect_quality(sock, encryption_bits=int(text)),
          "datagrams": lambda sock, text: latch.datagrams(sock),
          "disposition": lambda sock, text: latch.disposition(sock, latch.Disposition[text])}
wishes, payload = [], b"ask\n"


def wish(sock):
    """False: the kernel has not taken one."""
    for name, text in wishes:
        error = ask(lambda sock, name=name, text=text: WISHES[name](sock, text), sock)
        if error:
            say(wish=error)
            sys.exit(1)


def options(arguments):
    """Of the command line; returns the others."""
    global payload
    while arguments[0].startswith("--"):
        name, _, text = arguments.pop(0)[2:].partition("=")
        if name == "say":
            payload = text.encode() + b"\n"
        else:
            wishes.append((name, text))
    return arguments


def connected(sock, address):
    """Also when it has failed: the socket is asked on."""
    begun, error = time.monotonic(), None
    say(connecting=True)
    try:
        (latch.connect if wishes else socket.socket.connect)(sock, address)
    except OSError as failure:
        error = errno.errorcode[failure.errno]
    say(connect=error, took=time.monotonic() - begun)
    return sock


def accepted(server):
    """Goes on when a connection is refused."""
    while True:
        try:
            return (latch.accept if wishes else socket.socket.accept)(server)[0]
        except OSError as failure:
            say(accept=errno.errorcode[failure.errno])
            time.sleep(0.1)


def use(sock, seen):
    """Sends and receives. Notes the first errors, and an end of file."""
    for name, call in (("send", lambda: sock.send(payload)), ("recv", lambda: sock.recv(4096))):
        try:
            if call() == b"" and sock.type == socket.SOCK_STREAM and "end of file" not in seen:
                seen.append("end of file")
        except BlockingIOError:
            pass
        except OSError as error:
            seen.append(f"{name} {errno.errorcode[error.errno]}")
            del seen[8:]


def opened(arguments):
    kind, addr, port = arguments[0], arguments[1], int(arguments[2])
    family = socket.AF_INET6 if ":" in addr else socket.AF_INET
    if kind == "serve":
        server = socket.socket(family)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((addr, port))
        wish(server)
        server.listen()
        say(listener=answers(server))
        return accepted(server)
    if kind in ("connect", "held"):
        sock = socket.socket(family)
        wish(sock)
        if kind == "held":
            say(held=True)
            signal.sigwait({signal.SIGUSR1})
        return connected(sock, (addr, port))
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((addr, port))
    if kind == "late":
        say(bound=True)
        select.select([sock], [], [])
    sock.connect((arguments[3], int(arguments[4])))
    say(connected=True)
    signal.sigwait({signal.SIGUSR1})
    return sock


def move(sock):
    """From the proven peer to this host, where nothing is sent."""
    while not signal.sigtimedwait({signal.SIGUSR1}, 0.1):
        use(sock, [])
        say(**answers(sock))
    sock.connect(("::1" if sock.family == socket.AF_INET6 else "127.0.0.1", 9))
    say(moved=True)


def loose(addr, port, peer, peer_port):
    """A UDP socket that is not connected, and has its wishes before it has a name."""
    sock = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET, socket.SOCK_DGRAM)
    heard = []
    wish(sock)
    sock.bind((addr, int(port)))
    sock.setblocking(False)
    while True:
        error = ask(lambda sock: sock.sendto(payload, (peer, int(peer_port))), sock)
        texts = []
        try:
            while True:
                texts.append(sock.recv(4096).decode().strip())
        except BlockingIOError:
            pass
        heard += sorted(set(texts) - set(heard))
        say(sent=error if isinstance(error, str) else None, heard=heard)
        time.sleep(0.1)


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    arguments = options(sys.argv[1:])
    if arguments[0] == "loose":
        loose(*arguments[1:])
    sock = opened(arguments)
    sock.setblocking(False)
    seen = []
    moved = arguments[0] == "moved"
    if moved:
        move(sock)
    while True:
        if not moved:
            use(sock, seen)
        say(seen=seen, **answers(sock))
        time.sleep(0.1)


main()
