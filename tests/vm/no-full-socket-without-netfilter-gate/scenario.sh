# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
#	W ----- SA of c.example, still there, inbound ----- C
#	  `---- SA of d.example, now W's outbound one ----- D, at C's address
#
# Without the netfilter gate D receives each of these packets: no-full-socket can fail.
#
# touches: gate
# expect: leak decrypted
# run: conformance

bare_packets_leak
