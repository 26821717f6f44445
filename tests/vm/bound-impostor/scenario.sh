# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2 (unplugged, later plugged in again)
#	    \
#	     ===== SA of d.example ===== D, meanwhile at 10.9.0.2
#
# latchd has bound D's SA to d.example, and W's latch is BROKEN and waits. Under its bound
# SA D sends what fits into C's connection: text, an ACK of what W has sent and C has not
# received, RST, FIN, SYN, SYN-ACK, in an IPv4 tunnel also text in two fragments. W drops and counts each. W's own packets for C do not leave. When D's
# SAs are gone C is plugged in again, and the stream continues. The same RST from C then resets
# it: the segments did fit.
# The variants: other kinds of protection.
#
# touches: gate packet sa latch feeds vici
# run: conformance bound-impostor-ah bound-impostor-beet bound-impostor-tunnel-ipv6 bound-impostor-tunnel-encap
# variant: bound-impostor-ah ah=sha256-x25519
# variant: bound-impostor-beet mode=beet
# variant: bound-impostor-tunnel-ipv6 mode=tunnel family=6
# variant: bound-impostor-tunnel-encap mode=tunnel encap=yes
# expect: clean

readonly EACH=20

rules() {
	cat <<-EOF

		[rule patient]
		action = auto
		protocol = tcp
		local-port = 7000
		disposition = wait
		on-dpd = keep
		on-reboot = keep
	EOF
}

# latchd would latch what D forges.
served_hosts() {
	echo w c
}

# broken_drops DIRECTION: packets that were dropped because their latch is BROKEN.
broken_drops() {
	status "[.drops[] | select(.reason == \"broken\").$1] | add"
}

broken_drops_at_least() {
	[ "$(broken_drops "$1")" -ge "$2" ]
}

# decrypted_flags FLAGS: such segments of C's connection that W has decrypted.
decrypted_flags() {
	local packets

	packets=$(captured clear-w) || exit 1
	matches -F "> $(addr w).7000: " <<<"$packets" | matches -cF "Flags [$1]"
}

decrypted_at_least() {
	[ "$(decrypted_flags "$1")" -ge "$2" ]
}

# has_no_effect FLAGS WHAT OPTION...: D's segments, which W decrypts and drops.
has_no_effect() {
	local flags=$1 what=$2 dropped seen

	shift 2
	dropped=$(broken_drops ingress) || exit 1
	seen=$(decrypted_flags "$flags") || exit 1
	forge d w-7000 --seq "$next_in" --ack "$next_out" --count $EACH "$@"
	need 60 "$what under D's bound SA: all $EACH dropped" \
		broken_drops_at_least ingress $((dropped + EACH))
	need 60 "$what under D's bound SA: W has decrypted all $EACH" \
		decrypted_at_least "$flags" $((seen + EACH))
	[ "$(received_bytes w-7000)" = 0 ] || fail "$what: W's application received bytes"
	! app_failed w-7000 || fail "$what: W's application got $(app_error w-7000)"
	[ "$(counters w 7000)" = "$counters" ] || fail "$what: TCP took a part of it"
	log "$what under D's bound SA: $EACH decrypted by W, $EACH dropped"
}

# next_to_ack: the number that C has acknowledged last; W has sent more, without an answer.
next_to_ack() {
	local packets info

	packets=$(captured clear-w -S) || exit 1
	info=$(tcp_info w 7000) || exit 1
	[[ $info =~ unacked:[1-9] ]] || fail "W has sent nothing that is outstanding: $info"
	grep -F "> $(addr w).7000: " <<<"$packets" | tail -n 1 | grep -oE ' ack [0-9]+' | cut -d ' ' -f 3
}

d_is_at_the_address() {
	ip -n lt-net link set dev c down
	take_address d c
	must_initiate d
	need_latch w 7000 broken
	need_bound d.example
	next_to_ack=$(next_to_ack) || exit 1
	counters=$(counters w 7000) || exit 1
	[ -n "$counters" ] || fail "W's connection is not established"
}

c_is_back() {
	terminate_child d flow
	need_latch w 7000 established
	ip -n lt-net link set dev d down
	ip -n lt-net link set dev c up
	ip -n lt-w neigh flush dev eth0
	log "C is plugged in again"
}

topology dpd=300s "$@"
how=${*:+ ($*)}
WITH_LATCHD=1 honest_start
read -r next_in next_out < <(learn_sequence w-7000)
d_is_at_the_address
has_no_effect P. "text" --text FORGED-BY-D
has_no_effect . "an ACK of outstanding bytes" --ack $((next_to_ack + 1))
has_no_effect R. "a RST" --rst
has_no_effect F. "a FIN" --fin
has_no_effect S "a SYN" --syn
has_no_effect S. "a SYN-ACK" --syn-ack
conforms R-2-5 "text, ACK, RST, FIN, SYN and SYN-ACK under D's bound SA: decrypted, counted, without effect$how"
# In transport mode a fragment of TCP cannot be in ESP.
if [ "$MODE$FAMILY" = tunnel4 ]; then
	# Longer than a header, which the gate at D wants to read in each.
	has_no_effect P. "text in fragments" --text FORGED-BY-D-IN-TWO-FRAGMENTS --fragments
	conforms R-2-5 "text in fragments under D's bound SA: decrypted, put together, counted, without effect$how"
fi
need 60 "W's own packets are dropped" broken_drops_at_least egress 1
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
conforms R-2-4 "W's retransmissions did not leave, in clear or under D's bound SA$how"

before=$(received_bytes c-7000)
c_is_back
need 120 "the stream continues" received_at_least c-7000 $((before + 500))
[ "$(received_bytes w-7000)" = 0 ] || fail "W's application received bytes"
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
forge c w-7000 --seq "$next_in" --ack "$next_out" --rst --count 1
need 60 "the RST under C's own SA resets W's connection" app_failed w-7000
[ "$(app_error w-7000)" = ECONNRESET ] || fail "W's application got $(app_error w-7000)"
note "segments under D's bound SA had no effect, C's stream continued$how; C's own RST resets it"
