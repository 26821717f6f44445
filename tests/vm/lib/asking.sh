# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Applications that ask their own sockets, tests/vm/ask/ask.py. Where latchd answers: [api] enabled = on
# in rules().

readonly UNPRIVILEGED=65534
readonly ASKING=$RUN/asking

# The folder of a clone may be closed to other users, as a home folder is.
readable_programs() {
	[ ! -e "$ASKING/latch.py" ] || return 0
	install -d -m 755 "$ASKING"
	install -m 644 "$TOP/tests/vm/ask/ask.py" "$TOP/user/liblatch/python/latch.py" "$ASKING"
}

# asking HOST TAG ARGUMENTS...: an application of the host, in the background.
asking() {
	local host=$1 tag=$2

	shift 2
	readable_programs
	spawn "$host" "$RUN/ask-$tag.pid" setpriv --reuid=$UNPRIVILEGED --regid=$UNPRIVILEGED --clear-groups --no-new-privs \
		python3 "$ASKING/ask.py" "$@" >>"$RUN/ask-$tag" 2>"$RUN/ask-$tag.err"
}

# last_answer TAG FILTER: jq's output for its last whole line; nothing before the first. info is a text
# where the socket has answered with an error: it has no members then.
last_answer() {
	local whole line

	whole=$(answer wc -l "$RUN/ask-$1") || exit 1
	line=$(head -n "${whole%% *}" "$RUN/ask-$1" | tail -n 1)
	abi_jq -rc ".info |= (objects // {}) | $2" <<<"$line"
}

answered() {
	[ "$(last_answer "$1" "$2")" = true ]
}

# need_answer TAG WHAT FILTER: from the next answer on.
need_answer() {
	local tag=$1 what=$2

	wait_until 60 answered "$tag" "$3" ||
		fail "$what: $(tail -n 1 "$RUN/ask-$tag") $(tail -n 1 "$RUN/ask-$tag.err")"
	log "$what: $(last_answer "$tag" '"\(.peer), state \(.state), why \(.info.why)"')"
}
