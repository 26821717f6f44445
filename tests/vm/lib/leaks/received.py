# SPDX-License-Identifier: BSD-2-Clause
"""Whether applications received what their true peers sent, and nothing else."""
import os

from leaks.packet import TCP


class Received:
    def __init__(self, run, flows, findings):
        self.run, self.flows, self.findings = run, flows, findings

    def check(self, flow):
        if not self.run.has("apps/%s.recv" % flow.tag):
            return
        received = self.run.data("apps/%s.recv" % flow.tag)
        peer = self.flows.mirror(flow)
        sent = self.run.data("apps/%s.sent" % peer.tag) if peer else b""
        if flow.protocol == TCP:
            self.check_stream(flow, received, sent)
        else:
            self.check_messages(flow, received.splitlines(), set(sent.splitlines()))

    def check_stream(self, flow, received, sent):
        if not sent.startswith(received):
            same = os.path.commonprefix([sent, received])
            self.foreign(flow, received[len(same):], "from byte %d on" % len(same))

    def check_messages(self, flow, received, sent):
        for number, message in enumerate(received, 1):
            if message not in sent:
                self.foreign(flow, message, "message %d" % number)

    def foreign(self, flow, data, what):
        self.findings.leak("foreign", flow, "application " + flow.tag, data, what)
