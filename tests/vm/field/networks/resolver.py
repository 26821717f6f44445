# SPDX-License-Identifier: BSD-2-Clause
"""Services over UDP: a resolver (unbound) and time (chrony); and a log by TCP (rsyslog).

    W 10.9.0.1 ===== transport mode ===== C 10.9.0.2
      unbound, chronyd, rsyslogd            applications, chronyd, rsyslogd
"""
import os
import struct

from network import Network
from node import Node, put, transport, wait_for
from programs import Lines
from traffic import Datagrams, Requests

# RFC 1035, 4.1: recursion desired, one question, type A, class IN.
QUESTION = struct.pack("!HHHHH", 0x0100, 1, 0, 0, 0) + b"\1w\7example\0" + struct.pack("!HH", 1, 1)
ANSWER = bytes([10, 9, 0, 1])


def network():
    w, c = Node("w", "10.9.0.1"), Node("c", "10.9.0.2")
    return Network([w, c], [transport(c, w)], list(parts(w, c)), latched=3, prepare=serve)


def serve(network):
    w, c = network.nodes
    resolver(w)
    time_service(w, f"local stratum 5\nallow 10.9.0.0/24\nbindaddress {w.address}\n")
    time_service(c, f"server {w.address} minpoll 0 maxpoll 0\nport 0\nlogdir {c.folder}\n"
                    "log rawmeasurements\n")
    log_service(w, c)


def resolver(w):
    put(w.path("unbound.conf"), f"""server:
  interface: {w.address}
  access-control: 10.9.0.0/24 allow
  chroot: ""
  username: ""
  directory: "{w.folder}"
  pidfile: "{w.path("unbound.pid")}"
  use-syslog: no
  do-daemonize: no
  num-threads: 1
  local-zone: "example." static
  local-data: "w.example. A {w.address}"
remote-control:
  control-enable: no
""")
    w.start(["unbound", "-d", "-c", w.path("unbound.conf")], "unbound.log")
    wait_for(lambda: w.ss("-l sport = 53"), "unbound listens")


def time_service(node, configuration):
    """-x: it does not set the clock."""
    put(node.path("chrony.conf"), configuration + f"cmdport 0\npidfile {node.path('chrony.pid')}\n"
        "bindcmdaddress /\n")
    node.start(["chronyd", "-d", "-x", "-u", "root", "-f", node.path("chrony.conf")], "chronyd.log")


def log_service(w, c):
    put(w.path("rsyslog.conf"), f"""module(load="imtcp")
input(type="imtcp" address="{w.address}" port="514")
*.* action(type="omfile" file="{w.path("messages")}")
""")
    put(c.path("rsyslog.conf"), f"""global(workDirectory="{c.path("spool")}")
module(load="imfile" mode="polling" pollingInterval="1")
input(type="imfile" file="{c.path("source")}" tag="field")
*.* action(type="omfwd" target="{w.address}" port="514" protocol="tcp" action.resumeRetryCount="-1")
""")
    os.makedirs(c.path("spool"), exist_ok=True)
    for node in (w, c):
        node.start(["rsyslogd", "-n", "-f", node.path("rsyslog.conf"), "-i", node.path("rsyslog.pid")],
                   "rsyslogd.log")
    c.start(["sh", "-c", f"while sleep 0.5; do echo line >>{c.path('source')}; done"], "lines.log")


def parts(w, c):
    yield Datagrams("dns", c, w.address, 53, question=dns)
    yield Datagrams("dns with IP_RECVERR", c, w.address, 53, reports_errors=True, question=dns)
    question = dns(7)
    yield Requests("dns by tcp", c, w.address, 53, struct.pack("!H", len(question)) + question, ANSWER)
    yield Lines("chrony", c.path("measurements.log"), w.address)
    yield Lines("rsyslog", w.path("messages"), "field")


def dns(number):
    return struct.pack("!H", number) + QUESTION
