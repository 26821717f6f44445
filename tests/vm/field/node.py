# SPDX-License-Identifier: BSD-2-Clause
"""Hosts of a field network: namespaces on one wire, each with a charon of its own.

    node ---- eth0 ---- br0 of the namespace "wire" ---- eth0 ---- node

swanctl.conf is a nested dict. A tunnel is a connection by the node that initiates it.
"""
import collections
import os
import re
import shutil
import signal
import socket
import subprocess
import time

import vici
from checks import BUILD, FOLDER, LIMIT, broken, run
from host import Host, family_of

PKI = os.environ.get("LATCHD_TEST_PKI", os.path.join(BUILD, "tests/vm/pki"))
MADE = re.compile(r"(?<!outbound )(CHILD_SA|IKE_SA) (\S+)[\[{]\d+[\]}] (?:established|rekeyed between)")
PLUGINS = ("random nonce openssl kdf pem pkcs1 pkcs8 x509 pubkey constraints kernel-netlink"
           " socket-default vici")
CHARON = """charon-systemd {{
  load_modular = no
  load = {plugins}
  delete_rekeyed_delay = 2
  retransmit_timeout = 2.0
  retransmit_base = 1.0
  retransmit_tries = 20
  {more}
  plugins {{
    vici {{
      socket = unix://{socket}
    }}
  }}
  filelog {{
    log {{
      path = {log}
      time_format = %s
      time_add_ms = yes
      default = 1
      flush_line = yes
    }}
  }}
}}
swanctl {{
  load = random openssl pem pkcs1 pkcs8 x509 pubkey
}}
"""


class Node(Host):
    def __init__(self, name, address, plugins="", charon="", certificate=None):
        super().__init__(name, address, None)
        self.device = "eth0"
        self.plugins, self.charon_more = plugins, charon
        self.certificate = certificate or name
        self.counts, self.counted = collections.Counter(), 0
        self.configuration = {"connections": {}, "secrets": {}, "pools": {}}
        self.started = []
        self.charon = None
        self.folder = os.path.join(FOLDER, name)
        self.socket = os.path.join(FOLDER, f"{name}.vici")

    def path(self, name):
        return os.path.join(self.folder, name)

    # ---- programs

    def start(self, command, log, **how):
        """A program in this namespace, until the network is removed. command: a list of words"""
        with open(self.path(log), "ab") as output:
            how = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": output, **how}
            started = subprocess.Popen(["nsenter", f"--net=/run/netns/{self.name}", "--", *command], **how)
        self.started.append(started)
        return started

    def run(self, command, check=True):
        return run(f"nsenter --net=/run/netns/{self.name} -- {command}", check)

    def stop_program(self, program):
        stop(program)
        self.started.remove(program)

    def stop_programs(self):
        for each in reversed(self.started):
            stop(each)
        self.started.clear()

    # ---- sockets

    def connected(self, address, port, local_port=0, local=None):
        """A connection that is there; its first packets may bring up the tunnel."""
        made = self.inside(lambda: socket.socket(family_of(address)))
        made.settimeout(LIMIT)
        if local or local_port:
            made.bind((local or "", local_port))
        made.connect((address, port))
        made.setblocking(False)
        return made

    # ---- charon

    @property
    def connections(self):
        return self.configuration["connections"]

    def environment(self):
        return dict(os.environ, STRONGSWAN_CONF=self.path("strongswan.conf"),
                    SWANCTL_DIR=self.path("swanctl"))

    def configure(self):
        owner = self.certificate
        for name, folder in ((f"{owner}.pem", "x509"), (f"{owner}.key", "private"), ("ca.pem", "x509ca")):
            os.makedirs(self.path(f"swanctl/{folder}"), exist_ok=True)
            if os.path.exists(os.path.join(PKI, name)):
                shutil.copy(os.path.join(PKI, name), self.path(f"swanctl/{folder}"))
        put(self.path("strongswan.conf"), CHARON.format(
            plugins=f"{PLUGINS} {self.plugins}", more=self.charon_more, socket=self.socket,
            log=self.path("charon.log")))
        put(self.path("swanctl/swanctl.conf"), "\n".join(section(self.configuration)) + "\n")

    def start_charon(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.charon = self.start(["charon-systemd"], "charon.out", env=self.environment())

    def stop_charon(self):
        self.stop_program(self.charon)

    def swanctl(self, command, check=True):
        done = subprocess.run(["swanctl", *command.split(), "--uri", f"unix://{self.socket}"], text=True,
                              env=self.environment(), capture_output=True, check=False)
        with open(self.path("swanctl.log"), "a", encoding="utf-8") as log:
            log.write(f"swanctl {command}\n{done.stdout}{done.stderr}")
        if check and done.returncode:
            broken(f"{self.name}: swanctl {command}", done)
        return done

    def load(self):
        wait_for(lambda: os.path.exists(self.socket), f"charon of {self.name} listens")
        self.swanctl("--load-all")

    def made(self, what, name):
        """How many SAs of this name charon has logged so far; a rekeyed CHILD_SA is logged once a direction.

        what: CHILD_SA or IKE_SA
        """
        with open(self.path("charon.log"), encoding="utf-8", errors="replace") as log:
            log.seek(self.counted)
            for line in iter(log.readline, ""):
                if not line.endswith("\n"):
                    break
                self.counts.update(found.group(1, 2) for found in MADE.finditer(line))
                self.counted = log.tell()
        return self.counts[what, name]

    def vici(self, command, **arguments):
        answer = vici.request(self.socket, command, arguments.items())
        if not vici.succeeded(answer):
            raise SystemExit(f"{self.name}: {command} {arguments}: {answer!r}")

    def has_old_children(self, name):
        """charon moves a rekeyed CHILD_SA to the next IKE_SA, and authenticates again only without one."""
        listed = vici.request(self.socket, "list-sas", {"ike": name}.items(), "list-sa")
        return bool(re.search(b"REKEYED|REKEYING|DELETING|DELETED", listed))


class Tunnel:
    """A connection to the peer, with one child of the same name; the node initiates it."""

    def __init__(self, node, peer, name):
        self.node, self.peer, self.name = node, peer, name

    def is_up(self):
        return self.node.made("CHILD_SA", self.name)

    def connect(self):
        """Traffic may have requested it, too: then charon refuses ours."""
        vici.request(self.node.socket, "initiate", {"child": self.name, "timeout": "60000"}.items())

    def initiate(self):
        if not self.is_up():
            self.connect()
            wait_for(self.is_up, f"{self.node.name} has its tunnel {self.name}")


def put(path, text, mode=0o644):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, mode)


def section(values, depth=0):
    """Lines of swanctl.conf"""
    for key, value in values.items():
        if isinstance(value, dict):
            yield "  " * depth + f"{key} {{"
            yield from section(value, depth + 1)
            yield "  " * depth + "}"
        else:
            yield "  " * depth + f"{key} = {value}"


def stop(process):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(condition, what, limit=LIMIT):
    """As until() of checks.py, without a line of log for each."""
    if not holds_within(limit, condition):
        raise SystemExit(f"{what}: not within {limit} s")


def holds_within(limit, condition):
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


# ---- connections


def child(**more):
    return {"rekey_time": "1h", "rand_time": "0s", "esp_proposals": "aes128gcm16-x25519",
            "dpd_action": "restart", **more}


def connection(node, peer, children, **more):
    """Certificates on both sides, each names the other one."""
    here, there = node.certificate, peer.certificate
    return {"version": 2, "local_addrs": node.address, "remote_addrs": peer.address,
            "proposals": "aes128-sha256-x25519", "mobike": "no", "dpd_delay": "30s", "rekey_time": "4h",
            "local": {"auth": "pubkey", "certs": f"{here}.pem", "id": f"{here}.example"},
            "remote": {"auth": "pubkey", "cacerts": "ca.pem", "id": f"{there}.example"},
            "children": children, **more}


def transport(node, peer, **more):
    """Trap policies at both hosts for all that they send each other; the first host begins at once."""
    name = f"{node.name}-{peer.name}"
    for here, there, action in ((node, peer, "trap|start"), (peer, node, "trap")):
        here.connections[name] = connection(here, there, {
            name: child(mode="transport", start_action=action, **more)})
    return Tunnel(node, peer, name)
