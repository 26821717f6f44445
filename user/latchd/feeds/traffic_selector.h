/* SPDX-License-Identifier: BSD-2-Clause */
/* A negotiated traffic selector (RFC 7296 section 3.13). */
#ifndef LATCHD_FEEDS_TRAFFIC_SELECTOR_H
#define LATCHD_FEEDS_TRAFFIC_SELECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct traffic_selector {
	uint8_t family;		      /* AF_INET or AF_INET6 */
	uint8_t protocol;	      /* 0 = any */
	uint16_t port_low, port_high; /* host order; 0..65535 = any */
	uint8_t low[16], high[16];    /* network order; IPv4 in the first four bytes */
};

/*
 * Parses strongSwan's printed form: "10.1.0.0/16", "10.1.0.5..10.1.0.9",
 * "10.1.0.1/32[tcp/5432]", "fd00::/64[udp/1000-2000]". -EINVAL for any other text,
 * such as "[6/80]" and "dynamic". text need not be NUL-terminated.
 */
int traffic_selector_parse(const char *text, size_t length, struct traffic_selector *selector);

/*
 * The peer proposes protocols, ports and the number of selectors, and their names
 * may be unknown to this host. An unreadable part may widen the selector only
 * within its own addresses. Else one peer could claim the traffic of all peers.
 */
int traffic_selector_parse_widely(const char *text, size_t length,
				  struct traffic_selector *selector);

#define TRAFFIC_SELECTOR_TEXT 128

/* For people: "10.1.0.0/16", "10.1.0.5..10.1.0.9", "10.1.0.1[6/5432]". */
void traffic_selector_text(const struct traffic_selector *selector,
			   char out[TRAFFIC_SELECTOR_TEXT]);

#endif
