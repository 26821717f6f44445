# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# After a scenario: the oracle's findings, what is kept, what is removed.

ask_oracle() {
	"$TOP/tests/vm/lib/oracle" "$RUN" >"$RUN/oracle.json"
}

leak_lines() {
	jq -r '.leaks[] | "\(.kind) at \(.where): \(.packets) packets, " +
		"\(.bytes) bytes of \(.flow): \(.text[0:120])"' \
		"$RUN/oracle.json"
}

blind_lines() {
	jq -r '.blind[]' "$RUN/oracle.json"
}

kinds_seen() {
	jq -r '.leaks[].kind' "$RUN/oracle.json" | sort -u | xargs
}

# save_evidence DIRECTORY: everything but the keys.
save_evidence() {
	cp -r "$RUN"/. "$1/" 2>/dev/null
	rm -rf "${1:?}/pki"
	dmesg >"$1/dmesg"
}

# Nothing of the last scenario may reach the next one; the keys may.
clean_slate() {
	remove_latchd
	tear_down
	find "$RUN" -mindepth 1 -maxdepth 1 ! -name pki -exec rm -rf {} +
}
