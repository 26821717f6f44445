# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash disable=SC2034 # read by the files that source this
#
# Names of scenarios. Expects TOP, the checkout.
#
# A scenario is tests/vm/FOLDER/scenario.sh, sourced by bash beside lib/all.sh, or scenario.py,
# a program that makes its own topology and checks it. FOLDER is its name. Lines of the comment
# at the top of the file:
#
#	# touches: ROOM...          the rooms of the sources that it tests (tools/make/rooms)
#	# expect: clean             the oracle's findings
#	# expect NAME: leak KIND   the same, of this variant only
#	# oracle: none, REASON      instead, of a scenario.py with flows that the oracle cannot check
#	# variant: NAME OPTION...   one more scenario: the same file with these arguments
#	# run: conformance          not in `make check`, only with --all or by its name
#	# run: conformance NAME...  the same, of these names of the file only
#	# run: field [NAME...]      only with --field or by its name; a file may have both lines, with names
#	# limit: SECONDS NAME...    a higher limit than LATCHD_SCENARIO_LIMIT, of these names of the file
#	# boots: 2                  the scenario restarts the machine and runs again; it has a guest
#	                            of its own, LATCHD_BOOT (1, 2) and the folder LATCHD_KEPT
#
# NAME@PRODUCT is the scenario NAME with the product in $BUILD/products/PRODUCT, in place of $BUILD.

# Of each scenario, by its name; a variant has all of its file but the arguments.
declare -A SCENARIO_FILE=() SCENARIO_TOUCHES=() SCENARIO_EXPECT=() SCENARIO_OPTIONS=()
# "check", "conformance" or "field"; the number of boots.
declare -A SCENARIO_RUN=() SCENARIO_BOOTS=()
# Seconds, of those that have a limit of their own.
declare -A SCENARIO_LIMIT=()
# All names, a variant behind its folder.
SCENARIOS=()

read_scenario() {
	local file=$1 folder line name options touches='' expect='' run boots=1 limit names=()
	local -A expect_of=() run_of=()

	folder=${file%/*}
	names=("${folder##*/}")
	while read -r line && [[ $line = "#"* ]]; do
		case $line in
		"# touches: "*) touches=${line#*: } ;;
		"# expect: "*) expect=${line#*: } ;;
		"# expect "*": "*)
			name=${line#\# expect }
			expect_of[${name%%:*}]=${line#*: }
			;;
		"# variant: "*)
			read -r name options <<<"${line#*: }"
			names+=("$name")
			SCENARIO_OPTIONS[$name]=$options
			;;
		"# boots: "*) boots=${line#*: } ;;
		"# limit: "*)
			read -r limit options <<<"${line#*: }"
			for name in $options; do
				SCENARIO_LIMIT[$name]=$limit
			done
			;;
		"# run: "*)
			read -r run options <<<"${line#*: }"
			for name in ${options:-all}; do
				run_of[$name]=$run
			done
			;;
		esac
	done <"$file"
	for name in "${names[@]}"; do
		SCENARIO_FILE[$name]=$file
		SCENARIO_TOUCHES[$name]=$touches
		SCENARIO_EXPECT[$name]=${expect_of[$name]:-$expect}
		SCENARIO_BOOTS[$name]=$boots
		SCENARIO_RUN[$name]=${run_of[$name]:-${run_of[all]:-check}}
	done
	SCENARIOS+=("${names[@]}")
}

read_scenarios() {
	local file LC_ALL=C

	for file in "$TOP"/tests/vm/*/scenario.*; do
		read_scenario "$file"
	done
}

read_scenarios

# know_products NAME...: gives each NAME@PRODUCT what its scenario has.
know_products() {
	local name of

	for name in "$@"; do
		of=${name%@*}
		[[ $name = ?*@?* && -n ${SCENARIO_FILE[$of]:-} ]] || continue
		SCENARIO_FILE[$name]=${SCENARIO_FILE[$of]}
		SCENARIO_TOUCHES[$name]=${SCENARIO_TOUCHES[$of]}
		SCENARIO_EXPECT[$name]=${SCENARIO_EXPECT[$of]}
		SCENARIO_OPTIONS[$name]=${SCENARIO_OPTIONS[$of]:-}
		SCENARIO_BOOTS[$name]=${SCENARIO_BOOTS[$of]}
		[[ -z ${SCENARIO_LIMIT[$of]:-} ]] || SCENARIO_LIMIT[$name]=${SCENARIO_LIMIT[$of]}
	done
}

# product_of NAME: the directory of its product. Expects BUILD_DIR.
product_of() {
	if [[ $1 = *@* ]]; then
		echo "$BUILD_DIR/products/${1#*@}"
	else
		echo "$BUILD_DIR"
	fi
}

# limit_of NAME: the seconds that it may take. A higher LATCHD_SCENARIO_LIMIT counts for all.
limit_of() {
	local general=${LATCHD_SCENARIO_LIMIT:-600} own=${SCENARIO_LIMIT[$1]:-0}

	echo $((own > general ? own : general))
}

# is_program SCENARIO: it is in Python, and makes its own topology.
is_program() {
	[[ ${SCENARIO_FILE[$1]} = *.py ]]
}
