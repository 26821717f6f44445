/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words of a flow. The input is one line. Properties: a line that can be read has both ends, of
 * one family. The text of its query is the same query. Any other has a cause.
 */
#include <netinet/in.h>
#include <sys/socket.h>

#include "common/flow_query.h"
#include "fuzz.h"

static void check_query(const struct flow_query *query)
{
	char text[FLOW_QUERY_TEXT_SIZE];
	struct flow_query again;
	struct failure failure;

	CHECK(query->flow.family == AF_INET || query->flow.family == AF_INET6);
	CHECK(query->flow.protocol == IPPROTO_TCP || query->flow.protocol == IPPROTO_UDP ||
	      query->flow.protocol == IPPROTO_SCTP);
	CHECK(query->flow.remote_port && !query->flow.netns);
	CHECK(!strpbrk(query->netns, "/ \n") && query->netns[0] != '.');
	flow_query_text(text, query);
	CHECK(!strchr(text, '\n') && strlen(text) < sizeof(text) - 1);
	CHECK(!flow_query_parse_line(text, &again, &failure));
	CHECK(!memcmp(&again, query, sizeof(again)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = {bytes, size};
	char *line = text_of(input);
	struct flow_query query;
	struct failure failure = {0};

	if (flow_query_parse_line(line, &query, &failure))
		CHECK(failure.text[0]);
	else
		check_query(&query);
	free(line);
	return 0;
}
