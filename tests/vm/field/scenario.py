# SPDX-License-Identifier: BSD-2-Clause
# touches: sa gate latch spd feeds vici enforce
# run: field
# oracle: none, impostors are the subject of other scenarios, these networks have honest peers only
# variant: field-mesh mesh
# variant: field-roadwarrior roadwarrior
# variant: field-roadwarrior-refused roadwarrior_refused
# variant: field-bgp bgp
# variant: field-overlay overlay
# variant: field-host-nat host_nat
# variant: field-servers servers
# variant: field-nfs nfs
# variant: field-resolver resolver
# variant: field-hub hub
# variant: field-vip vip
# variant: field-l2tp l2tp
# variant: field-simultaneous simultaneous
"""Real networks, each without latchd and with it under the same traffic.

         without latchd                             with latchd
    W ===== tunnels, applications ===== C      W ===== the same ===== C
            a day's disturbances                       the same

Each goes through rekeys, a re-authentication, swanctl --load-all, restarts of charon and latchd, and
flushed policies. Connections that break with latchd only are failures, and so are errors that the
application did not have without it. networks/ has one file a network. Without a name this is the
control: latchd closes the latch of one connection, and the comparison must find it and nothing else.
"""
import importlib
import os
import sys

import comparison
from checks import FOLDER, expect, leave
from network import both_runs


def main():
    name = sys.argv[2] if sys.argv[2:] else "control"
    network = importlib.import_module(f"networks.{name}")
    rows = both_runs(name, network.network)
    comparison.write(os.path.join(FOLDER, "field.tsv"), rows)
    print("\n".join(comparison.table(rows) + comparison.remarks(rows)), flush=True)
    getattr(network, "conclude", nothing_is_worse)(comparison.faults(rows))


def nothing_is_worse(faults):
    for fault in faults[1:]:
        print("FAIL  " + fault)
    if faults:
        leave("failure", faults[0])
    expect(not faults, faults[0] if faults else "nothing is worse with latchd")


main()
