/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The protection of a packet. */
#ifndef LATCH_BPF_DB_PACKET_PROTECTION_H
#define LATCH_BPF_DB_PACKET_PROTECTION_H

enum __attribute__((packed)) packet_protection {
	PACKET_PLAIN,
	PACKET_PROTECTED, /* by one SA, which the key names */
	PACKET_NESTED,
	PACKET_MALFORMED,
	PACKET_MERGED, /* perhaps merged or reassembled with data in clear or of another peer's SA
			*/
	PACKET_OTHER_MODE, /* by one SA of another mode than transport, tunnel and BEET */
};

#endif
