# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
# The examples of the Go package and of the Rust crate, of uid 65534: servers and clients ask their own
# sockets, and expect a peer. With C what expects c.example works, and what expects d.example is refused. D takes C's
# address: the connections of C tell the break and their former peer, those of D tell d.example. What expects
# c.example gets no connection to D.
#
# touches: api
# run: field
# expect: clean

rules() {
	printf '\n[api]\nenabled = on\n'
}

# example LANGUAGE HOST TAG ARGUMENTS...: its example at the host, in the background.
example() {
	local program=$BUILD_DIR/tests/vm/ask_$1 host=$2 tag=$3

	shift 3
	[ -x "$program" ] || fail "no $program; run: make bindings"
	spawn "$host" "$RUN/ask-$tag.pid" setpriv --reuid="$UNPRIVILEGED" --regid="$UNPRIVILEGED" --clear-groups \
		--no-new-privs "$program" "$@" >>"$RUN/ask-$tag" 2>"$RUN/ask-$tag.err"
}

# serve LANGUAGE HOST TAG ADDRESS PORT [PEER]: until it listens.
serve() {
	example "$1" "$2" "$3" serve "${@:4}"
	need 60 "$3 listens" file_has "$RUN/ask-$3" '"listening"'
}

# need_failed TAG WHAT: a connect() that was refused, with the number of ECONNABORTED.
need_failed() {
	need 60 "$2" file_has "$RUN/ask-$1" '"failed": *103'
	! file_has "$RUN/ask-$1" '"state"' || fail "$1 has a connection"
}

readonly TO_C='.state == "Established" and .peer == "c.example" and .end == "Open"'
readonly TO_D='.state == "Established" and .peer == "d.example" and .end == "Open"'
readonly TO_W='.state == "Established" and .peer == "w.example" and .end == "Open"'
readonly LOST_C='.state == "Broken" and .peer == "c.example" and .end == "Broken"'
readonly LANGUAGES=(go rust)

topology "$@" dpd=4s
WITH_LATCHD=1 honest_start

port=7040
for language in "${LANGUAGES[@]}"; do
	serve "$language" w "$language-w" "$(addr w)" $port c.example
	example "$language" c "$language-c" connect "$(addr w)" $port w.example
	need_answer "$language-w" "what a $language server of W accepts from C" "$TO_C"
	need_answer "$language-c" "the $language client of C" "$TO_W"
	serve "$language" c "$language-server" "$(addr c)" $((port + 1))
	example "$language" w "$language-other" connect "$(addr c)" $((port + 1)) d.example
	need_failed "$language-other" "a $language client of W that expects d.example is refused by C's SA"
	example "$language" w "$language-to-c" connect "$(addr c)" $((port + 1)) c.example
	need_answer "$language-to-c" "one that expects c.example" "$TO_C"
	port=$((port + 2))
done

impostor_takes_over
for language in "${LANGUAGES[@]}"; do
	need_answer "$language-w" "the $language server's connection after D's SA" "$LOST_C"
	need_answer "$language-to-c" "the $language client's" "$LOST_C"
done
need 120 "W gives C up" has_no_children w c.example
for language in "${LANGUAGES[@]}"; do
	serve "$language" w "$language-w-2" "$(addr w)" $port d.example
	example "$language" d "$language-d" connect "$(addr w)" $port w.example
	need_answer "$language-w-2" "what a $language server of W accepts from D" "$TO_D"
	need_answer "$language-d" "the $language client of D" "$TO_W"
	serve "$language" d "$language-server-2" "$(addr c)" $((port + 1))
	example "$language" w "$language-again" connect "$(addr c)" $((port + 1)) c.example
	need_failed "$language-again" "a $language client of W that expects c.example is refused by D's SA"
	port=$((port + 2))
done
mapfile -t pids < <(cat "$RUN"/ask-*.pid)
kill_and_wait KILL "${pids[@]}"
note "Go and Rust: c.example, its break, d.example; what expects another peer is refused"
