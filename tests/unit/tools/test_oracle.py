#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The leak oracle of the VM tests, on run directories made up here."""
import ipaddress
import json
import os
import struct
import subprocess
import sys
import tempfile
import unittest

import tap

ORACLE = os.path.join(os.path.dirname(__file__), "../../vm/lib/oracle")
MAC = {"w": "020000090001", "c": "020000090002", "d": "020000090003"}
W4, C4, W6, C6 = "10.9.0.1", "10.9.0.2", "fd09::1", "fd09::2"
W_PORT, C_PORT = 7000, 40000
START, END = 1000.0, 1010.0
FIN, RST, PSH, ACK = 1, 4, 8, 16
NFLOG, ETHERNET = 239, 1
SAID = b"W-TO-C 000000\nW-TO-C 000001\n"


def tcp(flags, payload=b"", source=W4, target=C4, ports=(W_PORT, C_PORT)):
    body = struct.pack("!HHIIBBHHH", *ports, 1, 1, 5 << 4, flags, 1000, 0, 0) + payload
    return ip(6, body, source, target)


def ip(protocol, body, source=W4, target=C4):
    ends = ipaddress.ip_address(source).packed + ipaddress.ip_address(target).packed
    if ":" in source:
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, 64) + ends + body
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 1, 0, 64, protocol, 0) + ends + body


def esp(source=W4, target=C4):
    return ip(50, b"\0" * 40, source, target)


def to_client(flags, payload=b""):
    return tcp(flags, payload)


def to_server(flags, payload=b""):
    return tcp(flags, payload, C4, W4, (C_PORT, W_PORT))


def cable(sender, packet):
    kind = "86dd" if packet[0] >> 4 == 6 else "0800"
    return bytes.fromhex("ffffffffffff" + MAC[sender] + kind) + packet


def decrypted(packet):
    """As nflog hands it over: a header and attributes, the payload last."""
    mark = struct.pack("=HHI", 8, 2, 0)
    return b"\2\0\0\5" + mark + struct.pack("=HH", 4 + len(packet), 9) + packet


class Run:
    """A run directory: W said two lines to C under IPsec, all went well."""

    def __init__(self, path):
        self.path = path
        self.flows = [("c-7000", "c", "w", C4, C_PORT, W4, W_PORT),
                      ("w-7000", "w", "c", W4, W_PORT, C4, C_PORT)]
        self.ended = True
        self.sent = {"c-7000": b"", "w-7000": SAID}
        self.received = {"c-7000": SAID, "w-7000": b""}
        self.dropped = {}
        self.unlatched = []
        self.wire = {host: [] for host in MAC}
        self.clear = {host: [] for host in MAC}
        for host, sender in (("w", "w"), ("c", "w")):
            self.on_wire(host, sender, esp())
        self.on_decryption("c", to_client(PSH | ACK, SAID))
        self.on_decryption("w", to_server(ACK))

    def on_wire(self, host, sender, packet, time=START):
        self.wire[host].append((time, cable(sender, packet)))

    def on_decryption(self, host, packet, time=START):
        self.clear[host].append((time, decrypted(packet)))

    def put(self, name, data):
        with open(os.path.join(self.path, name), "wb") as file:
            file.write(data)

    def put_capture(self, name, linktype, frames):
        data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, linktype)
        for time, frame in frames:
            data += struct.pack("<IIII", int(time), int(time % 1 * 1e6), len(frame), len(frame))
            data += frame
        self.put(name + ".pcap", data)
        lost = self.dropped.get(name, 0)
        if lost is not None:
            self.put(name + ".tcpdump", b"%d packets dropped by kernel\n" % lost)
        else:
            self.put(name + ".tcpdump", b"listening\n")

    def put_application(self, tag):
        self.put("apps/%s.sent" % tag, self.sent[tag])
        self.put("apps/%s.recv" % tag, self.received[tag])
        events = "%.3f connected\n" % START
        if self.ended:
            events += "%.3f error stream ECONNRESET\n%.3f end sent=1\n" % (END, END)
        self.put("apps/%s.events" % tag, events.encode())

    def judged(self):
        os.mkdir(os.path.join(self.path, "apps"))
        rows = ["\t".join(map(str, flow + ("-", "-"))) for flow in self.flows]
        self.put("apps/flows", "".join(row + "\n" for row in rows).encode())
        self.put("apps/unlatched", "".join(tag + "\n" for tag in self.unlatched).encode())
        for flow in self.flows:
            self.put_application(flow[0])
        for host in MAC:
            self.put_capture("wire-" + host, ETHERNET, self.wire[host])
            self.put_capture("clear-" + host, NFLOG, self.clear[host])
        done = subprocess.run([ORACLE, self.path], check=True, stdout=subprocess.PIPE)
        return json.loads(done.stdout)


class OracleTest(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.run_dir = Run(scratch.name)

    def expect(self, kinds=(), blind=(), after_end=None):
        found = self.run_dir.judged()
        self.assertEqual([leak["kind"] for leak in found["leaks"]], list(kinds))
        self.assertEqual(len(found["blind"]), len(blind), found["blind"])
        for text, want in zip(found["blind"], blind):
            self.assertIn(want, text)
        self.assertEqual(found["after_end"], after_end or {})
        return found["leaks"]

    def test_a_clean_run_has_no_finding(self):
        self.expect()

    def test_a_segment_in_clear_on_the_wire_is_a_leak(self):
        self.run_dir.on_wire("w", "w", to_client(PSH | ACK, b"secret"))
        self.run_dir.on_wire("w", "w", to_client(PSH | ACK, b"secret"))
        leak, = self.expect(["clear"])
        self.assertEqual((leak["packets"], leak["bytes"], leak["where"], leak["flow"]),
                         (2, 12, "wire at w", "w-7000 (w to c)"))
        self.assertIn("secret", leak["text"])

    def test_a_segment_in_clear_without_payload_is_a_leak(self):
        self.run_dir.on_wire("w", "w", to_client(ACK))
        self.expect(["clear"])

    def test_a_segment_in_clear_over_ipv6_is_a_leak(self):
        self.run_dir.flows = [("c-7000", "c", "w", C6, C_PORT, W6, W_PORT),
                              ("w-7000", "w", "c", W6, W_PORT, C6, C_PORT)]
        self.run_dir.clear = {"w": [], "c": [], "d": []}
        self.run_dir.on_decryption("c", tcp(PSH | ACK, SAID, W6, C6))
        self.run_dir.on_decryption("w", tcp(ACK, b"", C6, W6, (C_PORT, W_PORT)))
        self.run_dir.on_wire("w", "w", tcp(ACK, b"secret", W6, C6))
        self.expect(["clear"])

    def test_a_segment_in_clear_forged_by_another_host_is_no_leak(self):
        for host in MAC:
            self.run_dir.on_wire(host, "d", to_server(PSH | ACK, b"forged"))
        self.expect()

    def test_a_segment_in_clear_of_another_connection_is_no_leak(self):
        self.run_dir.on_wire("w", "w", tcp(PSH | ACK, b"other", ports=(22, C_PORT)))
        self.expect()

    def test_a_segment_decrypted_by_another_host_is_a_leak(self):
        self.run_dir.on_decryption("d", to_client(PSH | ACK, b"secret"))
        leak, = self.expect(["decrypted"])
        self.assertEqual((leak["packets"], leak["bytes"], leak["where"], leak["flow"]),
                         (1, 6, "d", "w-7000 (w to c)"))

    def test_a_segment_decrypted_without_payload_is_a_leak(self):
        self.run_dir.on_decryption("d", to_client(FIN | ACK))
        self.expect(["decrypted"])

    def test_bytes_that_the_peer_did_not_send_are_foreign(self):
        self.run_dir.received["w-7000"] = b"FORGED"
        leak, = self.expect(["foreign"])
        self.assertEqual((leak["bytes"], leak["text"]), (6, "FORGED"))

    def test_a_foreign_byte_at_the_end_is_found(self):
        self.run_dir.received["c-7000"] = SAID + b"!"
        leak, = self.expect(["foreign"])
        self.assertEqual(leak["first"], "from byte %d on" % len(SAID))

    def test_a_foreign_byte_in_the_middle_is_found(self):
        self.run_dir.received["c-7000"] = SAID[:5] + b"!" + SAID[6:]
        self.expect(["foreign"])

    def test_a_part_of_a_stream_is_no_leak(self):
        self.run_dir.received["c-7000"] = SAID[:9]
        self.expect()

    def test_an_unlatched_connection_is_not_checked(self):
        self.run_dir.flows.append(("d-1", "d", "w", C4, 9, W4, 9))
        self.run_dir.sent["d-1"], self.run_dir.received["d-1"] = b"", b"anything"
        self.run_dir.unlatched = ["d-1"]
        self.run_dir.on_wire("d", "d", tcp(ACK, b"in clear", C4, W4, (9, 9)))
        self.expect()

    def test_a_reset_after_the_end_is_counted_apart(self):
        self.run_dir.on_decryption("d", to_client(RST), END)
        self.run_dir.on_decryption("d", to_client(RST | ACK), END + 5)
        self.expect(after_end={"w-7000": 2})

    def test_a_reset_in_clear_after_the_end_is_counted_apart(self):
        self.run_dir.on_wire("w", "w", to_client(RST), END + 1)
        self.expect(after_end={"w-7000": 1})

    def test_a_reset_before_the_application_reports_is_counted_apart(self):
        self.run_dir.on_decryption("d", to_client(RST), END - 0.5)
        self.expect(after_end={"w-7000": 1})

    def test_a_reset_of_the_open_socket_is_a_leak(self):
        self.run_dir.on_decryption("d", to_client(RST | ACK), END - 0.5)
        self.expect(["decrypted"])

    def test_a_reset_before_the_end_is_a_leak(self):
        self.run_dir.on_decryption("d", to_client(RST), END - 2)
        self.expect(["decrypted"])

    def test_a_reset_without_an_end_is_a_leak(self):
        self.run_dir.ended = False
        self.run_dir.on_decryption("d", to_client(RST), END + 5)
        self.expect(["decrypted"])

    def test_other_packets_after_the_end_are_leaks(self):
        self.run_dir.on_decryption("d", to_client(ACK), END + 1)
        self.run_dir.on_decryption("d", to_client(FIN | ACK), END + 1)
        leak, = self.expect(["decrypted"])
        self.assertEqual(leak["packets"], 2)

    def test_payload_after_the_end_is_a_leak(self):
        self.run_dir.on_decryption("d", to_client(RST, b"secret"), END + 1)
        self.run_dir.on_decryption("d", to_client(PSH | ACK, b"secret"), END + 1)
        leak, = self.expect(["decrypted"])
        self.assertEqual(leak["bytes"], 12)

    def test_a_capture_without_esp_is_blind(self):
        self.run_dir.wire["w"] = []
        self.expect(blind=["no ESP was seen on the wire at w"])

    def test_esp_in_udp_counts_as_esp(self):
        self.run_dir.wire["w"] = []
        self.run_dir.on_wire("w", "w", ip(17, struct.pack("!HHHH", 4500, 4500, 8, 0)))
        self.expect()

    def test_a_host_without_decrypted_packets_is_blind(self):
        self.run_dir.clear["w"] = []
        self.expect(blind=["nothing of w-7000 (w to c) was seen decrypted at w"])

    def test_a_capture_with_losses_is_blind(self):
        self.run_dir.dropped = {"wire-d": 3}
        self.expect(blind=["capture wire-d lost 3 packets"])

    def test_a_capture_without_a_report_is_blind(self):
        self.run_dir.dropped = {"clear-d": None}
        self.expect(blind=["capture clear-d ended without a report"])

    def test_a_run_without_a_flow_is_blind(self):
        self.run_dir.flows = []
        self.expect(blind=["no application registered a flow"])


if __name__ == "__main__":
    sys.exit(tap.main("oracle", OracleTest))
