# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ----- one connection, its remote id changes ----- C 10.9.0.2
#
# charon prints a mail address, a host name, a URI and a key id of the same bytes alike. One CA has
# issued certificates with the text "alice@acme.example" in each of these four types. Others have
# "10.9.0.2" as a host name and as an address. C authenticates with each of them, under remote ids
# of W that fix the type and under %any. charon refuses the other types, or latchd leaves the SAs
# unattributed. The one that is meant is attributed, and a stream is latched to it. charon accepts no URI at all.
#
# touches: feeds vici identity
# run: conformance
# expect: clean

readonly TEXT=alice@acme.example
# TYPE: its identity in swanctl.conf, and in the certificate for openssl.
declare -A IDENTITY=(
	[mail]="rfc822:$TEXT" [host]="fqdn:$TEXT" [uri]="uri:$TEXT"
	[key]="keyid:$TEXT"
	[address]=10.9.0.2 [address-text]="fqdn:10.9.0.2"
)
declare -A EXTENSION=(
	[mail]="subjectAltName=email:$TEXT" [host]="subjectAltName=DNS:$TEXT"
	[uri]="subjectAltName=URI:$TEXT"
	[key]="subjectKeyIdentifier=$(printf %s "$TEXT" | od -An -tx1 | tr -d ' \n')"
	[address]="subjectAltName=IP:10.9.0.2" [address-text]="subjectAltName=DNS:10.9.0.2"
)

# issue TYPE: a certificate of C's key.
issue() {
	printf '%s\n' "${EXTENSION[$1]}" >"$RUN/extension"
	openssl req -new -key "$PKI/c.key" -subj "/O=Latch/CN=$1" 2>>"$RUN/openssl.log" |
		openssl x509 -req -CA "$PKI/ca.pem" -CAkey "$PKI/ca.key" -set_serial "$SERIAL" \
			-days 30 -extfile "$RUN/extension" -out "$RUN/$1.pem" 2>>"$RUN/openssl.log" ||
		fail "openssl failed: $(tail -n 1 "$RUN/openssl.log")"
	SERIAL=$((SERIAL + 1))
}

# become TYPE: C's certificate and identity.
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

refusals() {
	grep -c 'refused (the connection.s remote id admits' "$LATCHD_LOG" || true
}

refused_more_than() {
	[ "$(refusals)" -gt "$1" ]
}

# attributed PRINTED: both of W's SAs.
attributed() {
	[ "$(listed_in sa ".peer.id? == \"$1\"" '.sas[]' | wc -l)" = 2 ]
}

no_sas() {
	[ "$(kernel_sas w)$(kernel_sas c)" = 00 ]
}

end_ike_sa() {
	swan c --terminate --ike peer >>"$RUN/c/terminate.log" 2>&1 || fail "C cannot end its IKE_SA"
	need 60 "no SA is left" no_sas
}

printed() {
	if [[ $1 = address* ]]; then echo 10.9.0.2; else echo $TEXT; fi
}

# is_latched PORT PRINTED: a stream to C, which ends again.
is_latched() {
	start_stream "$1"
	need_latch w "$1" established
	latch_seen "$(at w "$1") and .peer.id == \"$2\"" || fail "W's latch does not name $2"
	end_stream c "$1"
}

# is_attributed TYPE REMOTE-ID PORT
is_attributed() {
	become "$1"
	initiate c || fail "charon has refused $1 under the remote id $2; see c/initiate.log"
	need 60 "$1 is attributed under the remote id $2" attributed "$(printed "$1")"
	is_latched "$3" "$(printed "$1")"
	end_ike_sa
}

# is_unattributed TYPE REMOTE-ID: charon accepts the peer, latchd does not.
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

# is_rejected TYPE REMOTE-ID: by charon.
is_rejected() {
	become "$1"
	! initiate c || fail "charon has accepted $1 under the remote id $2"
	tail -n 5 "$RUN/c/initiate.log" | has_line AUTH_FAILED ||
		fail "IKE failed otherwise: $(tail -n 1 "$RUN/c/initiate.log")"
	need 60 "no SA is left" no_sas
}

topology dpd=300s
SERIAL=100
for type in "${!EXTENSION[@]}"; do
	issue "$type"
done
sed -i 's/start_action = trap/start_action = none/' "$RUN"/{w,c}/swanctl/swanctl.conf
host_up w c
start_latchd
accept $TEXT
is_attributed mail $TEXT 7000
for type in host uri key; do
	is_rejected $type $TEXT
done
accept '*@acme.example'
is_attributed mail '*@acme.example' 7001
is_rejected host '*@acme.example'
accept 10.9.0.2
is_attributed address 10.9.0.2 7002
is_rejected address-text 10.9.0.2
accept %any
for type in mail host key address address-text; do
	is_unattributed $type %any
done
is_rejected uri %any
note "six certificates, two texts: one identity each is attributed, and none under %any"
