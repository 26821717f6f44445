# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W 10.9.0.1 ===== SA of c.example ===== C 10.9.0.2
#	  (its charon is away, and its policies are)
#
# The same without latchd: while charon restarts the stream goes on in clear, and the oracle sees it.
#
# touches: vm
# expect: leak clear
# run: conformance

clear_on_wire() {
	captured_text wire-w >"$RUN/text"
	file_has "$RUN/text" W-TO-C
}

topology dpd=4s
honest_start
charon_stop w
need 30 "the stream continues in clear" clear_on_wire
note "on the wire: $(grep -c W-TO-C "$RUN/text") lines of the stream"
