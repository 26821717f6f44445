/* SPDX-License-Identifier: BSD-2-Clause */
/* The answers to break, heal and close. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/names.h"
#include "latchd/report/report_parts.h"

struct words {
	const char *code;
	const char *text; /* behind "latch ID" */
};

static struct words words_of(enum admin_outcome outcome)
{
	switch (outcome) {
	case ADMIN_DONE:
		break;
	case ADMIN_NOT_FOUND:
		return (struct words){"not-found", "does not exist; see latchctl list"};
	case ADMIN_WRONG_STATE:
		return (struct words){"wrong-state",
				      "is not established yet, or is closed already"};
	case ADMIN_IS_LISTENER:
		return (struct words){"wrong-state",
				      "belongs to a listening socket; end its program instead"};
	case ADMIN_ALREADY_BROKEN:
		return (struct words){"already-broken", "is already broken by an administrator"};
	case ADMIN_NOT_BROKEN:
		return (struct words){"not-broken", "is not broken by an administrator"};
	case ADMIN_NOT_CHANGED:
		return (struct words){"failed", "cannot be changed"};
	case ADMIN_SOCKET_ALIVE:
		return (struct words){"failed", "is broken instead: its socket cannot be ended"};
	}
	return (struct words){"failed", "cannot be changed"};
}

static void write_error(struct json_writer *w, const struct admin_result *result)
{
	const struct words words = words_of(result->outcome);
	char text[256];

	snprintf(text, sizeof(text), "latch %" PRIx64 " %s%s%s", result->latch_id, words.text,
		 result->error ? ": " : "", result->error ? strerror(-result->error) : "");
	json_member_string(w, "error", text);
	json_member_string(w, "code", words.code);
}

void report_request(struct json_writer *w, const struct admin_result *result)
{
	json_object_begin(w);
	if (result->outcome == ADMIN_DONE) {
		json_member_uint(w, "schema", REPORT_SCHEMA);
		report_latch_id(w, result->latch_id);
		json_member_string(w, "state", latch_state_name(result->now.state));
		report_reasons(w, result->now.reasons);
	} else {
		write_error(w, result);
	}
	json_object_end(w);
}
