# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ---- NAT 10.9.0.2 ---- C 10.8.0.2, c.example
#	                     \----------- D 10.8.1.2, d.example
#
# S28: two clients behind one address, transport mode, ESP in UDP. For W both are
# 10.9.0.2, so their SAs overlap: C's connection is latched to C, breaks when D
# comes, and D gets nothing of it. nat-wait: the latch waits. W accepts none of D's segments that
# fit into C's connection, and C's stream continues when D is gone. nat-separate: the traffic
# selectors have one port each. Both clients are served at once, each latched to its own peer.
#
# touches: sa feeds vici gate
# variant: nat-wait wait
# variant: nat-separate separate
# run: conformance nat-wait nat-separate
# run: field nat-trixie nat-sid
# variant: nat-trixie reset charon=trixie
# variant: nat-sid reset charon=sid
# expect: clean

readonly VARIANT=${1:-reset}
declare -A PORT=([c]=7000 [d]=7001)

declare -A BEHIND=([c]=10.8.0.2 [d]=10.8.1.2)

local_addresses() {
	if [ "$1" = w ]; then addr w; else echo "${BEHIND[$1]}"; fi
}

remote_addresses() {
	if [ "$1" = w ]; then echo %any; else addr w; fi
}

selectors() {
	[ "$VARIANT" = separate ] && [ "$1" != w ] || return 0
	printf 'local_ts = dynamic[tcp]\nremote_ts = dynamic[tcp/%s]\n' "${PORT[$1]}"
}

rules() {
	[ "$VARIANT" = wait ] || return 0
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

reset_when_d_comes() {
	must_initiate d
	need 60 "W's application is reset" app_failed w-7000
	need_broken
	conforms S28 "two clients behind one address: the second breaks the first client's latch, and gets nothing"
	note "W reset ($(app_error w-7000)) when D came from C's public address; D decrypted nothing"
}

# forge_as_c: segments that fit into C's connection, from D's own address, under D's SA.
forge_as_c() {
	local next_in next_out

	read -r next_in next_out < <(learn_sequence w-7000)
	spawn d "$APPS/forge.pid" "$BUILD_DIR/tests/vm/forge" --from "$(addr d)" \
		--from-port "$(port_of c-7000)" --to "$(addr w)" --to-port 7000 \
		--seq "$next_in" --ack "$next_out" --text FORGED-BY-D --every 20 \
		>>"$APPS/forge.log" 2>&1
}

wait_until_d_has_gone() {
	local counters received

	must_initiate d
	need 30 "W's latch is BROKEN and waits" latch_seen "$(at w 7000) and .state == \"broken\""
	need_broken
	counters=$(counters w 7000) || exit 1
	forge_as_c
	need 60 "W decrypts D's segments for C's connection" decrypted w FORGED-BY-D
	need 30 "W's TCP backs off" backs_off w 7000 2
	kill_and_wait TERM "$(cat "$APPS/forge.pid")"
	[ "$(counters w 7000)" = "$counters" ] || fail "W's connection moved while its latch was broken"
	[ "$(received_bytes w-7000)" = 0 ] || fail "W's application received D's data"
	received=$(received_bytes c-7000)
	terminate_child d flow
	need_latch w 7000 established
	need 120 "C's stream continues" received_at_least c-7000 $((received + 500))
	end_stream c 7000
	conforms S28 "the latch waits: D gets nothing, none of its segments is accepted; C's stream continues, none lost"
	note "stalled for $GAP_MS ms while D was there; $SENT bytes, none lost"
}

flows() {
	local before

	before=$(received_bytes "$1")
	need 60 "$1 receives its stream" received_at_least "$1" $((before + 1000))
}

serve_both() {
	must_initiate d
	listen_and_connect w d 7001 --send W-TO-D --rate 20 -- --expect W-TO-D
	need 60 "W's second latch is D's" latch_seen \
		"$(at w 7001) and .state == \"established\" and .remote.addr == \"10.9.0.2\" and
		 .peer.id == \"d.example\""
	flows c-7000
	flows d-7001
	need_latch w 7000 established
	! sa_seen .contested || fail "SAs with separate selectors are contested"
	end_stream c 7000
	log "C's stream: $SENT bytes"
	end_stream d 7001
	! decrypted c W-TO-D || fail "C decrypted a part of D's stream"
	! event_seen '.event == "latch-broken"' || fail "a latch broke"
	conforms S28 "separate selectors: both clients served at once, each latched to its own peer, none lost"
	note "both streams whole, no break"
}

topology "${@:2}"
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
case $VARIANT in
reset) reset_when_d_comes ;;
wait) wait_until_d_has_gone ;;
separate) serve_both ;;
esac
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
