# SPDX-License-Identifier: BSD-2-Clause
"""A run directory for tests of the leak oracle."""
import importlib.machinery
import importlib.util
import os
import struct
import subprocess
import sys
import tempfile
import unittest

from made_up_esp import SA
from made_up_packets import (ACK, C4, C6, C_PORT, ETHER, LOOPBACK, MAC, PSH, SPI_CW, SPI_WC, SPI_WD,
                             W4, W6, W_PORT, cable, cooked, esp, nflog, tcp, to_client, to_server)

LIBRARY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../vm/lib")
ORACLE = os.path.join(LIBRARY, "oracle")
HOSTS = ("w", "c", "d")
LINKTYPE = {"wire": 1, "host": 276, "clear": 239, "sealed": 239}
START, END = 1000.0, 1010.0
SENT = b"W-TO-C 000000\nW-TO-C 000001\n"


def load_oracle():
    """The command as a module: a process for each test would take a minute."""
    sys.path.insert(0, LIBRARY)
    spec = importlib.util.spec_from_loader("oracle", importlib.machinery.SourceFileLoader(
        "oracle", ORACLE))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


oracle = load_oracle()


class Run:
    """W sent two lines to C under IPsec, all went well."""

    def __init__(self, path):
        self.path = path
        self.flows = [("c-7000", "c", "w", C4, C_PORT, W4, W_PORT, "-", "W-TO-C", "tcp"),
                      ("w-7000", "w", "c", W4, W_PORT, C4, C_PORT, "W-TO-C", "-", "tcp")]
        self.aliases = []
        self.events = {}
        self.ended = True
        self.sent = {"c-7000": b"", "w-7000": SENT}
        self.received = {"c-7000": SENT, "w-7000": b""}
        self.reports = {}
        self.lost_words = []
        self.torn = set()
        self.missing = set()
        self.uncabled, self.unlisted = [], []
        self.watched = list(HOSTS)
        self.words = {}
        self.sas = {"w": [SPI_WC, SPI_CW, SPI_WD], "c": [SPI_WC, SPI_CW], "d": [SPI_WD]}
        self.ah_sas = {}
        self.monitors = {}
        self.frames = {kind: {host: [] for host in HOSTS} for kind in LINKTYPE}
        for host in ("w", "c"):
            self.on_wire(host, "w", SA(SPI_WC).transport(to_client(PSH | ACK, SENT)))
            self.on_wire(host, "c", SA(SPI_CW).transport(to_server(ACK)))
        self.on_decryption("c", to_client(PSH | ACK, SENT))
        self.on_decryption("w", to_server(ACK))

    # ---- captures

    def frame(self, kind, host, frame, time=START):
        self.frames[kind][host].append((time, frame))

    def on_wire(self, host, sender, packet, time=START):
        self.frame("wire", host, cable(sender, packet), time)

    def on_device(self, host, packet, hardware, sender=None, outgoing=True, time=START):
        sender = "none" if hardware == LOOPBACK else sender or host
        self.frame("host", host, cooked(sender, packet, hardware, outgoing), time)

    def on_decryption(self, host, packet, time=START):
        self.frame("clear", host, nflog(packet), time)

    def on_encryption(self, host, packet, time=START):
        self.frame("sealed", host, nflog(packet), time)

    def passes(self, sender, receiver, packet, time=START):
        """One host encrypts a packet, the other decrypts it."""
        self.on_encryption(sender, packet, time)
        self.on_decryption(receiver, packet, time)

    # ---- another protocol

    def replace_flows(self, protocol, packet, back):
        """Flows of datagrams: a packet of W's and one of C's are encrypted and decrypted."""
        self.flows = [flow[:9] + (protocol,) for flow in self.flows]
        self.received = {"c-7000": SENT, "w-7000": b""}
        self.frames["clear"] = {host: [] for host in HOSTS}
        self.passes("w", "c", packet)
        self.passes("c", "w", back)

    # ---- files

    def put(self, name, data):
        with open(os.path.join(self.path, name), "wb") as file:
            file.write(data)

    def put_rows(self, name, rows):
        self.put(name, "".join("\t".join(map(str, row)) + "\n" for row in rows).encode())

    def put_capture(self, kind, host):
        name = "%s-%s" % (kind, host)
        data = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, LINKTYPE[kind])
        for time, frame in self.frames[kind][host]:
            data += struct.pack("<IIII", int(time), int(time % 1 * 1e6), len(frame), len(frame))
            data += frame
        if name not in self.missing:
            self.put(name + ".pcap", data[:-1] if name in self.torn else data)
        report = self.reports.get(name, "0 packets dropped by kernel\n")
        self.put(name + ".report", report.encode())
        return name

    def put_application(self, tag):
        if tag in self.sent:
            self.put("apps/%s.sent" % tag, self.sent[tag])
            self.put("apps/%s.recv" % tag, self.received[tag])
        events = "%.3f connected\n" % START
        if self.ended:
            events += "%.3f error stream ECONNABORTED\n%.3f end sent=1\n" % (END, END)
        self.put("apps/%s.events" % tag, self.events.get(tag, events).encode())

    def put_monitor(self, host):
        lines = [SA(spi).line() for spi in self.sas[host]]
        lines += [SA(spi).line_without_keys("ah") for spi in self.ah_sas.get(host, ())]
        self.put_more("xfrm-%s.monitor" % host, "".join(lines + self.monitors.get(host, [])).encode())
        self.put("xfrm-%s.words" % host, self.words.get(host, "").encode())

    def put_more(self, name, data):
        with open(os.path.join(self.path, name), "ab") as file:
            file.write(data)

    def put_all(self):
        os.mkdir(os.path.join(self.path, "apps"))
        macs = {host: ":".join(MAC[host][at:at + 2] for at in range(0, 12, 2)) for host in HOSTS}
        self.put_rows("hosts", [(host, "lt-" + host, macs[host]) for host in self.watched])
        self.put_rows("apps/flows", self.flows)
        self.put_rows("apps/aliases", self.aliases)
        self.put_rows("blind", [(line,) for line in self.lost_words])
        for flow in self.flows:
            self.put_application(flow[0])
        names = [self.put_capture(kind, host) for kind in LINKTYPE for host in self.watched]
        unlisted = self.unlisted + ["wire-" + host for host in self.uncabled]
        self.put_rows("captures", [(name,) for name in names if name not in unlisted])
        for host in self.watched:
            self.put_monitor(host)

    def ask(self):
        """The command's exit status and output."""
        self.put_all()
        return subprocess.run([ORACLE, self.path], check=False, text=True, capture_output=True)

    def findings(self):
        self.put_all()
        return oracle.find_all(oracle.RunDirectory(self.path))


class OracleCase(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.run_dir = Run(scratch.name)

    def expect(self, kinds=(), blind=(), after_end=None):
        found = self.run_dir.findings()
        self.assertEqual([leak["kind"] for leak in found["leaks"]], list(kinds))
        self.assertEqual(len(found["blind"]), len(blind), found["blind"])
        for text, want in zip(found["blind"], blind):
            self.assertIn(want, text)
        self.assertEqual(found["after_end"], after_end or {})
        return found["leaks"]

    def over_ipv6(self):
        self.run_dir.flows = [("c-7000", "c", "w", C6, C_PORT, W6, W_PORT, "-", "W-TO-C", "tcp"),
                              ("w-7000", "w", "c", W6, W_PORT, C6, C_PORT, "W-TO-C", "-", "tcp")]
        self.run_dir.frames["clear"] = {host: [] for host in HOSTS}
        self.run_dir.on_decryption("c", tcp(PSH | ACK, SENT, W6, C6))
        self.run_dir.on_decryption("w", tcp(ACK, b"", C6, W6, (C_PORT, W_PORT)))


def inside_host(run, host):
    """No capture of the host's cable: all is seen on its devices."""
    run.frames["wire"][host] = []
    run.on_device(host, esp(), ETHER)
