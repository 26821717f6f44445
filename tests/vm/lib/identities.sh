# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# C with one certificate after another, under remote ids of W:
#
#	W ----- one connection, its remote id changes ----- C, as each KIND of the scenario
#
# The scenario gives each KIND its id and its certificate; printed KIND is charon's text.

declare -A IDENTITY=()

# identify KIND ID: its id in swanctl.conf.
identify() {
	IDENTITY[$1]=$2
}

# sign KIND SUBJECT EXTENSION: a certificate for C's key with this subject, in openssl's form.
sign() {
	printf '%s\n' "$3" >"$RUN/extension"
	openssl req -new -utf8 -key "$PKI/c.key" -subj "$2" 2>>"$RUN/openssl.log" |
		openssl x509 -req -CA "$PKI/ca.pem" -CAkey "$PKI/ca.key" -set_serial "0x$RANDOM$RANDOM" \
			-days 30 -extfile "$RUN/extension" -out "$RUN/$1.pem" 2>>"$RUN/openssl.log" ||
		fail "openssl failed: $(tail -n 1 "$RUN/openssl.log")"
}

# become KIND: C's certificate and identity.
become() {
	cp "$RUN/$1.pem" "$RUN/c/swanctl/x509/c.pem"
	sed -i "/^ *local {/,/}/s|id = .*|id = \"${IDENTITY[$1]}\"|" "$RUN/c/swanctl/swanctl.conf"
	swan c --load-all --clear >"$RUN/c/load.log" 2>&1 || fail "C's connection is not loaded"
}

# accept ID: the remote id of W's connection.
accept() {
	sed -i "/^ *remote {/,/}/s|id = .*|id = \"$1\"|" "$RUN/w/swanctl/swanctl.conf"
	load_connections w
}

# refusals: of CHILD_SAs without a proven peer.
refusals() {
	matches -c 'child_sa .* refused (' "$LATCHD_LOG"
}

refused_more_than() {
	[ "$(refusals)" -gt "$1" ]
}

# attributed PRINTED: both of W's SAs.
attributed() {
	[ "$(listed_in sa ".peer.id? == \"${1//\"/\\\"}\"" '.sas[]' | wc -l)" = 2 ]
}

no_sas() {
	[ "$(kernel_sas w)$(kernel_sas c)" = 00 ]
}

end_ike_sa() {
	swan c --terminate --ike peer >>"$RUN/c/terminate.log" 2>&1 || fail "C cannot end its IKE_SA"
	need 60 "no SA is left" no_sas
}

# is_latched PORT PRINTED: a stream to C, which ends again.
is_latched() {
	start_stream "$1"
	need_latch w "$1" established
	latch_seen "$(at w "$1") and .peer.id == \"${2//\"/\\\"}\"" || fail "W's latch does not name $2"
	end_stream c "$1"
}

# is_attributed KIND REMOTE-ID PORT
is_attributed() {
	become "$1"
	initiate c || fail "charon has refused $1 under the remote id $2; see c/initiate.log"
	need 60 "$1 is attributed under the remote id $2" attributed "$(printed "$1")"
	is_latched "$3" "$(printed "$1")"
	end_ike_sa
}

# is_unattributed KIND REMOTE-ID: charon accepts the peer, latchd does not.
is_unattributed() {
	local before listed

	before=$(refusals)
	become "$1"
	initiate c || fail "charon has refused $1 under the remote id $2; see c/initiate.log"
	need 60 "$1 is refused by latchd under the remote id $2" refused_more_than "$before"
	listed=$(answer swan w --list-sas --raw)
	[[ $listed = *"remote-id=$(printed "$1") "* ]] || fail "charon prints $1 otherwise"
	! attributed "$(printed "$1")" || fail "$1 is attributed under the remote id $2"
	end_ike_sa
}

# is_rejected KIND REMOTE-ID: by charon.
is_rejected() {
	become "$1"
	! initiate c || fail "charon has accepted $1 under the remote id $2"
	tail -n 5 "$RUN/c/initiate.log" | has_line AUTH_FAILED ||
		fail "IKE failed otherwise: $(tail -n 1 "$RUN/c/initiate.log")"
	need 60 "no SA is left" no_sas
}

# begin_identities: W and C are up, and no connection of theirs starts by itself.
begin_identities() {
	sed -i 's/start_action = trap/start_action = none/' "$RUN"/{w,c}/swanctl/swanctl.conf
	host_up w c
	start_latchd
}
