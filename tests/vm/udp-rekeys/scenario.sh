# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SAs of c.example, renewed ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, later at 10.9.0.2
#
# A connected UDP socket at W sends a datagram every 2 ms, C's answers. Through twelve CHILD_SA
# rekeys and two IKE_SA rekeys no call of either application fails. Datagrams meet SAs that are
# pending: they are lost, and counted. Then D takes C's place with its own identity: the latch
# breaks, the application gets ECONNABORTED, and D gets nothing.
#
# touches: gate sa feeds vici
# expect: clean

readonly FAILED='send E\|recv E'

lost() {
	status .counters.datagrams_lost
}

# The first datagram may find no socket yet (ECONNREFUSED).
declare -A EARLIER

note_errors() {
	local host

	for host in w c; do
		EARLIER[$host]=$(reported "$host" "$FAILED")
	done
}

need_no_error() {
	local host

	for host in w c; do
		[ "$(reported "$host" "$FAILED")" = "${EARLIER[$host]}" ] ||
			fail "$1: the application at $host: $(grep "$FAILED" "$RUN/datagrams-$host" | tail -n 1)"
	done
}

# pending_times: milliseconds from the installation of each SA to BOUND.
pending_times() {
	local program

	program=$(
		cat <<-'EOF'
			def ms: capture("(?<whole>.*)\\.(?<part>[0-9]+)Z$") |
				("\(.whole)Z" | fromdate) * 1000 + ("0.\(.part)" | tonumber) * 1000;
			def sa: "\(.netns) \(.spi)";
			(map(select(.event == "sa-pending") | {key: sa, value: (.time | ms)}) | from_entries) as $pending |
			.[] | select(.event == "sa-bound" and $pending[sa]) | (.time | ms) - $pending[sa] | round
		EOF
	)
	events '.event == "sa-pending" or .event == "sa-bound"' >"$RUN/sa-events"
	answer jq -rs "$program" "$RUN/sa-events"
}

summary() {
	sort -n | awk '{ all[NR] = $1 } END {
		if (NR) print NR " SAs pending: median " all[int((NR + 1) / 2)] " ms, longest " all[NR] " ms" }'
}

topology dpd=4s
host_up w c d
start_latchd
start_monitor
must_initiate c
send_datagrams c w 8000 8001 pace=20
send_datagrams w c 8001 8000 once pace=2
need 60 "W's UDP socket is latched to C" latch_seen \
	"$(at w 8001) and .state == \"established\" and .proto == \"udp\" and .peer.id == \"c.example\""
need 60 "C decrypts W's datagrams" decrypted c W-TO-C-BY-UDP
note_errors
renew CHILD_SA rekey_child 6
renew IKE_SA rekey_ike
renew CHILD_SA rekey_child 6
renew IKE_SA rekey_ike
need_no_error "after the rekeys"
need_no_break
lost=$(lost) sent=$(reported w "send ok")
[ "$sent" -gt 500 ] || fail "W has sent only $sent datagrams"
[ "$lost" -gt 0 ] || fail "no datagram met a pending SA: the rekeys show nothing"
times=$(pending_times | summary)
log "$sent datagrams sent at W, $lost lost at all hosts; $times"
conforms R-2-15 "connected UDP through 14 rekeys: $sent datagrams, no error; $lost lost under pending SAs"
impostor_takes_over
need 60 "W's application receives the error" reported_at_least w "recv ECONNABORTED" 1
need 30 "latchctl monitor reports the broken latch" event_seen \
	'.event == "latch-broken" and .proto == "udp" and .local.port == 8001'
! decrypted d W-TO-C-BY-UDP || fail "D decrypted a datagram that was meant for C"
note "$sent datagrams through 14 rekeys without an error, $lost lost; $times; D got none"
