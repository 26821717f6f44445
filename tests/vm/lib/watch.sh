# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# What the leak oracle reads: captures and the SAs of each host. Started by topology, or for
# the hosts of a program by lib/watch; stopped by the harness: no scenario can forget them.
#
#	wire-HOST.pcap     every frame on the host's cable, outside the host
#	host-HOST.pcap     every packet on any device of the host, also on later ones
#	clear-HOST.pcap    every packet that the host decrypted (it has a secpath), transport and
#	                   tunnel mode, before any filter or socket
#	sealed-HOST.pcap   every packet that the host is about to encrypt
#	xfrm-HOST.monitor  the SAs of the host with their keys, from their first to their last
#	hosts              name, network namespace and MACs of each host
#	captures           the names of all captures
#	NAME.report        how many packets capture NAME has lost, written at its end
#	blind              why a leak may not have been seen

readonly NFLOG_DECRYPTED=5 NFLOG_SEALED=6
# Bursts must fit: the oracle calls a capture with holes blind. A packet that is not yet cut into
# segments is longer than a frame; its beginning is enough.
readonly CAPTURE_CABLE="262144 16384" CAPTURE_DEVICES="4096 8192" CAPTURE_NFLOG="262144 2048"

# spawn_watch NAME NETNS COMMAND...: in the background until stop_watching.
spawn_watch() {
	local name=$1 netns=$2

	shift 2
	(
		trap - ERR
		exec nsenter "--net=/run/netns/$netns" -- "$@"
	) </dev/null &
	echo $! >"$RUN/$name.watch"
	detach_job
}

# At postrouting the route of a packet that IPsec will encrypt is known, and the packet is in clear.
log_ipsec() {
	nsenter "--net=/run/netns/$1" -- nft -f - <<-EOF
		table inet oracle {
			chain decrypted {
				type filter hook prerouting priority raw
				meta secpath exists log group $NFLOG_DECRYPTED queue-threshold 1
			}
			chain sealed {
				type filter hook postrouting priority srcnat + 10
				rt ipsec exists log group $NFLOG_SEALED queue-threshold 1
			}
		}
	EOF
}

# add_capture NAME NETNS DEVICE BYTES-AND-KIB: for start_captures.
add_capture() {
	local name=$1

	echo "$name" >>"$RUN/captures"
	echo "$*" >>"$RUN/captures.list"
}

# start_captures: those that were added since the last time, in one process.
start_captures() {
	local name

	read -r name _ <"$RUN/captures.list"
	mv "$RUN/captures.list" "$RUN/captures-$name.list"
	: >"$RUN/captures-$name.log" # wait_for_watches looks for it, perhaps before the process runs
	(
		trap - ERR
		exec "$BUILD_DIR/tests/vm/capture" "$RUN"
	) <"$RUN/captures-$name.list" >>"$RUN/captures-$name.log" 2>&1 &
	echo $! >"$RUN/captures-$name.watch"
	detach_job
}

# macs NETNS: of its Ethernet devices, with commas between them.
macs() {
	local listed

	listed=$(answer ip -n "$1" -o link show) || exit 1
	matches -oE 'link/ether [0-9a-f:]+' <<<"$listed" | cut -d ' ' -f 2 | paste -sd ,
}

start_sa_monitor() {
	local host=$1 netns=$2

	spawn_watch "xfrm-$host" "$netns" stdbuf -oL ip -rcvbuf 4194304 -o xfrm monitor SA \
		>>"$RUN/xfrm-$host.monitor" 2>"$RUN/xfrm-$host.words"
}

# monitors_sas HOST NETNS: true if the kernel will report SAs to the monitor (netlink family 6).
monitors_sas() {
	local pid

	pid=$(cat "$RUN/xfrm-$1.watch")
	running "$pid" || fail "the monitor of $1's SAs: $(cat "$RUN/xfrm-$1.words")"
	answer nsenter "--net=/run/netns/$2" -- cat /proc/net/netlink |
		awk -v pid="$pid" '$2 == 6 && $3 == pid && $4 !~ /^0+$/ { seen = 1 }
			END { exit !seen }'
}

# captures_run LOG
captures_run() {
	running "$(cat "${1%.log}.watch")" || fail "$(tail -n 1 "$1")"
	file_has "$1" ready
}

# watch_host HOST NETNS: prepares; start_captures begins, and wait_for_watches waits until all of it works.
watch_host() {
	local host=$1 netns=$2

	printf '%s\t%s\t%s\n' "$host" "$netns" "$(macs "$netns")" >>"$RUN/hosts"
	log_ipsec "$netns"
	add_capture "host-$host" "$netns" any "$CAPTURE_DEVICES"
	add_capture "clear-$host" "$netns" "nflog:$NFLOG_DECRYPTED" "$CAPTURE_NFLOG"
	add_capture "sealed-$host" "$netns" "nflog:$NFLOG_SEALED" "$CAPTURE_NFLOG"
	start_sa_monitor "$host" "$netns"
}

# wait_for_watches: SAs that are older than the monitor are listed beside its reports.
wait_for_watches() {
	local host netns log

	for log in "$RUN"/captures-*.log; do
		need 60 "captures of $log" captures_run "$log"
	done
	while IFS=$'\t' read -r host netns _; do
		need 60 "the monitor of $host's SAs" monitors_sas "$host" "$netns"
		answer ip -n "$netns" -o xfrm state list >>"$RUN/xfrm-$host.monitor"
	done <"$RUN/hosts"
}

# watch_namespace HOST NETNS: one more host, in a network namespace that a scenario has made.
# The captures keep the namespace in existence.
watch_namespace() {
	mkdir -p "$APPS"
	watch_host "$@"
	start_captures
	wait_for_watches
}

start_watching() {
	local host

	for host in w c d; do
		add_capture "wire-$host" lt-net "$host" "$CAPTURE_CABLE"
		watch_host "$host" "lt-$host"
	done
	start_captures
	wait_for_watches
}

blind() {
	echo "$*" >>"$RUN/blind"
}

# check_rules: the rules that fill the captures are still there.
check_rules() {
	local host netns rules

	while IFS=$'\t' read -r host netns _; do
		rules=$(nsenter "--net=/run/netns/$netns" -- nft list table inet oracle 2>&1) || true
		[[ $rules = *"log group $NFLOG_DECRYPTED "*"log group $NFLOG_SEALED "* ]] ||
			blind "the rules of the captures at $host are gone"
	done <"$RUN/hosts"
}

# stop_watching: once; a process that has ended before did not see the rest.
stop_watching() {
	local file pid pids=()

	for file in "$RUN"/*.watch; do
		[ -e "$file" ] || continue
		pid=$(cat "$file")
		pids+=("$pid")
		running "$pid" || blind "$(basename "$file" .watch) has ended early"
		rm "$file"
	done
	[ ${#pids[@]} != 0 ] || return 0
	[ ! -e "$RUN/hosts" ] || check_rules
	kill_and_wait TERM "${pids[@]}"
}

# captured_text NAME: printable text of the packets in a capture so far.
captured_text() {
	answer strings -n 6 "$RUN/$1.pcap"
}

# decrypted_text HOST: of the packets that it decrypted.
decrypted_text() {
	captured_text "clear-$1"
}

decrypted() {
	decrypted_text "$1" >"$RUN/text"
	stop_if_failed
	file_has "$RUN/text" "$2"
}

# captured NAME FILTER...: tcpdump's lines. The last packet may be half written.
captured() {
	local name=$1 status=0

	shift
	tcpdump -n -r "$RUN/$name.pcap" "$@" 2>"$RUN/words" || status=$?
	[ $status = 0 ] || grep -q 'truncated dump file' "$RUN/words" ||
		fail "tcpdump of $name failed (exit status $status): $(tail -n 1 "$RUN/words")"
}
