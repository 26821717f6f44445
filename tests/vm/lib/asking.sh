# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Applications that ask their own sockets, tests/vm/ask/ask.py. Where latchd answers: [api] enabled = on
# in rules().

# asking HOST TAG ARGUMENTS...: an application of the host, in the background.
asking() {
	local host=$1 tag=$2

	shift 2
	spawn "$host" "$RUN/ask-$tag.pid" setpriv --reuid=65534 --regid=65534 --clear-groups --no-new-privs \
		python3 "$TOP/tests/vm/ask/ask.py" "$@" >>"$RUN/ask-$tag" 2>"$RUN/ask-$tag.err"
}

# last_answer TAG FILTER: jq's output for its last answer.
last_answer() {
	tail -n 2 "$RUN/ask-$1" 2>/dev/null | head -n 1 | jq -rc "$2" 2>/dev/null
}

answered() {
	[ "$(last_answer "$1" "$2")" = true ]
}

# need_answer TAG WHAT FILTER: from the next answer on.
need_answer() {
	local tag=$1 what=$2

	wait_until 60 answered "$tag" "$3" ||
		fail "$what: $(tail -n 1 "$RUN/ask-$tag" 2>/dev/null) $(tail -n 1 "$RUN/ask-$tag.err")"
	log "$what: $(last_answer "$tag" '"\(.peer), state \(.state), why \(.info | objects | .why)"')"
}
