#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""An application that asks its own socket for its latch, without a library and without privileges.

	ask.py serve ADDR PORT | connect ADDR PORT | udp ADDR PORT PEER PORT | late ADDR PORT PEER PORT

One JSON object a line, ten times a second: what the socket answers, and each new error or end of
file. It goes on asking when the connection has ended, until it is killed. A UDP socket sends from
SIGUSR1 on: what it receives before it is connected may be of any host. late connects only when it has
received a datagram, which it has not read.
"""
import errno
import json
import os
import select
import signal
import socket
import struct
import sys
import time

SOL_LATCH = 0x4C41
STATE, INFO, PEER_ID, LOCAL_ID, CONNECTION = range(1, 6)
LAYOUT = struct.Struct("=IIBBBBBBBBIHHHHIQQQQ16s16s16s16sHHHHBB2xI32s32s")
NAMES = (
    "size abi state why reasons direction mode protocol esn replay flags encryption_bits "
    "integrity_bits icv_bits pad peer_number latch age changed dropped local remote outer_local "
    "outer_remote local_port remote_port outer_local_port outer_remote_port family outer_family "
    "local_number encryption integrity"
).split()


def say(**members):
    print(json.dumps(members), flush=True)


def ask(sock, option, size):
    """The answer, or the name of the error."""
    try:
        return sock.getsockopt(SOL_LATCH, option, size) if size else sock.getsockopt(SOL_LATCH, option)
    except OSError as error:
        return errno.errorcode[error.errno]


def text(answer):
    return answer.decode() if isinstance(answer, bytes) else answer


def address(raw, family):
    if not family:
        return None
    return socket.inet_ntop(family, raw[:4] if family == socket.AF_INET else raw)


def info_of(sock):
    answer = ask(sock, INFO, LAYOUT.size)
    if isinstance(answer, str):
        return answer
    info = dict(zip(NAMES, LAYOUT.unpack(answer)))
    for name in ("local", "remote"):
        info[name] = address(info[name], info["family"])
        info["outer_" + name] = address(info["outer_" + name], info["outer_family"])
    for name in ("encryption", "integrity"):
        info[name] = info[name].rstrip(b"\0").decode()
    info["latch"] = f"{info['latch']:x}"
    return info


def answers(sock):
    return {
        "uid": os.getuid(),
        "state": ask(sock, STATE, 0),
        "peer": text(ask(sock, PEER_ID, 512)),
        "local": text(ask(sock, LOCAL_ID, 512)),
        "connection": text(ask(sock, CONNECTION, 64)),
        "info": info_of(sock),
    }


def use(sock, seen):
    """Sends and receives. Notes the first errors, and an end of file."""
    for name, call in (("send", lambda: sock.send(b"ask\n")), ("recv", lambda: sock.recv(4096))):
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
        server = socket.create_server((addr, port), family=family)
        say(listener=answers(server))
        return server.accept()[0]
    if kind == "connect":
        return socket.create_connection((addr, port), timeout=60)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.bind((addr, port))
    if kind == "late":
        say(bound=True)
        select.select([sock], [], [])
    sock.connect((arguments[3], int(arguments[4])))
    say(connected=True)
    signal.sigwait({signal.SIGUSR1})
    return sock


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    sock = opened(sys.argv[1:])
    sock.setblocking(False)
    seen = []
    while True:
        use(sock, seen)
        say(seen=seen, **answers(sock))
        time.sleep(0.1)


main()
