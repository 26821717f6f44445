# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ---- NAT 10.9.0.2 ---- C 10.8.0.2, c.example
#	                     \----------- D 10.8.1.2, d.example
#
# S28: two clients behind one address, transport mode, ESP in UDP. For W both are
# 10.9.0.2, so their SAs overlap: C's connection is latched to C, breaks when D
# comes, and D gets nothing of it.
#
# touches: sa feeds vici gate
# expect: clean

declare -A BEHIND=([c]=10.8.0.2 [d]=10.8.1.2)

local_addresses() {
	if [ "$1" = w ]; then addr w; else echo "${BEHIND[$1]}"; fi
}

remote_addresses() {
	if [ "$1" = w ]; then echo %any; else addr w; fi
}

selectors() {
	:
}

# The wire's own namespace becomes the NAT; both clients are behind it.
build_nat() {
	local host

	ip -n lt-c addr flush dev eth0
	ip -n lt-net addr add 10.9.0.2/24 dev br0
	for host in c d; do
		ip -n lt-net -batch - <<-EOF
			link set dev $host nomaster
			addr add ${BEHIND[$host]%.*}.1/24 dev $host
		EOF
		ip -n lt-$host -batch - <<-EOF
			addr add ${BEHIND[$host]}/24 dev eth0
			route add default via ${BEHIND[$host]%.*}.1
		EOF
	done
	ip netns exec lt-net sysctl -qw net.ipv4.ip_forward=1
	ip netns exec lt-net nft -f - <<-EOF
		table ip nat {
			chain out {
				type nat hook postrouting priority srcnat
				oifname br0 masquerade
			}
		}
	EOF
	log "C and D are behind 10.9.0.2"
}

topology
build_nat
host_up w c d
start_latchd
start_monitor
must_initiate c
# An application's own address: behind the NAT the private one.
addr() {
	if [ "$1" = w ]; then echo 10.9.0.1; else echo "${BEHIND[$1]}"; fi
}
start_stream
# Behind the NAT W's packets have a private address of their receiver: C's, or D's if they leak.
port=$(port_of c-7000)
for host in c d; do
	alias_flow w-7000 "$(addr w)" 7000 "$(addr $host)" "$port"
done
need_latch w 7000 established
latch_seen "$(at w 7000) and .remote.addr == \"10.9.0.2\" and .peer.id == \"c.example\"" ||
	fail "W's latch is not C's behind its public address"
must_initiate d
need 60 "W's application is reset" app_failed w-7000
need_broken
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
conforms S28 "two clients behind one address: the second breaks the first client's latch, and gets nothing"
note "W reset ($(app_error w-7000)) when D came from C's public address; D decrypted nothing"
