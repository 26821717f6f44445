/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/report/report_answer.h"

#include <netinet/in.h>

#include "common/names.h"
#include "latch_answer.h"
#include "latchd/report/report_parts.h"

static bool is_served(const struct latch_flow *flow)
{
	return flow->protocol == IPPROTO_TCP || flow->protocol == IPPROTO_UDP;
}

/* The answer of a socket after the end of its latch: status_of_past() of bpf/api/state.h. */
static void find_answer_after_end(union latch_word word, struct latch_answer *ret)
{
	ret->reasons = word.reasons;
	if (word.reasons)
		latch_answer_set(ret, LATCH_APP_BROKEN, latch_why_broken(word.reasons));
	else
		latch_answer_set(ret, LATCH_APP_CLOSED, LATCH_WHY_ENDED);
}

/* Only a full socket answers for a latch. */
static void find_answer(const struct latch_settings *settings, const struct latch *latch,
			struct latch_answer *ret)
{
	*ret = (struct latch_answer){
		.audited = !!latch_was_audited(latch->created, latch->unproven, latch->rule_flags,
					       settings->mode, settings->mode_since),
		.unproven = latch->unproven & LATCH_UNPROVEN_EARLIER,
	};
	switch (latch->owner) {
	case LATCH_OWNER_HANDSHAKE:
		latch_answer_set(ret, LATCH_APP_NOT_LATCHED, LATCH_WHY_NOT_YET);
		return;
	case LATCH_OWNER_TIME_WAIT:
		find_answer_after_end(latch->word, ret);
		return;
	case LATCH_OWNER_SOCKET:
		break;
	}
	latch_answer_of(latch->word, ret);
}

/* After the end of its latch the socket has its own copies of the texts, which latchd does not
 * see. */
static bool names_peer(const struct latch *latch, const struct latch_answer *answer)
{
	return latch->owner != LATCH_OWNER_TIME_WAIT && latch_answer_names_peer(answer);
}

static void write_texts(struct json_writer *w, const struct report_source *source, uint16_t params)
{
	report_peer(w, source, params);
	report_local_id(w, source, params);
	report_connection(w, source, params);
	report_tags(w, source, params);
}

void report_answer(struct json_writer *w, const struct report_source *source,
		   const struct latch_settings *settings, const struct latch_flow *flow,
		   const struct latch *latch)
{
	struct latch_answer answer;

	json_key(w, "answer");
	if (!is_served(flow)) {
		json_null(w);
		return;
	}
	find_answer(settings, latch, &answer);
	json_object_begin(w);
	json_member_string(w, "state", latch_app_state_name(answer.state));
	json_member_string(w, "why", latch_why_name(answer.why));
	write_texts(w, source, names_peer(latch, &answer) ? latch->word.params : 0);
	json_object_end(w);
}
