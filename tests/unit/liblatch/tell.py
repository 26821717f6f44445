# SPDX-License-Identifier: BSD-2-Clause
"""What latch.py tells of a descriptor, one "name=value" a line; or which names it lacks.

    tell.py FD | tell.py --missing latch_sockopt.h
"""
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../../user/liblatch/python"))
import latch

PREFIXES = {"LATCH_APP_": latch.State, "LATCH_WHY_": latch.Why, "LATCH_INFO_": latch.Flag,
            "LATCH_CLASS_": latch.Class, "LATCH_DISPOSE_": latch.Disposition}
ENUMS = {"latch_app_state": "LATCH_APP_", "latch_why": "LATCH_WHY_", "latch_info_flag": "LATCH_INFO_",
         "latch_app_class": "LATCH_CLASS_", "latch_app_disposition": "LATCH_DISPOSE_"}


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


if sys.argv[1] == "--missing":
    with open(sys.argv[2], encoding="ascii") as file:
        for difference in differences(file.read()):
            print(*difference)
else:
    tell(socket.socket(fileno=int(sys.argv[1])))
