# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# After a scenario: the oracle's findings, the evidence that is kept, the clean-up.

ask_oracle() {
	"$TOP/tests/vm/lib/oracle" "$RUN" >"$RUN/oracle.json"
}

leak_lines() {
	answer jq -r '.leaks[] | "\(.kind) at \(.where): \(.packets) packets, " +
		"\(.bytes) bytes of \(.flow): \(.text[0:120])"' \
		"$RUN/oracle.json"
}

blind_lines() {
	answer jq -r '.blind[]' "$RUN/oracle.json"
}

kinds_seen() {
	answer jq -r '.leaks[].kind' "$RUN/oracle.json" | sort -u | xargs
}

# The kernel's counters of dropped packets.
save_counters() {
	local host table

	for host in w c d; do
		[ -e "/run/netns/lt-$host" ] || continue
		for table in xfrm_stat snmp netstat; do
			in_host $host cat /proc/net/$table >"$RUN/$host/$table" 2>/dev/null
		done
	done
}

# save_evidence DIRECTORY: everything but the keys, in one file: each file costs time in the guest.
# The applications still run. So their .sent files come last: they have all that is in a .recv.
save_evidence() {
	dmesg >"$RUN/dmesg"
	tar -C "$RUN" --exclude=./pki --exclude='./apps/*.sent' -cf "$1/evidence.tar" . 2>/dev/null
	(cd "$RUN" && find . -path './apps/*.sent' -print0) |
		tar -C "$RUN" --null -T - -rf "$1/evidence.tar" 2>/dev/null
}

# Nothing of the last scenario may reach the next one, except the keys.
clean_slate() {
	remove_latchd
	tear_down
	find "$RUN" -mindepth 1 -maxdepth 1 ! -name pki -exec rm -rf {} +
}
