/* SPDX-License-Identifier: BSD-2-Clause */
/* The routes with policies that the kernel caches in sockets. */
#ifndef LATCHD_SPD_POLICY_ROUTES_H
#define LATCHD_SPD_POLICY_ROUTES_H

#include <stdint.h>

/*
 * Makes the sockets of a namespace look up their policies again. A socket otherwise keeps the route
 * of a BYPASS policy after the policy was deleted. 0 or a negative errno.
 */
int policy_routes_forget(uint64_t netns_cookie);

#endif
