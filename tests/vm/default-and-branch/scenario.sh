# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.8.0.1 ===== 0.0.0.0/0 ===== C 10.9.0.2, headquarters, 10.1.0.1
#	           ===== 10.2.0.0/16 === D 10.9.0.3, branch, 10.2.0.1
#
# A default route into one tunnel beside a more specific tunnel. The order of W's policies
# tells both apart: connections to either work while both are up. Then C vanishes and D takes C's
# address as well, with D's own identity, under the same policy. C's connection is reset, D
# decrypts nothing of it, and the branch's connection goes on.
#
# touches: sa gate latch spd
# expect: clean

site_connections() {
	case $1 in
	w)
		site_connection w c "*.example" "$(site_child flow 10.8.0.1/32 0.0.0.0/0)"
		site_connection w d "*.example" "$(site_child branch 10.8.0.1/32 10.2.0.0/16)"
		;;
	c) site_connection c w w.example "$(site_child flow 0.0.0.0/0 10.8.0.1/32)" ;;
	d)
		site_connection d w w.example "$(site_child flow 10.2.0.0/16 10.8.0.1/32)"
		# As the headquarters, later.
		site_connection d w w.example "$(site_child default 0.0.0.0/0 10.8.0.1/32)" |
			sed '1s/ w {/ stolen {/; s/10\.9\.0\.3/10.9.0.2/'
		;;
	esac
}

# D has two connections to W in the end, with equal gateways: at D both could carry D's own traffic.
rules() {
	cat <<-EOT

		[rule branch]
		action = off
		local = 10.2.0.1
	EOT
}

site_routes() {
	case $1 in
	w) ip -n lt-w route add 10.0.0.0/8 via "${OUTSIDE[c]}" dev eth0 src "${INSIDE[w]}" ;;
	*) ip -n "lt-$1" route add "${INSIDE[w]}/32" via "${OUTSIDE[w]}" dev eth0 src "${INSIDE[$1]}" ;;
	esac
}

use_sites 10.1.0.1 10.2.0.1
sites_up
site_stream c 7001
site_stream d 7002
back_stream c 7003
back_stream d 7004
all_is_well

host_down c
take_address d c
must_initiate d default
need 60 "W's application is reset" app_failed w-7001
need 30 "both peers are named" event_seen '.event == "latch-broken" and .local.port == 7001 and
	(.expected | tostring | contains("c.example")) and (.actual | tostring | contains("d.example"))'
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
still_runs d 7002
need_events 0 '.event == "latch-broken" and .local.port == 7002' "the branch's latch was broken"
note "connections to headquarters and branch while both are up; D in C's place got nothing of C's stream"
