/* SPDX-License-Identifier: BSD-2-Clause */
/* The words of a flow: both forms, what each fault names, and the text that latchctl sends. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "common/flow_query.h"

TestSuite(flow_query);

static struct flow_query query;

/* NULL: the line can be read. */
static const char *cause_of(const char *line)
{
	static struct failure failure;

	return flow_query_parse_line(line, &query, &failure) ? failure.text : NULL;
}

static void expect_flow(const char *line, const char *local, uint16_t local_port,
			const char *remote, uint16_t remote_port)
{
	char text[INET6_ADDRSTRLEN];

	cr_assert_null(cause_of(line), "%s: %s", line, cause_of(line));
	inet_ntop(query.flow.family, query.flow.local_addr, text, sizeof(text));
	cr_expect_str_eq(text, local, "%s", line);
	inet_ntop(query.flow.family, query.flow.remote_addr, text, sizeof(text));
	cr_expect_str_eq(text, remote, "%s", line);
	cr_expect_eq(query.flow.local_port, local_port, "%s", line);
	cr_expect_eq(query.flow.remote_port, remote_port, "%s", line);
}

Test(flow_query, a_flow_is_protocol_local_end_and_remote_end)
{
	expect_flow("tcp 10.0.0.1:40000 10.0.0.2:5432", "10.0.0.1", 40000, "10.0.0.2", 5432);
	cr_expect_eq(query.flow.protocol, IPPROTO_TCP);
	cr_expect_eq(query.flow.family, AF_INET);
	cr_expect_eq(query.direction, LATCH_DIRECTION_NONE);
	expect_flow("udp [fd00::1]:1 [fd00::2]:65535", "fd00::1", 1, "fd00::2", 65535);
	cr_expect_eq(query.flow.protocol, IPPROTO_UDP);
	cr_expect_eq(query.flow.family, AF_INET6);
}

Test(flow_query, the_local_port_may_be_missing)
{
	expect_flow("tcp 10.0.0.1 10.0.0.2:5432", "10.0.0.1", 0, "10.0.0.2", 5432);
	expect_flow("tcp 10.0.0.1:* 10.0.0.2:5432", "10.0.0.1", 0, "10.0.0.2", 5432);
	expect_flow("sctp fd00::1 [fd00::2]:5432", "fd00::1", 0, "fd00::2", 5432);
	expect_flow("sctp [fd00::1] [fd00::2]:5432", "fd00::1", 0, "fd00::2", 5432);
}

Test(flow_query, a_flow_may_be_fields_of_list)
{
	expect_flow("src 10.0.0.1 dst 10.0.0.2 dport 53 sport 7 proto udp", "10.0.0.1", 7,
		    "10.0.0.2", 53);
	cr_expect_eq(query.flow.protocol, IPPROTO_UDP);
	expect_flow("dport 53 dst 10.0.0.2 src 10.0.0.1", "10.0.0.1", 0, "10.0.0.2", 53);
	cr_expect_eq(query.flow.protocol, IPPROTO_TCP, "TCP without a word for it");
	expect_flow("tcp 10.0.0.1 10.0.0.2:53 dir in netns blue", "10.0.0.1", 0, "10.0.0.2", 53);
	cr_expect_eq(query.direction, LATCH_DIRECTION_IN);
	cr_expect_str_eq(query.netns, "blue");
}

Test(flow_query, wrong_words_have_a_cause_each)
{
	static const struct {
		const char *line, *cause;
	} rows[] = {
		{"", "none given"},
		{"tcp", "incomplete"},
		{"tcp 10.0.0.1 10.0.0.2", "not a remote end"},
		{"tcp 10.0.0.1 10.0.0.2:0", "not a remote end"},
		{"tcp 10.0.0.1 10.0.0.2:65536", "not a remote end"},
		{"tcp 10.0.0.1:x 10.0.0.2:1", "not a local end"},
		{"tcp 10.0.0.1: 10.0.0.2:1", "not a local end"},
		{"tcp 10.0.0.256:1 10.0.0.2:1", "not a local end"},
		{"tcp [fd00::1]1 [fd00::2]:1", "not a local end"},
		{"tcp 10.0.0.1:1 [fd00::2]:1", "one address is IPv4, the other one IPv6"},
		{"tcpp 10.0.0.1:1 10.0.0.2:1", "unknown field"},
		{"tcp 10.0.0.1:1 10.0.0.2:1 dir", "no value after this field"},
		{"tcp 10.0.0.1:1 10.0.0.2:1 dir up", "no direction"},
		{"tcp 10.0.0.1:1 10.0.0.2:1 netns ../x", "no network namespace"},
		{"tcp 10.0.0.1:1 10.0.0.2:1 netns a/b", "no network namespace"},
		{"proto icmp src 10.0.0.1 dst 10.0.0.2 dport 1", "no protocol of a latch"},
		{"src 10.0.0.1 dport 1", "missing: the remote address"},
		{"dst 10.0.0.1 dport 1", "missing: the local address"},
		{"src 10.0.0.1 dst 10.0.0.2", "missing: the remote port"},
		{"src 10.0.0.1/8 dst 10.0.0.2 dport 1", "not an address"},
		{"a a a a a a a a a a a a a a a a a", "too long"},
	};
	const char *cause;
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		cause = cause_of(rows[i].line);
		cr_assert_not_null(cause, "%s", rows[i].line);
		cr_expect(strstr(cause, rows[i].cause), "%s: %s", rows[i].line, cause);
	}
}

Test(flow_query, an_ipv4_mapped_address_is_the_ipv4_one)
{
	struct latch_flow mapped;

	cr_assert_null(cause_of("tcp [::ffff:10.0.0.1]:40000 [::ffff:10.0.0.2]:5432"));
	mapped = query.flow;
	cr_assert_null(cause_of("tcp 10.0.0.1:40000 10.0.0.2:5432"));
	cr_expect_arr_eq(&mapped, &query.flow, sizeof(mapped));
	cr_assert_null(cause_of("src ::ffff:10.0.0.1 sport 40000 dst 10.0.0.2 dport 5432"));
	cr_expect_arr_eq(&mapped, &query.flow, sizeof(mapped));
}

Test(flow_query, the_failure_names_the_word_and_what_is_expected)
{
	static const char *const words[] = {"tcp", "10.0.0.1:1", "10.0.0.2"};
	struct failure failure;

	cr_assert_eq(flow_query_parse(words, 3, &query, &failure), -EINVAL);
	cr_expect_str_eq(failure.text, "\"10.0.0.2\": not a remote end; use ADDRESS:PORT or "
				       "[ADDRESS]:PORT");
}

Test(flow_query, the_text_of_a_query_is_the_same_query)
{
	static const char *const lines[] = {
		"tcp 10.0.0.1:40000 10.0.0.2:5432",
		"udp fd00::1 [fd00::2]:53 dir in netns 4026531840",
		"sctp [fd00::1]:9 [fd00::2]:53 netns blue dir out",
		"tcp 10.0.0.1:1 10.0.0.2:2 netns a-longer-name netns blue",
	};
	char text[FLOW_QUERY_TEXT_SIZE];
	struct flow_query first;
	size_t i;

	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		cr_assert_null(cause_of(lines[i]));
		first = query;
		flow_query_text(text, &first);
		cr_assert_null(cause_of(text), "%s", text);
		cr_expect_arr_eq(&query, &first, sizeof(query), "%s", text);
	}
}

Test(flow_query, a_query_without_local_port_matches_every_local_port_and_nothing_else)
{
	struct latch_flow flow;

	cr_assert_null(cause_of("tcp 10.0.0.1:40000 10.0.0.2:5432"));
	flow = query.flow;
	cr_expect(flow_query_matches(&query.flow, &flow));
	flow.local_port++;
	cr_expect_not(flow_query_matches(&query.flow, &flow));
	query.flow.local_port = 0;
	cr_expect(flow_query_matches(&query.flow, &flow));
	flow.netns = 1;
	cr_expect_not(flow_query_matches(&query.flow, &flow));
}
