/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether a UDP packet that leaves is ESP (RFC 3948). */
#ifndef LATCH_BPF_PACKET_ESP_IN_UDP_H
#define LATCH_BPF_PACKET_ESP_IN_UDP_H

#include "db/maps.h"

/*
 * Whether the table has this SA, with encapsulation. NAT changes ports and addresses of UDP, and
 * the first bytes of any datagram may look like an SPI: only the table tells ESP in UDP. A global
 * function: the verifier checks it once.
 */
int sa_encapsulates(const struct latch_sa_key *sa);

#endif
