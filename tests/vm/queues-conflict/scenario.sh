# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	                  .--- ESP under C's SA waits in W's device ---> C 10.9.0.2 (vanished)
#	W 10.9.0.1 ------<
#	                  `--- datagrams that XFRM holds --x  SA of d.example  D, now at 10.9.0.2
#
# A real conflict while packets wait (RFC 5660 section 2.3.1): D's SA releases the datagrams that
# XFRM holds, and breaks the latches of W. The datagrams are dropped. Of W's ESP only that leaves
# which was in the device already, under C's SA.
#
# touches: gate sa spd
# run: conformance
# expect: clean

rules() {
	cat <<-EOF

		[rule patient]
		action = auto
		disposition = wait
		on-dpd = keep
		on-reboot = keep
	EOF
}

udp_latch() {
	echo "$(at w 8001) and .proto == \"udp\""
}

udp_drops() {
	latch_field "$(udp_latch)" .drops
}

held_are_dropped() {
	[ "$(udp_drops)" -ge $((drops + HELD)) ]
}

# spi_to_c: of W's SA, as its latch has it.
spi_to_c() {
	latch_field "$(at w 7000)" .sa.out
}

is_refused() {
	reported_at_least w "send EPERM" 1
}

WITH_LATCHD=1 queued_opening
need_latch w 7000 established
need 60 "W's UDP socket is latched to C" latch_seen \
	"$(udp_latch) and .state == \"established\" and .peer.id == \"c.example\""
spi_c=$(spi_to_c) || exit 1
delay_esp
need 60 "ESP waits in W's device" esp_waits 5
# TCP would repeat unsent data without a pause. A local drop while the head of its retransmission
# queue waits in the device is followed by the next attempt at once (tcp_tsq_write()).
kill -STOP "$(app_pid w-7000)"
need 60 "more ESP waits in W's device" esp_waits 10
hold_datagrams
drops=$(udp_drops) || exit 1
take_address d c
must_initiate d
need_latch w 7000 broken
need 60 "the latch of W's datagrams is broken" latch_seen "$(udp_latch) and .state == \"broken\""
need_broken
waiting=$(esp_queue qlen) || exit 1
[ "$waiting" -gt 0 ] || fail "no packet was left in W's device when the latches broke"
total=$(esp_queue 'packets + .qlen') || exit 1
log "$waiting packets wait in W's device when the latches break"
need 60 "each of the $HELD datagrams that XFRM held was dropped" held_are_dropped
! decrypted d W-TO-C || fail "D decrypted what W had queued for C"
kill -CONT "$(cat "$RUN/datagrams-w.pid")"
need 60 "W's application can send nothing more" is_refused
need 180 "W's device is empty" esp_has_left
[ "$(esp_queue packets)" = "$total" ] ||
	fail "$((total - waiting)) packets had left W, $waiting waited, now $(esp_queue packets) have left"
spi_d=$(spi_of_d) || exit 1
[ "$(sent_under "$spi_d")" = 0 ] || fail "W has sent $(sent_under "$spi_d") packets under D's SA"
[ "$(sent_under "$spi_c")" -ge "$waiting" ] || fail "the packets of W's device left under another SPI"
! decrypted d W-TO-C || fail "D decrypted what W had queued for C"
# A process that is still stopped when the scenario ends would have the kernel hang up its group,
# with all captures.
kill_and_wait KILL "$(app_pid w-7000)"
conforms R-2.3.1-1 "conflict while XFRM held $HELD datagrams and the device $waiting packets: none left under D's SA"
note "$waiting packets in the device left under C's SA; $HELD held datagrams: none left"
