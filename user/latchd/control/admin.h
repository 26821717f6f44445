/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an administrator does with a latch (RFC 5660, sections 2.2 and 6.2). A break
 * of his is undone by his heal only, and what others broke he cannot heal. A latch
 * that he closes is gone, and its socket as if reset by the peer.
 */
#ifndef LATCHD_CONTROL_ADMIN_H
#define LATCHD_CONTROL_ADMIN_H

#include <stdint.h>
#include <sys/types.h>

#include "common/json_writer.h"
#include "latch_abi.h"
#include "latchd/control/control.h"
#include "latchd/maps/kernel_maps.h"

#define ADMIN_NO_LOGIN UINT32_MAX

struct admin_origin {
	pid_t pid;	    /* of latchctl; gone soon */
	uint32_t login_uid; /* who had logged in to become root; or ADMIN_NO_LOGIN */
};

struct admin {
	const struct kernel_maps *maps;
	/* Told after the step was taken, as in conflict.h. latch is as it was before. */
	void (*broken)(void *context, const struct latch_flow *flow, const struct latch *latch,
		       const struct admin_origin *who);
	void (*healed)(void *context, const struct latch_flow *flow, const struct latch *latch,
		       const struct admin_origin *who);
	/* error: 0, or the negative errno of why its socket could not be ended: then it is broken.
	 */
	void (*closed)(void *context, const struct latch_flow *flow, const struct latch *latch,
		       const struct admin_origin *who, int error);
	void *context;
};

/* For control_handlers: the document says what became of the latch, or is an error. */
void admin_request(const struct admin *admin, const struct control_request *order,
		   struct json_writer *w);

#endif
