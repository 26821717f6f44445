/* SPDX-License-Identifier: BSD-2-Clause */
/* Requests for one latch or flow, and their words on the control socket. */
#ifndef LATCHD_CONTROL_CONTROL_REQUEST_H
#define LATCHD_CONTROL_CONTROL_REQUEST_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/flow_query.h"

enum control_act {
	CONTROL_ACT_BREAK,
	CONTROL_ACT_HEAL,
	CONTROL_ACT_CLOSE,
};

struct control_request {
	enum control_act act;
	uint64_t latch_id;
	pid_t pid; /* of the client, which may have ended */
};

/* "explain ID" or "explain FLOW" */
struct control_explain {
	bool by_id;
	uint64_t latch_id;
	struct flow_query query; /* unless by_id */
	bool for_root;
	/* For the handler's results of earlier parts, zeroed at first. */
	struct control_explain_found {
		uint64_t count;
		struct latch_flow flow; /* of the newest latch */
		struct latch latch;
	} found;
};

/*
 * 0: another request, or words that can be read. -EINVAL and the failure: the words are wrong.
 * *ret_is_explain: is it this request?
 */
int control_explain_parse(const char *request, struct control_explain *ret, bool *ret_is_explain,
			  struct failure *failure);

struct control_mode_request {
	bool audit;
	pid_t pid;
};

/* The text after "mode "; NULL: another request. */
const char *control_request_mode(const char *request);
/* Reads "audit" or "enforce". False: another text. */
bool control_request_parse_mode(const char *word, bool *ret_audit);

/* The text after "break ", "heal " or "close "; NULL: another request. */
const char *control_request_find(const char *request, enum control_act *ret_act);

/* An id as in documents and logs: 1 to 16 hexadecimal digits and nothing else. */
bool control_request_parse_id(const char *text, uint64_t *ret_id);

#endif
