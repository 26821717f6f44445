# SPDX-License-Identifier: BSD-2-Clause
"""Servers as administrators run them: OpenSSH, nginx (HTTP/1.1 and HTTP/2), PostgreSQL.

    W 10.9.0.1 ===== transport mode ===== C 10.9.0.2
      sshd, nginx, postgres                 ssh, scp, curl, psql, pgbench
"""
import os
import pwd
import shutil
import struct

from checks import run
from network import Network
from node import Node, put, transport, wait_for
from programs import Commands, session
from traffic import Requests, Stream

BODY = "a page of the field\n"
HTTP1 = b"GET / HTTP/1.1\r\nHost: w.example\r\n\r\n"
# RFC 9113, 3.4 and 6.5; then HEADERS of the static table (RFC 7541): GET, http, /, authority w.
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
HTTP2_GET = bytes([0x82, 0x86, 0x84, 0x01, 1]) + b"w"
POSTGRES = "/usr/lib/postgresql/15/bin"


def network():
    w, c = Node("w", "10.9.0.1"), Node("c", "10.9.0.2")
    return Network([w, c], [transport(c, w)], list(parts(w, c)), latched=10, prepare=serve)


def serve(network):
    w, c = network.nodes
    for begin in (ssh_server, web_server, database):
        begin(w, c)


# ---- OpenSSH


def ssh_server(w, c):
    os.makedirs("/run/sshd", exist_ok=True)
    for node in (w, c):
        run(f"ssh-keygen -q -t ed25519 -N '' -f {node.path('ssh')}")
    put(w.path("authorized"), open(c.path("ssh.pub"), encoding="utf-8").read())
    put(w.path("sshd.conf"), f"""ListenAddress {w.address}
HostKey {w.path("ssh")}
AuthorizedKeysFile {w.path("authorized")}
PermitRootLogin yes
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
""")
    put(c.path("ssh.conf"), f"""Host w
HostName {w.address}
User root
IdentityFile {c.path("ssh")}
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
""")
    put(c.path("file"), "x" * 20000)
    # The guest's /etc/shadow locks root, and sshd without PAM refuses a locked account.
    put(w.path("shadow"), "root:*:19000:0:99999:7:::\n")
    w.start(["unshare", "--mount", "sh", "-c", f"mount --bind {w.path('shadow')} /etc/shadow &&"
             f" exec /usr/sbin/sshd -D -e -f {w.path('sshd.conf')}"], "sshd.log")
    wait_for(lambda: w.ss("-l sport = 22"), "sshd listens")


# ---- nginx


def web_server(w, _):
    put(w.path("index.html"), BODY)
    put(w.path("nginx.conf"), f"""daemon off;
user root;
worker_processes 1;
pid {w.path("nginx.pid")};
error_log {w.path("nginx.log")};
events {{ }}
http {{
  access_log off;
  keepalive_requests 100000;
  keepalive_timeout 600;
  server {{ listen {w.address}:80; root {w.folder}; }}
  server {{ listen {w.address}:8080 http2; root {w.folder}; }}
}}
""")
    w.start(["nginx", "-c", w.path("nginx.conf")], "nginx.out")
    wait_for(lambda: w.ss("-l sport = 80"), "nginx listens")


def http2_request(number):
    stream = struct.pack("!I", 2 * number + 1)
    headers = bytes([0, 0, len(HTTP2_GET), 1, 5]) + stream + HTTP2_GET  # END_STREAM, END_HEADERS
    return headers if number else PREFACE + headers


# ---- PostgreSQL


def database(w, _):
    """The cluster is made by the first run."""
    data, user = "/run/latchd-field-database", pwd.getpwnam("postgres")
    if not os.path.exists(data):
        os.makedirs(data)
        shutil.chown(data, user.pw_uid, user.pw_gid)
        run(f"setpriv --reuid=postgres --regid=postgres --clear-groups {POSTGRES}/initdb"
            f" --no-sync --locale=C --auth=trust -D {data}")
        with open(f"{data}/pg_hba.conf", "a", encoding="utf-8") as file:
            file.write("host all all 10.9.0.0/24 trust\n")
    w.start(["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", f"{POSTGRES}/postgres",
             "-D", data, "-h", w.address, "-k", data, "-c", "fsync=off"], "postgres.log")
    wait_for(lambda: run(f"{POSTGRES}/pg_isready -q -h {data}", check=False).returncode == 0,
             "PostgreSQL is ready")


# ---- what the clients do


def parts(w, c):
    host = ["-h", w.address, "-U", "postgres"]
    ssh = ["-F", c.path("ssh.conf")]
    put_in = c.path("question.sql")
    yield session("ssh", c, ["ssh", *ssh, "w", "cat"])
    yield Commands("scp", c, ["scp", *ssh, c.path("file"), "w:" + w.path("copied")])
    yield Stream("http1", lambda: c.connected(w.address, 80), HTTP1, BODY.encode())
    yield Requests("http1 short", c, w.address, 80, HTTP1, BODY.encode())
    # Without WINDOW_UPDATE a connection has room for 3276 answers (RFC 9113, 6.9.2).
    yield Stream("http2", lambda: c.connected(w.address, 8080), http2_request, BODY.encode(), interval=0.5)
    yield Commands("curl http2", c, ["curl", "-sS", "--max-time", "50", "--http2-prior-knowledge",
                                     "-o", "/dev/null", f"http://{w.address}:8080/"])
    yield session("psql", c, ["psql", *host, "-AtqX"], b"select 1;\n")
    yield Commands("pgbench", c, ["sh", "-c", f"echo 'select 1;' >{put_in}; exec {POSTGRES}/pgbench -n"
                                  f" -f {put_in} -t 20 {' '.join(host)} postgres"])
