# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    ^
#	    +--- segments in clear, "from" 10.9.0.2 --- D 10.9.0.3
#
# W's policies are edited under a latched flow so that they let plaintext in. D
# injects text, a RST, a FIN, a SYN-ACK, an ACK and text in IP fragments that fit into the
# connection. W drops and counts them, and the stream continues.
#
# touches: gate packet spd
# expect: clean

# D has no netfilter gate: it would refuse to send what begins inside a segment.
served_hosts() {
	echo w c
}

topology
WITH_LATCHD=1 honest_start
give_address d d
flush_policies d
# Only marked packets, or latchd would see that the policy allows plaintext of the latched flow.
in_host w nft -f - <<-EOF
	table inet clear {
		chain arrived {
			type filter hook prerouting priority mangle
			meta secpath missing tcp dport 7000 meta mark set 7
		}
	}
EOF
in_host w ip xfrm policy add dir in src "$(addr c)" dst "$(addr w)" proto tcp \
	mark 7 mask 0xff priority 1 action allow
log "a policy at W now allows segments in clear"
read -r next_in next_out < <(learn_sequence w-7000)
forge d w-7000 --seq "$next_in" --ack "$next_out" --text FORGED-BY-D --count 20
need 60 "the text is sent" file_has "$APPS/forge.log" '^20 segments'
forge d w-7000 --seq "$next_in" --ack "$next_out" --rst --count 21
need 60 "the resets are sent" file_has "$APPS/forge.log" '^21 segments'
need 60 "the latch counts what it dropped" \
	latch_seen "$(at w 7000) and .drops >= 41"
conforms R-2-5 "20 segments with text and 21 resets in clear: dropped and counted"
forge d w-7000 --seq "$next_in" --ack "$next_out" --fin --count 22
need 60 "the FINs are sent" file_has "$APPS/forge.log" '^22 segments'
forge d w-7000 --seq "$next_in" --ack "$next_out" --syn-ack --count 23
need 60 "the SYN-ACKs are sent" file_has "$APPS/forge.log" '^23 segments'
need 60 "the latch counts the FINs and SYN-ACKs, too" \
	latch_seen "$(at w 7000) and .drops >= 86"
forge d w-7000 --seq "$next_in" --ack "$next_out" --text FORGED-BY-D --fragments --count 24
need 60 "the fragments are sent" file_has "$APPS/forge.log" '^24 segments'
need 60 "the latch counts the reassembled segments, too" \
	latch_seen "$(at w 7000) and .drops >= 110"
conforms R-2-5 "24 segments with text in clear, each in two fragments: dropped and counted"
forge d w-7000 --seq "$next_in" --ack "$next_out" --count 25
need 60 "the ACKs are sent" file_has "$APPS/forge.log" '^25 segments'
need 60 "the latch counts the ACKs, too" latch_seen "$(at w 7000) and .drops >= 135"
conforms R-2-5 "22 FINs, 23 SYN-ACKs and 25 ACKs without data in clear: dropped and counted"
need_latch w 7000 established
end_stream c 7000
note "135 forged segments, none accepted; $SENT bytes, none lost"
conforms S16 "text, whole and in fragments, RST, FIN, SYN-ACK and ACK in clear: ignored, all 135 counted, the stream unharmed"
