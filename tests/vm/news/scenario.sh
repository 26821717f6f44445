# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
#	  server of uid 65534, port 7010 ---+
#	  its neighbour, port 7011 ---------+--- /run/latch/news --- latchd
#
# A server at W gets the news of its own connections, and its neighbour none of them: the connection of C,
# a break and a heal by the administrator. Its sockets wait. latchd is killed and started again: the
# server sees the end of file, connects again and asks. D takes C's address: the break is reported with its
# reason, and the state is that of the socket. The end by the administrator is reported. A thousand
# connections of one user leave room for another. Purge ends the news.
#
# touches: subscribers api news latchd
# run: conformance
# variant: news-ipv6 family=6
# expect: clean

rules() {
	cat <<-EOF

		[api]
		enabled = on

		[rule patient]
		action = auto
		protocol = tcp
		local-port = 7010
		disposition = wait
		on-dpd = keep
		on-reboot = keep
	EOF
}

readonly PLACE=$RUN/telling

# telling TAG PORT: a server of W, in the background.
telling() {
	install -d -m 755 "$PLACE"
	install -m 644 "$TOP/tests/vm/news/news.py" "$TOP/user/liblatch/python/latch.py" "$PLACE"
	spawn w "$RUN/news-$1.pid" setpriv --reuid="$UNPRIVILEGED" --regid="$UNPRIVILEGED" --clear-groups \
		--no-new-privs python3 "$PLACE/news.py" "$(addr w)" "$2" >"$RUN/news-$1" 2>"$RUN/news-$1.err"
	need 30 "the server $1 has a connection for news" file_has "$RUN/news-$1" '"ready": true'
}

# reported_items TAG FILTER: how many of its lines.
reported_items() {
	json "[., inputs] | map(select($2)) | length" <"$RUN/news-$1"
}

reported_so_often() {
	[ "$(reported_items "$1" "$2")" = "$3" ]
}

# need_reported TAG COUNT FILTER WHAT
need_reported() {
	need 30 "$4" reported_so_often "$1" "$3" "$2"
}

requested() {
	latchctl "$1" "$2" >"$RUN/requested" 2>&1 || fail "latchctl $1: $(tail -n 1 "$RUN/requested")"
}

readonly MINE='.mine and .data'

topology "$@" dpd=300s
WITH_LATCHD=1 honest_start
telling server 7010
telling neighbour 7011

# ---- the connection, break and heal

asking c tcp-c connect "$(addr w)" 7010
need_reported server 1 "$MINE and .item == \"SPAWNED\" and .state == \"ESTABLISHED\"" "latchd reports C's connection"
id=$(latch_id "$(at w 7010)")
need_reported server 1 ".item == \"SPAWNED\" and .latch == \"$id\"" "with the ID of its latch"
conforms R-2.3-1 "a latch that a listener gets is reported to its owner"
requested break "$id"
need_reported server 1 "$MINE and .item == \"BROKEN\" and .why == \"ADMIN\" and .state == \"BROKEN\"" "a break is reported"
requested heal "$id"
need_reported server 1 "$MINE and .item == \"HEALED\" and .state == \"ESTABLISHED\"" "a heal is reported"

# ---- latchd away

kill9_latchd
need_reported server 1 '.away' "the end of latchd is the end of file"
start_latchd
need_reported server 1 '.again and (.states | sort) == ["ESTABLISHED", "LISTENER"]' "the server has asked its sockets"
need_reported neighbour 1 '.again' "so has its neighbour"

# ---- the attack

impostor_takes_over
need_reported server 1 "$MINE and .item == \"BROKEN\" and .why == \"SA_CONFLICT\" and .state == \"BROKEN\"" \
	"the break by D's SA is reported"
conforms L-2-2 "a break is reported to the application of the socket, which waits"
requested close "$id"
need_reported server 1 "$MINE and .item == \"CLOSED\" and .latch == \"$id\"" "the end of the latch is reported"
conforms L-2.2-2 "the end of a latch is reported to its owner"
reported_so_often neighbour '.item != null and .item != "LOST"' 0 || fail "the neighbour: $(cat "$RUN/news-neighbour")"
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"

# ---- a crowd of one user

setpriv --reuid=65533 --regid=65533 --clear-groups python3 - >"$RUN/crowd" 2>"$RUN/crowd.err" <<-'EOF' &
	import socket, struct, time
	taken, kept = 0, []
	for _ in range(1000):
	    one = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	    one.connect("/run/latch/news")
	    taken += not struct.unpack("=Ii16s", one.recv(24))[1]
	    kept.append(one) if len(kept) < 500 else one.close()
	print(taken, flush=True)
	time.sleep(600)
EOF
crowd=$!
need 60 "a thousand connections of one user: sixteen are taken" file_has "$RUN/crowd" "^16\$"
telling late 7012

# ---- the end

stop_latchd
latchctl --yes purge >"$RUN/purge.log" 2>&1 || fail "latchctl purge: $(tail -n 1 "$RUN/purge.log")"
need_reported server 2 '.away' "without latchd there are no news"
[ ! -e /run/latch/news ] || fail "latchd has left its socket for news"
mapfile -t pids < <(cat "$RUN"/news-*.pid "$RUN"/ask-*.pid)
kill_and_wait KILL "$crowd" "${pids[@]}"
note "spawn, break, heal, sa-conflict and the end were reported to the server, and nothing to its neighbour"
