# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	  (its policies are flushed)
#
# The same without latchd: the stream continues in clear, and the oracle sees it.
#
# touches: vm
# expect: leak clear
# run: conformance

topology
honest_start
flush_policies w
clear_on_wire() {
	captured_text wire-w >"$RUN/text"
	file_has "$RUN/text" W-TO-C
}
need 30 "the stream continues in clear" clear_on_wire
note "on the wire: $(captured_text wire-w | grep -o 'W-TO-C.*' | head -n 1)"
