# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# The captures that the leak oracle reads. Started by topology, stopped by the
# harness: no scenario can forget them.
#
#	wire-HOST.pcap   every frame on the host's cable
#	clear-HOST.pcap  every packet that the host decrypted (it has a secpath),
#	                 transport and tunnel mode, before any filter or socket

readonly NFLOG_GROUP=5

watch_decrypted() {
	in_host "$1" nft -f - <<-EOF
		table inet oracle {
			chain decrypted {
				type filter hook prerouting priority raw
				meta secpath exists log group $NFLOG_GROUP queue-threshold 1
			}
		}
	EOF
}

start_capture() {
	local host=$1 name=$2

	shift 2
	spawn "$host" "$RUN/$name.watch" tcpdump -Z root --immediate-mode -U -n -s 0 \
		-w "$RUN/$name.pcap" "$@" 2>"$RUN/$name.tcpdump"
}

start_watching() {
	local host log

	for host in w c d; do
		watch_decrypted $host
		# Bursts must fit: the oracle calls a capture with holes blind.
		start_capture net wire-$host -B 16384 -i $host
		start_capture $host clear-$host -i "nflog:$NFLOG_GROUP"
	done
	for log in "$RUN"/*.tcpdump; do
		need 60 "capture $(basename "$log")" file_has "$log" listening
	done
}

stop_watching() {
	local file pids=()

	for file in "$RUN"/*.watch; do
		[ -e "$file" ] || continue
		pids+=("$(cat "$file")")
		rm "$file"
	done
	[ ${#pids[@]} = 0 ] || kill_and_wait TERM "${pids[@]}"
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
