/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/enforce/netfilter/netfilter_gate.h"

#include <bpf/bpf.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "latchd/net/netns.h"
#include "latchd/enforce/pins/pin_paths.h"

/*
 * A hook holds one BPF program of each priority. This gate needs two priorities while one link
 * replaces the other. The rest is room for programs of others.
 */
#define PRIORITIES_MAX 16

/*
 * The gate needs the socket's tuple. An outgoing packet has it until source NAT, an
 * incoming packet after source NAT. Destination NAT lies beyond both hooks.
 */
struct place {
	const char *name; /* of the pin, after the namespace's cookie */
	uint32_t family;
	uint32_t hook;
	int32_t priority; /* next to source NAT */
	int32_t step;	  /* to the next priority away from source NAT */
	bool egress;
	bool whole; /* request defragmentation: without it the hook sees fragments */
};

static const struct place places[] = {
	{"egress4", NFPROTO_IPV4, NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC - 1, -1, true, false},
	{"egress6", NFPROTO_IPV6, NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC - 1, -1, true, false},
	{"ingress4", NFPROTO_IPV4, NF_INET_LOCAL_IN, NF_IP_PRI_NAT_SRC + 1, 1, false, false},
	{"ingress6", NFPROTO_IPV6, NF_INET_LOCAL_IN, NF_IP_PRI_NAT_SRC + 1, 1, false, true},
};

#define PLACE_COUNT (sizeof(places) / sizeof(places[0]))

bool netfilter_gate_is_offered(const struct netfilter_gate *gate)
{
	return gate->egress >= 0 && gate->ingress >= 0;
}

static int program_of(const struct netfilter_gate *gate, const struct place *place)
{
	return place->egress ? gate->egress : gate->ingress;
}

/* ---- pins ---- */

static int pin_path(char path[PINS_PATH_MAX], uint64_t cookie, const struct place *place,
		    const char *suffix)
{
	char name[64];

	snprintf(name, sizeof(name), "%" PRIx64 "_%s", cookie, place->name);
	return pin_paths_join(path, PINS_NETNS, name, suffix);
}

static uint32_t program_id(int program)
{
	struct bpf_prog_info info = {0};
	__u32 length = sizeof(info);

	return bpf_prog_get_info_by_fd(program, &info, &length) ? 0 : info.id;
}

/*
 * The name gives the hook of the link: only latchd writes to the directory. A pin on a read-only
 * file system cannot be opened, but neither removed nor replaced.
 */
static bool is_this_program(const char *path, int program)
{
	auto_close int fd = bpf_obj_get(path);
	struct bpf_link_info info = {0};
	__u32 length = sizeof(info);

	if (fd == -EROFS)
		return !access(path, F_OK);
	return fd >= 0 && !bpf_link_get_info_by_fd(fd, &info, &length) &&
	       info.prog_id == program_id(program);
}

static bool is_in_place(const struct netfilter_gate *gate, uint64_t cookie,
			const struct place *place)
{
	char path[PINS_PATH_MAX];

	return !pin_path(path, cookie, place, "") && is_this_program(path, program_of(gate, place));
}

bool netfilter_gate_is_attached(const struct netfilter_gate *gate, uint64_t cookie)
{
	size_t i;

	for (i = 0; i < PLACE_COUNT; i++)
		if (!is_in_place(gate, cookie, &places[i]))
			return false;
	return true;
}

void netfilter_gate_detach(uint64_t cookie)
{
	char path[PINS_PATH_MAX];
	size_t i;

	for (i = 0; i < PLACE_COUNT; i++) {
		if (!pin_path(path, cookie, &places[i], ""))
			unlink(path);
		if (!pin_path(path, cookie, &places[i], PINS_NEW))
			unlink(path);
	}
}

/* ---- attaching ---- */

#define LINK_IP_DEFRAG 1 /* BPF_F_NETFILTER_IP_DEFRAG; the system's headers may be too old */

static int create_link_with(const struct netfilter_gate *gate, const struct place *place,
			    uint32_t flags)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .netfilter.pf = place->family,
		    .netfilter.hooknum = place->hook, .netfilter.priority = place->priority,
		    .netfilter.flags = flags);
	int fd = -EBUSY, tries;

	for (tries = 0; fd == -EBUSY && tries < PRIORITIES_MAX; tries++) {
		fd = bpf_link_create(program_of(gate, place), 0, gate->attach_type, &options);
		options.netfilter.priority += place->step;
	}
	return fd;
}

/*
 * Linux before 6.6, or without nf_defrag_ipv6, refuses the flag. A gate without
 * defragmentation is better than none.
 */
static int create_link(const struct netfilter_gate *gate, const struct place *place)
{
	int fd = create_link_with(gate, place, place->whole ? LINK_IP_DEFRAG : 0);

	return fd < 0 && place->whole ? create_link_with(gate, place, 0) : fd;
}

/* The leftover of an interrupted replacement may be the only link that is attached. */
static int settle_leftover(const char *path, const char *new_path)
{
	if (access(new_path, F_OK))
		return 0;
	if (!access(path, F_OK))
		return unlink(new_path) ? -errno : 0;
	return rename(new_path, path) ? -errno : 0;
}

static int attach_place(const struct netfilter_gate *gate, uint64_t cookie,
			const struct place *place)
{
	char path[PINS_PATH_MAX], new_path[PINS_PATH_MAX];
	auto_close int link = -1;
	int err = pin_path(path, cookie, place, "");

	if (!err)
		err = pin_path(new_path, cookie, place, PINS_NEW);
	if (!err)
		err = settle_leftover(path, new_path);
	if (err || is_this_program(path, program_of(gate, place)))
		return err;
	link = create_link(gate, place);
	if (link < 0)
		return link;
	err = bpf_obj_pin(link, new_path);
	if (!err && rename(new_path, path))
		err = -errno;
	return err;
}

struct attachment {
	const struct netfilter_gate *gate;
	uint64_t cookie;
};

static int attach_all(void *context)
{
	const struct attachment *attachment = context;
	size_t i;
	int err = 0;

	for (i = 0; !err && i < PLACE_COUNT; i++)
		err = attach_place(attachment->gate, attachment->cookie, &places[i]);
	return err;
}

int netfilter_gate_attach(const struct netfilter_gate *gate, uint64_t cookie, int netns_fd)
{
	struct attachment attachment = {gate, cookie};

	return netns_call(netns_fd, attach_all, &attachment);
}

/* ---- the walk ---- */

int netfilter_gate_walk(int (*visit)(void *context, uint64_t netns_cookie), void *context)
{
	DIR *directory = opendir(PINS_NETNS);
	struct dirent *entry;
	uint64_t cookie;
	int result = 0;

	if (!directory)
		return -errno;
	while (!result && (entry = readdir(directory)))
		if (sscanf(entry->d_name, "%" SCNx64 "_", &cookie) == 1)
			result = visit(context, cookie);
	closedir(directory);
	return result;
}
