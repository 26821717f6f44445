/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/traffic_selector.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

/* Exceeds two IPv6 addresses with the longest protocol and port names. */
#define SELECTOR_TEXT_MAX 192
#define NETDB_BUFFER	  1024

static bool parse_number(const char *text, unsigned int max, unsigned int *value)
{
	unsigned int number = 0;
	const char *at;

	if (!*text || (text[0] == '0' && text[1]))
		return false;
	for (at = text; *at; at++) {
		if (*at < '0' || *at > '9')
			return false;
		number = number * 10 + (unsigned int)(*at - '0');
		if (number > max)
			return false;
	}
	*value = number;
	return true;
}

static size_t address_size(uint8_t family)
{
	return family == AF_INET ? 4 : 16;
}

static int parse_address(const char *text, uint8_t *family, uint8_t address[16])
{
	memset(address, 0, 16);
	*family = strchr(text, ':') ? AF_INET6 : AF_INET;
	return inet_pton(*family, text, address) == 1 ? 0 : -EINVAL;
}

static int parse_range(const char *low, const char *high, struct traffic_selector *selector)
{
	uint8_t family;

	if (parse_address(low, &selector->family, selector->low) ||
	    parse_address(high, &family, selector->high) || family != selector->family)
		return -EINVAL;
	return memcmp(selector->low, selector->high, 16) <= 0 ? 0 : -EINVAL;
}

static int parse_subnet(const char *address, const char *prefix, struct traffic_selector *selector)
{
	unsigned int bits, i, size;

	if (parse_address(address, &selector->family, selector->low))
		return -EINVAL;
	size = (unsigned int)address_size(selector->family);
	if (!parse_number(prefix, size * 8, &bits))
		return -EINVAL;
	memcpy(selector->high, selector->low, sizeof(selector->high));
	for (i = bits; i < size * 8; i++) {
		uint8_t bit = (uint8_t)(0x80 >> i % 8);

		selector->low[i / 8] &= (uint8_t)~bit;
		selector->high[i / 8] |= bit;
	}
	return 0;
}

static int parse_addresses(char *text, struct traffic_selector *selector)
{
	char *mark;

	mark = strstr(text, "..");
	if (mark) {
		*mark = '\0';
		return parse_range(text, mark + 2, selector);
	}
	mark = strchr(text, '/');
	if (!mark)
		return -EINVAL;
	*mark = '\0';
	return parse_subnet(text, mark + 1, selector);
}

static int parse_protocol(const char *text, uint8_t *protocol)
{
	struct protoent entry, *found = NULL;
	char buffer[NETDB_BUFFER];
	unsigned int number;

	if (parse_number(text, UINT8_MAX, &number)) {
		*protocol = (uint8_t)number;
		return 0;
	}
	if (getprotobyname_r(text, &entry, buffer, sizeof(buffer), &found) || !found)
		return -EINVAL;
	*protocol = (uint8_t)found->p_proto;
	return 0;
}

/* charon prints a port's official name: an alias, or a name that charon would not print, is
 * refused.
 */
static int parse_service(const char *text, uint8_t protocol, uint16_t *port)
{
	char proto_buffer[NETDB_BUFFER], buffer[NETDB_BUFFER], reverse_buffer[NETDB_BUFFER];
	struct protoent proto_entry, *proto = NULL;
	struct servent entry, *found = NULL, reverse_entry, *reverse = NULL;
	const char *proto_name;

	getprotobynumber_r(protocol, &proto_entry, proto_buffer, sizeof(proto_buffer), &proto);
	proto_name = protocol && proto ? proto->p_name : NULL;
	if (getservbyname_r(text, proto_name, &entry, buffer, sizeof(buffer), &found) || !found)
		return -EINVAL;
	if (getservbyport_r(found->s_port, proto_name, &reverse_entry, reverse_buffer,
			    sizeof(reverse_buffer), &reverse) ||
	    !reverse || strcmp(reverse->s_name, text))
		return -EINVAL;
	*port = ntohs((uint16_t)found->s_port);
	return 0;
}

/* "TYPE" or "TYPE(CODE)", stored as a port: RFC 7296 section 3.13.1. */
static int parse_icmp(char *text, uint16_t *port)
{
	unsigned int type, code = 0;
	char *open = strchr(text, '(');

	if (open) {
		size_t length = strlen(open);

		if (length < 3 || open[length - 1] != ')')
			return -EINVAL;
		open[length - 1] = '\0';
		*open = '\0';
		if (!parse_number(open + 1, UINT8_MAX, &code))
			return -EINVAL;
	}
	if (!parse_number(text, UINT8_MAX, &type))
		return -EINVAL;
	*port = (uint16_t)(type << 8 | code);
	return 0;
}

static bool is_icmp(uint8_t protocol)
{
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

static int parse_port(char *text, uint8_t protocol, uint16_t *port)
{
	unsigned int number;

	if (is_icmp(protocol))
		return parse_icmp(text, port);
	if (!parse_number(text, UINT16_MAX, &number))
		return -EINVAL;
	*port = (uint16_t)number;
	return 0;
}

static int parse_port_range(char *text, char *dash, struct traffic_selector *selector)
{
	*dash = '\0';
	if (parse_port(text, selector->protocol, &selector->port_low) ||
	    parse_port(dash + 1, selector->protocol, &selector->port_high))
		return -EINVAL;
	return selector->port_low <= selector->port_high ? 0 : -EINVAL;
}

static int parse_ports(char *text, struct traffic_selector *selector)
{
	char *dash = strchr(text, '-');
	int err;

	/* Packets without visible ports: they may belong to any port of a flow. */
	if (!strcmp(text, "OPAQUE"))
		return 0;
	/* A service name may hold a dash, but never starts with a digit and holds a range. */
	if (dash && text[0] >= '0' && text[0] <= '9')
		return parse_port_range(text, dash, selector);
	err = parse_port(text, selector->protocol, &selector->port_low);
	if (err && !is_icmp(selector->protocol))
		err = parse_service(text, selector->protocol, &selector->port_low);
	selector->port_high = selector->port_low;
	return err;
}

/* The part in brackets: PROTOCOL or PROTOCOL/PORTS. */
static int parse_upper_layer(char *text, struct traffic_selector *selector)
{
	char *slash = strchr(text, '/');

	if (slash)
		*slash = '\0';
	if (parse_protocol(text, &selector->protocol))
		return -EINVAL;
	return slash ? parse_ports(slash + 1, selector) : 0;
}

int traffic_selector_parse(const char *text, size_t length, struct traffic_selector *selector)
{
	char copy[SELECTOR_TEXT_MAX];
	char *bracket;

	memset(selector, 0, sizeof(*selector));
	selector->port_high = UINT16_MAX;
	if (length >= sizeof(copy) || memchr(text, '\0', length))
		return -EINVAL;
	memcpy(copy, text, length);
	copy[length] = '\0';
	bracket = strchr(copy, '[');
	if (bracket) {
		if (copy[length - 1] != ']')
			return -EINVAL;
		copy[length - 1] = '\0';
		*bracket = '\0';
		if (parse_upper_layer(bracket + 1, selector))
			return -EINVAL;
	}
	return parse_addresses(copy, selector);
}

int traffic_selector_parse_widely(const char *text, size_t length,
				  struct traffic_selector *selector)
{
	const char *bracket;
	int err = traffic_selector_parse(text, length, selector);

	if (!err)
		return 0;
	bracket = memchr(text, '[', length);
	return bracket ? traffic_selector_parse(text, (size_t)(bracket - text), selector) : err;
}

/* ---- texts */

/* The number of leading bits that both have in common if these make the range a subnet; else -1. */
static int prefix_bits(const struct traffic_selector *selector)
{
	int size = 8 * (int)address_size(selector->family), bits = 0, i;

	while (bits < size &&
	       !((selector->low[bits / 8] ^ selector->high[bits / 8]) & (0x80 >> bits % 8)))
		bits++;
	for (i = bits; i < size; i++)
		if (selector->low[i / 8] & (0x80 >> i % 8) ||
		    !(selector->high[i / 8] & (0x80 >> i % 8)))
			return -1;
	return bits;
}

static int addresses_text(const struct traffic_selector *selector, char *out, size_t size)
{
	char low[INET6_ADDRSTRLEN], high[INET6_ADDRSTRLEN];
	int bits = prefix_bits(selector);

	if (!inet_ntop(selector->family, selector->low, low, sizeof(low)) ||
	    !inet_ntop(selector->family, selector->high, high, sizeof(high)))
		return snprintf(out, size, "?");
	if (bits == 8 * (int)address_size(selector->family))
		return snprintf(out, size, "%s", low);
	return bits < 0 ? snprintf(out, size, "%s..%s", low, high)
			: snprintf(out, size, "%s/%d", low, bits);
}

void traffic_selector_text(const struct traffic_selector *selector, char out[TRAFFIC_SELECTOR_TEXT])
{
	int length = addresses_text(selector, out, TRAFFIC_SELECTOR_TEXT);
	size_t left = TRAFFIC_SELECTOR_TEXT - (size_t)length;
	bool all_ports = !selector->port_low && selector->port_high == UINT16_MAX;

	if (!selector->protocol && all_ports)
		return;
	if (all_ports)
		snprintf(out + length, left, "[%u]", selector->protocol);
	else if (selector->port_low == selector->port_high)
		snprintf(out + length, left, "[%u/%u]", selector->protocol, selector->port_low);
	else
		snprintf(out + length, left, "[%u/%u-%u]", selector->protocol, selector->port_low,
			 selector->port_high);
}
