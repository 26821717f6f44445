# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Three hosts on one wire, each a network namespace with its own charon:
#
#	W 10.9.0.1 fd09::1      C 10.9.0.2 fd09::2      D (takes C's address)
#	    |                       |                       |
#	    +---------------------- br0 --------------------+
#
# W accepts any host name below "example" that the common CA vouches for (remote id
# *.example); C and D accept only W.

# Keys and certificates, made once for many scenarios.
readonly PKI=${LATCHD_TEST_PKI:-$RUN/pki}
declare -A ADDR4=([w]=10.9.0.1 [c]=10.9.0.2 [d]=10.9.0.3)
declare -A ADDR6=([w]=fd09::1 [c]=fd09::2 [d]=fd09::3)
declare -A MAC=([w]=02:00:00:09:00:01 [c]=02:00:00:09:00:02
	[d]=02:00:00:09:00:03)

# Choices of a scenario, NAME=VALUE arguments of topology.
set_options() {
	local option

	FAMILY=4 MODE=transport ENCAP=no DPD=30s CHILD_LIFE=1h
	PROTOCOL=esp PROPOSAL=aes128gcm16-x25519 TRIES=5 MOBIKE=no CHARON_ROOT=''
	for option in "$@"; do
		case $option in
		family=*) FAMILY=${option#*=} ;;
		mode=*) MODE=${option#*=} ;;
		encap=*) ENCAP=${option#*=} ;;
		dpd=*) DPD=${option#*=} ;;
		life=*) CHILD_LIFE=${option#*=} ;;
		esp=* | ah=*) PROTOCOL=${option%%=*} PROPOSAL=${option#*=} ;;
		tries=*) TRIES=${option#*=} ;;
		mobike=*) MOBIKE=${option#*=} ;;
		charon=*) use_charon "${option#*=}" ;;
		*) fail "topology: unknown option $option" ;;
		esac
	done
}

# use_charon NAME: every host runs the charon of that Debian (tools/strongswan).
use_charon() {
	CHARON_ROOT=$BUILD_DIR/strongswan/$1
	[ -e "$CHARON_ROOT/complete" ] || fail "charon of $1 is missing; run make field, or for one scenario:" \
		"mkdir -p build/strongswan && cp -r \"\$(tools/strongswan $1)\" build/strongswan/"
}

# addr HOST: its address in the family under test; D's is C's.
addr() {
	local -n table=ADDR$FAMILY
	local host=$1

	[ "$host" != d ] || host=c
	echo "${table[$host]}"
}

# W as seen from a client, a client as seen from W: both have C's address.
remote_addr() {
	if [ "$1" = w ]; then addr c; else addr w; fi
}

in_host() {
	local host=$1

	shift
	nsenter "--net=/run/netns/lt-$host" -- "$@"
}

# spawn HOST PIDFILE COMMAND...: runs it in the background and ignores its exit status;
# PIDFILE gets the process id of the command itself.
spawn() {
	local host=$1 file=$2

	shift 2
	(
		trap - ERR
		exec nsenter "--net=/run/netns/lt-$host" -- "$@"
	) &
	echo $! >"$file"
	detach_job
}

# ---- charon's configuration

charon_config() {
	local host=$1 dir=$RUN/$1

	cat <<-EOF
		charon-systemd {
		  load_modular = no
		  load = random nonce openssl kdf pem pkcs1 pkcs8 x509 pubkey \
		constraints kernel-netlink socket-default vici
		  install_routes = no
		  install_virtual_ip = no
		  make_before_break = yes
		  delete_rekeyed_delay = 2
		  retransmit_timeout = 2.0
		  retransmit_base = 1.0
		  retransmit_tries = $TRIES
		  plugins {
		    vici {
		      socket = unix://$RUN/$host.vici
		    }
		  }
		}
		swanctl {
		  load = random openssl pem pkcs1 pkcs8 x509 pubkey
		}
		charon-systemd {
		  filelog {
		    log {
		      path = $dir/charon.log
		      time_format = %s
		      time_add_ms = yes
		      default = 1
		      knl = 2
		      chd = 2
		      flush_line = yes
		    }
		  }
		}
	EOF
}

# A trap policy for all of IPv6 would also hold back neighbour discovery.
neighbour_discovery() {
	[ "$FAMILY" = 6 ] || return 0
	cat <<-EOF
		      $1 {
		        mode = pass
		        start_action = trap
		        local_ts = ::/0[ipv6-icmp/$2]
		        remote_ts = ::/0[ipv6-icmp/$2]
		      }
	EOF
}

# Functions that a scenario may define anew: more CHILD_SAs for a HOST, and the addresses
# and traffic selectors that its connection has.
more_children() {
	:
}

local_addresses() {
	addr "$1"
}

remote_addresses() {
	remote_addr "$1"
}

selectors() {
	:
}

connection_config() {
	local host=$1 peer=w.example

	[ "$host" != w ] || peer="*.example"
	cat <<-EOF
		connections {
		  peer {
		    version = 2
		    local_addrs = $(local_addresses "$host")
		    remote_addrs = $(remote_addresses "$host")
		    proposals = aes128-sha256-x25519
		    mobike = $MOBIKE
		    encap = $ENCAP
		    dpd_delay = $DPD
		    rekey_time = 4h
		    unique = no
		    local {
		      auth = pubkey
		      certs = $host.pem
		      id = $host.example
		    }
		    remote {
		      auth = pubkey
		      cacerts = ca.pem
		      id = $peer
		    }
		    children {
		      flow {
		        mode = $MODE
		        start_action = trap
		        dpd_action = clear
		        rekey_time = $CHILD_LIFE
		        rand_time = 0s
		        ${PROTOCOL}_proposals = $PROPOSAL
		$(selectors "$host")
		      }
		$(neighbour_discovery solicit 135)
		$(neighbour_discovery advertise 136)
		$(more_children "$host")
		    }
		  }
		}
	EOF
}

configure_host() {
	local host=$1 dir=$RUN/$1

	mkdir -p "$dir/swanctl"/{x509,x509ca,private}
	cp "$PKI/ca.pem" "$dir/swanctl/x509ca/"
	cp "$PKI/$host.pem" "$dir/swanctl/x509/"
	cp "$PKI/$host.key" "$dir/swanctl/private/"
	charon_config "$host" >"$dir/strongswan.conf"
	connection_config "$host" >"$dir/swanctl/swanctl.conf"
}

# ---- namespaces and the wire

# One batch each, since every process is expensive on an emulated machine.
add_namespaces() {
	local host

	ip -batch - <<-EOF
		netns add lt-net
		netns add lt-w
		netns add lt-c
		netns add lt-d
	EOF
	{
		for host in w c d; do
			echo "link add eth0 netns lt-$host address" \
				"${MAC[$host]} type veth peer name $host netns lt-net"
		done
	} | ip -batch -
	{
		echo "link add br0 type bridge mcast_snooping 0"
		echo "link set br0 up"
		for host in w c d; do
			echo "link set dev $host master br0 up"
		done
	} | ip -n lt-net -batch -
	for host in w c d; do
		printf 'link set lo up\nlink set eth0 up\n' |
			ip -n "lt-$host" -batch -
	done
}

give_address() {
	local host=$1 owner=$2

	ip -n "lt-$host" -batch - <<-EOF
		addr add ${ADDR4[$owner]}/24 dev eth0
		addr add ${ADDR6[$owner]}/64 dev eth0 nodad
	EOF
}

# topology [OPTION=VALUE...]: the wire and the three hosts, no charon yet.
topology() {
	local host

	set_options "$@"
	mkdir -p "$APPS"
	"$TOP/tests/vm/lib/make-pki" "$PKI"
	add_namespaces
	for host in w c d; do
		configure_host $host
	done
	give_address w w
	give_address c c
	start_watching
	log "topology: IPv$FAMILY, $PROTOCOL, $MODE mode, ESP-in-UDP forced: $ENCAP"
}

# ---- charon

start_charon() {
	local host=$1

	rm -f "$RUN/$host.vici" # of a charon that was killed
	spawn "$host" "$RUN/$host/charon.pid" \
		env "STRONGSWAN_CONF=$RUN/$host/strongswan.conf" \
		"SWANCTL_DIR=$RUN/$host/swanctl" \
		${CHARON_ROOT:+"$TOP/tests/vm/lib/in-root" "$CHARON_ROOT"} \
		charon-systemd >"$RUN/$host/charon.out" 2>&1
}

# swan HOST COMMAND [ARGUMENT...]: swanctl at that host.
swan() {
	local host=$1 command=$2

	shift 2
	in_host "$host" env "STRONGSWAN_CONF=$RUN/$host/strongswan.conf" \
		"SWANCTL_DIR=$RUN/$host/swanctl" swanctl "$command" \
		--uri "unix://$RUN/$host.vici" "$@"
}

load_connections() {
	local host=$1

	need 60 "charon at $host listens" [ -S "$RUN/$host.vici" ]
	swan "$host" --load-all >"$RUN/$host/load.log" 2>&1 ||
		fail "swanctl --load-all at $host failed; see $host/load.log"
}

# host_up HOST...: charons start side by side.
host_up() {
	local host

	for host in "$@"; do
		start_charon "$host"
	done
	for host in "$@"; do
		load_connections "$host"
	done
	log "charon runs at: $*"
}

charon_pid() {
	cat "$RUN/$1/charon.pid"
}

# host_down HOST: ends its charon and its link, without a DELETE, FIN or RST.
host_down() {
	ip -n lt-net link set dev "$1" down
	kill_and_wait KILL "$(charon_pid "$1")"
	log "$1 is down, without a message to its peers"
}

# charon_stop HOST: orderly, with a DELETE to its peers.
charon_stop() {
	kill_and_wait TERM "$(charon_pid "$1")"
}

# take_address IMPOSTOR VICTIM: W's neighbour entry of the address is deleted, too.
take_address() {
	give_address "$1" "$2"
	ip -n lt-w neigh flush dev eth0
	log "$1 has taken the address of $2"
}

# ---- IKE

# initiate HOST [CHILD]
initiate() {
	swan "$1" --initiate --child "${2:-flow}" --timeout 60 \
		>>"$RUN/$1/initiate.log" 2>&1
}

# A packet that the trap policy catches requests the same CHILD_SA; if that one is
# installed first, charon refuses ours.
requested_twice() {
	tail -n 3 "$RUN/$1/initiate.log" | has_line 'due to existing duplicate'
}

# must_initiate HOST [CHILD]
must_initiate() {
	initiate "$@" || requested_twice "$1" ||
		fail "IKE at $1 failed; see $1/initiate.log"
	log "$1 has an IKE_SA and a CHILD_SA (${2:-flow}) with its peer"
}

rekey_child() {
	swan "$1" --rekey --child flow >>"$RUN/$1/rekey.log" 2>&1
}

rekey_ike() {
	swan "$1" --rekey --ike peer >>"$RUN/$1/rekey.log" 2>&1
}

reauthenticate() {
	swan "$1" --rekey --ike peer --reauth >>"$RUN/$1/rekey.log" 2>&1
}

# terminate_child HOST CHILD: in good order, with a DELETE.
terminate_child() {
	swan "$1" --terminate --child "$2" >>"$RUN/$1/terminate.log" 2>&1 ||
		fail "$1 cannot end $2; see $1/terminate.log"
	log "$1 has ended its CHILD_SA $2"
}

# children HOST PEER: CHILD_SAs that HOST's charon has with an identity.
children() {
	local listed

	listed=$(answer swan "$1" --list-sas --raw)
	matches -F "remote-id=$2" <<<"$listed" | matches -o 'state=INSTALLED' | wc -l
}

has_no_children() {
	[ "$(children "$1" "$2")" = 0 ]
}

# kernel_sas HOST: inbound and outbound ESP SAs in its kernel.
kernel_sas() {
	local listed

	listed=$(answer ip -n "lt-$1" -o xfrm state list)
	matches -c 'proto esp' <<<"$listed"
}

sas_at_least() {
	[ "$(kernel_sas "$1")" -ge "$2" ]
}

# sockets HOST FILTER...: lists TCP sockets by ss, one line each, without a header line.
sockets() {
	local host=$1

	shift
	answer in_host "$host" ss -Htan "$@"
}

has_sockets() {
	[ -n "$(sockets "$@")" ]
}

flush_policies() {
	ip -n "lt-$1" xfrm policy flush
	log "the IPsec policies of $1 are flushed"
}

# ---- the end

host_processes() {
	local host

	for host in w c d net; do
		ip netns pids "lt-$host" 2>/dev/null || true
	done
}

# Everything that topology made, whatever state it is in.
tear_down() {
	local host pids

	mapfile -t pids < <(host_processes)
	[ ${#pids[@]} = 0 ] || kill_and_wait KILL "${pids[@]}"
	for host in w c d net; do
		[ ! -e "/run/netns/lt-$host" ] || ip netns del "lt-$host"
	done
}
