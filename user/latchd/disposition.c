/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/disposition.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "common/log.h"
#include "latchd/kernel/latch_control.h"
#include "latchd/kernel/socket_diag.h"
#include "latchd/kernel/tables.h"

#define DISPOSITION_RETRY_MS 1000

struct reset_walk {
	struct disposition *disposition;
	bool again;
};

/* With its socket the programs release the latch; one without a socket has nobody else. */
static int reset_broken(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct reset_walk *walk = context;
	struct disposition *d = walk->disposition;
	int err;

	if (latch->disposition == LATCH_DISPOSITION_WAIT)
		return 0;
	/* Nobody reads from a TIME_WAIT socket: the gate drops for it until it ends. */
	if (latch->word.state != LATCH_STATE_BROKEN || latch->owner == LATCH_OWNER_TIME_WAIT)
		return 0;
	err = socket_diag_destroy(flow);
	if (!err)
		d->reset(d->context, flow, latch, 0);
	if (err == -ENOENT || (!err && latch->owner != LATCH_OWNER_SOCKET)) {
		latch_close(d->maps, flow, latch->id);
		return 0;
	}
	if (err)
		d->reset(d->context, flow, latch, err);
	/* Looked at once more even after success: a latch must not outlive its socket. */
	walk->again = true;
	return 0;
}

static void on_timer(void *context)
{
	struct disposition *d = context;
	struct reset_walk walk = {.disposition = d};
	int err = latches_walk(d->maps, reset_broken, &walk);

	if (err)
		log_warn("latch", "cannot look for broken latches: %s; trying again",
			 strerror(-err));
	if (err || walk.again)
		loop_timer_arm(&d->timer, DISPOSITION_RETRY_MS);
}

void disposition_start(struct disposition *d, struct loop *loop)
{
	loop_timer_init(loop, &d->timer, on_timer, d);
	disposition_run_soon(d);
}

void disposition_run_soon(struct disposition *d)
{
	loop_timer_arm(&d->timer, 0);
}

void disposition_stop(struct disposition *d)
{
	loop_timer_cancel(&d->timer);
}
