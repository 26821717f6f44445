# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Enumerators of latchd's maps and of its answers to applications, as the object under test has them:
# abi.py for scenarios in shell.

# write_abi: each enumerator as a function of jq.
write_abi() {
	local object types

	for object in bpf/latchd.bpf.o tests/vm/abi.bpf.o; do
		types=$(answer bpftool -j btf dump file "$BUILD_DIR/$object") || exit 1
		answer jq -r '.types[] | select(.kind == "ENUM").values[] | select(.name | startswith("LATCH_")) |
			"def \(.name): \(.val);"' <<<"$types" || exit 1
	done >"$RUN/abi.new"
	mv "$RUN/abi.new" "$RUN/abi.jq"
}

# abi_jq OPTION... FILTER: jq with the enumerators' names. One that the object does not have is a failure.
abi_jq() {
	[ -e "$RUN/abi.jq" ] || write_abi
	answer jq -L "$RUN" "${@:1:$#-1}" "include \"abi\"; ${*: -1}"
}
