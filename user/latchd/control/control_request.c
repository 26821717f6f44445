/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/control/control_request.h"

#include <stdlib.h>
#include <string.h>

#define LATCH_ID_DIGITS 16

static const struct {
	const char *word;
	enum control_act act;
} acts[] = {
	{"break ", CONTROL_ACT_BREAK},
	{"heal ", CONTROL_ACT_HEAL},
	{"close ", CONTROL_ACT_CLOSE},
};

const char *control_request_find(const char *request, enum control_act *ret_act)
{
	size_t i, length;

	for (i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		length = strlen(acts[i].word);
		if (!strncmp(request, acts[i].word, length)) {
			*ret_act = acts[i].act;
			return request + length;
		}
	}
	return NULL;
}

const char *control_request_mode(const char *request)
{
	return strncmp(request, "mode ", 5) ? NULL : request + 5;
}

bool control_request_parse_mode(const char *word, bool *ret_audit)
{
	*ret_audit = !strcmp(word, "audit");
	return *ret_audit || !strcmp(word, "enforce");
}

bool control_request_parse_id(const char *text, uint64_t *ret_id)
{
	size_t length = strspn(text, "0123456789abcdefABCDEF");

	if (!length || length > LATCH_ID_DIGITS || text[length])
		return false;
	*ret_id = strtoull(text, NULL, 16);
	return true;
}

static const char explain_word[] = "explain ";

int control_explain_parse(const char *request, struct control_explain *ret, bool *ret_is_explain,
			  struct failure *failure)
{
	size_t length = sizeof(explain_word) - 1;

	*ret = (struct control_explain){0};
	*ret_is_explain = !strncmp(request, explain_word, length);
	if (!*ret_is_explain)
		return 0;
	ret->by_id = control_request_parse_id(request + length, &ret->latch_id);
	if (ret->by_id)
		return 0;
	return flow_query_parse_line(request + length, &ret->query, failure);
}
