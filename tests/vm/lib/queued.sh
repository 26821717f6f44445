# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# W with packets in its queues when D's SA comes:
#
#	datagrams of W's application --> XFRM holds them, no SA --> D's SA?
#	TCP of W --> ESP under C's SA --> 60 s in the device --> wire

readonly HELD=20

# queued_opening: a TCP stream and a connected UDP socket of W, both to C.
queued_opening() {
	topology dpd=300s
	host_up w c d
	if [ -n "${WITH_LATCHD:-}" ]; then
		start_latchd
		start_monitor
	fi
	must_initiate c
	in_host w sysctl -qw net.core.xfrm_larval_drop=0
	listen_and_connect w c 7000 --send W-TO-C --rate 50 -- --expect W-TO-C
	need 60 "C receives the stream" received_at_least c-7000 200
	# C's kernel must not answer with an ICMP error.
	spawn c "$RUN/sink.pid" /usr/bin/python3 -c "import signal, socket
sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sink.bind(('$(addr c)', 8000))
signal.pause()"
	send_datagrams w c 8001 8000 once
	need 60 "C decrypts W's datagrams" decrypted c W-TO-C-BY-UDP
}

# delay_esp: ESP waits in W's device; IKE and ARP pass at once.
delay_esp() {
	in_host w tc qdisc add dev eth0 root handle 1: prio bands 3 \
		priomap 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0
	in_host w tc qdisc add dev eth0 parent 1:3 handle 30: netem delay 60s limit 10000
	in_host w tc filter add dev eth0 parent 1: protocol ip prio 1 u32 \
		match ip protocol 50 0xff flowid 1:3
	log "W's device delays ESP"
}

# esp_queue MEMBER: of W's device: qlen (packets that wait), packets (that have left).
esp_queue() {
	local listed

	listed=$(answer in_host w tc -s -j qdisc show dev eth0) || exit 1
	answer jq "[.[] | select(.handle == \"30:\").$1] | add" <<<"$listed"
}

esp_waits() {
	[ "$(esp_queue qlen)" -ge "$1" ]
}

esp_has_left() {
	[ "$(esp_queue qlen)" = 0 ]
}

# hold_datagrams: C is gone, W has no SA, and XFRM holds what W's applications send. Then the
# sender of datagrams stops: D can only get those that XFRM holds.
hold_datagrams() {
	local before

	host_down c
	ip -n lt-w xfrm state flush
	before=$(reported w "send ok") || exit 1
	need 60 "W's application sends without an SA" \
		reported_at_least w "send ok" $((before + HELD + 5))
	kill -STOP "$(cat "$RUN/datagrams-w.pid")"
	log "XFRM holds W's datagrams, and their sender is stopped"
}

# spi_of_d: the SPI of W's packets to D, as D's charon reports it.
spi_of_d() {
	local listed

	listed=$(answer swan d --list-sas --raw) || exit 1
	[[ $listed =~ spi-in=([0-9a-f]{8}) ]] || fail "D has no CHILD_SA"
	echo "0x${BASH_REMATCH[1]}"
}

# sent_under SPI: ESP packets under this SPI that have left W.
sent_under() {
	local packets

	packets=$(captured wire-w ether src "${MAC[w]}" and ip proto 50) || exit 1
	matches -c "spi=$1," <<<"$packets"
}

sent_under_at_least() {
	[ "$(sent_under "$1")" -ge "$2" ]
}
