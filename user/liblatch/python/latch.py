# SPDX-License-Identifier: BSD-2-Clause
"""Which authenticated peer is at the other end of a socket (RFC 5660), answered by the kernel.

    import latch

    if latch.state(connection) == latch.State.ESTABLISHED and latch.peer(connection) == "c.example":
        serve(connection)

Each function takes a socket, which stays the caller's, and asks the kernel once. No library and no
privilege is needed. latch(7) has the meaning of each answer. Of a UDP socket only what is
read after ESTABLISHED is the peer's.

Unavailable: no latchd serves this socket, and nothing is known. Other errors are those of latch(7):
OSError with ENODATA where there is nothing to tell, ENOSYS where this host does not know the question.
"""
import enum
import errno
import socket
import struct
from collections import namedtuple

SOL_LATCH = 0x4C41
OPT_STATE, OPT_INFO, OPT_PEER_ID, OPT_LOCAL_ID, OPT_CONNECTION = range(1, 6)
TEXT_MAX = 512


class Unavailable(OSError):
    """No latchd serves this socket, or not this kind of socket."""


class State(enum.IntEnum):
    """Only ESTABLISHED proves a peer that the connection has now."""
    NOT_LATCHED = 0
    LISTENER = 1
    LARVAL = 2
    ESTABLISHED = 3
    BROKEN = 4
    CLOSED = 5
    AUDITED = 6
    UNPROVEN = 7


class Why(enum.IntEnum):
    """Why not latched, or why no longer."""
    NONE = 0
    NOT_CONNECTED = 1
    NOT_YET = 2
    CLEAR = 3
    OLDER = 4
    RULE_OFF = 5
    REQUIRED = 6
    REFUSED = 7
    OTHER_SOCKET = 8
    NO_ROOM = 9
    UNATTRIBUTED = 16
    AUDIT = 17
    EARLIER_DATA = 18
    SA_CONFLICT = 32
    SPD_CHANGE = 33
    PEER_DEAD = 34
    PEER_REBOOTED = 35
    ADMIN = 36
    REFUSED_LATER = 37
    ENDED = 64
    REMOVED = 65


class Flag(enum.IntFlag):
    """Of Info.flags."""
    INDETERMINATE = 1 << 0
    AUDIT = 1 << 1
    ENCAPSULATED = 1 << 2
    GATEWAY = 1 << 3
    ABORTED = 1 << 4
    CHANGED = 1 << 5
    UNPROVEN = 1 << 6
    PEER_ENDED = 1 << 7


_LAYOUT = struct.Struct("=IIBBBBBBBBIHHHHIQQQQ16s16s16s16sHHHHBB2xI32s32s")

Info = namedtuple("Info", (
    "size abi state why reasons direction mode protocol esn replay_protection flags encryption_bits"
    " integrity_bits icv_bits pad peer_number latch age_ns changed_ns dropped local_addr remote_addr"
    " outer_local_addr outer_remote_addr local_port remote_port outer_local_port outer_remote_port"
    " family outer_family local_number encryption integrity"))
Info.__doc__ = """struct latch_info. Addresses are texts, or None; ports are numbers."""


def _ask(sock, option, size=0):
    try:
        return sock.getsockopt(SOL_LATCH, option, *([size] if size else []))
    except OSError as error:
        # IPv6 sockets have the second one.
        if error.errno in (errno.EOPNOTSUPP, errno.ENOPROTOOPT):
            raise Unavailable(error.errno, "no latchd answers for this socket") from None
        raise


def _known(names, number):
    """A later latchd may have more of them."""
    return names(number) if number in set(names) else number


def _address(raw, family):
    if not family:
        return None
    return socket.inet_ntop(family, raw[:4] if family == socket.AF_INET else raw)


def state(sock):
    """A State."""
    return _known(State, _ask(sock, OPT_STATE))


def info(sock):
    """An Info."""
    raw = Info(*_LAYOUT.unpack(_ask(sock, OPT_INFO, _LAYOUT.size)))
    changed = {name: _address(getattr(raw, name), family)
               for family, ends in ((raw.family, ("local_addr", "remote_addr")),
                                    (raw.outer_family, ("outer_local_addr", "outer_remote_addr")))
               for name in ends}
    changed.update({name: getattr(raw, name).rstrip(b"\0").decode() for name in ("encryption", "integrity")})
    return raw._replace(state=_known(State, raw.state), why=_known(Why, raw.why), flags=Flag(raw.flags),
                        **changed)


def _text(sock, option):
    return _ask(sock, option, TEXT_MAX).decode(errors="surrogateescape")


def peer(sock):
    """The peer's identity, chosen by the peer: compare all of it; escape it before it is shown."""
    return _text(sock, OPT_PEER_ID)


def local(sock):
    """This host's identity that the peer has authenticated."""
    return _text(sock, OPT_LOCAL_ID)


def connection(sock):
    """The key manager's name of the connection."""
    return _text(sock, OPT_CONNECTION)
