# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# D beside C: both have the address 10.9.0.2, and both send and receive.
#
#	W 10.9.0.1 ----+---- br0 ---- C 10.9.0.2
#	               |      |
#	   a copy of each     +------ D 10.9.0.2
#	   frame of W  ---------------^
#
# C needs not vanish, so that W's TCP sends and receives when D's SA comes.

# copy_frames: before the first packet. The first such qdisc patches the kernel's code (a static key
# in __dev_queue_xmit()), and an emulated 6.12 crashed there under traffic.
copy_frames() {
	ip netns exec lt-net tc qdisc add dev w ingress
	ip netns exec lt-net tc filter add dev w parent ffff: matchall \
		action mirred egress mirror dev d
	# The copies are for C's MAC address.
	in_host d tc qdisc add dev eth0 ingress
	in_host d tc filter add dev eth0 parent ffff: matchall action skbedit ptype host
}

# beside_c: after copy_frames.
beside_c() {
	give_address d c
	ip -n lt-w neigh replace "$(addr c)" dev eth0 lladdr "${MAC[c]}" nud permanent
	ip -n lt-d neigh replace "$(addr w)" dev eth0 lladdr "${MAC[w]}" nud permanent
	log "D is beside C, at the same address"
}

# live_opening: W streams to C, a line every 10 ms; with latchd both ends are latched.
live_opening() {
	topology dpd=300s tries=30
	copy_frames
	host_up w c d
	[ -z "${WITH_LATCHD:-}" ] || start_latchd
	must_initiate c
	listen_and_connect w c 7000 --send W-TO-C --rate 100 -- --expect W-TO-C
	need 60 "C receives the stream" received_at_least c-7000 200
	[ -z "${WITH_LATCHD:-}" ] || need_latch w 7000 established
	beside_c
}

waits_for_no_answer() {
	! backs_off w 7000 1
}

# need_live WHEN: C receives data, and W's TCP is not in back-off.
need_live() {
	local before

	before=$(received_bytes c-7000)
	need 60 "C receives the stream $1" received_at_least c-7000 $((before + 2000))
	need 60 "W's TCP is not in back-off $1" waits_for_no_answer
}

# d_answers_nothing: D's kernel has no socket of C's connection. Its reset would end W's before
# W has sent data under D's SA.
d_answers_nothing() {
	in_host d nft -f - <<-EOF
		table inet silent {
			chain arrived {
				type filter hook input priority 0
				tcp sport 7000 drop
			}
		}
	EOF
}

# burst: D sends segments that fit into C's connection. The first one starts D's IKE; the others
# follow in one burst with the SAs.
burst() {
	local next_in next_out

	d_answers_nothing
	read -r next_in next_out < <(learn_sequence w-7000)
	forge d w-7000 --seq "$next_in" --ack "$next_out" --text FORGED-BY-D --every 5
}

# sent_during_ike: packets that W sent to C, under C's SA, between its last two answers of an IKE
# exchange: IKE_SA_INIT and IKE_AUTH, with D.
sent_during_ike() {
	local packets

	packets=$(captured wire-w ether src "${MAC[w]}") || exit 1
	awk '/ESP\(/ { sent++ }
		/ikev2_init\[R\]/ { sent = 0 }
		/ikev2_auth\[R\]/ { during = sent }
		END { print during + 0 }' <<<"$packets"
}

has_child_sa() {
	established_at_least "$1" CHILD_SA 1
}
