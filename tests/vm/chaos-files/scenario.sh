# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SAs of c.example, renewed ===== C 10.9.0.2
#	    \
#	     ===== SA of d.example ===== D, in the end at 10.9.0.2
#
#	/sys/fs/bpf (read-only; pins removed; unmounted)      /run/latchd (full)
#
# The files that latchd needs fail under a latched stream. A running latchd attributes new SAs all
# the same; a start that is impossible ends with one clear error and changes nothing. When the
# programs themselves are gone with the file system, latchd says so. In the end D attacks.
#
# touches: enforce maps control latchd
# run: conformance
# expect: clean

readonly BPFFS=/sys/fs/bpf

restore_files() {
	mountpoint -q $BPFFS || mount -t bpf bpf $BPFFS
	mount -o remount,rw $BPFFS
	! mountpoint -q /run/latchd || umount -l /run/latchd
}
trap restore_files EXIT

# need_attribution WHY: a new SA is bound, and the stream goes on.
need_attribution() {
	renew CHILD_SA rekey_child
	need 30 "no SA is pending $1" no_pending_sa
	need_progress c-7000 "$1"
	need_latch w 7000 established
}

no_pending_sa() {
	[ -z "$(sas '.state == "pending"')" ]
}

needs_remount() {
	[ -n "$(status '.attention[] | select(.code == "pins-read-only") | .detail | select(contains("remount,rw"))')" ]
}

enforcement_is() {
	[ "$(status .enforcement.on)" = "$1" ]
}

topology dpd=300s
WITH_LATCHD=1 honest_start
need_steady

mount -o remount,ro $BPFFS
! mkdir $BPFFS/latchd/new 2>/dev/null || fail "$BPFFS is not read-only"
need_attribution "with a read-only $BPFFS"
need 30 "status names the read-only mount" needs_remount
enforcement_is true || fail "status reports programs as detached on a read-only $BPFFS"
kill9_latchd
refused_start "a start with a read-only $BPFFS"
[[ $REFUSAL = *remount* && $REFUSAL != *purge* ]] || fail "the next step is wrong: $REFUSAL"
need_progress c-7000 "without latchd"
mount -o remount,rw $BPFFS
start_latchd
need_attribution "with $BPFFS writable again"

stop_latchd
mount -t tmpfs -o size=64k,mode=750 full /run/latchd
! head -c 1M /dev/zero >/run/latchd/full 2>/dev/null || fail "/run/latchd is not full"
start_latchd
need_attribution "with a full /run"
stop_latchd
rm /run/latchd/full
start_latchd
need_attribution "with room in /run"
umount -l /run/latchd
stop_latchd
start_latchd
need_attribution "with the old /run"

rm -r $BPFFS/latchd/v*/maps
need_attribution "without the pins of the maps"
need_no_break_logged
end_stream c 7000
stop_latchd
start_latchd
need 30 "enforcement is on" enforcement_is true
start_stream 7001
need_latch w 7001 established

stop_latchd
rm -r $BPFFS/latchd/v*/maps
start_latchd
need_progress c-7001 "with pins of maps that were removed while no latchd ran"
need_latch w 7001 established
! logged_more_than 'identity table damaged' 0 || fail "the identity table was lost with its pin"
! logged_more_than 'created, empty' 0 || fail "a map was lost with its pin: $(grep -m 1 'created, empty' "$LATCHD_LOG")"

umount $BPFFS
need 30 "latchd reports that the programs are gone" \
	logged_more_than 'enforcement off (a program is no longer attached)' 0
enforcement_is false || fail "status reports enforcement without programs"
mount -t bpf bpf $BPFFS
stop_latchd
start_latchd
need 30 "enforcement is on again" enforcement_is true
start_monitor
end_stream c 7001
start_stream 7002
need_latch w 7002 established
need_no_break_logged
impostor_takes_over
need 60 "W's application is reset" app_failed w-7002
need_broken
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
note "$BPFFS read-only, without maps, unmounted; /run full: no break, new SAs bound while latchd ran"
conforms R-2-16 "pins removed and read-only while latchd runs: latched throughout, new SAs bound"
