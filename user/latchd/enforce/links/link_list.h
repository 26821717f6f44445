/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The links of the whole kernel, read at most every LINK_LIST_MS. A check searches the list for
 * each of latchd's links, and other programs may have many links.
 */
#ifndef LATCHD_ENFORCE_LINKS_LINK_LIST_H
#define LATCHD_ENFORCE_LINKS_LINK_LIST_H

#include <linux/bpf.h>
#include <stdbool.h>
#include <stdint.h>

#define LINK_LIST_MS 500

/*
 * Is there a link for which match() is true, of this cgroup, or of no cgroup (0)? 1 or 0, or a
 * negative errno: some link could not be read.
 */
typedef bool (*link_match_fn)(const void *context, const struct bpf_link_info *info);
int link_list_find(uint64_t cgroup_id, link_match_fn match, const void *context);

#endif
