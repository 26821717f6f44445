# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example, an exact remote id ===== C 10.9.0.2
#	    \
#	     ===== SAs of D, under %any, rekeyed by either end ===== D, at 10.9.0.2, too
#
# latchd at W refuses D at once. pending-limit is 60 s, longer than any wait below. A connection of D
# that needs no latch goes on within seconds after each rekey, and no packet of it is dropped once
# its SAs are known to have an unproven peer. C's connection sends nothing under them, ever.
#
# touches: gate sa feeds vici
# run: conformance
# expect: clean

served_hosts() {
	echo w
}

enforce_keys() {
	echo "pending-limit = 60s"
}

# W's charon prefers the connection with the exact id.
eval "plain_$(declare -f connection_config)"
connection_config() {
	plain_connection_config "$1" >"$RUN/connection"
	if [ "$1" = w ]; then
		sed 's/id = \*\.example/id = c.example/' "$RUN/connection"
		sed 's/id = \*\.example/id = %any/; s/^ *peer {/others {/; s/^ *flow {/other {/
			s/start_action = trap/start_action = none/' "$RUN/connection"
	else
		cat "$RUN/connection"
	fi
}

refusals() {
	matches -c 'child_sa .* refused (the connection.s remote id admits' "$LATCHD_LOG"
}

refused_more_than() {
	[ "$(refusals)" -gt "$1" ]
}

# sas_of CONDITION: W's SAs, one a line.
sas_of() {
	listed_in sa ".netns_name == \"lt-w\" and $1" '.sas[]' | wc -l
}

# W has so many SAs of a peer that is decided to be unproven, and none that waits for its decision.
unproven_at_least() {
	[ "$(sas_of '.state == "pending" and .unproven')" -ge "$1" ] &&
		[ "$(sas_of '.state == "pending" and (.unproven | not)')" = 0 ]
}

drops_of() {
	latch_field "$(at w "$1")" .drops
}

# W has no SA with D but those of the last rekey: what D receives comes under them.
only_new_sas() {
	[ "$(sas_of '.state == "pending"')" = 2 ]
}

rekeyed_by_w() {
	swan w --rekey --child other >>"$RUN/w/rekey.log" 2>&1
}

rekeyed_by_d() {
	rekey_child d
}

# goes_on COMMAND: the connection of D after a rekey.
goes_on() {
	local before refused drops received

	before=$(established d CHILD_SA) refused=$(refusals)
	"$1" || fail "$1 failed; see rekey.log"
	need 60 "D has rekeyed its CHILD_SA" established_at_least d CHILD_SA $((before + 1))
	need 20 "latchd refuses the new CHILD_SA" refused_more_than "$refused"
	need 10 "W's SAs are known to have an unproven peer" unproven_at_least 2
	received=$(received_bytes d-7001)
	need 10 "the connection goes on at once" received_at_least d-7001 $((received + 100))
	need 20 "W has no other SA with D" only_new_sas
	need 5 "the outbound SA that came with the last message is known, too" unproven_at_least 2
	drops=$(drops_of 7001) received=$(received_bytes d-7001)
	need 10 "D receives under the new SAs" received_at_least d-7001 $((received + 500))
	[ "$(drops_of 7001)" = "$drops" ] || fail "W's gate dropped a packet under a decided SA"
}

topology dpd=300s
WITH_LATCHD=1 honest_start
need 10 "W's latch is C's" latch_seen \
	"$(at w 7000) and .state == \"established\" and .peer.id == \"c.example\""
impostor_takes_over
need 20 "latchd refuses D's SAs" refused_more_than 0
need 10 "W's SAs with D are known to have an unproven peer" unproven_at_least 2
stream=$(latches "$(at w 7000)")
[ -n "$stream" ] || fail "C's stream has ended under D's SA"
need 60 "W's gate drops C's stream under D's SA" \
	latch_seen "$(at w 7000) and .state == \"established\" and .drops > $(json .drops <<<"$stream")"
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
conforms R-2-4 "a flow latched to c.example is dropped under the SAs of a refused peer"
stream w-7001 w d --local-port 7001 --send W-TO-D --rate 20
need 30 "the application at W listens" app_event w-7001 listening
stream d-7001 d w --remote "$(addr w)" --remote-port 7001 --expect W-TO-D
need 20 "a new connection of D begins at once" app_event w-7001 connected
need 20 "D is served" received_at_least d-7001 200
latch_seen "$(at w 7001) and .state == \"larval\"" || fail "D's connection has a peer"
for by in d w d w d; do
	goes_on "rekeyed_by_$by"
done
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
waited=$(sas_of '.state == "pending"')
note "five rekeys of a refused peer: its connection goes on within seconds, $waited SAs unproven;" \
	"C's stream: $(drops_of 7000) packets dropped, none decrypted"
