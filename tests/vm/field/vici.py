# SPDX-License-Identifier: BSD-2-Clause
"""Commands of charon's vici socket, without a process for each.

The protocol: src/libcharon/plugins/vici/README.md of strongSwan.
"""
import socket
import struct

from checks import LIMIT

COMMAND, RESPONSE, UNKNOWN, REGISTER, CONFIRM, EVENT = 0, 1, 2, 3, 5, 7
KEY_VALUE = 3


def request(path, command, arguments=(), event=None):
    """The answer and the events that came before it, undecoded. arguments: pairs of key and value"""
    with socket.socket(socket.AF_UNIX) as made:
        made.settimeout(2 * LIMIT)
        made.connect(path)
        if event:
            send(made, REGISTER, event, b"")
            expect_kind(receive(made), CONFIRM, event)
        send(made, COMMAND, command, b"".join(pair(*each) for each in arguments))
        found = []
        while not found or found[-1][0] == EVENT:
            found.append(receive(made))
    expect_kind(found[-1], RESPONSE, command)
    return b"".join(message[1:] for message in found)


def expect_kind(message, kind, name):
    if message[0] != kind:
        raise SystemExit(f"vici: {name}: packet {message[0]} in place of {kind}")


def pair(key, value):
    return (struct.pack("!BB", KEY_VALUE, len(key)) + key.encode() +
            struct.pack("!H", len(value)) + value.encode())


def send(made, kind, name, message):
    packet = struct.pack("!BB", kind, len(name)) + name.encode() + message
    made.sendall(struct.pack("!I", len(packet)) + packet)


def receive(made):
    return exactly(made, struct.unpack("!I", exactly(made, 4))[0])


def exactly(made, size):
    text = b""
    while len(text) < size:
        more = made.recv(size - len(text))
        if not more:
            raise SystemExit("vici: charon has closed the connection")
        text += more
    return text


def succeeded(answer):
    return pair("success", "yes") in answer
