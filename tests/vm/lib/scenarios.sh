# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Names of scenarios. Expects TOP, the checkout.
#
# A scenario is tests/vm/FOLDER/scenario.sh, sourced by bash beside lib/all.sh, or scenario.py,
# a program that makes its own topology and checks it. FOLDER is its name. Lines in the file:
#
#	# touches: ROOM...          the rooms of the sources that it tests (tools/make/rooms)
#	# expect: clean             the oracle's findings; only of a scenario.sh
#	# variant: NAME OPTION...   one more scenario: the same file with these arguments

# scenario_files: of all scenarios.
scenario_files() {
	find "$TOP/tests/vm" -mindepth 2 -maxdepth 2 -name 'scenario.sh' -o \
		-mindepth 2 -maxdepth 2 -name 'scenario.py' | LC_ALL=C sort
}

# scenario_names: of all scenarios, a variant behind its folder.
scenario_names() {
	local file

	while read -r file; do
		basename "$(dirname "$file")"
		sed -n 's/^# variant: \([^ ]*\).*/\1/p' "$file"
	done < <(scenario_files)
}

# scenario_file NAME: empty if there is no such scenario.
scenario_file() {
	local name=$1 file

	for file in "$TOP/tests/vm/$name"/scenario.{sh,py}; do
		[ ! -e "$file" ] || { echo "$file"; return; }
	done
	scenario_files | xargs grep -lE "^# variant: $name( |\$)" || true
}

# scenario_line FILE WORD: the text behind "# WORD:".
scenario_line() {
	sed -n "s/^# $2: *//p" "$1" | head -n 1
}

# scenario_options NAME: the arguments of a variant.
scenario_options() {
	sed -n "s/^# variant: $1 *//p" "$(scenario_file "$1")"
}
