#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-2-Clause
"""A server with news of its connections by latch.py, without privileges.

	news.py ADDR PORT

One JSON object a line: each item, with what the socket itself answers behind it; the end of latchd, and
the answers of all sockets when it has connected again. It never closes a connection.
"""
import json
import os
import select
import socket
import sys
import time

# The scenario puts it beside this program.
import latch


def say(**members):
    print(json.dumps(members), flush=True)


def state_of(sock):
    try:
        return latch.State(latch.state(sock)).name
    except OSError as error:
        return error.strerror


def listen(addr, port):
    server = socket.socket(socket.AF_INET6 if ":" in addr else socket.AF_INET)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((addr, port))
    server.listen()
    server.setblocking(False)
    return server


def opened(sockets):
    """A connection for news with all sockets, when latchd is there again."""
    while True:
        try:
            news = latch.News()
            for sock in sockets.values():
                news.add(sock, os.getpid())
            return news
        except OSError:
            time.sleep(0.1)


def subscribe(news, sock):
    """One that came while latchd was away has no news yet. If it is away again, opened() adds all."""
    try:
        news.add(sock, os.getpid())
    except OSError as error:
        say(not_added=error.strerror)


def accept_all(news, server, sockets):
    """News name a connection that may not be accepted yet."""
    while True:
        try:
            accepted, _ = server.accept()
        except BlockingIOError:
            return
        accepted.setblocking(False)
        sockets[latch.cookie(accepted)] = accepted
        subscribe(news, accepted)


def drain(sock):
    """True: the connection has ended."""
    try:
        return not sock.recv(65536)
    except BlockingIOError:
        return False
    except OSError:
        return True


def show_items(news, server, sockets):
    """One line for each item. EOFError: latchd is away."""
    while (item := news.read()) is not None:
        accept_all(news, server, sockets)
        sock = sockets.get(item.socket)
        say(item=item.event.name, why=item.why.name, mine=sock is not None, data=item.data == os.getpid(),
            latch=f"{item.latch:x}", state=state_of(sock) if sock else None)


def main():
    server = listen(sys.argv[1], int(sys.argv[2]))
    sockets, ended = {latch.cookie(server): server}, set()
    news = opened(sockets)
    say(uid=os.getuid(), ready=True)
    while True:
        waiting = [news, *(sock for sock in sockets.values() if sock not in ended)]
        for sock in select.select(waiting, [], [], 1)[0]:
            if sock not in (news, server) and drain(sock):
                ended.add(sock)
        accept_all(news, server, sockets)
        try:
            show_items(news, server, sockets)
        except EOFError:
            news.close()
            say(away=True)
            news = opened(sockets)
            say(again=True, states=sorted(state_of(sock) for sock in sockets.values()))


main()
