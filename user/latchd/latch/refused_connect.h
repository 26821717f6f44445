/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2.3: if a flow can have no latch, its connect() ends with an error
 * at once. While the SA of the flow is negotiated or attributed, only one packet is
 * lost: TCP retransmits it, and connect() continues. An SA that does not fulfil the wishes of the
 * application is as final, unless it wishes to wait.
 */
#ifndef LATCHD_LATCH_REFUSED_CONNECT_H
#define LATCHD_LATCH_REFUSED_CONNECT_H

#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"

/*
 * event: of type LATCH_EVENT_REFUSED. Ends the flow's socket while its connect() is in
 * progress. The application gets ECONNABORTED. 0; -ENOENT when no socket is to be ended;
 * or another negative errno.
 */
int refused_connect_end(const struct kernel_maps *maps, const struct latch_event *event);

#endif
