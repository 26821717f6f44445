/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Ends the latch of the former connection of a UDP socket. */
#ifndef LATCH_BPF_DB_DATAGRAM_LATCH_H
#define LATCH_BPF_DB_DATAGRAM_LATCH_H

#include "db/latch_db.h"

/* Two sockets may have the same flow (SO_REUSEADDR): only the owner of the latch releases it. */
static OWN_FRAME int datagram_release_latch(struct datagram_socket *socket, __u64 cookie)
{
	struct latch_flow flow = socket->flow;
	__u64 id = 0;
	struct latch *latch = latch_read(&flow, &id);

	if (socket->verdict.was_latched) {
		if (!socket->was_released || socket->verdict.mode < socket->released_mode)
			socket->released_mode = socket->verdict.mode;
		WRITE_ONCE(socket->was_released, 1);
		full_barrier();
		WRITE_ONCE(socket->verdict.was_latched, 0);
		/* A check under way belongs to the old connection, not to the next one. */
		flow_changed(&flow);
	}
	if (latch && cookie && READ_ONCE(latch->socket_cookie) == cookie)
		latch_release(&flow, latch, id);
	return 0;
}

#endif
