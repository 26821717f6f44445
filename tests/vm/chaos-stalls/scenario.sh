# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SAs of c.example, renewed ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, in the end at 10.9.0.2
#	     many namespaces lt-many-N, each with an SA
#
# latchd is stopped for 30 s while C renews SAs and connects; its event ring overflows; the clock
# is set back and forth; namespaces come and go by the hundred. No latch breaks, no byte is lost,
# and descriptors and pins are as many as before. Then D attacks while latchd is stopped. Before Linux
# 6.4 no namespace has a netfilter gate: there the namespaces only come and go.
#
# touches: maps news sa net enforce gate
# run: conformance
# expect: clean

readonly NAMESPACES=200
readonly SAS=4000 # two events each: more than the ring holds
readonly KEY='aead rfc4106(gcm(aes)) 0x0102030405060708090a0b0c0d0e0f1011121314 128'

remove_many() {
	local n

	for ((n = 0; n < NAMESPACES; n++)); do
		echo "netns del lt-many-$n"
	done | ip -force -batch - 2>/dev/null || true
}
trap remove_many EXIT

sa() {
	echo "xfrm state $1 src 10.8.0.1 dst 10.8.0.2 proto esp spi $2 ${3:-}"
}

add_many() {
	local n

	for ((n = 0; n < NAMESPACES; n++)); do
		echo "netns add lt-many-$n"
	done | ip -batch -
	for ((n = 0; n < NAMESPACES; n++)); do
		ip -n lt-many-$n xfrm state add src 10.8.0.1 dst 10.8.0.2 proto esp spi 0x4242 \
			mode transport aead 'rfc4106(gcm(aes))' \
			0x0102030405060708090a0b0c0d0e0f1011121314 128
	done
}

# overflow: SAs of a namespace without a key manager, added and deleted.
overflow() {
	local n

	for ((n = 0; n < SAS; n++)); do
		sa add $((0x10000 + n)) "mode transport $KEY"
		sa delete $((0x10000 + n))
	done | ip -n lt-many-0 -batch -
}

# has_netfilter_gate: false where need_netfilter_gate skips, on Linux before 6.4.
has_netfilter_gate() {
	local status=0

	(
		# shellcheck disable=SC2317 # need_netfilter_gate calls it
		skip() { exit 3; }
		need_netfilter_gate
	) || status=$?
	stop_if_failed
	[ $status != 3 ]
}

served() {
	status '[.netns[] | select(.netfilter_gate)] | length'
}

served_at_least() {
	[ "$(served)" -ge "$1" ]
}

served_exactly() {
	[ "$(served)" = "$1" ]
}

# need_gates LIMIT WHAT COMMAND...: need, where namespaces have a netfilter gate.
need_gates() {
	[ $GATES = 0 ] || need "$@"
}

# churn SECONDS: C renews its SAs for so long.
churn() {
	local start=$SECONDS

	ROUNDS=0
	while [ $((SECONDS - start)) -lt "$1" ]; do
		renew CHILD_SA rekey_child
		ROUNDS=$((ROUNDS + 1))
	done
}

step_clock() {
	log "the clock is set by $1 s"
	date -s "@$(($(date +%s) + $1))" >/dev/null
	need_progress c-7000 "after a step of the clock by $1 s"
	renew CHILD_SA rekey_child
	need_progress c-7000 "with a new SA"
	need_latch w 7000 established
}

topology dpd=300s
WITH_LATCHD=1 honest_start
need_steady
GATES=0
! has_netfilter_gate || GATES=1
need_gates 30 "the netfilter gate is attached at all three hosts" served_exactly 3
before=$(descriptors)
pinned=$(pins)

kill -STOP "$(latchd_pid)"
listen_and_connect w c 7001 --send W-TO-C --rate 5 --lines 0 -- --expect W-TO-C
churn 30
kill -CONT "$(latchd_pid)"
need_progress c-7000 "after 30 s without latchd's work"
need_progress c-7001 "after 30 s without latchd's work"
need_latch w 7000 established
need_latch w 7001 established
need_no_break_logged
log "latchd stopped for 30 s, $ROUNDS new SAs: no break"

add_many
need_gates 120 "the netfilter gate is attached in $NAMESPACES namespaces" \
	served_at_least $((NAMESPACES + 3))
kill -STOP "$(latchd_pid)"
overflow
renew CHILD_SA rekey_child
kill -CONT "$(latchd_pid)"
need 60 "latchd reports lost events" event_seen '.event == "lost" and .where != "monitor"'
need_progress c-7000 "after lost events"
need_latch w 7000 established
need_no_break_logged
remove_many
need_gates 120 "deleted namespaces are not served any more" served_exactly 3
need 60 "latchd has as many descriptors as before, $before" descriptors_are "$before"
need 60 "as many objects are pinned as before, $pinned" pins_are "$pinned"

step_clock 7200
step_clock -3600
step_clock -3600
need_no_break_logged
end_stream c 7001
conforms R-2-16 "latchd stopped for 30 s under $ROUNDS new SAs: latched throughout, no break"

kill -STOP "$(latchd_pid)"
impostor_takes_over
never 10 "D decrypted C's stream while latchd was stopped" decrypted d W-TO-C
kill -CONT "$(latchd_pid)"
need 60 "W's application is reset" app_failed w-7000
need_broken
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
note "30 s stopped under $ROUNDS new SAs, $((2 * SAS)) events, $NAMESPACES namespaces, three clock" \
	"steps: no break; D decrypted nothing"
