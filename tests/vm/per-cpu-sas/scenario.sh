# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	               ===== SA of any CPU ======
#	W 10.9.0.1     ===== SA of CPU 0 ========  C 10.9.0.2, c.example
#	    \          ===== SA of CPU 1 ========
#	     ===== SA of d.example ===== D, now at 10.9.0.2
#
# Per-CPU SAs (RFC 9611): strongSwan 6.0.2 and later, Linux 6.13 and later. One flow of W uses the SA
# of the CPU that sends, and all SAs are of one peer: it stays latched while its application moves from
# CPU to CPU, and through a rekey of each SA. Then D takes C's address, and the latch breaks.
#
# touches: sa feeds vici gate
# run: field
# expect: clean

selectors() {
	echo "per_cpu_sas = yes"
}

has_per_cpu_sas() {
	local release major minor

	release=$(answer uname -r) || exit 1
	[[ $release =~ ^([0-9]+)\.([0-9]+) ]] || fail "'$release' is no kernel release"
	major=${BASH_REMATCH[1]} minor=${BASH_REMATCH[2]}
	((major > 6 || (major == 6 && minor >= 13))) || skip "Linux $release has no per-CPU SAs"
}

# sas_of_cpu NUMBER: W's CHILD_SAs of this CPU, as charon lists them.
sas_of_cpu() {
	answer swan w --list-sas --raw | matches -o "cpu=$1 " | wc -l
}

has_sa_of_cpu() {
	[ "$(sas_of_cpu "$1")" -ge 1 ]
}

move_to_cpu() {
	taskset -a -p -c "$1" "$(app_pid w-7000)" >"$RUN/taskset.log" || fail "taskset failed"
	need_progress c-7000 "at CPU $1"
}

has_per_cpu_sas
[ "$(nproc)" -ge 2 ] || skip "the machine has one CPU"
topology dpd=300s charon=sid "$@"
WITH_LATCHD=1 honest_start
for cpu in 0 1; do
	move_to_cpu $cpu
	need 60 "W has an SA of CPU $cpu" has_sa_of_cpu $cpu
	need_progress c-7000 "under the SA of CPU $cpu"
done
children=$(children w c.example)
[ "$children" -ge 3 ] || fail "W has $children CHILD_SAs instead of one for each CPU and one for any"
renew CHILD_SA rekey_child
for cpu in 0 1 0 1; do
	move_to_cpu $cpu
done
need_latch w 7000 established
need_no_break
impostor_takes_over
need_reset
need_broken
! decrypted d W-TO-C || fail "D decrypted a part of C's stream"
note "$children CHILD_SAs, the application moved from CPU to CPU: no break; then D: reset after $RESET_MS ms"
