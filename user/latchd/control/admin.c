/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/control/admin.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "latchd/maps/latch_control.h"
#include "latchd/net/socket_diag.h"
#include "latchd/maps/tables.h"
#include "common/names.h"
#include "latchd/report/report_parts.h"

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

static struct admin_origin who_asks(const struct control_request *order)
{
	struct admin_origin who = {.pid = order->pid, .login_uid = ADMIN_NO_LOGIN};
	auto_fclose FILE *file = NULL;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/loginuid", (int)order->pid);
	file = fopen(path, "re");
	if (file && fscanf(file, "%" SCNu32, &who.login_uid) != 1)
		who.login_uid = ADMIN_NO_LOGIN;
	return who;
}

/* ---- answers */

static void refuse(struct json_writer *w, const char *code, uint64_t id, const char *why)
{
	char text[256];

	snprintf(text, sizeof(text), "latch %" PRIx64 " %s", id, why);
	json_object_begin(w);
	json_member_string(w, "error", text);
	json_member_string(w, "code", code);
	json_object_end(w);
}

static void fail(struct json_writer *w, uint64_t id, const char *what, int err)
{
	char text[192];

	snprintf(text, sizeof(text), "%s: %s", what, strerror(-err));
	refuse(w, "failed", id, text);
}

static void answer(struct json_writer *w, uint64_t id, union latch_word now)
{
	json_object_begin(w);
	json_member_uint(w, "schema", REPORT_SCHEMA);
	report_latch_id(w, id);
	json_member_string(w, "state", latch_state_name(now.state));
	report_reasons(w, now.reasons);
	json_object_end(w);
}

/* What all orders have in common. True: nothing was changed, and it has been said. */
static bool refused(struct json_writer *w, uint64_t id, int result)
{
	if (result < 0)
		fail(w, id, "could not be changed", result);
	else if (result == LATCH_CONTROL_NOT_FOUND)
		refuse(w, "not-found", id, "does not exist; see latchctl list");
	else if (result == LATCH_CONTROL_REFUSED)
		refuse(w, "wrong-state", id, "is not established yet, or is closed already");
	return result < 0 || result == LATCH_CONTROL_NOT_FOUND || result == LATCH_CONTROL_REFUSED;
}

/* ---- orders */

static void request_break(const struct admin *a, const struct found *found,
			  const struct admin_origin *who, struct json_writer *w)
{
	union latch_word now;
	int result = latch_break(a->maps, &found->flow, found->id, LATCH_REASON_ADMIN, &now);

	if (refused(w, found->id, result))
		return;
	if (result == LATCH_CONTROL_UNCHANGED) {
		refuse(w, "already-broken", found->id, "is already broken by an administrator");
		return;
	}
	if (latch_became_broken(now, LATCH_REASON_ADMIN))
		a->broken(a->context, &found->flow, &found->latch, who);
	answer(w, found->id, now);
}

static void request_heal(const struct admin *a, const struct found *found,
			 const struct admin_origin *who, struct json_writer *w)
{
	union latch_word now;
	int result = latch_heal(a->maps, &found->flow, found->id, LATCH_REASON_ADMIN, &now);

	if (refused(w, found->id, result))
		return;
	if (result == LATCH_CONTROL_UNCHANGED) {
		refuse(w, "not-broken", found->id, "is not broken by an administrator");
		return;
	}
	if (latch_is_healed(now))
		a->healed(a->context, &found->flow, &found->latch, who);
	answer(w, found->id, now);
}

/*
 * While it is established its reset may leave, under an SA of its own peer only;
 * that of a broken one is dropped. What cannot be ended must neither send nor
 * receive (R-2.3-24), and so its latch must stay.
 */
static void request_close(const struct admin *a, const struct found *found,
			  const struct admin_origin *who, struct json_writer *w)
{
	union latch_word now = {.state = LATCH_STATE_CLOSED};
	int err, result;

	err = socket_diag_destroy_owner(&found->flow, found->latch.socket_cookie);
	if (err && err != -ENOENT) {
		latch_break(a->maps, &found->flow, found->id, LATCH_REASON_ADMIN, NULL);
		a->closed(a->context, &found->flow, &found->latch, who, err);
		fail(w, found->id, "is broken, for its socket cannot be ended", err);
		return;
	}
	/* The programs may have released it with its socket. */
	result = latch_close(a->maps, &found->flow, found->id);
	if (err == -ENOENT && refused(w, found->id, result))
		return;
	a->closed(a->context, &found->flow, &found->latch, who, 0);
	answer(w, found->id, now);
}

void admin_request(const struct admin *a, const struct control_request *order,
		   struct json_writer *w)
{
	struct found found;
	struct admin_origin who = who_asks(order);
	int err = find(a->maps, order->latch_id, &found);

	if (err) {
		refused(w, order->latch_id, err == -ENOENT ? LATCH_CONTROL_NOT_FOUND : err);
		return;
	}
	/* Its socket would go on without it, and be found by the next count. */
	if (found.latch.word.state == LATCH_STATE_LISTENER) {
		refuse(w, "wrong-state", found.id, "is a listener's; end the program that listens");
		return;
	}
	switch (order->act) {
	case CONTROL_ACT_BREAK:
		request_break(a, &found, &who, w);
		return;
	case CONTROL_ACT_HEAL:
		request_heal(a, &found, &who, w);
		return;
	case CONTROL_ACT_CLOSE:
		request_close(a, &found, &who, w);
		return;
	}
}
