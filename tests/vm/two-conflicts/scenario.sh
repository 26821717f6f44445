# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example, AES-128 (latched) ===== C 10.9.0.2
#	          \===== first, AES-256 ========================/
#	           \==== second, AES-192 ======================/
#
# S7 and S10, disposition wait: two SAs conflict with one latch. It is BROKEN from
# the first on, stays so when only the first goes, and when the second is renewed
# (RFC 7296 section 2.9.2 forbids to narrow it). It heals when both are gone, and
# the stream continues with every byte.
#
# touches: sa latch config
# expect: clean
# run: conformance

rules() {
	cat <<-EOF

		[rule patient]
		action = auto
		disposition = wait

	EOF
}

more_children() {
	[ "$1" = c ] || return 0
	cat <<-EOF
		      first {
		        mode = transport
		        esp_proposals = aes256gcm16-x25519
		      }
		      second {
		        mode = transport
		        esp_proposals = aes192gcm16-x25519
		      }
	EOF
}

sas_are() {
	[ "$(kernel_sas "$1")" = "$2" ]
}

# The controller handles the SA event before its next answer, so it has checked the latch.
is_broken_still() {
	need_latch w 7000 broken
	need_events 0 '.event == "latch-healed"' "a latch was healed, though $1"
}

topology esp=aes128gcm16-x25519,aes256gcm16-x25519,aes192gcm16-x25519
WITH_LATCHD=1 honest_start
must_initiate c first
need_latch w 7000 broken
stalled=$(received_bytes c-7000)
conforms R-2.3-10 "an SA that cannot be narrowed breaks the latch"
must_initiate c second
terminate_child c first
need 60 "the first has left W" sas_are w 4
is_broken_still "the second still conflicts"
conforms S7 "two conflicts, one cleared: still BROKEN"
before=$(established c CHILD_SA)
swan c --rekey --child second >>"$RUN/c/rekey.log" 2>&1 || fail "C cannot rekey; see c/rekey.log"
need 60 "the second was renewed" established_at_least c CHILD_SA $((before + 1))
need 60 "its old SAs have left W" sas_are w 4
is_broken_still "the second was only renewed"
conforms S10 "the conflicting SA was rekeyed: still BROKEN"
[ "$(received_bytes c-7000)" = "$stalled" ] || fail "C received data while the latch was broken"
conforms R-2.3-21 "no byte arrived while BROKEN, though the latched SA was there"
terminate_child c second
need_latch w 7000 established
conforms L-2.2-5 "ESTABLISHED again when the last conflict was gone"
need 60 "the stream continues" received_at_least c-7000 $((stalled + 500))
end_stream c 7000
need_events 1 '.event == "latch-broken" and .local.port == 7000' "W's latch was reported broken"
conforms L-2.2-4 "one alert for one entry into BROKEN"
note "broken for $GAP_MS ms, $SENT bytes, none lost"
