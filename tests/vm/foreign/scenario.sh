# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1: charon, latchd ----- one cgroup, one kernel ----- the namespaces of each test
#
# Tests of the kernel's own tree (tools/testing/selftests/net), without latchd and then with it: XFRM policies,
# XFRM over VRF, L2TP over IPsec, flow tables of nftables, the netlink interface of XFRM. Each line of a verdict
# is the same. latchd has seen its only charon before, so no connection in the namespaces of these tests waits
# for one. The variant is the longest of them, the path MTU.
#
# The tests come from the source package of the kernel. `make field` puts them into build/selftests; for one run:
# cp -r "$(tools/selftests 6.12)" build/selftests
#
# touches: gate packet watch net
# run: field
# variant: foreign-pmtu pmtu
# expect: clean

readonly FOLDER=$BUILD/selftests

served_hosts() {
	echo w
}

tests() {
	if [ "${1:-}" = pmtu ]; then
		echo pmtu.sh
	else
		echo xfrm_policy.sh vrf-xfrm-tests.sh l2tp.sh netfilter/nft_flowtable.sh ipsec
	fi
}

# The lines that say how a part of the test ended, without times and numbers of namespaces.
verdicts() {
	grep -E '^ *(TEST: |PASS|FAIL|SKIP|ok |not ok |Tests (passed|failed))|\[ *(OK|FAIL|SKIP|XFAIL) *\]' "$1" |
		sed -E 's/-[A-Za-z0-9]{6}\b//g; s/[0-9]+(\.[0-9]+)? ?(ms|s|sec|seconds)\b/TIME/g'
}

# run_all WITH: all tests, each with its output and exit status in $RUN/WITH.
run_all() {
	local with=$1 name code

	mkdir -p "$RUN/$with"
	for name in $TESTS; do
		code=0
		(cd "$FOLDER/net/$(dirname "$name")" &&
			timeout 900 "./$(basename "$name")") >"$RUN/$with/${name##*/}.out" 2>&1 || code=$?
		echo "exit status $code" >>"$RUN/$with/${name##*/}.out"
		{
			verdicts "$RUN/$with/${name##*/}.out"
			echo "exit status $code"
		} >"$RUN/$with/${name##*/}"
		log "$with: $name ended with $code, $(wc -l <"$RUN/$with/${name##*/}") lines"
	done
}

# A test of which nothing passes says nothing about latchd.
some_passed() {
	local name=$1

	grep -qE 'OK|PASS|^ok ' "$RUN/without/$name" ||
		fail "without latchd no part of $name passes: $(tail -n 3 "$RUN/without/$name.out")"
}

same_verdicts() {
	local name difference

	for name in $TESTS; do
		name=${name##*/}
		some_passed "$name"
		difference=$(diff "$RUN/without/$name" "$RUN/with/$name") ||
			fail "$name differs with latchd: $(head -n 5 <<<"$difference")"
	done
}

charon_is_seen() {
	[ "$(status '[.feeds[] | select(.state != "synced")] | length')" = 0 ]
}

TESTS=$(tests "${1:-}")
readonly TESTS
[ -d "$FOLDER/net" ] || fail "$FOLDER is missing: see the head of this scenario"
topology
host_up w
run_all without
start_latchd
need 60 "latchd has seen its charon" charon_is_seen
run_all with
same_verdicts
note "the same with latchd: $TESTS"
