# SPDX-License-Identifier: BSD-2-Clause
"""The clients of roadwarrior.py, and no statement that EAP proves their identities.

    W ===== C, carol: refused by W, since an EAP identity may be a claim
      ===== D, dave: refused, too

W's ends of the connections have no peer, and no rule requires one. C and D latch their ends to W, which
has a certificate. Gaps at rekeys are those of a network without latchd: nothing waits for pending-limit.
"""
from networks import roadwarrior


def network():
    refused = roadwarrior.network()
    refused.feed, refused.latched = "", 2
    return refused
