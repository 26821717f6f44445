# SPDX-License-Identifier: BSD-2-Clause
"""What an administrator's day does to a network while its traffic goes on. Each returns when complete."""
import time

from node import holds_within, wait_for

FLUSHED_SECONDS = LATCHD_SECONDS = CALM_SECONDS = 2
AGAIN_SECONDS = 10


def calm(_):
    time.sleep(CALM_SECONDS)


def renew(network, what, arguments, ready=lambda tunnel: True):
    """Of all tunnels, side by side. arguments of a tunnel's name; what: the SAs that are new then."""
    before = {}
    for tunnel in network.tunnels:
        wait_for(lambda: ready(tunnel), f"{tunnel.name} may be renewed")
        before[tunnel] = tunnel.node.made(what, tunnel.name)
        tunnel.node.vici("rekey", **arguments(tunnel.name))
    for tunnel in network.tunnels:
        wait_for(lambda: tunnel.node.made(what, tunnel.name) > before[tunnel],
                 f"{what} of {tunnel.name} is renewed")


def has_no_old_children(tunnel):
    return not tunnel.node.has_old_children(tunnel.name)


def rekey_children(network):
    renew(network, "CHILD_SA", lambda name: {"child": name})


def rekey_ike(network):
    renew(network, "IKE_SA", lambda name: {"ike": name}, has_no_old_children)


def reauthenticate(network):
    renew(network, "IKE_SA", lambda name: {"ike": name, "reauth": "yes"}, has_no_old_children)


def load_all(network):
    for node in network.with_charon():
        node.swanctl("--load-all")


def restart_charon(network):
    """In good order, at one host; its peers and its traffic bring the tunnels up again."""
    before = {tunnel: tunnel.node.made("CHILD_SA", tunnel.name) for tunnel in network.tunnels_of_gateway()}
    network.gateway.stop_charon()
    network.gateway.start_charon()
    network.gateway.load()
    bring_back(before)


def bring_back(before):
    """A peer that asks while charon has no configuration yet is refused for good: its user connects again."""
    def is_back(tunnel):
        return tunnel.node.made("CHILD_SA", tunnel.name) > before[tunnel]

    holds_within(AGAIN_SECONDS, lambda: all(map(is_back, before)))
    for tunnel in [each for each in before if not is_back(each)]:
        tunnel.connect()
    for tunnel in before:
        wait_for(lambda: is_back(tunnel), f"{tunnel.name} is up again")


def flush_policies(network):
    """A rekey brings the policies back."""
    network.gateway.flush("policy")
    time.sleep(FLUSHED_SECONDS)
    rekey_children(network)


def restart_latchd(network):
    """Without latchd the same time passes."""
    if network.latchd:
        network.latchd.stop()
    time.sleep(LATCHD_SECONDS)
    if network.latchd:
        network.latchd.start()


ALL = (("calm", calm), ("CHILD_SA rekey", rekey_children), ("IKE_SA rekey", rekey_ike),
       ("re-authentication", reauthenticate), ("load-all", load_all), ("charon restart", restart_charon),
       ("policy flush", flush_policies), ("latchd restart", restart_latchd))
