# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example, by the key that W has pinned ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example, by a CA ===== D, now at 10.9.0.2
#
# W and C pin each other's certificate. Applications at both ends get the keys of both hosts, and the same octets for
# channel binding; they stay over a re-authentication. Then C has another key under its name, and W pins it: W's
# connection breaks, and the next one has another key and other octets. D has no pinned key: its connection has
# neither a key nor octets.
#
# touches: api vici identity sa
# run: conformance
# expect: clean

rules() {
	printf '\n[api]\nenabled = on\n'
}

# connection HOST NAME START CREDENTIALS ID: one connection of swanctl.conf.
connection() {
	cat <<-EOF
		  $2 {
		    version = 2
		    local_addrs = $(local_addresses "$1")
		    remote_addrs = $(remote_addresses "$1")
		    proposals = aes128-sha256-x25519
		    mobike = $MOBIKE
		    dpd_delay = $DPD
		    rekey_time = 4h
		    unique = no
		    local {
		      auth = pubkey
		      certs = $1.pem
		      id = $1.example
		    }
		    remote {
		      auth = pubkey
		      $4
		      id = $5
		    }
		    children {
		      flow {
		        mode = $MODE
		        start_action = $3
		        dpd_action = clear
		        rekey_time = $CHILD_LIFE
		        rand_time = 0s
		        ${PROTOCOL}_proposals = $PROPOSAL
		      }
		    }
		  }
	EOF
}

connection_config() {
	echo "connections {"
	case $1 in
	w)
		connection w peer trap "certs = c.pem" c.example
		connection w any none "cacerts = ca.pem" d.example
		;;
	c) connection c peer trap "certs = w.pem" w.example ;;
	d) connection d peer trap "cacerts = ca.pem" w.example ;;
	esac
	echo "}"
}

# give_certificate HOST FILE: the host pins it, under its name.
give_certificate() {
	cp "$2" "$RUN/$1/swanctl/x509/${2##*/}"
}

# key_in FILE: the SHA-256 of the certificate's SubjectPublicKeyInfo.
key_in() {
	STRONGSWAN_CONF=$PKI/strongswan.conf pki --pub --type x509 --in "$1" --outform der | sha256sum | cut -d ' ' -f 1
}

# make_another_key: of C, in a certificate with C's subject.
make_another_key() {
	mkdir -p "$RUN/new"
	(
		export STRONGSWAN_CONF=$PKI/strongswan.conf
		pki --gen --type ecdsa --size 256 --outform pem >"$RUN/new/c.key"
		pki --pub --in "$RUN/new/c.key" --type ecdsa |
			pki --issue --cacert "$PKI/ca.pem" --cakey "$PKI/ca.key" --type pub \
				--dn "C=XX, O=Latch, CN=c.example" --san c.example --lifetime 30 --outform pem \
				>"$RUN/new/c.pem"
	) 2>"$RUN/new/log" || fail "pki failed: $(tail -n 1 "$RUN/new/log")"
}

# need_keys TAG KEY OWN-KEY: of a proven connection.
need_keys() {
	need_answer "$1" "$1 has the key of its peer" ".state == LATCH_APP_ESTABLISHED and .key == \"$2\""
	need_answer "$1" "$1 has the key of its host" ".own_key == \"$3\""
}

# octets KEY KEY: what both ends must get.
octets() {
	local lower=$1 higher=$2

	[[ $1 < $2 ]] || { lower=$2 higher=$1; }
	printf '%s%s%s' "$(printf latch-end-point: | od -An -tx1 | tr -d ' \n')" "$lower" "$higher"
}

topology "$@" dpd=4s
give_certificate w "$PKI/c.pem"
give_certificate c "$PKI/w.pem"
WITH_LATCHD=1 honest_start
of_c=$(key_in "$PKI/c.pem")
of_w=$(key_in "$PKI/w.pem")
[ "$of_c" != "$of_w" ] || fail "two hosts have one key"

asking w tcp serve "$(addr w)" 7010
need_answer tcp "a listener" '.listener.state == LATCH_APP_LISTENER'
asking c tcp-c connect "$(addr w)" 7010
need_keys tcp "$of_c" "$of_w"
need_keys tcp-c "$of_w" "$of_c"
conforms R-2-7 "an application learns by which key its peer was authenticated"
bound=$(octets "$of_c" "$of_w")
need_answer tcp "the octets of W" ".binding == \"$bound\""
need_answer tcp-c "those of C" ".binding == \"$bound\""
renew IKE_SA reauthenticate
need_no_break
need_answer tcp "W's after a new authentication" ".state == LATCH_APP_ESTABLISHED and .binding == \"$bound\""

# ---- another key under C's name

make_another_key
of_new=$(key_in "$RUN/new/c.pem")
[ "$of_new" != "$of_c" ] || fail "the new key is the old one"
charon_stop c
give_certificate w "$RUN/new/c.pem"
give_certificate c "$RUN/new/c.pem"
cp "$RUN/new/c.key" "$RUN/c/swanctl/private/"
swan w --load-all --clear >"$RUN/w/load.log" 2>&1 || fail "W cannot load the new certificate; see w/load.log"
host_up c
must_initiate c
need_answer tcp "W's connection to the peer of the former key" \
	'.state == LATCH_APP_BROKEN and .info.why == LATCH_WHY_SA_CONFLICT and .binding == "ENODATA"'
need_answer tcp "it tells the former key" ".key == \"$of_c\""
conforms S33 "another key under the peer's name breaks its connection"
asking w tcp-2 serve "$(addr w)" 7011
need_answer tcp-2 "a second listener" '.listener.state == LATCH_APP_LISTENER'
asking c tcp-c-2 connect "$(addr w)" 7011
need_keys tcp-2 "$of_new" "$of_w"
need_keys tcp-c-2 "$of_w" "$of_new"
bound=$(octets "$of_new" "$of_w")
need_answer tcp-2 "other octets of W" ".binding == \"$bound\""
need_answer tcp-c-2 "those of C" ".binding == \"$bound\""

# ---- a peer without a pinned key

impostor_takes_over
need 120 "W gives C up" has_no_children w c.example
asking w tcp-3 serve "$(addr w)" 7012
need_answer tcp-3 "a third listener" '.listener.state == LATCH_APP_LISTENER'
asking d tcp-d connect "$(addr w)" 7012
need_answer tcp-3 "D's connection has no key" \
	'.state == LATCH_APP_ESTABLISHED and .peer == "d.example" and .key == null and .binding == "ENODATA"'
mapfile -t pids < <(cat "$RUN"/ask-*.pid)
kill_and_wait KILL "${pids[@]}"
note "equal octets at both ends; another key of C breaks the latch; D has no octets"
