# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
# One latchd serves all three network namespaces. D's own connection has the same
# addresses as C's had: each latch belongs to the namespace of its socket. The netfilter gate
# is attached in each of them, and in one without any process that gets an SA. The gate keeps
# no namespace in existence.
#
# touches: net enforce gate
# expect: clean

netns_of() {
	latch_field "$1" .netns | sort -u
}

# A namespace of its own, which has an SA and a cable: the other end is gone when the namespace is.
add_extra() {
	ip netns add lt-extra
	ip link add lt-far type veth peer name near netns lt-extra
	ip -n lt-extra xfrm state add src 10.8.0.1 dst 10.8.0.2 proto esp spi 0x4242 \
		mode transport aead 'rfc4106(gcm(aes))' \
		0x0102030405060708090a0b0c0d0e0f1011121314 128
}

extra_is_freed() {
	local links

	links=$(answer ip -o link show) || exit 1
	! has_line ' lt-far@' <<<"$links"
}

topology dpd=4s
WITH_LATCHD=1 honest_start
need 30 "C's end is latched" latch_seen "$(at c "$(port_of c-7000)")"
impostor_takes_over
need_reset
need 120 "W gives C up" has_no_children w c.example
new_connection 7001
need_latch w 7001 established
need 30 "D's end is latched" latch_seen "$(at d "$(port_of d-7001)")"
conforms L-2-4 "both ends were latched with the first packet"
conforms L-5.1-2 "W, which listens, has a latch of D's connection"
conforms L-5.1-3 "D, which connects, has a latch, too"
w=$(netns_of "$(at w 7001)")
c=$(netns_of "$(at c "$(port_of c-7000)")")
d=$(netns_of "$(at d "$(port_of d-7001)")")
[[ $w != "$c" && $w != "$d" && $c != "$d" ]] ||
	fail "namespaces of W, C and D are listed as $w, $c and $d"
need_netfilter_gate
need 30 "the netfilter gate is attached at all three hosts" netfilter_netns_at_least 3
add_extra
need 30 "the netfilter gate is attached where no process is" netfilter_netns_at_least 4
ip netns del lt-extra
need 60 "a deleted namespace is freed" extra_is_freed
add_extra
need 30 "the netfilter gate is attached there again" netfilter_netns_at_least 4
stop_latchd
ip netns del lt-extra
! wait_until 2 extra_is_freed || fail "the netfilter gate did not hold the namespace without latchd"
start_latchd
need 60 "a later latchd frees it" extra_is_freed
note "three namespaces: W $w, C $c, D $d"
