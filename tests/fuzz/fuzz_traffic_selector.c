/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Traffic selectors. The input is one selector a line. Properties:
 *   - a parsed selector is an ordered range, and parses again from its printed form;
 *   - a set covers the ends of every selector that was added, whatever its number;
 *   - overlap is symmetric, and holds for a set and each of its parts;
 *   - a set with one host covers this host and no other.
 */
#include <arpa/inet.h>
#include <netinet/in.h>

#include "exact_copy.h"
#include "fuzz.h"
#include "latchd/feeds/traffic_selector_set.h"

#define BEFORE_MAX 64 /* selectors that must still be covered after the next one */

static bool is_icmp(const struct traffic_selector *selector)
{
	return selector->protocol == IPPROTO_ICMP || selector->protocol == IPPROTO_ICMPV6;
}

static size_t print_port(char *out, size_t size, const struct traffic_selector *selector,
			 uint16_t port)
{
	return (size_t)(is_icmp(selector) ? snprintf(out, size, "%d(%d)", port >> 8, port & 0xff)
					  : snprintf(out, size, "%d", port));
}

static size_t print(char *out, size_t size, const struct traffic_selector *selector)
{
	char low[INET6_ADDRSTRLEN], high[INET6_ADDRSTRLEN];
	size_t used;

	inet_ntop(selector->family, selector->low, low, sizeof(low));
	inet_ntop(selector->family, selector->high, high, sizeof(high));
	used = (size_t)snprintf(out, size, "%s..%s[%d/", low, high, selector->protocol);
	used += print_port(out + used, size - used, selector, selector->port_low);
	used += (size_t)snprintf(out + used, size - used, "-");
	used += print_port(out + used, size - used, selector, selector->port_high);
	return used + (size_t)snprintf(out + used, size - used, "]");
}

static void check_selector(const struct traffic_selector *selector)
{
	struct traffic_selector again;
	char text[192];
	size_t length;

	CHECK(selector->family == AF_INET || selector->family == AF_INET6);
	CHECK(memcmp(selector->low, selector->high, sizeof(selector->low)) <= 0);
	CHECK(selector->port_low <= selector->port_high);
	length = print(text, sizeof(text), selector);
	CHECK(!traffic_selector_parse(text, length, &again));
	CHECK(again.family == selector->family && again.protocol == selector->protocol);
	CHECK(again.port_low == selector->port_low && again.port_high == selector->port_high);
	CHECK(!memcmp(again.low, selector->low, 16) && !memcmp(again.high, selector->high, 16));
}

static bool covers(const struct traffic_selector_set *set, const struct traffic_selector *selector,
		   const uint8_t address[16], uint16_t port)
{
	return traffic_selector_set_covers(set, selector->family, selector->protocol, address,
					   port);
}

static void check_part(const struct traffic_selector_set *set,
		       const struct traffic_selector *selector)
{
	const struct traffic_selector_set part = {.count = 1, .selector = {*selector}};

	CHECK(covers(set, selector, selector->low, selector->port_low));
	CHECK(covers(set, selector, selector->low, selector->port_high));
	CHECK(covers(set, selector, selector->high, selector->port_low));
	CHECK(covers(set, selector, selector->high, selector->port_high));
	CHECK(traffic_selector_sets_overlap(set, &part, NULL));
	CHECK(traffic_selector_sets_overlap(&part, set, NULL));
}

static void check_host(const struct traffic_selector_set *set)
{
	const struct traffic_selector *selector;
	uint8_t family, host[16], other[16];

	if (!traffic_selector_set_host(set, &family, host))
		return;
	CHECK(set->count && !set->covers_all);
	memcpy(other, host, sizeof(other));
	other[3] ^= 1;
	selector = traffic_selector_set_at(set, 0);
	CHECK(traffic_selector_set_covers(set, family, selector->protocol, host,
					  selector->port_low));
	CHECK(!traffic_selector_set_covers(set, family, selector->protocol, other,
					   selector->port_low));
}

static void add_line(struct traffic_selector_set *set, struct input line)
{
	const struct vici_span text = exact_copy(line.at, line.left);
	struct traffic_selector selector;
	bool parsed = !traffic_selector_parse((const char *)text.at, text.length, &selector);

	traffic_selector_set_add(set, (const char *)text.at, text.length);
	CHECK(set->count <= TRAFFIC_SELECTOR_MAX && (set->count || set->covers_all));
	if (parsed) {
		check_selector(&selector);
		check_part(set, &selector);
	}
	exact_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct traffic_selector_set set = {0}, first = {0};
	struct input input = {bytes, size};
	struct traffic_selector before[BEFORE_MAX];
	const uint8_t *end;
	size_t i, count;

	while (input.left) {
		end = memchr(input.at, '\n', input.left);
		for (count = 0; count < set.count && count < BEFORE_MAX; count++)
			before[count] = *traffic_selector_set_at(&set, count);
		add_line(&set, take_part(&input, end ? (size_t)(end - input.at) : input.left));
		for (i = 0; i < count; i++)
			check_part(&set, &before[i]);
		take_byte(&input);
		if (!first.count && !first.covers_all)
			first = set;
	}
	traffic_selector_set_seal(&set);
	for (i = 0; i < set.count; i++)
		check_part(&set, traffic_selector_set_at(&set, i));
	CHECK(traffic_selector_sets_overlap(&set, &first, NULL) ==
	      traffic_selector_sets_overlap(&first, &set, NULL));
	check_host(&set);
	traffic_selector_set_release(&set);
	return 0;
}
