# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	    ^
#	    +--- segments in clear, "from" 10.9.0.2 --- D 10.9.0.3
#
# The same without latchd: the forged bytes reach W's application, and the oracle
# sees them.
#
# touches: vm
# expect: leak foreign
# run: conformance

topology
honest_start
give_address d d
flush_policies d
in_host w ip xfrm policy add dir in src "$(addr c)" dst "$(addr w)" proto tcp \
	priority 1 action allow
log "a policy at W now allows segments in clear"
read -r next_in next_out < <(learn_sequence w-7000)
forge d w-7000 --seq "$next_in" --ack "$next_out" --text FORGED-BY-D --count 20
need 60 "W receives forged bytes" file_has "$APPS/w-7000.recv" FORGED
note "W's application received: $(head -c 11 "$APPS/w-7000.recv")"
