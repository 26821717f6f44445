# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# W with tunnels to two sites, each a gateway with addresses of its own behind it:
#
#	W 10.9.0.1, inside 10.8.0.1 ===== C 10.9.0.2, inside $INSIDE_C
#	                            ===== D 10.9.0.3, inside $INSIDE_D
#
# W accepts any host name below "example" for either site, as in hosts.sh: a name alone does not
# show which peer is at an address.

declare -A INSIDE=([w]=10.8.0.1) OUTSIDE=([w]=10.9.0.1 [c]=10.9.0.2 [d]=10.9.0.3)

# site_child NAME LOCAL-TS REMOTE-TS [LINE...]
site_child() {
	cat <<-EOT
		      $1 {
		        mode = tunnel
		        dpd_action = clear
		        rekey_time = 1h
		        rand_time = 0s
		        esp_proposals = $PROPOSAL
		        local_ts = $2
		        remote_ts = $3
		$(printf '%s\n' "${@:4}")
		      }
	EOT
}

# site_connection HOST PEER IDENTITY CHILDREN: HOST's connection to PEER, which has this identity.
site_connection() {
	cat <<-EOT
		  $2 {
		    version = 2
		    local_addrs = ${OUTSIDE[$1]}
		    remote_addrs = ${OUTSIDE[$2]}
		    proposals = aes128-sha256-x25519
		    mobike = no
		    dpd_delay = 300s
		    rekey_time = 4h
		    unique = no
		    local {
		      auth = pubkey
		      certs = $1.pem
		      id = $1.example
		    }
		    remote {
		      auth = pubkey
		      cacerts = ca.pem
		      id = $3
		    }
		    children {
		$4
		    }
		  }
	EOT
}

# use_sites INSIDE-C INSIDE-D: from now on applications use the addresses inside. The scenario
# defines site_connections HOST.
# shellcheck disable=SC2317 # the functions are called in place of those of hosts.sh
use_sites() {
	INSIDE[c]=$1 INSIDE[d]=$2

	addr() {
		echo "${INSIDE[$1]}"
	}

	connection_config() {
		printf 'connections {\n%s\n}\n' "$(site_connections "$1")"
	}
}

# sites_up: topology, addresses, charons, latchd and the CHILD_SAs of both sites, brought up by C
# and D under the name "flow".
sites_up() {
	local host

	topology
	give_address d d
	for host in w c d; do
		ip -n "lt-$host" addr add "${INSIDE[$host]}/32" dev lo
		site_routes "$host"
	done
	host_up w c d
	start_latchd
	start_monitor
	must_initiate c
	must_initiate d
	need_bound c.example
	need_bound d.example
}

# site_stream PEER PORT: W connects from its port to PEER's port and streams, latched to PEER.
site_stream() {
	local peer=$1 port=$2 name=${1^^}

	listen_and_connect "$peer" w "$port" --expect "W-TO-$name" -- --local-port "$port" \
		--send "W-TO-$name" --rate 20
	need 30 "W's connection to $peer is latched to it" latch_seen \
		"$(at w "$port") and .state == \"established\" and .peer.id == \"$peer.example\""
	need 30 "$peer receives the stream" received_at_least "$peer-$port" 200
	log "TCP stream from W port $port to $peer is running"
}

# back_stream PEER PORT: PEER connects to W's port, and W streams.
back_stream() {
	local peer=$1 port=$2 name=${1^^}

	listen_and_connect w "$peer" "$port" --send "W-TO-$name" --rate 20 -- --expect "W-TO-$name"
	need 30 "$peer's connection to W is latched to it" latch_seen \
		"$(at w "$port") and .state == \"established\" and .peer.id == \"$peer.example\""
	need 30 "$peer receives the stream" received_at_least "$peer-$port" 200
	log "TCP stream from $peer to W port $port is running"
}

# still_runs PEER PORT: PEER receives more of it.
still_runs() {
	local received

	received=$(received_bytes "$1-$2")
	need 30 "$1 still receives the stream of port $2" received_at_least "$1-$2" $((received + 200))
}

# all_is_well: no connection was refused and no latch broken up to now.
all_is_well() {
	need_no_break
	need_events 0 '.event == "latch-refused"' "a connection was refused"
}
