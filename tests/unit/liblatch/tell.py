# SPDX-License-Identifier: BSD-2-Clause
"""What latch.py tells of a descriptor, one "name=value" a line; or which names it lacks.

    tell.py FD | tell.py --missing latch_sockopt.h
    tell.py --wish FD       sets each wish
    tell.py --connect FD ADDR PORT | tell.py --accept FD
    tell.py --same FD FD    have both sockets the same peer?
    tell.py --words FD      the errors of wrong arguments, and of a wish that comes too late
    tell.py --class FD NAME
"""
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../user/liblatch/python"))
import latch

PREFIXES = {"LATCH_APP_": latch.State, "LATCH_WHY_": latch.Why, "LATCH_INFO_": latch.Flag,
            "LATCH_CLASS_": latch.Class, "LATCH_DISPOSE_": latch.Disposition, "LATCH_NEWS_": latch.Event}
OPTIONS = {(name[4:], value) for name, value in vars(latch).items() if name.startswith("OPT_")}
ENUMS = {"latch_app_state": "LATCH_APP_", "latch_why": "LATCH_WHY_", "latch_info_flag": "LATCH_INFO_",
         "latch_app_class": "LATCH_CLASS_", "latch_app_disposition": "LATCH_DISPOSE_",
         "latch_news_event": "LATCH_NEWS_"}


def asked(question, sock):
    try:
        return question(sock)
    except latch.Unavailable:
        return "unavailable"
    except OSError as error:
        return f"errno {error.errno}"


def tell(sock):
    for name in ("state", "peer", "local", "connection"):
        answer = asked(getattr(latch, name), sock)
        print(f"{name}={answer:d}" if isinstance(answer, int) else f"{name}={answer}")
    answer = asked(latch.end, sock)
    print(f"end={answer if isinstance(answer, str) else answer.name}")
    tags = asked(latch.tags, sock)
    print(f"tags={tags if isinstance(tags, str) else ' '.join(tags)}")
    for name in ("peer_party", "local_party"):
        answer = asked(getattr(latch, name), sock)
        if isinstance(answer, str):
            print(f"{name}={answer}")
            continue
        key = answer.key.hex() if answer.key else None
        print(f"{name}={answer.id} {answer.connection} {answer.number} {answer.auth_class:d} {key}")
    answer = asked(latch.binding, sock)
    print(f"binding={answer if isinstance(answer, str) else answer.hex()}")
    info = asked(latch.info, sock)
    if isinstance(info, str):
        return
    for name, value in info._asdict().items():
        print(f"info.{name}={value:d}" if isinstance(value, int) else f"info.{name}={value}")


def differences(header):
    """Of the header's enumerators and the module's, with their values."""
    for body, prefix in ((re.search(rf"enum {enum} \{{(.*?)\n\}};", header, re.S), prefix)
                         for enum, prefix in ENUMS.items()):
        found = re.findall(rf"\b{prefix}(\w+)\s*=\s*([0-9 <]+)", body.group(1))
        there = {(name, eval(value)) for name, value in found}
        here = {(member.name, member.value) for member in PREFIXES[prefix]}
        yield from sorted(there ^ here)
        if not there:
            yield prefix, "no enumerator found"
    body = re.search(r"enum latch_option \{(.*?)\n\};", header, re.S).group(1)
    there = {(name, int(value)) for name, value in re.findall(r"\bLATCH_OPT_(\w+)\s*=\s*(\d+)", body)}
    yield from sorted(OPTIONS ^ {option for option in there if option[0] != "NARROW"})


WISHES = (("require", ()), ("expect_peer", ("c.example",)), ("expect_connection", ("connection of c",)),
          ("expect_local", ("local of c",)), ("expect_tag", ("web",)), ("expect_class", (latch.Class.PUBLIC_KEY,)),
          ("disposition", (latch.Disposition.WAIT,)), ("bypass", ()),
          ("datagrams", ()))


def wish(sock):
    """One line a wish. An empty text is none."""
    for name, arguments in WISHES:
        print(f"{name}={asked(lambda one, name=name, arguments=arguments: getattr(latch, name)(one, *arguments), sock)}")
    quality = {"encryption_bits": 256, "icv_bits": 96, "confidential": True, "replay_protection": True, "esn": True}
    print(f"quality={asked(lambda one: latch.expect_quality(one, **quality), sock)}")
    for name in ("expect_peer", "expect_connection", "expect_local", "expect_tag"):
        try:
            getattr(latch, name)(sock, "")
        except ValueError:
            print(f"{name}=not empty")


def same(sock, other):
    print(f"same={asked(lambda one: latch.same_peer(one, socket.socket(fileno=int(other))), sock)}")


def words(sock):
    """The text of each error."""
    for name, call in (("state_int", lambda: latch.state(sock.fileno())), ("peer_bytes", lambda: latch.peer(b"3")),
                       ("require_int", lambda: latch.require(sock.fileno())),
                       ("connect_int", lambda: latch.connect(sock.fileno(), ("127.0.0.1", 1))),
                       ("accept_int", lambda: latch.accept(sock.fileno())),
                       ("expect_bytes", lambda: latch.expect_peer(sock, b"c.example")),
                       ("expect_int", lambda: latch.expect_tag(sock, 3)),
                       ("class_bytes", lambda: latch.expect_class(sock, b"psk")),
                       ("class_word", lambda: latch.expect_class(sock, "pubkey")),
                       ("late", lambda: latch.expect_peer(sock, "c.example"))):
        try:
            print(f"{name}=none: {call()}")
        except (TypeError, ValueError, OSError) as error:
            print(f"{name}={type(error).__name__}: {error}")


def of_class(sock, name):
    print(f"class={asked(lambda one: latch.expect_class(one, name), sock)}")


def connect(sock, address, port):
    def call(one):
        try:
            return latch.connect(one, (address, int(port)))
        except OSError as error:
            print(f"words={error.strerror}")
            raise
    print(f"connect={asked(call, sock)}")


def accept(listener):
    accepted = asked(latch.accept, listener)
    if isinstance(accepted, str):
        print(f"accept={accepted}")
        return
    print(f"accept={latch.peer(accepted[0])}")
    accepted[0].close()


if sys.argv[1] == "--missing":
    with open(sys.argv[2], encoding="ascii") as file:
        for difference in differences(file.read()):
            print(*difference)
elif sys.argv[1].startswith("--"):
    {"--wish": wish, "--connect": connect, "--accept": accept, "--same": same, "--words": words,
     "--class": of_class}[sys.argv[1]](
        socket.socket(fileno=int(sys.argv[2])), *sys.argv[3:])
else:
    tell(socket.socket(fileno=int(sys.argv[1])))
