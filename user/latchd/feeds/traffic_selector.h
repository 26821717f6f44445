/* SPDX-License-Identifier: BSD-2-Clause */
/* Negotiated traffic selectors (RFC 7296 section 3.13) and the "covers" relation of RFC 5660. */
#ifndef LATCHD_FEEDS_TRAFFIC_SELECTOR_H
#define LATCHD_FEEDS_TRAFFIC_SELECTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Per side of one CHILD_SA. Further selectors are merged, and the merged ones cover more. */
#define TRAFFIC_SELECTOR_MAX 32

struct traffic_selector {
	uint8_t family;		      /* AF_INET or AF_INET6 */
	uint8_t protocol;	      /* 0 = any */
	uint16_t port_low, port_high; /* host order; 0..65535 = any */
	uint8_t low[16], high[16];    /* network order; IPv4 in the first four bytes */
};

struct traffic_selector_set {
	bool covers_all; /* a selector's addresses could not be read: fail closed */
	size_t count;
	struct traffic_selector selector[TRAFFIC_SELECTOR_MAX];
};

/*
 * Parses strongSwan's printed form: "10.1.0.0/16", "10.1.0.5..10.1.0.9",
 * "10.1.0.1/32[tcp/5432]", "fd00::/64[udp/1000-2000]". -EINVAL for any other text,
 * such as "[6/80]" and "dynamic". text need not be NUL-terminated.
 */
int traffic_selector_parse(const char *text, size_t length, struct traffic_selector *selector);

/*
 * Adds a selector. An unknown protocol or port becomes "any". A selector beyond
 * TRAFFIC_SELECTOR_MAX widens one of its family. Unreadable addresses set covers_all.
 */
void traffic_selector_set_add(struct traffic_selector_set *set, const char *text, size_t length);

/* Is one end of a flow within the set? A set without selectors covers nothing, unless covers_all is
 * set. */
bool traffic_selector_set_covers(const struct traffic_selector_set *set, uint8_t family,
				 uint8_t protocol, const uint8_t address[16], uint16_t port);

/* True and the address if the set covers one address only. */
bool traffic_selector_set_host(const struct traffic_selector_set *set, uint8_t *ret_family,
			       uint8_t ret_address[16]);

/* Is there an end of a flow that both sets cover? */
bool traffic_selector_sets_overlap(const struct traffic_selector_set *a,
				   const struct traffic_selector_set *b);

#endif
