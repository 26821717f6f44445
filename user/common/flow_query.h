/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The words that name a flow, in latchctl and on the control socket:
 *   PROTO LOCAL[:PORT] REMOTE:PORT [FIELD VALUE]...   tcp 10.0.0.1:40000 10.0.0.2:5432 netns blue
 *   FIELD VALUE...                                    src 10.0.0.1 dst 10.0.0.2 dport 5432
 * The fields are those of "latchctl list": proto, src, sport, dst, dport, dir, netns. Without a
 * local port the query matches every local port. An IPv6 address with a port is in brackets.
 */
#ifndef LATCHD_COMMON_FLOW_QUERY_H
#define LATCHD_COMMON_FLOW_QUERY_H

#include <stdbool.h>
#include <stddef.h>

#include "common/failure.h"
#include "latch_abi.h"

#define FLOW_QUERY_NETNS_SIZE 64
#define FLOW_QUERY_WORDS_MAX  16
#define FLOW_QUERY_TEXT_SIZE  240 /* of all words, with the blanks between them */

struct flow_query {
	struct latch_flow flow;		   /* local_port 0: any; netns: not filled */
	enum latch_direction direction;	   /* NONE: not given */
	char netns[FLOW_QUERY_NETNS_SIZE]; /* the word, a name or a cookie; "": not given */
};

/* 0, or -EINVAL and the failure: the wrong word or the missing field in quotes, and the cause. */
int flow_query_parse(const char *const *words, size_t count, struct flow_query *ret,
		     struct failure *failure);

/* The same for one line, with a blank between two words. */
int flow_query_parse_line(const char *line, struct flow_query *ret, struct failure *failure);

/* The words of the query, for a line. */
void flow_query_text(char out[FLOW_QUERY_TEXT_SIZE], const struct flow_query *query);

/* Does the flow match wanted? Both have a namespace. */
bool flow_query_matches(const struct latch_flow *wanted, const struct latch_flow *flow);

#endif
