# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2 (vanished)
#	    ^
#	    +--- forged segments of C under D's new SA --- D, now at 10.9.0.2
#
# No latchd. D sends segments that fit into C's connection in the same burst as
# its IKE_AUTH. W's application receives them: the oracle sees foreign bytes.
#
# touches: vm
# run: conformance
# expect: leak foreign

topology
honest_start
read -r next_in next_out < <(learn_sequence w-7000)
log "C's next sequence number, for D: $next_in"
host_down c
take_address d c
# The first segment starts IKE by D's trap policy. The others follow in the
# same burst as IKE_AUTH, as soon as D's kernel has the SA.
forge d w-7000 --seq "$next_in" --ack "$next_out" \
	--text FORGED-BY-D --every 2
need 60 "D's IKE is complete" established_at_least d "CHILD_SA" 1
need 30 "W receives forged bytes" file_has "$APPS/w-7000.recv" FORGED
note "W's application received: $(head -c 11 "$APPS/w-7000.recv")"
