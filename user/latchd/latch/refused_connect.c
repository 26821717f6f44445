/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/latch/refused_connect.h"

#include <errno.h>
#include <stdbool.h>

#include "latchd/net/socket_diag.h"
#include "latchd/maps/tables.h"

/* Any host can send a packet in, so an inbound packet ends no connect(). */
static bool is_final(const struct latch_event *event)
{
	if (event->packet != LATCH_DIRECTION_OUT || event->direction != LATCH_DIRECTION_OUT)
		return false;
	if (event->waits)
		return false;
	/* By a wish, or by the terms of a rule. */
	if (event->drop == LATCH_DROP_IDENTITY || event->drop == LATCH_DROP_QOP)
		return true;
	return event->drop == LATCH_DROP_CONFLICT ||
	       (event->drop == LATCH_DROP_REQUIRED && !event->sa.spi);
}

int refused_connect_end(const struct kernel_maps *maps, const struct latch_event *event)
{
	struct latch latch;
	int err;

	/* The flow may have got its latch meanwhile. */
	if (event->audited || !is_final(event) || latch_get(maps, &event->flow, &latch) != -ENOENT)
		return -ENOENT;
	err = socket_diag_destroy_connecting(&event->flow, 0);
	return err == -EISCONN ? -ENOENT : err;
}
