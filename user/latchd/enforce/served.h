/* SPDX-License-Identifier: BSD-2-Clause */
/* The namespaces in which a new flow waits for the owner of its SA: a feed can name that owner. */
#ifndef LATCHD_ENFORCE_SERVED_H
#define LATCHD_ENFORCE_SERVED_H

#include <stddef.h>
#include <stdint.h>

#include "latchd/maps/kernel_maps.h"

/*
 * netns: for each configured feed the cookie of the namespace where it was last seen, or 0. Until
 * each was seen, a feed of 0 keeps the namespace that an earlier latchd has written in its place.
 * 0, or a negative errno.
 */
int served_write(const struct kernel_maps *maps, const uint64_t *netns, size_t count);

#endif
