# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of carol ========================== C 10.9.0.2
#	RADIUS \
#	        ===== SA of dave, with the outer identity carol ===== D, now at 10.9.0.2
#
# W authenticates its clients by EAP-TTLS, and its RADIUS server compares only what is inside the
# tunnel. D proves inside that it is dave, and claims outside that it is carol: charon prints both
# peers as carol. Under a rule that requires a latch neither of them is served, and nothing leaves. A
# connection that needs none works.
#
# The variant: the administrator has stated, wrongly, that the EAP identities are authenticated. C
# is latched as carol, and rekeys lose nothing. Then D decrypts a part of C's stream: the risk that
# latchd.conf(5) names, and the proof that this D would pass.
#
# Variants eap-identity-ttls and eap-identity-ttls-stated: there is no RADIUS server, and W's charon ends
# EAP-TTLS itself. It then prints the identity of inside, which it has authenticated (CVE-2026-78134, mended
# in the package that this needs). Without a statement D and C are refused as before. With one C is latched
# as carol, D is dave whatever it claims outside, and C's latch breaks.
#
# touches: feeds vici identity config gate
# run: conformance
# variant: eap-identity-stated stated
# variant: eap-identity-ttls ttls
# variant: eap-identity-ttls-stated ttls stated
# expect: clean
# expect eap-identity-stated: leak decrypted

STATED=no TTLS=no
if [ "${1:-}" = ttls ]; then
	TTLS=yes
	shift
fi
if [ "${1:-}" = stated ]; then
	STATED=yes
	shift
fi

rules() {
	[ $STATED = no ] || return 0
	cat <<-EOF

		[rule server]
		action = require
		protocol = tcp
		local-port = 7000-7001
	EOF
}

served_hosts() {
	echo w
}

eval "plain_$(declare -f latchd_config)"
latchd_config() {
	plain_latchd_config
	[ $STATED = no ] || echo "eap-identities = peer"
}

eval "plain_$(declare -f charon_config)"
charon_config() {
	local method='eap-radius {\n      server = 127.0.0.1\n      secret = shared\n    }'

	[ $TTLS = no ] ||
		method='eap-ttls {\n      phase2_method = md5\n      request_peer_auth = no\n    }'
	plain_charon_config "$1" |
		sed "s/ socket-default vici\$/& eap-identity eap-ttls eap-md5 eap-radius/
			/^ *plugins {/a\\    $method"
}

eap_secrets() {
	local user

	echo 'secrets {'
	for user; do
		printf ' eap-%s {\n id = %s\n secret = "secret of %s"\n }\n' "$user" "$user" "$user"
	done
	echo '}'
}

# Only the clients begin: an EAP server cannot. An INITIAL_CONTACT of D would end
# C's IKE_SA, by the identity that D claims.
eval "plain_$(declare -f connection_config)"
connection_config() {
	local user=carol method=eap-radius

	if [ "$1" = w ]; then
		[ $TTLS = no ] || method=eap-ttls
		plain_connection_config w | sed "/^ *remote {/,/}/c\
			remote {\n auth = $method\n id = %any\n eap_id = %any\n }
			s/start_action = trap/start_action = none/
			s/unique = no/unique = never/"
		[ $TTLS = no ] || eap_secrets carol dave
		return
	fi
	[ "$1" = c ] || user=dave
	plain_connection_config "$1" | sed "/^ *local {/,/}/c\
		local {\n auth = eap\n id = $1.example\n eap_id = $user\n }"
	eap_secrets $user
}

# D's charon answers as carol outside of the tunnel.
eval "plain_$(declare -f start_charon)"
start_charon() {
	if [ "$1" = d ]; then
		LD_PRELOAD=$BUILD_DIR/tests/vm/outer_identity.so EAP_OUTER_IDENTITY=carol \
			plain_start_charon d
	else
		plain_start_charon "$1"
	fi
}

radius_config() {
	cat <<-EOF
		libdir = /usr/lib/freeradius
		run_dir = $RUN/radius
		db_dir = $RUN/radius
		logdir = $RUN/radius
		pidfile = $RUN/radius/radius.pid
		client w {
			ipaddr = 127.0.0.1
			secret = shared
		}
		modules {
			files {
				usersfile = $RUN/radius/users
			}
			eap {
				default_eap_type = ttls
				md5 {
				}
				tls-config tls {
					private_key_file = $PKI/w.key
					certificate_file = $PKI/w.pem
					ca_file = $PKI/ca.pem
					tls_min_version = "1.2"
					tls_max_version = "1.2"
					ecdh_curve = ""
				}
				ttls {
					tls = tls
					default_eap_type = md5
					virtual_server = inner
				}
			}
		}
		server outer {
			listen {
				type = auth
				ipaddr = 127.0.0.1
				port = 1812
			}
			authorize {
				eap
			}
			authenticate {
				eap
			}
		}
		server inner {
			authorize {
				files
				eap
			}
			authenticate {
				eap
			}
		}
	EOF
}

radius_ready() {
	file_has "$RUN/radius/log" 'Ready to process requests'
}

start_radius() {
	mkdir -p "$RUN/radius"
	radius_config >"$RUN/radius/radiusd.conf"
	printf '%s\tCleartext-Password := "secret of %s"\n' carol carol dave dave \
		>"$RUN/radius/users"
	spawn w "$RUN/radius/pid" freeradius -X -d "$RUN/radius" -D /usr/share/freeradius \
		>"$RUN/radius/log" 2>&1
	need 60 "the RADIUS server is ready" radius_ready
}

stop_radius() {
	kill_and_wait TERM "$(cat "$RUN/radius/pid")"
}

# are_named NAME COUNT: so many IKE_SAs at W have this EAP identity.
are_named() {
	local listed

	listed=$(answer swan w --list-sas --raw) || exit 1
	[ "$(matches -o "remote-eap-id=$1" <<<"$listed" | wc -l)" = "$2" ]
}

accepted_as_dave() {
	if [ $TTLS = yes ]; then
		file_has "$RUN/w/charon.log" "phase2 authentication of 'dave' with EAP_MD5 successful"
	else
		file_has "$RUN/radius/log" 'User-Name = "dave"'
	fi
}

claimed_carol() {
	[ "$(matches -c "received EAP identity 'carol'" <"$RUN/w/charon.log")" -ge 2 ]
}

refusals() {
	matches -c 'refused (an EAP or XAuth identity' "$LATCHD_LOG"
}

refused_more_than() {
	[ "$(refusals)" -gt "$1" ]
}

# not_served CLIENT PORT
not_served() {
	stream "w-$2" w "$1" --local-port "$2" --send W-TO-C --rate 20
	need 30 "the application at W listens" app_event "w-$2" listening
	stream "$1-$2" "$1" w --remote "$(addr w)" --remote-port "$2" --expect W-TO-C
	need 60 "W drops the SYN of $1" drops_grow
	! app_event "w-$2" connected || fail "W has accepted a connection of $1"
	no_latch "$(at w "$2")" || fail "W has a latch with $1"
	kill_and_wait KILL "$(app_pid "$1-$2")"
}

dropped() {
	status '[.drops[] | .ingress] | add'
}

drops_grow() {
	[ "$(dropped)" -gt "$drops_before" ]
}

impostor_claims_carol() {
	impostor_takes_over
	if [ $TTLS = yes ]; then
		need 10 "charon prints D's identity as dave" are_named dave 1
		claimed_carol || fail "D has not claimed outside that it is carol"
		are_named carol 1 || fail "charon prints D as carol"
	else
		need 10 "charon prints D's identity as carol" are_named carol 2
	fi
	accepted_as_dave || fail "dave was not authenticated inside of the tunnel"
}

topology dpd=300s "$@"
[ $TTLS = yes ] || start_radius
if [ $STATED$TTLS = yesyes ]; then
	WITH_LATCHD=1 honest_start
	need 10 "W's latch has the identity that is stated to be authenticated" latch_seen \
		"$(at w 7000) and .state == \"established\" and .peer.id == \"carol\""
	renew CHILD_SA rekey_child 3
	need_no_break
	impostor_claims_carol
	need_reset
	need 30 "latchctl monitor reports that dave breaks the latch" event_seen \
		'.event == "latch-broken" and (.actual | tostring | contains("dave"))'
	! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
	note "where charon ends EAP-TTLS the identity of inside counts: D is dave, and C's latch broke"
elif [ $STATED = yes ]; then
	WITH_LATCHD=1 honest_start
	need 10 "W's latch has the identity that is stated to be authenticated" latch_seen \
		"$(at w 7000) and .state == \"established\" and .peer.id == \"carol\""
	renew CHILD_SA rekey_child 3
	need_no_break
	before=$(received_bytes c-7000)
	need 60 "C's stream continues" received_at_least c-7000 $((before + 1000))
	impostor_claims_carol
	need 60 "D decrypts a part of C's stream" decrypted d W-TO-C
	note "with eap-identities D passes for carol: D decrypted" \
		"$(decrypted_text d | grep -o 'W-TO-C.*' | head -n 1)"
else
	host_up w c d
	start_latchd
	start_monitor
	must_initiate c
	need 60 "latchd refuses C's SAs" refused_more_than 0
	drops_before=$(dropped)
	not_served c 7000
	start_stream 7002
	end_stream c 7002
	log "a connection that needs no latch works under C's SAs"
	refused=$(refusals)
	impostor_claims_carol
	need 60 "latchd refuses D's SAs" refused_more_than "$refused"
	drops_before=$(dropped)
	not_served d 7001
	! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
	note "an outer EAP identity is no identity: neither carol nor dave as carol is served"
fi
[ $TTLS = yes ] || stop_radius
