/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/control/admin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "common/cleanup.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"
#include "latchd/net/socket_diag.h"
#include "latchd/news/latch_transition.h"

struct found {
	uint64_t id;
	struct latch_flow flow;
	struct latch latch;
};

static int match(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct found *found = context;

	if (latch->id != found->id)
		return 0;
	found->flow = *flow;
	found->latch = *latch;
	return 1;
}

/* 0, -ENOENT or another negative errno. */
static int find(const struct kernel_maps *maps, uint64_t id, struct found *found)
{
	int err;

	found->id = id;
	err = latches_walk(maps, match, found);
	if (err == 1)
		return 0;
	return err ? err : -ENOENT;
}

struct news_requester admin_requester(pid_t pid)
{
	struct news_requester requester = {.pid = pid, .login_uid = NEWS_NO_LOGIN};
	auto_fclose FILE *file = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/loginuid", (int)pid);
	file = fopen(path, "re");
	if (file && fscanf(file, "%" SCNu32, &requester.login_uid) != 1)
		requester.login_uid = NEWS_NO_LOGIN;
	return requester;
}

/* result: of latch_control.h; unchanged: the outcome for UNCHANGED. */
static struct admin_result result_of(uint64_t id, int result, union latch_word now,
				     enum admin_outcome unchanged)
{
	struct admin_result answer = {.latch_id = id, .now = now};

	if (result < 0) {
		answer.outcome = ADMIN_NOT_CHANGED;
		answer.error = result;
	} else if (result == LATCH_CONTROL_NOT_FOUND) {
		answer.outcome = ADMIN_NOT_FOUND;
	} else if (result == LATCH_CONTROL_REFUSED) {
		answer.outcome = ADMIN_WRONG_STATE;
	} else if (result == LATCH_CONTROL_UNCHANGED) {
		answer.outcome = unchanged;
	}
	return answer;
}

/* ---- requests */

static struct admin_result change(const struct admin *a, const struct found *found,
				  enum latch_transition_kind kind,
				  const struct news_requester *requester,
				  enum admin_outcome unchanged)
{
	const struct latch_transition transition = {
		.kind = kind,
		.flow = &found->flow,
		.latch = &found->latch,
		.cause = {.reason = LATCH_REASON_ADMIN, .requester = requester},
	};
	union latch_word now = {0};
	int result = latch_transition(a->maps, a->news, &transition, &now);

	return result_of(found->id, result, now, unchanged);
}

static void publish_close(const struct admin *a, const struct found *found,
			  const struct news_requester *requester, int error)
{
	news_publish(a->news,
		     &(struct news){
			     .kind = NEWS_LATCH_RESET,
			     .flow = &found->flow,
			     .latch = &found->latch,
			     .cause = {.reason = LATCH_REASON_ADMIN, .requester = requester},
			     .error = error,
		     });
}

/*
 * While the latch is ESTABLISHED the socket's RST may leave, under an SA of the latch's peer
 * only. The RST of a BROKEN latch is dropped. If the socket cannot be ended, the flow must
 * neither send nor receive (R-2.3-24), so the latch stays and becomes BROKEN.
 */
static struct admin_result request_close(const struct admin *a, const struct found *found,
					 const struct news_requester *requester)
{
	const union latch_word closed = {.state = LATCH_STATE_CLOSED};
	struct admin_result answer;
	int err;

	/* Without it the socket answers that it was reset: no reason to leave it open. */
	latch_closing(a->maps, &found->flow, found->id, true);
	err = socket_diag_destroy_owner(&found->flow, found->latch.socket_cookie);
	if (err && err != -ENOENT) {
		latch_closing(a->maps, &found->flow, found->id, false);
		latch_break(a->maps, &found->flow, found->id, LATCH_REASON_ADMIN, NULL);
		publish_close(a, found, requester, err);
		return (struct admin_result){ADMIN_SOCKET_ALIVE, found->id, {0}, err};
	}
	/* The programs may have released the latch with its socket. Then any result is fine. */
	answer = result_of(found->id, latch_close(a->maps, &found->flow, found->id), closed,
			   ADMIN_DONE);
	if (err == -ENOENT && answer.outcome != ADMIN_DONE)
		return answer;
	publish_close(a, found, requester, 0);
	return (struct admin_result){ADMIN_DONE, found->id, closed, 0};
}

struct admin_result admin_request(const struct admin *a, const struct control_request *request)
{
	const struct news_requester requester = admin_requester(request->pid);
	struct found found;
	int err = find(a->maps, request->latch_id, &found);

	if (err == -ENOENT)
		return (struct admin_result){ADMIN_NOT_FOUND, request->latch_id, {0}, 0};
	if (err)
		return (struct admin_result){ADMIN_NOT_CHANGED, request->latch_id, {0}, err};
	/* The socket of a LISTENER would continue without the latch, and the next scan would
	 * recreate the latch. */
	if (found.latch.word.state == LATCH_STATE_LISTENER)
		return (struct admin_result){ADMIN_IS_LISTENER, found.id, {0}, 0};
	switch (request->act) {
	case CONTROL_ACT_BREAK:
		return change(a, &found, LATCH_TRANSITION_BREAK, &requester, ADMIN_ALREADY_BROKEN);
	case CONTROL_ACT_HEAL:
		return change(a, &found, LATCH_TRANSITION_HEAL, &requester, ADMIN_NOT_BROKEN);
	case CONTROL_ACT_CLOSE:
		break;
	}
	return request_close(a, &found, &requester);
}
