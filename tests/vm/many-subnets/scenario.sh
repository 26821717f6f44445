# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.8.0.1 ===== 40 networks: 10.1.0.0/24, 10.1.2.0/24, ... 10.1.78.0/24 ===== C 10.1.78.1
#	           ===== 10.1.71.0/24 ================================================ D 10.1.71.1
#
# One CHILD_SA has many selectors, and the other site is in none of them, but among them.
# Connections to both work. Then D proposes a half of C's last network, at its own address: C's
# connection there is reset, and D decrypts nothing of it.
#
# touches: sa gate latch feeds
# run: conformance
# expect: clean

networks() {
	local list

	list=$(seq -f '10.1.%g.0/24' 0 2 78)
	echo "${list//$'\n'/,}"
}

site_connections() {
	case $1 in
	w)
		site_connection w c "*.example" "$(site_child flow 10.8.0.1/32 "$(networks)")"
		site_connection w d "*.example" "$(
			site_child flow 10.8.0.1/32 10.1.71.0/24
			site_child more 10.8.0.1/32 10.1.78.0/24
		)"
		;;
	c) site_connection c w w.example "$(site_child flow "$(networks)" 10.8.0.1/32)" ;;
	d)
		site_connection d w w.example "$(
			site_child flow 10.1.71.0/24 10.8.0.1/32
			site_child half 10.1.78.0/25 10.8.0.1/32
		)"
		;;
	esac
}

site_routes() {
	case $1 in
	w) ip -n lt-w route add 10.1.0.0/16 via "${OUTSIDE[c]}" dev eth0 src "${INSIDE[w]}" ;;
	*) ip -n "lt-$1" route add "${INSIDE[w]}/32" via "${OUTSIDE[w]}" dev eth0 src "${INSIDE[$1]}" ;;
	esac
}

use_sites 10.1.78.1 10.1.71.1
sites_up
site_stream c 7001
site_stream d 7002
back_stream c 7003
back_stream d 7004
all_is_well

must_initiate d half
need 60 "W's application is reset" app_failed w-7001
need 30 "both peers are named" event_seen '.event == "latch-broken" and .local.port == 7001 and
	(.expected | tostring | contains("c.example")) and (.actual | tostring | contains("d.example"))'
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
still_runs d 7002
note "40 networks beside a branch: none disturbed; D's half of one of them broke the latch there, D decrypted nothing"
