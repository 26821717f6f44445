/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * RFC 5660 section 2.3: a connect() that can have no latch ends with an error, at
 * once. One whose SA is merely being negotiated or attributed has lost a packet,
 * nothing more, and is left to try again.
 */
#ifndef LATCHD_LATCH_REFUSAL_H
#define LATCHD_LATCH_REFUSAL_H

#include "latch_abi.h"
#include "latchd/maps/kernel_maps.h"

/*
 * event: of type LATCH_EVENT_REFUSED. Ends the socket that is still trying to
 * connect; its owner sees ECONNABORTED. 0, -ENOENT when there is none to be ended, or
 * another negative errno.
 */
int refusal_end_connect(const struct kernel_maps *maps, const struct latch_event *event);

#endif
