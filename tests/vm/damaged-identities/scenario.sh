# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    latchd: /sys/fs/bpf/latchd/v*/maps/{identities,params}, damaged meanwhile
#
# S21: another process changes or deletes an entry of the pinned identity table, while latchd runs
# and while none runs. latchd notices, closes every latch, resets their connections and unbinds
# every SA (RFC 5660 section 2.6). It then binds the SAs anew: new connections are latched again,
# and an intact table ends none. A start that cannot repair the table leaves the rules as they were.
#
# touches: identity latch sa maps
# run: conformance
# expect: clean

pin() {
	echo /sys/fs/bpf/latchd/v*/maps/"$1"
}

# first_of MAP: its first entry, as bpftool prints it.
first_of() {
	local listed

	listed=$(answer bpftool -j map dump pinned "$(pin "$1")") || exit 1
	answer jq -e ".[0]" <<<"$listed"
}

# bytes PART ENTRY: the key or value as bpftool's arguments.
bytes() {
	answer jq -r ".$1 | join(\" \")" <<<"$2"
}

# damage MAP: the first byte of the value becomes another.
damage() {
	local entry key value

	entry=$(first_of "$1") || exit 1
	read -ra key <<<"$(bytes key "$entry")"
	read -ra value <<<"$(bytes value "$entry")"
	value[0]=$((value[0] ^ 1))
	bpftool map update pinned "$(pin "$1")" key "${key[@]}" value "${value[@]}"
	log "an entry of the map $1 is damaged"
}

# forget MAP: its first entry is deleted.
forget() {
	local entry key

	entry=$(first_of "$1") || exit 1
	read -ra key <<<"$(bytes key "$entry")"
	bpftool map delete pinned "$(pin "$1")" key "${key[@]}"
	log "an entry of the map $1 is deleted"
}

# noticed: how often latchd has noticed damage.
noticed() {
	matches -c 'identity table damaged: [0-9]* latches closed, all SAs unbound' "$LATCHD_LOG"
}

noticed_at_least() {
	[ "$(noticed)" -ge "$1" ]
}

# closed PORT TIMES: the damage has ended this connection at both ends, and its latches.
closed() {
	need 60 "latchd notices the damage" noticed_at_least "$2"
	need 60 "W's application is reset" app_failed "w-$1"
	need 60 "C's application is reset" app_failed "c-$1"
	need 30 "no latch of the connection is left" no_latch \
		".state != \"listener\" and (.local.port == $1 or .remote.port == $1)"
}

# works PORT: a new connection is latched to its peer.
works() {
	start_stream "$1"
	need 60 "W's latch is C's" latch_seen \
		"$(at w "$1") and .state == \"established\" and .peer.id == \"c.example\""
}

rule_count() {
	local settings

	settings=$(answer bpftool -j map dump pinned "$(pin settings)") || exit 1
	answer jq -e '.[0].formatted.value.rule_count' <<<"$settings"
}

# fails_to_start: latchd ends by itself, with the exit status of a start that failed.
fails_to_start() {
	local status=0

	latchd_config >"$RUN/latchd.conf"
	timeout 60 "$BUILD_DIR/latchd" --config "$RUN/latchd.conf" >>"$LATCHD_LOG" 2>&1 || status=$?
	[ $status = 1 ] || fail "latchd's exit status is $status, not 1"
	tail -n 1 "$LATCHD_LOG" | grep -q 'identity table: damaged' ||
		fail "latchd ended for another reason: $(tail -n 1 "$LATCHD_LOG")"
}

topology
WITH_LATCHD=1 honest_start
damage identities
closed 7000 1
need_bound c.example
works 7001
forget params
closed 7001 2
works 7002
damage params
closed 7002 3
conforms R-2.6-1 "an entry changed or deleted while latchd runs: every latch closed, both ends reset, SAs bound anew"
works 7003
kill9_latchd
damage identities
start_latchd
closed 7003 4
works 7004
# More than two of latchd's checks.
never 25 "latchd found damage in an intact table" noticed_at_least 5
end_stream c 7004
conforms S21 "damaged three times while latchd ran and once while none did: all connections reset, new ones latched"
note "four times damaged: W saw $(app_error w-7000); an intact table ended nothing, $SENT bytes"
# The table takes no write, so that it cannot be repaired; the configuration has a rule by now.
kill9_latchd
damage identities
bpftool map freeze pinned "$(pin identities)"
rules() {
	printf '[rule later]\naction = require\nprotocol = tcp\nremote-port = 7009\n'
}
rules_before=$(rule_count)
fails_to_start
[ "$(rule_count)" = "$rules_before" ] || fail "a start that failed leaves its rules in force"
log "a start that cannot repair the table leaves the rules as they were"
