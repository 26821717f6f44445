/* SPDX-License-Identifier: BSD-2-Clause */
/* The namespaces in which a new flow waits for the owner of its SA, since a feed serves them. */
#ifndef LATCHD_ENFORCE_SERVED_H
#define LATCHD_ENFORCE_SERVED_H

#include <stddef.h>
#include <stdint.h>

#include "latchd/maps/kernel_maps.h"

/*
 * netns: for each configured feed the cookie of its namespace. 0: the feed is away, and may come
 * back in another namespace. While a feed is away, or if count is 0 (latchd ends), the
 * namespaces written before stay served, too. 0, or a negative errno.
 */
int served_write(const struct kernel_maps *maps, const uint64_t *netns, size_t count);

#endif
