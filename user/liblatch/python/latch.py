# SPDX-License-Identifier: BSD-2-Clause
"""Which authenticated peer is at the other end of a socket (RFC 5660), answered by the kernel.

    import latch

    if latch.state(connection) == latch.State.ESTABLISHED and latch.peer(connection) == "c.example":
        serve(connection)

    latch.expect_peer(sock, "c.example")    # before connect() or listen()
    latch.connect(sock, address)            # to c.example, or not at all

Each function takes a socket (no number of a descriptor), which stays the caller's, and asks the kernel once.
No library and no privilege is needed. latch(7) has the meaning of each answer. Of a UDP socket only what is
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
(OPT_STATE, OPT_INFO, OPT_PEER_ID, OPT_LOCAL_ID, OPT_CONNECTION, OPT_PEER, OPT_LOCAL,
 OPT_BINDING) = range(1, 9)
(OPT_REQUIRE, OPT_EXPECT_PEER, OPT_EXPECT_CONNECTION, OPT_EXPECT_LOCAL, OPT_EXPECT_CLASS,
 OPT_EXPECT_QUALITY, OPT_DISPOSITION) = range(16, 23)
OPT_PROTECTION, OPT_EXPECT_TAG, OPT_TAGS, OPT_DATAGRAMS, OPT_NEWS = range(24, 29)
TEXT_MAX = 512
TAGS_MAX = 1024
NEWS_PATH = "/run/latch/news"


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
    PEER = 10
    LOCAL = 11
    CLASS = 12
    QUALITY = 13
    BYPASS = 14
    TAG = 15
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


class Class(enum.IntEnum):
    """How the peer has to be authenticated."""
    ANY = 0
    PSK = 1
    PUBLIC_KEY = 2
    EAP = 3


class End(enum.Enum):
    """After an end of file: was it the peer's?"""
    OPEN = "the peer has not ended the connection"
    ORDERLY = "the latched peer has ended it"
    BROKEN = "the latch was broken or closed"
    RESET = "ended by a reset or a timeout"
    UNPROVEN = "no latch has proven a peer for the whole connection"


class Event(enum.IntEnum):
    """Of an Item. LOST: news are missing, so ask each socket."""
    BROKEN = 1
    HEALED = 2
    CLOSED = 3
    SPAWNED = 4
    LOST = 5


class Disposition(enum.IntEnum):
    """What a break does to the socket."""
    BY_RULE = 0
    RESET = 1
    TIMEOUT = 2
    WAIT = 3
    UNREACHABLE = 4


_LAYOUT = struct.Struct("=IIBBBBBBBBIHHHHIQQQQ16s16s16s16sHHHHBB2xI32s32s")

Info = namedtuple("Info", (
    "size abi state why reasons direction mode protocol esn replay_protection flags encryption_bits"
    " integrity_bits icv_bits pad peer_number latch age_ns changed_ns dropped local_addr remote_addr"
    " outer_local_addr outer_remote_addr local_port remote_port outer_local_port outer_remote_port"
    " family outer_family local_number encryption integrity"))
Info.__doc__ = """struct latch_info. Addresses are texts, or None; ports are numbers."""


_PARTY = struct.Struct("=IIBB6x32s512s64s")
BINDING_SIZE = 80

Party = namedtuple("Party", "id connection number auth_class key")
Party.__doc__ = """struct latch_party. auth_class is a Class; ANY is "not known". key is SHA-256, or None."""


def _call_of(sock, name):
    call = getattr(sock, name, None)
    if call is None:
        raise TypeError(f"expected a socket, not {type(sock).__name__}; "
                        "socket.socket(fileno=fd) makes one of a descriptor")
    return call


def _called(sock, name, *arguments):
    call = _call_of(sock, name)
    try:
        return call(SOL_LATCH, *arguments)
    except OSError as error:
        # IPv6 sockets have the second one.
        if error.errno in (errno.EOPNOTSUPP, errno.ENOPROTOOPT):
            raise Unavailable(error.errno, "no latchd answers for this socket "
                              "(is [api] on, and its cgroup configured?)") from None
        if error.errno == errno.EISCONN:
            raise OSError(errno.EISCONN, "the socket is already connected or listening, or has datagrams: "
                          "wish before connect(), listen() and, of UDP, bind()") from None
        raise


def _ask(sock, option, size=0):
    return _called(sock, "getsockopt", option, *([size] if size else []))


def _wish(sock, option, value):
    _called(sock, "setsockopt", option, value)


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


def tags(sock):
    """The tags of the peer: sections [peer NAME] of latchd.conf that it is of. BlockingIOError: ask again."""
    return _ask(sock, OPT_TAGS, TAGS_MAX).decode().split()


def _party(sock, option):
    _, number, auth_class, key_kind, key, text, name = _PARTY.unpack(_ask(sock, option, _PARTY.size))
    text, name = (each.rstrip(b"\0").decode(errors="surrogateescape") for each in (text, name))
    return Party(text, name, number, _known(Class, auth_class), key if key_kind else None)


def peer_party(sock):
    """The peer as a Party: how it was authenticated, and its key where its connection admits one only."""
    return _party(sock, OPT_PEER)


def local_party(sock):
    """This host as a Party."""
    return _party(sock, OPT_LOCAL)


def binding(sock):
    """Octets for channel binding (RFC 5056): equal at both ends, and for all connections of a pair of keys."""
    return _ask(sock, OPT_BINDING, BINDING_SIZE)


def _end_of_closed(got):
    if got.why != Why.ENDED:
        return End.BROKEN
    if got.flags & Flag.ABORTED:
        return End.RESET
    return End.UNPROVEN if not got.latch or got.flags & Flag.INDETERMINATE else End.ORDERLY


def end(sock):
    """An End. Ask when recv() has returned b"": another call may have taken the error of a break."""
    got = info(sock)
    if got.state == State.BROKEN:
        return End.BROKEN
    if got.flags & (Flag.AUDIT | Flag.UNPROVEN):
        return End.UNPROVEN
    if got.state == State.CLOSED:
        return _end_of_closed(got)
    if got.state != State.ESTABLISHED:
        return End.UNPROVEN
    return End.ORDERLY if got.flags & Flag.PEER_ENDED else End.OPEN


def _info_of_established(sock):
    got = info(sock)
    if got.state != State.ESTABLISHED or not got.peer_number:
        raise _no_key("one of the two connections is not ESTABLISHED")
    return got


def same_peer(sock, other):
    """True: both connections have the same peer and the same local identity, by the same connection of the key
    manager. OSError with ENOKEY: one of the two is not ESTABLISHED. It asks three times."""
    one, two, again = (_info_of_established(each) for each in (sock, other, sock))
    # A number is reused only after its last latch: the first latch is ESTABLISHED at both questions.
    if one.latch != again.latch:
        raise _no_key("the first connection has another latch by now")
    return (one.peer_number, one.local_number) == (two.peer_number, two.local_number)


# Wishes, before connect() or listen(). Each one requires a latch: the socket sends and receives nothing
# without one. Unavailable: nothing is wished, and nothing would keep it.


def require(sock):
    """A latch, to any peer."""
    _wish(sock, OPT_REQUIRE, 1)


def _expect(sock, option, text):
    if not isinstance(text, str):
        raise TypeError(f"expected a str, as \"c.example\", not {type(text).__name__}")
    if not text:
        raise ValueError("an empty text would take the wish back")
    _wish(sock, option, text.encode(errors="surrogateescape"))


def expect_peer(sock, text):
    """The peer's identity as peer() tells it; all of it counts. ValueError: an empty text."""
    _expect(sock, OPT_EXPECT_PEER, text)


def expect_local(sock, text):
    """This host's identity, as local() tells it."""
    _expect(sock, OPT_EXPECT_LOCAL, text)


def expect_connection(sock, text):
    """The key manager's name of the connection."""
    _expect(sock, OPT_EXPECT_CONNECTION, text)


def expect_tag(sock, name):
    """A tag, as tags() tells it. It counts when the connection begins. A set that does not exist is no error: it
    has no peer until a reload brings it. OSError with EINVAL: no set can have this name, as with a line feed."""
    _expect(sock, OPT_EXPECT_TAG, name)


_CLASSES = {each.name.lower().replace("_", "-"): each for each in Class if each != Class.ANY}


def _class_of(wished):
    if isinstance(wished, int):
        return int(wished)
    if not isinstance(wished, str):
        raise TypeError(f"expected a Class or its name, not {type(wished).__name__}")
    if wished not in _CLASSES:
        raise ValueError(f"no class \"{wished}\"; expected one of {', '.join(_CLASSES)}")
    return int(_CLASSES[wished])


def expect_class(sock, wished):
    """A Class, or its name as in latchd.conf: "psk", "public-key" or "eap"."""
    _wish(sock, OPT_EXPECT_CLASS, _class_of(wished))


def expect_quality(sock, encryption_bits=0, icv_bits=0, confidential=False, replay_protection=False, esn=False):
    """struct latch_least: the least that will do."""
    _wish(sock, OPT_EXPECT_QUALITY,
          struct.pack("=IHHBBBB", 12, encryption_bits, icv_bits, confidential, replay_protection, esn, 0))


def disposition(sock, wished):
    """A Disposition."""
    _wish(sock, OPT_DISPOSITION, int(wished))


def datagrams(sock):
    """A UDP socket that is not connected sends and receives each datagram that fulfils its wishes."""
    _wish(sock, OPT_DATAGRAMS, 1)


def bypass(sock):
    """Less than the rules say: the connection that this socket opens is not latched. Needs CAP_NET_ADMIN."""
    _wish(sock, OPT_PROTECTION, 1)


def _no_key(text):
    return OSError(errno.ENOKEY, text)


def _need_wish(sock):
    if not _ask(sock, OPT_REQUIRE):
        raise _no_key("the socket has no wish")


def _why_failed(sock, error):
    """What a connect() that latchd has ended lacks, or the error."""
    try:
        why = info(sock).why
    except OSError:
        return error
    if why in (Why.PEER, Why.LOCAL, Why.CLASS, Why.QUALITY, Why.TAG):
        return OSError(errno.EKEYREJECTED, f"the SA does not fulfil the wish: {why.name}")
    return _no_key(f"no latch: {why.name}") if why in (Why.REQUIRED, Why.REFUSED) else error


def _check_connected(sock):
    """A UDP socket gets its latch with its first datagram, and TCP_FASTOPEN_CONNECT sends later."""
    try:
        got = info(sock)
        _need_wish(sock)
    except Unavailable:
        raise _no_key("nothing serves the socket any more") from None
    if got.state == State.ESTABLISHED:
        return
    if (got.state, got.why) == (State.NOT_LATCHED, Why.NOT_YET):
        raise BlockingIOError(errno.EINPROGRESS, "ask state() when the socket is writable")
    if sock.type != socket.SOCK_DGRAM or (got.state, got.why) != (State.NOT_LATCHED, Why.REQUIRED):
        raise _no_key(f"no latch that proves a peer: {getattr(got.why, 'name', got.why)}")


def connect(sock, address):
    """Connects a socket with a wish to a latched peer, or not at all.

    Unavailable: it has not connected. OSError: as of connect(), with EKEYREJECTED where the SA does not
    fulfil a wish, and ENOKEY where there is no latch, or no wish (any more: `latchctl purge` ends it).
    Close the socket then; info() says why.
    """
    _need_wish(sock)
    try:
        sock.connect(address)
    except OSError as error:
        if error.errno not in (errno.ECONNABORTED, errno.ETIMEDOUT):
            raise
        raise _why_failed(sock, error) from None
    _check_connected(sock)


def accept(sock):
    """accept() of a latched peer, by a listener with a wish: a socket and its peer's address.

    Unavailable: nothing was accepted. OSError with ENOKEY: the connection has no latch, or not the wish of
    the listener, and was closed; or the listener has no wish (any more), and nothing was accepted.
    """
    _need_wish(sock)
    accepted, address = sock.accept()
    try:
        _need_wish(accepted)
        if state(accepted) != State.ESTABLISHED:
            raise _no_key("no latch")
    except OSError:
        accepted.close()
        raise _no_key("the accepted connection has no latch, or no wish") from None
    return accepted, address


# News of sockets, from latchd. They are hints: state() is what holds.

_GREETING = struct.Struct("=Ii16s")
_SUBSCRIBE = struct.Struct("=I4x16sQ")
_ITEM = struct.Struct("=4xBBBxQQQQ")
_SO_COOKIE = 57

Item = namedtuple("Item", "event why reasons socket data latch time_ns")
Item.__doc__ = """struct latch_news. event is an Event, socket a cookie(); data is what add() was given."""


def cookie(sock):
    """The number of a socket by which news name it; no other socket gets it until a reboot."""
    return struct.unpack("=Q", sock.getsockopt(socket.SOL_SOCKET, _SO_COOKIE, 8))[0]


class News:
    """A connection to latchd for news of own sockets; fileno() is for poll() and epoll.

    OSError: no latchd gives news there, or this uid has too many connections (EUSERS). A
    process that inherits the connection gets its news and may add its own sockets, and nothing else.
    """

    def __init__(self, path=NEWS_PATH):
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._sock.settimeout(5)
            self._sock.connect(path)
            greeting = self._sock.recv(_GREETING.size)
            if len(greeting) != _GREETING.size:
                raise OSError(errno.EPROTO, "no latchd answers there")
            _, error, self._token = _GREETING.unpack(greeting)
            if error:
                raise OSError(error, "latchd gives this user no connection for news")
            self._sock.setblocking(False)
        except OSError:
            self._sock.close()
            raise

    def fileno(self):
        return self._sock.fileno()

    def close(self):
        self._sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def add(self, sock, data=0):
        """News of this socket from now on, and of those that it accepts. Ask state() behind it.

        Add what accept() returns, too: a connection that came while latchd was away has no news before.
        OSError: ENOENT, latchd has ended this connection; ENOSPC, it has 1024 sockets.
        """
        cookie(sock)
        _called(sock, "setsockopt", OPT_NEWS, _SUBSCRIBE.pack(_SUBSCRIBE.size, self._token, data))

    def read(self):
        """The next Item, or None. EOFError: latchd is away; connect and add again, and ask each socket."""
        try:
            raw = self._sock.recv(_ITEM.size)
        except BlockingIOError:
            return None
        except ConnectionResetError:
            raw = b""
        if len(raw) != _ITEM.size:
            raise EOFError("latchd is away")
        event, why, *rest = _ITEM.unpack(raw)
        return Item(_known(Event, event), _known(Why, why), *rest)
