/* SPDX-License-Identifier: BSD-2-Clause */
/* The wishes that a purge ends. */
#ifndef LATCHCTL_PURGE_WISHES_H
#define LATCHCTL_PURGE_WISHES_H

/*
 * The number of sockets of this host that have a wish, by the maps with pins below root. Sockets
 * that are opened or closed meanwhile may count or not. Or a negative errno.
 */
int purge_count_wishes(const char *root);

#endif
