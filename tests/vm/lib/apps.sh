# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# The applications: two ends of a TCP stream of recognisable text.
#
# An application has a tag; its files in $APPS are TAG.events, TAG.sent and
# TAG.recv. Every connection is listed in $APPS/flows, which the oracle reads.

# stream TAG HOST TRUE-PEER [OPTION...]: starts one end of a stream in the background.
stream() {
	local tag=$1 host=$2 peer=$3

	shift 3
	spawn "$host" "$APPS/$tag.pid" "$BUILD_DIR/tests/vm/stream" \
		--dir "$APPS" --tag "$tag" --host "$host" --peer "$peer" \
		--local "$(addr "$host")" "$@" 2>>"$APPS/stream.log"
}

app_pid() {
	cat "$APPS/$1.pid"
}

app_event() {
	file_has "$APPS/$1.events" "$2"
}

app_done() {
	app_event "$1" ' end '
}

# app_value TAG NAME: a number from the application's last report.
app_value() {
	sed -n "s/.* end .*$2=\([0-9]*\).*/\1/p" "$APPS/$1.events"
}

received_bytes() {
	if [ -e "$APPS/$1.recv" ]; then stat -c %s "$APPS/$1.recv"; else echo 0; fi
}

received_at_least() {
	[ "$(received_bytes "$1")" -ge "$2" ]
}

# listen_and_connect SERVER CLIENT PORT SERVER-OPTIONS -- CLIENT-OPTIONS
# The server's tag is SERVER-PORT, the client's CLIENT-PORT.
listen_and_connect() {
	local server=$1 client=$2 port=$3 options=()

	shift 3
	while [ "$1" != -- ]; do
		options+=("$1")
		shift
	done
	shift
	stream "$server-$port" "$server" "$client" --local-port "$port" \
		"${options[@]}"
	need 30 "the application at $server listens" \
		app_event "$server-$port" listening
	stream "$client-$port" "$client" "$server" \
		--remote "$(addr "$server")" --remote-port "$port" "$@"
	need 60 "TCP from $client to $server port $port" \
		app_event "$server-$port" connected
}

# start_stream [PORT [LINES]]: W sends C numbered lines, from W's port (7000).
# Without LINES the stream ends only when stop_app ends W's application.
start_stream() {
	local port=${1:-7000}

	listen_and_connect w c "$port" --send W-TO-C --rate 20 \
		--lines "${2:-0}" -- --expect W-TO-C
	need 60 "C receives the stream" received_at_least "c-$port" 200
	log "TCP stream from W port $port to C is running"
}

stop_app() {
	kill -TERM "$(app_pid "$1")" 2>/dev/null || true
}

# app_failed TAG: its connection ended with an error (events: error stream).
app_failed() {
	app_event "$1" ' error stream '
}

app_error() {
	sed -n 's/.* error stream //p' "$APPS/$1.events"
}

# event_time TAG WORD: the time of its first event of that name.
event_time() {
	awk -v word="$2" '$2 == word { print $1; exit }' "$APPS/$1.events"
}

# learn_sequence TAG: its next sequence numbers (incoming, outgoing), which a
# blind attacker would have to guess.
learn_sequence() {
	kill -USR1 "$(app_pid "$1")"
	need 10 "sequence numbers of $1" app_event "$1" ' sequence '
	sed -n 's/.* sequence //p' "$APPS/$1.events" | tail -n 1
}

# port_of TAG: the local port of its connection, as registered.
port_of() {
	awk -F '\t' -v tag="$1" '$1 == tag { print $5 }' "$APPS/flows"
}

# forge HOST TAG [OPTION...]: segments from the true peer of TAG's connection
# to TAG, sent by another host, in the background.
forge() {
	local host=$1 tag=$2 flow

	shift 2
	IFS=$'\t' read -r -a flow < <(awk -F '\t' -v tag="$tag" \
		'$1 == tag' "$APPS/flows")
	spawn "$host" "$APPS/forge.pid" "$BUILD_DIR/tests/vm/forge" \
		--from "${flow[5]}" --from-port "${flow[6]}" \
		--to "${flow[3]}" --to-port "${flow[4]}" "$@" \
		>>"$APPS/forge.log" 2>&1
}

# alias_flow TAG LADDR LPORT RADDR RPORT: the flow's addresses and ports as seen beyond a NAT.
alias_flow() {
	local IFS=$'\t'

	echo "$*" >>"$APPS/aliases"
}

# ---- connected UDP

# send_datagrams HOST PEER PORT PEER-PORT [once | then=PEER] [pace=MS]: datagrams, in the background; see
# lib/datagrams. The tag of the flow is HOST-PORT.
send_datagrams() {
	spawn "$1" "$RUN/datagrams-$1.pid" "$TOP/tests/vm/lib/datagrams" "$APPS" "$1" "$2" \
		"$(addr "$1")" "$3" "$(addr "$2")" "$4" "${@:5}" >"$RUN/datagrams-$1" 2>&1
}

# reported HOST PATTERN: how many lines of its datagram sender.
reported() {
	grep -c -- "$2" "$RUN/datagrams-$1" || [ $? = 1 ] || fail "$1 sends no datagrams"
}

reported_at_least() {
	[ "$(reported "$1" "$2")" -ge "$3" ]
}
