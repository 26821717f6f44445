# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SAs of c.example, rekeyed ===== C 10.9.0.2
#	    ^
#	    +--- SAs of d.example, again and again ----- D, at 10.9.0.2, too
#
# S37 with real key managers and the daemon, beside a model of what must be true. Random events:
# D comes with a burst of segments for one of C's connections, and goes. C rekeys and authenticates
# again. Connections open, end and are killed. An administrator breaks and heals. latchd is killed
# while D comes or goes, and starts again. After each event:
#
#	I1  state and reasons of every latch are the model's; SAs are contested while D is there
#	I2  a connection does not move while its latch is BROKEN, and continues when it is ESTABLISHED
#	I3  W's applications have received none of D's segments, and D has decrypted nothing of C's
#	I4  W has as many latches as sockets
#
# LATCHD_CHURN_SEED chooses the events (printed), LATCHD_CHURN_STEPS how many (12); more, until every
# kind of event has occurred.
#
# touches: sa latch gate control news feeds vici
# run: conformance
# expect: clean

readonly STEPS=${LATCHD_CHURN_STEPS:-12} FIRST_PORT=7000 REFUSED_PORT=7099
RANDOM=${LATCHD_CHURN_SEED:-5660}
# The model: D's presence and for how many steps, open ports, those that an administrator broke,
# and each broken connection's counters.
D_THERE='' D_AGE=0 TAKEN=0 TRIES=0 PORTS=() NEXT_PORT=$FIRST_PORT
declare -A ADMIN=() FROZEN=() KINDS=() MISSING=()

rules() {
	cat <<-EOF

		[rule patient]
		action = auto
		protocol = tcp
		local-port = 7000-7098
		disposition = wait
		on-dpd = keep
		on-reboot = keep
	EOF
}

# The random number must be drawn in this shell.
pick_port() {
	PICKED=${PORTS[RANDOM % ${#PORTS[@]}]}
}

forged_at_w() {
	decrypted_times w FORGED-BY-D
}

more_forged() {
	[ "$(forged_at_w)" -gt "$1" ]
}

# ---- events: each returns 1 if the model does not allow it now

d_comes() {
	local next_in next_out seen

	[ -z "$D_THERE" ] || return 1
	pick_port
	seen=$(forged_at_w)
	read -r next_in next_out < <(learn_sequence "w-$PICKED")
	forge d "w-$PICKED" --seq "$next_in" --ack "$next_out" --text FORGED-BY-D --every 20
	must_initiate d
	need 60 "D's burst is under its new SAs" more_forged "$seen"
	kill_and_wait TERM "$(cat "$APPS/forge.pid")"
	D_THERE=1 D_AGE=0
}

d_goes() {
	[ -n "$D_THERE" ] || return 1
	terminate_child d flow
	D_THERE=''
}

c_rekeys() {
	renew CHILD_SA rekey_child
}

c_authenticates() {
	renew IKE_SA reauthenticate
}

opens() {
	[ -z "$D_THERE" ] && [ ${#PORTS[@]} -lt 3 ] || return 1
	start_stream "$NEXT_PORT"
	PORTS+=("$NEXT_PORT")
	NEXT_PORT=$((NEXT_PORT + 1))
}

conflict_drops() {
	status '[.drops[] | select(.reason == "conflict").ingress] | add'
}

more_conflicts() {
	[ "$(conflict_drops)" -gt "$1" ]
}

# While SAs conflict W accepts no new connection.
refuses() {
	local before

	[ -n "$D_THERE" ] || return 1
	before=$(conflict_drops) || exit 1
	spawn c "$RUN/refused.pid" "$BUILD_DIR/tests/vm/crowd" hold "$(addr w)" $REFUSED_PORT 1 \
		>>"$RUN/refused.log" 2>&1
	need 60 "C's SYN is dropped while SAs conflict" more_conflicts "$before"
	no_latch "$(at w $REFUSED_PORT)" || fail "I1: a latch was created while SAs conflict"
	kill_and_wait KILL "$(cat "$RUN/refused.pid")"
}

without() {
	local port kept=()

	for port in "${PORTS[@]}"; do
		[ "$port" = "$1" ] || kept+=("$port")
	done
	PORTS=("${kept[@]}")
	unset "ADMIN[$1]" "FROZEN[$1]"
}

ends() {
	[ ${#PORTS[@]} -gt 1 ] || return 1
	pick_port
	[ "$(expected "$PICKED")" = established ] || return 1
	end_stream c "$PICKED"
	without "$PICKED"
}

is_killed() {
	[ ${#PORTS[@]} -gt 1 ] || return 1
	pick_port
	kill_and_wait KILL "$(app_pid "w-$PICKED")" "$(app_pid "c-$PICKED")"
	without "$PICKED"
}

administrator_breaks() {
	pick_port
	[ -z "${ADMIN[$PICKED]:-}" ] || return 1
	latchctl break "$(latch_id "$(at w "$PICKED")")" >>"$RUN/admin.log" 2>&1 ||
		fail "latchctl break failed: $(tail -n 1 "$RUN/admin.log")"
	ADMIN[$PICKED]=1
}

administrator_heals() {
	pick_port
	[ -n "${ADMIN[$PICKED]:-}" ] || return 1
	latchctl heal "$(latch_id "$(at w "$PICKED")")" >>"$RUN/admin.log" 2>&1 ||
		fail "latchctl heal failed: $(tail -n 1 "$RUN/admin.log")"
	unset "ADMIN[$PICKED]"
}

without_latchd() {
	kill9_latchd
	"$1"
	start_latchd
}

d_comes_without_latchd() {
	[ -z "$D_THERE" ] || return 1
	without_latchd d_comes
}

d_goes_without_latchd() {
	[ -n "$D_THERE" ] || return 1
	without_latchd d_goes
}

# ---- after an event

reasons_of() {
	local list=()

	[ -z "${ADMIN[$1]:-}" ] || list+=('"admin"')
	[ -z "$D_THERE" ] || list+=('"sa-conflict"')
	(IFS=, && echo "[${list[*]}]")
}

expected() {
	if [ "$(reasons_of "$1")" = '[]' ]; then echo established; else echo broken; fi
}

check_latch() {
	local port=$1 state reasons

	state=$(expected "$port") reasons=$(reasons_of "$port")
	need 60 "I1: W's latch of port $port is $state $reasons" latch_seen \
		"$(at w "$port") and .state == \"$state\" and (.reasons | sort) == $reasons"
	! app_failed "w-$port" || fail "application at W: $(app_error "w-$port")"
	[ "$(received_bytes "w-$port")" = 0 ] || fail "I3: W's application received D's data on port $port"
}

# While broken the counters stay as they were after the first check.
check_stream() {
	local port=$1 before

	if [ "$(expected "$port")" = broken ]; then
		FROZEN[$port]=${FROZEN[$port]:-$(counters w "$port")}
		[ "$(counters w "$port")" = "${FROZEN[$port]}" ] ||
			fail "I2: port $port moved while broken: ${FROZEN[$port]}, now $(counters w "$port")"
		return
	fi
	unset "FROZEN[$port]"
	before=$(received_bytes "c-$port")
	need 180 "I2: C's stream from port $port continues" \
		received_at_least "c-$port" $((before + 200))
}

contested_as_modelled() {
	local contested=''

	! sa_seen ".state == \"bound\" and .contested" || contested=1
	[ "$contested" = "$D_THERE" ]
}

latches_at_w() {
	latches ".state != \"listener\" and .local.addr == \"$(addr w)\"" | matches -c .
}

sockets_at_w() {
	sockets w exclude listening | matches -cE " $(addr w):70[0-9]{2} "
}

as_many_latches_as_sockets() {
	[ "$(latches_at_w)" = "$(sockets_at_w)" ]
}

check() {
	local port

	need 60 "I1: SAs are contested while D is there" contested_as_modelled
	for port in "${PORTS[@]}"; do
		check_latch "$port"
		check_stream "$port"
	done
	need 180 "I4: W has as many latches as sockets" as_many_latches_as_sockets
	! decrypted d W-TO-C || fail "I3: D decrypted a part of C's streams"
}

EVENTS=(d_comes d_comes d_goes d_goes c_rekeys c_authenticates opens opens refuses ends is_killed
	administrator_breaks administrator_heals d_comes_without_latchd d_goes_without_latchd)

# From the middle on the events are of kinds that are missing, as far as the model allows one.
pick_event() {
	local kinds=("${!MISSING[@]}")

	EVENT=${EVENTS[RANDOM % ${#EVENTS[@]}]}
	[ "$TAKEN" -lt $((STEPS / 2)) ] || [ ${#kinds[@]} = 0 ] || [ $TRIES -gt 20 ] ||
		EVENT=${kinds[RANDOM % ${#kinds[@]}]}
	[ -z "$D_THERE" ] || [ $D_AGE -lt 3 ] || EVENT=d_goes
}

# An event that is not allowed now does nothing. D and an administrator's break do not last long, or
# TCP would try again ever more rarely.
step() {
	pick_event
	TRIES=$((TRIES + 1)) PICKED=''
	"$EVENT" || return 1
	KINDS[$EVENT]=1 TAKEN=$((TAKEN + 1)) TRIES=0
	unset "MISSING[$EVENT]"
	[ -z "$D_THERE" ] || D_AGE=$((D_AGE + 1))
	write_log "event $TAKEN: $EVENT${PICKED:+ $PICKED}${D_THERE:+; D is there}; open: ${PORTS[*]}"
}

heal_all() {
	local port

	d_goes || :
	for port in "${!ADMIN[@]}"; do
		latchctl heal "$(latch_id "$(at w "$port")")" >>"$RUN/admin.log" 2>&1
		unset "ADMIN[$port]"
	done
}

write_log "LATCHD_CHURN_SEED=${LATCHD_CHURN_SEED:-5660} LATCHD_CHURN_STEPS=$STEPS"
topology dpd=300s
copy_frames
in_host w sysctl -qw net.ipv4.tcp_orphan_retries=1
in_host c sysctl -qw net.ipv4.tcp_orphan_retries=1
host_up w c d
start_latchd
must_initiate c
beside_c
spawn w "$RUN/server.pid" "$BUILD_DIR/tests/vm/crowd" serve "$(addr w)" $REFUSED_PORT >"$RUN/server" 2>&1
need 60 "a server listens at W" file_has "$RUN/server" listening
opens
opens
check
for event in "${EVENTS[@]}"; do
	MISSING[$event]=1
done
while [ $TAKEN -lt "$STEPS" ] || [ ${#MISSING[@]} -gt 0 ]; do
	until step; do
		:
	done
	check
done
heal_all
check
for port in "${PORTS[@]}"; do
	end_stream c "$port"
	without "$port"
done
need 180 "I4: no connection, no latch" as_many_latches_as_sockets
conforms S37 "$TAKEN random events with charon and latchd, every one of ${#KINDS[@]} kinds: I1 to I4 held"
note "$TAKEN events, seed ${LATCHD_CHURN_SEED:-5660}: ${!KINDS[*]}"
