# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 (10.1.0.1) ===== tunnel, c.example ===== C 10.9.0.2 (10.1.0.2)
#	                      ===== the same, moved   ===== C 10.9.0.12
#
# S29: C moves to another outer address (MOBIKE, RFC 4555) under a running stream
# between inner addresses. The same peer, the same protection: the latch holds,
# no byte is lost, and the SAs at the new addresses are bound to it. Applications of uid 65534 at both
# ends ask their own sockets: the outer addresses are the old ones before, and the new ones after.
#
# touches: sa feeds vici api
# run: conformance mobike
# run: field mobike-trixie mobike-sid
# variant: mobike-trixie charon=trixie
# variant: mobike-sid charon=sid
# expect: clean

rules() {
	printf '\n[api]\nenabled = on\n'
}

declare -A INNER=([w]=10.1.0.1 [c]=10.1.0.2 [d]=10.1.0.2)

local_addresses() {
	if [ "$1" = w ]; then addr w; else echo %any; fi
}

remote_addresses() {
	if [ "$1" = w ]; then echo %any; else addr w; fi
}

selectors() {
	local there=c

	[ "$1" = w ] || there=w
	printf 'local_ts = %s/32\nremote_ts = %s/32\n' "${INNER[$1]}" "${INNER[$there]}"
}

inner_network() {
	local host there

	for host in w c; do
		there=c
		[ $host = w ] || there=w
		ip -n lt-$host -batch - <<-EOF
			addr add ${INNER[$host]}/32 dev lo
			route add ${INNER[$there]}/32 dev eth0 src ${INNER[$host]}
		EOF
	done
}

move_c() {
	in_host c sysctl -qw net.ipv4.conf.eth0.promote_secondaries=1
	ip -n lt-c -batch - <<-EOF
		addr add 10.9.0.12/24 dev eth0
		addr del 10.9.0.2/24 dev eth0
		route replace ${INNER[w]}/32 dev eth0 src ${INNER[c]}
	EOF
	log "C has moved to 10.9.0.12"
}

latched_params() {
	latch_field "$(at w 7000)" '[.id, .peer, .local_id, .params.mode, .params]'
}

bound_at() {
	sa_seen ".state == \"bound\" and .dst == \"$1\" and (.peer | tostring | contains(\"c.example\"))"
}

# sa_of_latch WAY END ADDRESS: the latch names an SA (out, in) with this outer address (dst, src).
sa_of_latch() {
	local spi

	spi=$(latch_field "$(at w 7000)" ".sa.$1") || exit 1
	sa_seen ".spi == \"$spi\" and .$2 == \"$3\" and .state == \"bound\""
}

# W's latch has new SAs after its first packets at the new address.
outer_is_shown() {
	sa_of_latch out dst "$1" && sa_of_latch in src "$1"
}

# sees_outer LOCAL REMOTE: to W's application, and the mirror image to C's.
sees_outer() {
	need_answer w "W's application sees its peer's outer address $2" "$(outer_is "$1" "$2") and .peer == \"c.example\""
	need_answer c "C's application sees its own" "$(outer_is "$2" "$1") and .peer == \"w.example\""
}

outer_is() {
	echo ".state == LATCH_APP_ESTABLISHED and .info.outer_local_addr == \"$1\" and .info.outer_remote_addr == \"$2\""
}

# What W's application has learned. A value that is absent is a failure: two of them would be equal.
answered_params() {
	local params

	params=$(last_answer w '[.info.latch, .info.local_addr, .info.remote_addr, .info.mode, .info.encryption]') || exit 1
	json . <<<"$params"
}

# esp_to ADDRESS: packets that W has sent there.
esp_to() {
	captured wire-w ether src "${MAC[w]}" and ip proto 50 and dst host "$1" | wc -l
}

topology mode=tunnel mobike=yes "$@"
inner_network
# Otherwise C would move to IPv6.
ip -n lt-w addr flush dev eth0 scope global to fd09::/64
ip -n lt-c addr flush dev eth0 scope global to fd09::/64
host_up w c
start_latchd
start_monitor
must_initiate c
addr() {
	echo "${INNER[$1]}"
}
start_stream
need_latch w 7000 established
latched=$(latched_params)
need 60 "latchctl shows C's first outer address" outer_is_shown 10.9.0.2
asking w w serve "${INNER[w]}" 7010
need_answer w "a listener" '.listener.state == LATCH_APP_LISTENER'
asking c c connect "${INNER[w]}" 7010
sees_outer 10.9.0.1 10.9.0.2
answered_as=$(answered_params)
move_c
need 60 "W has an SA to C's new address that is bound to c.example" bound_at 10.9.0.12
need 60 "latchctl shows C's new outer address" outer_is_shown 10.9.0.12
[ -z "$(sas '.src == "10.9.0.2" or .dst == "10.9.0.2"')" ] ||
	fail "latchctl sa shows C's old address"
old=$(esp_to 10.9.0.2) new=$(esp_to 10.9.0.12)
before=$(received_bytes c-7000)
need 60 "the stream continues" received_at_least c-7000 $((before + 2000))
need_latch w 7000 established
need_latch c "$(port_of c-7000)" established
[ "$(latched_params)" = "$latched" ] ||
	fail "W has another latch, or its latch has other parameters"
sees_outer 10.9.0.1 10.9.0.12
[ "$(answered_params)" = "$answered_as" ] ||
	fail "W's application has another latch, or other parameters: $(last_answer w .info)"
! last_answer w .seen | grep -q ECONN || fail "W's application saw an error: $(last_answer w .seen)"
conforms R-2-9 "an application asks its socket after the peer's move: the new outer addresses, the same inner ones"
conforms R-2-14 "the peer's outer address changed: same latch, same parameters"
end_stream c 7000
need_no_break
[ "$(esp_to 10.9.0.2)" = "$old" ] || fail "W still sends to C's old address"
[ "$(esp_to 10.9.0.12)" -gt "$new" ] || fail "W has sent nothing to C's new address"
conforms S29 "MOBIKE: no break, $SENT bytes, none lost; outer addresses of both SAs shown anew, to the application, too"
conforms L-2-3 "SAs at another outer address carried the flow on"
note "C moved: $SENT bytes, none lost; longest gap $GAP_MS ms"
