# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W, C and D with a charon each: feeds of latchd
#	lt-x 10.7.0.1 ==== SAs by hand, no charon ==== lt-y 10.7.0.2
#
# A namespace that no feed serves. As long as a configured feed was never seen, it may be there: a
# new connection waits for the owner of its SA. When each feed was seen elsewhere, a connection of
# lt-x begins at once, larval and counted. A rule that requires a latch refuses it all the same. When
# the charon of D has ended, and when latchd has, a charon may come there: the connection waits.
#
# touches: gate enforce sa report latchd
# run: conformance
# expect: clean

readonly KEY=0x0102030405060708090a0b0c0d0e0f1011121314
FEEDS="w c d never"

served_hosts() {
	echo "$FEEDS"
}

rules() {
	printf '\n[rule strict]\naction = require\nprotocol = tcp\nremote-port = 7777\n'
}

# sa_pair SPI-THERE SPI-BACK: new SAs, at both ends.
sa_pair() {
	local host

	for host in x y; do
		ip -n "lt-$host" xfrm state flush
		ip -n "lt-$host" xfrm state add src 10.7.0.1 dst 10.7.0.2 proto esp spi "$1" \
			mode transport aead 'rfc4106(gcm(aes))' $KEY 128
		ip -n "lt-$host" xfrm state add src 10.7.0.2 dst 10.7.0.1 proto esp spi "$2" \
			mode transport aead 'rfc4106(gcm(aes))' $KEY 128
	done
}

# policies HOST OUT IN: of the two ends' addresses.
policies() {
	ip -n "lt-$1" xfrm policy add src "$2" dst "$3" proto tcp dir out \
		tmpl proto esp mode transport
	ip -n "lt-$1" xfrm policy add src "$3" dst "$2" proto tcp dir in \
		tmpl proto esp mode transport
}

# The oracle watches both namespaces, too, and their connections to port 7070.
add_unserved() {
	ip netns add lt-x
	ip netns add lt-y
	ip -n lt-x link add wire type veth peer name wire netns lt-y
	ip -n lt-x addr add 10.7.0.1/24 dev wire
	ip -n lt-y addr add 10.7.0.2/24 dev wire
	ip -n lt-x link set wire up
	ip -n lt-y link set wire up
	policies x 10.7.0.1 10.7.0.2
	policies y 10.7.0.2 10.7.0.1
	watch_namespace x lt-x
	watch_namespace y lt-y
	spawn y "$RUN/server.pid" python3 -c "import socket, time
kept = [socket.create_server(('10.7.0.2', port)) for port in (7070, 7777)]
time.sleep(1000)"
}

# What the captures need must exist until they have ended.
remove_unserved() {
	local host

	[ ! -e "$RUN/server.pid" ] || kill_and_wait KILL "$(cat "$RUN/server.pid")"
	stop_watching
	for host in x y; do
		[ ! -e /run/netns/lt-$host ] || ip netns del lt-$host
	done
}

# connect_ms PORT SECONDS: how long connect() of lt-x takes, "timeout" after so many seconds, or the
# name of its error. Both ends of a connection are registered.
connect_ms() {
	in_host x python3 -c "import errno, socket, time
began = time.monotonic()
try:
    here = socket.create_connection(('10.7.0.2', $1), $2).getsockname()[1]
    print(round((time.monotonic() - began) * 1000))
    with open('$APPS/flows', 'a', encoding='ascii') as file:
        print('x-%d' % here, 'x', 'y', '10.7.0.1', here, '10.7.0.2', $1, '-', '-', 'tcp', sep='\\t', file=file)
        print('y-%d' % here, 'y', 'x', '10.7.0.2', $1, '10.7.0.1', here, '-', '-', 'tcp', sep='\\t', file=file)
except TimeoutError:
    print('timeout')
except OSError as error:
    print(errno.errorcode[error.errno])"
}

required_drops() {
	status '.drops[] | select(.reason == "required").egress'
}

feeds_are_synced() {
	[ "$(status '[.feeds[] | select(.state == "synced")] | length')" = 3 ]
}

status_needs_attention() {
	[ "$(status '[.attention[] | select(.object == "unlatched_unserved")] | length')" = 1 ]
}

feed_is() {
	[ "$(status ".feeds[] | select(.name == \"$1\").state")" = "$2" ]
}

# expect_wait SPI-THERE SPI-BACK WHAT: the first SYN is lost, at least.
expect_wait() {
	local took

	sa_pair "$1" "$2"
	took=$(connect_ms 7070 30)
	[[ $took =~ ^[0-9]+$ && $took -ge 900 ]] ||
		fail "$3: connect() took $took, expected 900 ms or more"
}

is_reloaded() {
	file_has "$LATCHD_LOG" "latchd.conf reloaded"
}

topology
trap remove_unserved EXIT
add_unserved
host_up w c d
start_latchd
start_monitor
need 60 "three feeds are synced" feeds_are_synced
expect_wait 0x7001 0x7002 "one feed was never seen"
[ "$(status .counters.unlatched_unserved)" = 0 ] || fail "a connection counts as unserved"
FEEDS="w c d"
latchd_config >"$RUN/latchd.conf"
kill -HUP "$(latchd_pid)"
need 30 "latchd has read its configuration" is_reloaded
sa_pair 0x7003 0x7004
took=$(connect_ms 7070 30)
[[ $took =~ ^[0-9]+$ && $took -lt 900 ]] ||
	fail "each feed was seen elsewhere: connect() took $took, expected less than 900 ms"
[ "$(status .counters.unlatched_unserved)" -ge 1 ] || fail "the connection is not counted"
need 10 "status shows it" status_needs_attention
need_events 0 '.event == "latch-established" and .local.addr == "10.7.0.1"' \
	"a latch without an owner"
sa_pair 0x7005 0x7006
before=$(required_drops)
refused=$(connect_ms 7777 5)
[ "$refused" = timeout ] || fail "under require connect() gave $refused"
[ "$(required_drops)" -gt "$before" ] || fail "no packet was refused for the rule"
must_initiate c
start_stream
need_latch w 7000 established
charon_stop d
need 30 "the feed of d is lost" feed_is d lost
expect_wait 0x7007 0x7008 "a feed is away"
stop_latchd
expect_wait 0x7009 0x700a "latchd has ended"
start_latchd
need_latch w 7000 established
note "connect() without a feed that serves: $took ms"
