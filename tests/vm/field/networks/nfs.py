# SPDX-License-Identifier: BSD-2-Clause
"""NFSv4.1 of the kernel, server and client: their sockets have no process behind them.

    W 10.9.0.1 ===== transport mode ===== C 10.9.0.2
      nfsd of its namespace                 a mount, hard, and a program that writes and reads
"""
import os

from checks import run
from network import Network
from node import Node, put, transport, wait_for
from programs import session

MOUNT, EXPORT = "/run/latchd-field-nfs", "/run/latchd-field-export"
# Writes, forces out, and reads what the server has, for each line of its input.
CLIENT = """import os, sys
path = sys.argv[1] + "/file"
for number, line in enumerate(sys.stdin):
    with open(path, "w") as file:
        file.write(str(number))
        file.flush()
        os.fsync(file.fileno())
    names = os.listdir(sys.argv[1])
    with open(path) as file:
        print("read" if file.read() == str(number) and "file" in names else "wrong", flush=True)
"""


def network():
    w, c = Node("w", "10.9.0.1"), Node("c", "10.9.0.2")
    return Network([w, c], [transport(c, w)], list(parts(c)), latched=2, prepare=serve, finish=finish)


def serve(network):
    w, c = network.nodes
    run("modprobe -a nfsd nfsv4")
    for folder in (MOUNT, EXPORT):
        os.makedirs(folder, exist_ok=True)
    run(f"mountpoint -q {EXPORT} || mount -t tmpfs tmpfs {EXPORT}")
    w.run(f"sh {script(w)}")
    w.start(["rpc.mountd", "-F", "-N", "3", "-V", "4"], "mountd.log")
    mount = f"mount -t nfs4 -o vers=4.1,hard,timeo=100,actimeo=0 {w.address}:/ {MOUNT}"
    wait_for(lambda: c.run(mount, check=False).returncode == 0, "the export is mounted")
    put(c.path("client.py"), CLIENT)


def script(w):
    """The file system nfsd belongs to the namespace of the mount's caller."""
    put(w.path("nfsd.sh"), f"""set -e
mkdir -p /var/lib/nfs/v4recovery /run/nfsd-field
umount /proc/fs/nfsd 2>/dev/null || true
mount -t nfsd nfsd /proc/fs/nfsd
echo 10 >/proc/fs/nfsd/nfsv4leasetime
echo 10 >/proc/fs/nfsd/nfsv4gracetime
: >/var/lib/nfs/etab
exportfs -o rw,fsid=0,no_root_squash,no_subtree_check,insecure 10.9.0.0/24:{EXPORT}
rpc.nfsd -H {w.address} -N 3 -V 4 -V 4.1 --no-udp 2
""")
    return w.path("nfsd.sh")


def finish(network):
    w, c = network.nodes
    c.run(f"umount -f -l {MOUNT}", check=False)
    w.run("rpc.nfsd 0", check=False)


def parts(c):
    yield session("nfs", c, ["python3", c.path("client.py"), MOUNT], b"go\n", b"read\n")
