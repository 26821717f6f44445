/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Requests of an administrator for one latch (RFC 5660, sections 2.2 and 6.2). Only a
 * request heals a latch that a request broke, and a request heals no other reason. A
 * closed latch is deleted, and its socket ends as if reset by the peer.
 */
#ifndef LATCHD_CONTROL_ADMIN_H
#define LATCHD_CONTROL_ADMIN_H

#include <stdint.h>
#include <sys/types.h>

#include "latch_abi.h"
#include "latchd/control/control_request.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/news/news.h"

struct admin {
	const struct kernel_maps *maps;
	const struct news_bus *news; /* LATCH_BROKEN, _HEALED, _RESET, each with its requester */
};

enum admin_outcome {
	ADMIN_DONE, /* now: the latch's new word */
	ADMIN_NOT_FOUND,
	ADMIN_WRONG_STATE, /* CLOSED; or LARVAL, which cannot break or heal */
	ADMIN_IS_LISTENER,
	ADMIN_ALREADY_BROKEN, /* by a request */
	ADMIN_NOT_BROKEN,     /* by a request */
	ADMIN_NOT_CHANGED,    /* error: of the tables or the control program */
	ADMIN_SOCKET_ALIVE, /* error: of ending the socket; the latch is BROKEN instead of closed */
};

struct admin_result {
	enum admin_outcome outcome;
	uint64_t latch_id;
	union latch_word now;
	int error; /* negative errno */
};

/* The requester with this pid, which may have ended. */
struct news_requester admin_requester(pid_t pid);

struct admin_result admin_request(const struct admin *admin, const struct control_request *request);

#endif
