/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The process or mount that holds each network namespace, from one pass over /proc and the
 * mounts. Local users choose the number of namespaces, so one pass serves all look-ups.
 */
#ifndef LATCHD_NET_NETNS_INDEX_H
#define LATCHD_NET_NETNS_INDEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct netns_holder {
	uint64_t cookie;
	pid_t pid;    /* 0 = path holds it */
	bool foreign; /* of another user namespace than the host's */
	char *path;   /* of a mount, owned by the index */
};

/* Zeroed before first use. */
struct netns_index {
	struct netns_holder *holders; /* by cookie, each once */
	size_t count, capacity;
	uint64_t begun_ms; /* loop_now_ms() at its start; 0 = no pass yet */
	int unread;	   /* 0: complete. Else a negative errno: a namespace may be missing */
	/*
	 * Cookies of namespaces of the host's user namespace, in order, of this pass and earlier
	 * ones. A namespace never changes its user namespace.
	 */
	uint64_t *own;
	size_t own_count;
};

/* Only root creates such namespaces. Beyond this number, ended namespaces are forgotten. */
#define NETNS_INDEX_OWN_MAX 16384

/*
 * Replaces the contents by a new pass. Namespaces of other user namespaces than the host's beyond
 * foreign_max are left out: then unread is -EUSERS, unless another error occurred.
 */
void netns_index_build(struct netns_index *index, size_t foreign_max);

struct netns_holder *netns_index_find(const struct netns_index *index, uint64_t cookie);
/*
 * The result for a namespace that the pass did not find. -ENOENT: it is gone. That also holds
 * if only foreign namespaces were left out, and this namespace is known to be the host's.
 * Else index->unread.
 */
int netns_index_absence(const struct netns_index *index, uint64_t cookie);
void netns_index_remove(struct netns_index *index, struct netns_holder *holder);
void netns_index_release(struct netns_index *index);

#endif
