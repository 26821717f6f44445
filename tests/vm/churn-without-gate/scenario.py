# SPDX-License-Identifier: BSD-2-Clause
# touches: gate
# oracle: none, the model of churn must find the leak
# run: conformance
"""
The same as churn, with one of the two cgroup gates removed: churn must report it.

    netns w 10.9.0.1 ---- veth ---- netns c 10.9.0.2

As soon as a connection is established, the gate of one direction is detached. Packets that
pass then violate churn's second invariant, and churn must report this invariant.
"""
import os
import shutil
import subprocess
import sys

from checks import expect

CHURN = os.path.join(os.path.dirname(__file__), "../churn/scenario.py")

for gate in ("egress", "ingress"):
    shutil.rmtree("/sys/fs/bpf/latchd", ignore_errors=True)
    print(f"---- without gate_{gate}", flush=True)
    done = subprocess.run([sys.executable, CHURN, sys.argv[1]], text=True, capture_output=True,
                          check=False, env=dict(os.environ, LATCHD_CHURN_WITHOUT=gate))
    print("".join(f"    {line}\n" for line in (done.stdout + done.stderr).splitlines()[-6:]), flush=True)
    failed = [line for line in done.stdout.splitlines() if line.startswith("FAIL")]
    expect(done.returncode == 1 and failed and "I2" in failed[0], f"churn reports it: {failed}")
