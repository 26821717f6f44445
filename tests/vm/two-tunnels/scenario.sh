# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 = xfrm41 ===== id 41, 0.0.0.0/0 === 0.0.0.0/0 ===== xfrm41 = C 10.9.0.2
#	           = xfrm42 ===== id 42, 0.0.0.0/0 === 0.0.0.0/0 ===== xfrm42 = D 10.9.0.3
#
# Two route-based tunnels of one gateway, distinguished by the interface id only. Both carry
# connections at the same time, in both directions, and a rekey of one disturbs neither. Then W's
# route to C's address leads into D's tunnel. D gets not one byte of C's stream, and the latch breaks,
# as it does when C's device is deleted and W's SAs are no longer distinguished.
#
# touches: sa gate latch spd
# expect: clean

declare -A TUNNEL=([c]=41 [d]=42)

site_connections() {
	local host=$1 peer

	for peer in c d; do
		if [ "$host" = w ]; then
			site_connection w $peer "*.example" "$(all_traffic "${TUNNEL[$peer]}")"
		elif [ "$host" = $peer ]; then
			site_connection $peer w w.example "$(all_traffic "${TUNNEL[$peer]}")"
		fi
	done
}

all_traffic() {
	site_child flow 0.0.0.0/0 0.0.0.0/0 "if_id_in = $1" "if_id_out = $1"
}

# add_tunnel HOST PEER ID: a device, and the way to the peer's inside address.
add_tunnel() {
	ip -n "lt-$1" -batch - <<-EOT
		link add xfrm$3 type xfrm dev eth0 if_id $3
		link set xfrm$3 up
		route add ${INSIDE[$2]}/32 dev xfrm$3 src ${INSIDE[$1]}
	EOT
}

site_routes() {
	local host=$1 peer

	for peer in c d; do
		if [ "$host" = w ]; then
			add_tunnel w $peer "${TUNNEL[$peer]}"
		elif [ "$host" = $peer ]; then
			add_tunnel $peer w "${TUNNEL[$peer]}"
		fi
	done
}

use_sites 10.8.0.2 10.8.0.3
sites_up
site_stream c 7001
site_stream d 7002
back_stream c 7003
back_stream d 7004
before=$(established c CHILD_SA)
rekey_child c || fail "C cannot rekey; see c/rekey.log"
need 60 "C's CHILD_SA was renewed" established_at_least c CHILD_SA $((before + 1))
for each in "c 7001" "d 7002" "c 7003" "d 7004"; do
	# shellcheck disable=SC2086 # peer and port
	still_runs $each
done
all_is_well

ip -n lt-w route replace "${INSIDE[c]}/32" dev xfrm42 src "${INSIDE[w]}"
log "W's route to C leads into D's tunnel"
need 60 "W's application is reset" app_failed w-7001
need 30 "both peers are named" event_seen '.event == "latch-broken" and .local.port == 7001 and
	(.expected | tostring | contains("c.example")) and (.actual | tostring | contains("d.example"))'
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
still_runs d 7002
ip -n lt-w link delete xfrm41
log "W's device of C's tunnel is gone: an SA without device is checked as if it had no id"
need 30 "SAs are contested again" sa_seen '.contested'
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
note "two tunnels with equal selectors: four connections, none disturbed; another route: reset, D decrypted nothing"
