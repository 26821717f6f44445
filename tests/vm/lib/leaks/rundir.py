# SPDX-License-Identifier: BSD-2-Clause
"""The run directory of a scenario: its hosts, its captures, its SAs."""
import os
import re

from leaks import capture

SPI = re.compile(r"proto (esp|ah) spi 0x([0-9a-f]+)")
LOST = re.compile(r"^(\d+) packets dropped by kernel", re.M)


class Refused(Exception):
    """The run directory cannot be read."""


class RunDirectory:
    def __init__(self, path):
        self.path = path
        self.blind = self.lines("blind")
        self.macs = {name: set(macs.split(",")) for name, _, macs in self.rows("hosts", 3)}
        self.captures = self.lines("captures")
        self.broken = set()
        self.sas = {host: self.installed(host) for host in self.macs}
        self.check_captures()

    # ---- files

    def file(self, name):
        return os.path.join(self.path, name)

    def has(self, name):
        return os.path.exists(self.file(name))

    def data(self, name):
        with open(self.file(name), "rb") as file:
            return file.read()

    def text(self, name):
        return self.data(name).decode("utf-8", "replace") if self.has(name) else ""

    def lines(self, name):
        return self.text(name).splitlines()

    def rows(self, name, columns):
        """The lines of a table, each of that many columns."""
        found = [line.split("\t") for line in self.lines(name)]
        for number, row in enumerate(found, 1):
            if len(row) != columns:
                raise Refused("%s, line %d: %d columns instead of %d" %
                              (name, number, len(row), columns))
        return found

    # ---- captures

    def check_captures(self):
        for host in self.macs:
            for kind in ("host", "clear", "sealed"):
                if "%s-%s" % (kind, host) not in self.captures:
                    self.blind.append("no capture %s-%s was started" % (kind, host))
        for name in self.captures:
            lost = LOST.search(self.text(name + ".report"))
            if not lost:
                self.blind.append("capture %s ended without a report" % name)
            elif int(lost.group(1)):
                self.blind.append("capture %s lost %s packets" % (name, lost.group(1)))

    def frames(self, name):
        """Yields the frames of a capture, as far as it is whole."""
        if name not in self.captures:
            return
        try:
            yield from capture.frames(self.file(name + ".pcap"))
        except capture.Broken as error:
            if name not in self.broken:
                self.broken.add(name)
                self.blind.append("capture %s %s" % (name, error))

    # ---- SAs

    def installed(self, host):
        """Protocol and SPI of each SA that the host's kernel ever had."""
        name = "xfrm-%s.monitor" % host
        if not self.has(name):
            self.blind.append("no monitor of the SAs of %s was started" % host)
        words = self.text("xfrm-%s.words" % host).strip()
        if words:
            self.blind.append("the monitor of the SAs of %s failed: %s" % (host, words))
        return {(kind, int(spi, 16)) for kind, spi in SPI.findall(self.text(name))}
