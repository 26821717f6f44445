# SPDX-License-Identifier: BSD-2-Clause
"""The applications of a network, in one thread: each asks, waits for its answer and measures.

An answer's gap is the time since the answer before it; an application asks every INTERVAL seconds
whether or not it has its answers, as an interactive one does. An error has its kind: the errno, or
"timeout" if a connection is not made or answered within ANSWER_LIMIT.
"""
import collections
import errno
import selectors
import socket
import struct
import threading
import time

from comparison import EXCEPTED, Row
from host import family_of
from node import holds_within

INTERVAL = 0.1
ANSWER_LIMIT = 60
TICK = 0.05
IP_RECVERR = 11
# tcpi_total_retrans of struct tcp_info: behind eight bytes and 23 words.
TOTAL_RETRANSMISSIONS = 8 + 23 * 4
LATER = (errno.EAGAIN, errno.EINPROGRESS, errno.EINTR, errno.ENOTCONN)


class Application:
    def __init__(self, name, interval=INTERVAL):
        self.name, self.interval = name, interval
        self.asked = collections.deque()
        self.answered_of = self.last_answer = self.next_ask = 0.0
        self.is_broken = self.is_stalled = False
        self.counted = Row("", "", "", name)
        self.engine = None

    def begin(self, engine):
        self.engine = engine
        self.last_answer = self.next_ask = time.monotonic()
        self.open()

    def tick(self, now):
        if now >= self.next_ask:
            self.next_ask = now + self.interval
            self.ask(now)

    def answered(self, asked_at):
        now = time.monotonic()
        self.counted.answers += 1
        self.counted.gap_ms = max(self.counted.gap_ms, round((now - self.last_answer) * 1000))
        self.last_answer = now
        self.is_stalled = False
        self.answered_of = max(self.answered_of, asked_at)

    def error(self, kind):
        self.counted.errors[kind] += 1

    def breaks(self, kind):
        """The connection cannot go on."""
        self.error(kind)
        self.counted.broken += 1

    def retransmissions(self):
        """Up to now."""
        return 0

    def end_of_phase(self):
        """What was measured since the last phase; the time that passes without an answer counts, too."""
        waiting = round((time.monotonic() - self.last_answer) * 1000)
        row, self.counted = self.counted, Row("", "", "", self.name)
        row.gap_ms = max(row.gap_ms, waiting)
        return row

    def open(self):
        pass

    def ask(self, now):
        raise NotImplementedError

    def close(self):
        pass


class Stream(Application):
    """One long connection, made by connect(). An answer contains the mark once; text may be text(number)."""

    def __init__(self, name, connect, text=b"0123456789abcdef\n", mark=b"\n", interval=INTERVAL):
        super().__init__(name, interval)
        self.connect, self.text, self.mark = connect, text, mark
        self.pipe = self.last_count = self.number = 0
        self.rest = b""

    def open(self):
        self.pipe = self.connect()
        self.engine.watch(self.pipe, self.readable)

    def ask(self, now):
        if self.is_broken:
            return
        try:
            self.pipe.send(self.text(self.number) if callable(self.text) else self.text)
        except OSError as problem:
            self.failed(problem)
        else:
            self.number += 1
            self.asked.append(now)

    def readable(self):
        try:
            text = self.pipe.recv(65536)
        except OSError as problem:
            self.failed(problem)
            return
        if not text:
            self.lost_for_good("end of file")
        self.rest += text
        *answers, self.rest = self.rest.split(self.mark)
        for _ in answers:
            self.answered(self.asked.popleft() if self.asked else 0)

    def failed(self, problem):
        if problem.errno not in LATER:
            self.lost_for_good(errno.errorcode.get(problem.errno, str(problem)))

    def lost_for_good(self, kind):
        if not self.is_broken:
            self.is_broken = True
            self.breaks(kind)
            self.engine.forget(self.pipe)

    def retransmissions(self):
        return retransmissions_of(self.pipe) if hasattr(self.pipe, "getsockopt") else 0

    def end_of_phase(self):
        row = super().end_of_phase()
        now = self.retransmissions() if not self.is_broken else self.last_count
        row.retransmissions, self.last_count = now - self.last_count, now
        return row

    def close(self):
        self.engine.forget(self.pipe)
        self.pipe.close()


class Requests(Application):
    """A new connection for each question, one at a time."""

    def __init__(self, name, node, address, port, text=b"0123456789abcdef\n", mark=b"\n", local=None):
        super().__init__(name, 0.5)
        self.node, self.address, self.port, self.text, self.mark = node, address, port, text, mark
        self.local = local
        self.socket = None
        self.since, self.is_sent, self.have = 0.0, False, b""

    def ask(self, now):
        if self.socket is None:
            self.since, self.is_sent, self.have = now, False, b""
            self.socket = self.node.open_socket(family=family_of(self.address))
            if self.local:
                self.socket.bind((self.local, 0))
            self.must(lambda: self.socket.connect((self.address, self.port)))
            if self.socket:
                self.engine.watch(self.socket, self.readable, self.writable)
        elif now > self.since + ANSWER_LIMIT:
            self.end("timeout")

    def must(self, call):
        try:
            return call()
        except OSError as problem:
            if problem.errno not in LATER:
                self.end(errno.errorcode[problem.errno])
            return None

    def writable(self):
        problem = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if problem:
            self.end(errno.errorcode[problem])
        elif not self.is_sent:
            self.is_sent = True
            self.engine.watch(self.socket, self.readable)
            self.must(lambda: self.socket.send(self.text))

    def readable(self):
        text = self.must(lambda: self.socket.recv(65536))
        if text == b"":
            self.end("end of file")
        elif text:
            self.have += text
            if self.mark in self.have:
                self.answered(self.since)
                self.end()

    def end(self, kind=None):
        if kind:
            self.error(kind)
            self.counted.broken += self.is_sent
        if self.is_sent:
            self.counted.retransmissions += retransmissions_of(self.socket)
        self.close()

    def close(self):
        if self.socket:
            self.engine.forget(self.socket)
            self.socket.close()
        self.socket = None


class Datagrams(Application):
    """A connected UDP socket; an answer repeats the number of its question."""

    def __init__(self, name, node, address, port, reports_errors=False, question=None):
        super().__init__(name)
        self.node, self.address, self.port, self.reports_errors = node, address, port, reports_errors
        self.question = question or (lambda number: struct.pack("!H", number) + b"x" * 30)
        self.socket, self.number, self.open_questions = None, 0, {}

    def open(self):
        self.socket = self.node.open_socket(socket.SOCK_DGRAM, family_of(self.address))
        if self.reports_errors:
            self.socket.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        self.socket.connect((self.address, self.port))
        self.engine.watch(self.socket, self.readable)

    def ask(self, now):
        if self.is_broken:
            return
        self.number = (self.number + 1) & 0xFFFF
        self.open_questions[self.number] = now
        self.must(lambda: self.socket.send(self.question(self.number)))
        for number, since in list(self.open_questions.items()):
            if now > since + 2:
                self.counted.lost += 1
                del self.open_questions[number]

    def must(self, call):
        try:
            return call()
        except OSError as problem:
            if problem.errno not in LATER:
                kind = errno.errorcode[problem.errno]
                self.error(EXCEPTED if kind == "ENOBUFS" and self.reports_errors else kind)
                self.is_broken = problem.errno == errno.ECONNABORTED
                self.counted.broken += self.is_broken
            return None

    def readable(self):
        text = self.must(lambda: self.socket.recv(65536))
        if not text:
            self.engine.discard_errors(self.socket)
            return
        asked_at = self.open_questions.pop(struct.unpack("!H", text[:2])[0], None)
        if asked_at:
            self.answered(asked_at)

    def close(self):
        self.engine.forget(self.socket)
        self.socket.close()


def retransmissions_of(sock):
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TOTAL_RETRANSMISSIONS + 4)
    return struct.unpack_from("=I", info, TOTAL_RETRANSMISSIONS)[0]


class Echo:
    """A server that returns what it gets; TCP and UDP of one port. Its retransmissions are its clients'."""

    def __init__(self, node, port, address=None):
        self.node, self.port, self.address = node, port, address
        self.listener = self.datagrams = self.engine = None
        self.connections = set()

    def begin(self, engine):
        self.engine = engine
        self.listener = self.node.listen(self.port, self.address)
        self.datagrams = self.node.datagram_socket(self.port, self.address)
        engine.watch(self.listener, self.accept)
        engine.watch(self.datagrams, self.return_datagram)

    def accept(self):
        made = self.listener.accept()[0]
        made.setblocking(False)
        self.connections.add(made)
        self.engine.watch(made, lambda: self.return_text(made))

    def return_text(self, made):
        try:
            text = made.recv(65536)
            if text:
                made.send(text)
                return
        except OSError as problem:
            if problem.errno in LATER:
                return
        self.engine.forget(made)
        self.connections.discard(made)
        made.close()

    def return_datagram(self):
        try:
            text, address = self.datagrams.recvfrom(65536)
            self.datagrams.sendto(text, address)
        except OSError:
            self.engine.discard_errors(self.datagrams)

    def close(self):
        for each in (self.listener, self.datagrams, *self.connections):
            self.engine.forget(each)
            each.close()


class Engine:
    """Runs applications and servers in a thread of its own."""

    def __init__(self, parts):
        self.parts = parts
        self.applications = [part for part in parts if isinstance(part, Application)]
        self.selector, self.watched = selectors.DefaultSelector(), set()
        self.lock = threading.Lock()
        self.is_ending = False
        self.problem = None
        self.thread = threading.Thread(target=self.guarded, daemon=True)

    def watch(self, file, read, write=None):
        self.forget(file)
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if write else 0)
        self.selector.register(file, events, (read, write))
        self.watched.add(file)

    def forget(self, file):
        if file in self.watched:
            self.watched.remove(file)
            self.selector.unregister(file)

    @staticmethod
    def discard_errors(sock):
        """The error queue of a socket with IP_RECVERR stays readable."""
        try:
            sock.recv(65536, socket.MSG_ERRQUEUE)
        except OSError:
            pass

    def start(self):
        for part in self.parts:
            part.begin(self)
        self.thread.start()

    def guarded(self):
        try:
            while not self.is_ending:
                self.turn()
        except BaseException as problem:  # for the thread that waits
            self.problem = problem
            raise

    def turn(self):
        for key, events in self.selector.select(TICK):
            read, write = key.data
            with self.lock:
                if events & selectors.EVENT_WRITE and write and key.fileobj in self.watched:
                    write()
                if events & selectors.EVENT_READ and key.fileobj in self.watched:
                    read()
        with self.lock:
            for each in self.applications:
                each.tick(time.monotonic())

    def silent(self, since):
        """The applications without an answer to a question asked after that time that may still have one."""
        if self.problem:
            raise SystemExit(f"the applications' thread ended: {self.problem!r}")
        with self.lock:
            return [each for each in self.applications
                    if each.answered_of <= since and not each.is_broken and not each.is_stalled]

    def begun(self, limit):
        """An application that has no answer at the beginning shows nothing later."""
        since = time.monotonic()
        if not holds_within(limit, lambda: not self.silent(since)):
            names = ", ".join(each.name for each in self.silent(since))
            raise SystemExit(f"no answer within {limit} s: {names}")

    def settle(self, limit=ANSWER_LIMIT):
        """Waits for answers to what is asked from now on; without one a connection counts as broken."""
        since = time.monotonic()
        holds_within(limit, lambda: not self.silent(since))
        for each in self.silent(since):
            with self.lock:
                each.breaks("stalled")
                each.is_stalled = True

    def end_of_phase(self):
        with self.lock:
            return [each.end_of_phase() for each in self.applications]

    def stop(self):
        self.is_ending = True
        self.thread.join()
        for part in reversed(self.parts):
            part.close()
