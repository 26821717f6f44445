/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/flow_query.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/names.h"
#include "common/text.h"

#define ENDPOINT_SIZE (INET6_ADDRSTRLEN + sizeof("[]:65535"))
#define FIELDS	      "proto, src, sport, dst, dport, dir, netns"

struct parse {
	struct flow_query *query;
	unsigned int local_family, remote_family;
	struct failure *failure;
};

static int wrong(struct parse *parse, const char *object, const char *cause)
{
	return failure_set(parse->failure, -EINVAL, "\"%s\": %s", object, cause);
}

/* ---- values */

static bool parse_port(const char *text, uint16_t *ret)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long port = digits && digits <= 5 && !text[digits] ? strtoul(text, NULL, 10) : 0;

	*ret = (uint16_t)port;
	return port && port <= 65535;
}

/* The flow of a socket at ::ffff:a.b.c.d is an IPv4 one. */
static bool parse_address(const char *text, uint8_t ret[16], unsigned int *ret_family)
{
	struct in6_addr address = {0};

	*ret_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	if (inet_pton((int)*ret_family, text, &address) != 1)
		return false;
	memset(ret, 0, 16);
	if (*ret_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address)) {
		*ret_family = AF_INET;
		memcpy(ret, &address.s6_addr[12], 4);
	} else {
		memcpy(ret, &address, *ret_family == AF_INET6 ? 16 : 4);
	}
	return true;
}

/* Splits ADDRESS:PORT, [ADDRESS]:PORT or an address alone; *ret_port is NULL for the last. */
static bool split_endpoint(char *text, char **ret_address, char **ret_port)
{
	char *colon = strrchr(text, ':'), *bracket;

	*ret_address = text;
	*ret_port = NULL;
	if (text[0] == '[') {
		bracket = strchr(text, ']');
		if (!bracket || (bracket[1] && bracket[1] != ':'))
			return false;
		*bracket = '\0';
		*ret_address = text + 1;
		*ret_port = bracket[1] ? bracket + 2 : NULL;
	} else if (colon && strchr(text, ':') == colon) {
		*colon = '\0';
		*ret_port = colon + 1;
	}
	return true;
}

static bool parse_endpoint(const char *word, uint8_t address[16], unsigned int *family,
			   uint16_t *port, bool may_lack_port)
{
	char text[ENDPOINT_SIZE], *host, *number;

	if (text_copy(text, sizeof(text), word) < 0 || !split_endpoint(text, &host, &number) ||
	    !parse_address(host, address, family))
		return false;
	if (!number || (may_lack_port && !strcmp(number, "*")))
		return may_lack_port;
	return parse_port(number, port);
}

static uint8_t protocol_of(const char *word)
{
	static const struct {
		const char *name;
		uint8_t protocol;
	} protocols[] = {{"tcp", IPPROTO_TCP}, {"udp", IPPROTO_UDP}, {"sctp", IPPROTO_SCTP}};
	size_t i;

	for (i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		if (!strcmp(protocols[i].name, word))
			return protocols[i].protocol;
	return 0;
}

/* ---- fields */

static int take_proto(struct parse *parse, const char *value)
{
	parse->query->flow.protocol = protocol_of(value);
	return parse->query->flow.protocol ? 0
					   : wrong(parse, value,
						   "no protocol of a latch; use tcp, "
						   "udp or sctp");
}

static int take_src(struct parse *parse, const char *value)
{
	return parse_address(value, parse->query->flow.local_addr, &parse->local_family)
		       ? 0
		       : wrong(parse, value, "not an address");
}

static int take_dst(struct parse *parse, const char *value)
{
	return parse_address(value, parse->query->flow.remote_addr, &parse->remote_family)
		       ? 0
		       : wrong(parse, value, "not an address");
}

static int take_sport(struct parse *parse, const char *value)
{
	return parse_port(value, &parse->query->flow.local_port)
		       ? 0
		       : wrong(parse, value, "not a port; use 1 to 65535");
}

static int take_dport(struct parse *parse, const char *value)
{
	return parse_port(value, &parse->query->flow.remote_port)
		       ? 0
		       : wrong(parse, value, "not a port; use 1 to 65535");
}

static int take_dir(struct parse *parse, const char *value)
{
	if (!strcmp(value, "out"))
		parse->query->direction = LATCH_DIRECTION_OUT;
	else if (!strcmp(value, "in"))
		parse->query->direction = LATCH_DIRECTION_IN;
	else
		return wrong(parse, value, "no direction; use in or out");
	return 0;
}

/* A name is that of a file in /run/netns. */
static int take_netns(struct parse *parse, const char *value)
{
	/* A field may be given twice: equal queries have equal bytes. */
	memset(parse->query->netns, 0, sizeof(parse->query->netns));
	if (!value[0] || value[0] == '.' || strpbrk(value, "/ \n") ||
	    text_copy(parse->query->netns, sizeof(parse->query->netns), value) < 0)
		return wrong(parse, value,
			     "no network namespace; use its name, as of ip netns, or its cookie");
	return 0;
}

static const struct {
	const char *name;
	int (*take)(struct parse *parse, const char *value);
} fields[] = {
	{"proto", take_proto}, {"src", take_src}, {"sport", take_sport}, {"dst", take_dst},
	{"dport", take_dport}, {"dir", take_dir}, {"netns", take_netns},
};

static int take_field(struct parse *parse, const char *name, const char *value)
{
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
		if (strcmp(fields[i].name, name) != 0)
			continue;
		return value ? fields[i].take(parse, value)
			     : wrong(parse, name, "no value after this field");
	}
	return wrong(parse, name, "unknown field; use " FIELDS);
}

/* ---- the whole */

static int take_ends(struct parse *parse, const char *const *words, size_t count)
{
	struct latch_flow *flow = &parse->query->flow;

	if (count < 3)
		return wrong(parse, words[0], "incomplete; use PROTO LOCAL[:PORT] REMOTE:PORT");
	flow->protocol = protocol_of(words[0]);
	if (!parse_endpoint(words[1], flow->local_addr, &parse->local_family, &flow->local_port,
			    true))
		return wrong(parse, words[1],
			     "not a local end; use ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT");
	if (!parse_endpoint(words[2], flow->remote_addr, &parse->remote_family, &flow->remote_port,
			    false))
		return wrong(parse, words[2],
			     "not a remote end; use ADDRESS:PORT or [ADDRESS]:PORT");
	return 0;
}

static int check(struct parse *parse)
{
	struct latch_flow *flow = &parse->query->flow;

	if (!flow->protocol)
		flow->protocol = IPPROTO_TCP;
	if (!parse->local_family)
		return wrong(parse, "src", "missing: the local address");
	if (!parse->remote_family)
		return wrong(parse, "dst", "missing: the remote address");
	if (!flow->remote_port)
		return wrong(parse, "dport", "missing: the remote port");
	if (parse->local_family != parse->remote_family)
		return wrong(parse, "dst", "one address is IPv4, the other one IPv6");
	flow->family = (uint8_t)parse->local_family;
	return 0;
}

int flow_query_parse(const char *const *words, size_t count, struct flow_query *ret,
		     struct failure *failure)
{
	struct parse parse = {.query = ret, .failure = failure};
	size_t at = 0;
	int err = 0;

	*ret = (struct flow_query){0};
	if (!count)
		return wrong(&parse, "flow", "none given");
	if (protocol_of(words[0])) {
		err = take_ends(&parse, words, count);
		at = 3;
	}
	for (; !err && at < count; at += 2)
		err = take_field(&parse, words[at], at + 1 < count ? words[at + 1] : NULL);
	return err ? err : check(&parse);
}

int flow_query_parse_line(const char *line, struct flow_query *ret, struct failure *failure)
{
	const char *words[FLOW_QUERY_WORDS_MAX];
	char text[FLOW_QUERY_TEXT_SIZE], *rest, *word;
	size_t count = 0;
	int err = failure_set(failure, -EINVAL, "the line is too long");

	if (text_copy(text, sizeof(text), line) < 0)
		goto out;
	for (word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		if (count == FLOW_QUERY_WORDS_MAX)
			goto out;
		words[count++] = word;
	}
	err = flow_query_parse(words, count, ret, failure);
out:
	return err;
}

void flow_query_text(char out[FLOW_QUERY_TEXT_SIZE], const struct flow_query *query)
{
	const struct latch_flow *flow = &query->flow;
	char local[INET6_ADDRSTRLEN] = "", remote[INET6_ADDRSTRLEN] = "", port[16] = "";

	inet_ntop(flow->family, flow->local_addr, local, sizeof(local));
	inet_ntop(flow->family, flow->remote_addr, remote, sizeof(remote));
	if (flow->local_port)
		snprintf(port, sizeof(port), " sport %u", flow->local_port);
	snprintf(out, FLOW_QUERY_TEXT_SIZE, "proto %s src %s%s dst %s dport %u%s%s%s%s",
		 ulp_name(flow->protocol), local, port, remote, flow->remote_port,
		 query->direction ? " dir " : "",
		 query->direction ? latch_direction_name(query->direction) : "",
		 query->netns[0] ? " netns " : "", query->netns);
}

bool flow_query_matches(const struct latch_flow *wanted, const struct latch_flow *flow)
{
	struct latch_flow same = *flow;

	if (!wanted->local_port)
		same.local_port = 0;
	return !memcmp(wanted, &same, sizeof(same));
}
