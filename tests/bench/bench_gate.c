/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Nanoseconds that the cgroup gate needs for a packet, over those of an empty program in the same
 * place. Each packet runs the empty program and the gate of every object that is named.
 *
 *	cgroup of this process: empty, gate_egress, gate_ingress of each object
 *	+----------------------------------------------------------------------+
 *	| client <---- TCP, connected UDP: one byte and back, lo ----> server  |
 *	| client (latched) ---> nft: protocol = ESP ---> gate_egress ---> drop |
 *	+----------------------------------------------------------------------+
 *
 * usage: bench_gate LATCHES CGROUPS OBJECT...
 *
 * LATCHES: of other flows. CGROUPS: one below the other, each with all programs. With 1, a packet
 * finds the caches as its system call left them; with 16, as its 15 other runs did.
 *
 * The process makes a network namespace and cgroups of its own. It needs root, nft and ip. Output:
 * one line a repeat, TSV: cgroups, latches, flow, program, object, repeat, ns, ns of the empty one.
 */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "latch_abi.h"

#define OBJECTS_MAX  4
#define DEPTH_MAX    32
#define REPEATS	     12	   /* after one for warming up */
#define PROGRAM_RUNS 40000 /* in a repeat, of each program */
#define PARAMS	     3
#define CROWD_BATCH  4096
#define LATCHES_ROOM 1048576 /* and at least one */

enum hook {
	EGRESS,
	INGRESS,
	HOOKS
};

static const char *const hook_names[HOOKS] = {"egress", "ingress"};

struct gate {
	const char *name; /* of its object */
	struct bpf_object *object;
	int program[HOOKS];
};

static struct gate gates[OBJECTS_MAX];
static int gate_count, empty[HOOKS], depth, cgroups[DEPTH_MAX];
static char cgroup_root[128], cgroup_paths[DEPTH_MAX][256];
static uint64_t netns_cookie;
static uint32_t crowd;

static void fail(const char *what)
{
	fprintf(stderr, "bench_gate: %s: %s; run it as root, with ip and nft installed\n", what,
		strerror(errno));
	exit(1);
}

static int checked(int result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}

/* ---- programs */

static void attach(int program, enum hook hook)
{
	LIBBPF_OPTS(bpf_link_create_opts, options);
	enum bpf_attach_type type =
		hook == EGRESS ? BPF_CGROUP_INET_EGRESS : BPF_CGROUP_INET_INGRESS;

	int i;

	for (i = 0; i < depth; i++)
		checked(bpf_link_create(program, cgroups[i], type, &options), "attach a program");
}

static void load_empty(enum hook hook)
{
	const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .imm = 1},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, options,
		    .expected_attach_type =
			    hook == EGRESS ? BPF_CGROUP_INET_EGRESS : BPF_CGROUP_INET_INGRESS);

	empty[hook] =
		checked(bpf_prog_load(BPF_PROG_TYPE_CGROUP_SKB, "empty", "GPL", pass, 2, &options),
			"load the empty program");
	attach(empty[hook], hook);
}

static bool is_needed(const struct bpf_program *program)
{
	return !strncmp(bpf_program__name(program), "gate_", 5) ||
	       !strncmp(bpf_program__name(program), "watch_socket", 12) ||
	       !strcmp(bpf_program__name(program), "latch_control");
}

static void load_gate(const char *path)
{
	struct gate *gate = &gates[gate_count++];
	struct bpf_program *program;
	enum hook hook;

	gate->name = path;
	gate->object = bpf_object__open_file(path, NULL);
	if (!gate->object)
		fail(path);
	bpf_object__for_each_program (program, gate->object)
		bpf_program__set_autoload(program, is_needed(program));
	bpf_map__set_max_entries(bpf_object__find_map_by_name(gate->object, "latches"),
				 LATCHES_ROOM);
	checked(bpf_object__load(gate->object), path);
	for (hook = 0; hook < HOOKS; hook++) {
		program = bpf_object__find_program_by_name(
			gate->object, hook == EGRESS ? "gate_egress" : "gate_ingress");
		gate->program[hook] = bpf_program__fd(program);
		attach(gate->program[hook], hook);
	}
}

/* ---- surroundings */

static void find_cgroup_root(void)
{
	FILE *mounts = setmntent("/proc/mounts", "r");
	const struct mntent *mount;

	while (mounts && !cgroup_root[0] && (mount = getmntent(mounts)))
		if (!strcmp(mount->mnt_type, "cgroup2"))
			snprintf(cgroup_root, sizeof(cgroup_root), "%s", mount->mnt_dir);
	if (mounts)
		endmntent(mounts);
	if (!cgroup_root[0])
		fail("find the cgroup v2 file system");
}

static void leave_cgroup(void)
{
	char procs[320];
	int fd, i;

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", cgroup_root);
	fd = open(procs, O_WRONLY);
	if (fd < 0 || dprintf(fd, "%d", (int)getpid()) < 0)
		return;
	for (i = depth - 1; i >= 0; i--)
		rmdir(cgroup_paths[i]);
}

/* One below the other: a packet runs the programs of all. */
static void make_cgroup(int level)
{
	char *path = cgroup_paths[level];

	int used = snprintf(path, sizeof(cgroup_paths[0]), "%s/latchd-bench-%d", cgroup_root,
			    (int)getpid());
	int i;

	for (i = 0; i < level; i++)
		used += snprintf(path + used, sizeof(cgroup_paths[0]) - (size_t)used, "/%d", i);
	checked(mkdir(path, 0755), path);
	cgroups[level] = checked(open(path, O_RDONLY | O_DIRECTORY), path);
}

static void enter_cgroups(int levels)
{
	char procs[320];
	int fd;

	find_cgroup_root();
	atexit(leave_cgroup);
	for (; depth < levels; depth++)
		make_cgroup(depth);
	snprintf(procs, sizeof(procs), "%s/cgroup.procs", cgroup_paths[depth - 1]);
	fd = checked(open(procs, O_WRONLY), procs);
	checked(dprintf(fd, "%d", (int)getpid()), procs);
	close(fd);
}

static void command(const char *text)
{
	if (system(text))
		fail(text);
}

static void enter_namespace(void)
{
	socklen_t length = sizeof(netns_cookie);
	int fd;

	checked(unshare(CLONE_NEWNET), "make a network namespace");
	command("ip link set lo up");
	command("nft add table inet t");
	command("nft 'add chain inet t out { type filter hook output priority 0; }'");
	command("nft 'add chain inet t in { type filter hook input priority 0; }'");
	command("nft add rule inet t in meta l4proto esp drop");
	command("nft add rule inet t out udp dport { 4500, 4502 } ip protocol set 50");
	command("nft add rule inet t out udp dport 4501 ip6 nexthdr set 50");
	fd = checked(socket(AF_INET, SOCK_DGRAM, 0), "make a socket");
	checked(getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &netns_cookie, &length),
		"read the namespace cookie");
	close(fd);
}

/* ---- flows */

struct flow {
	const char *name;
	int family, type;
	uint16_t port;
	bool latched;
	bool options; /* with IP options each packet is checked in full */
	int client, server;
};

static struct sockaddr_storage address_of(int family, uint16_t port, socklen_t *ret_length)
{
	struct sockaddr_storage storage = {0};
	struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;

	storage.ss_family = (sa_family_t)family;
	*ret_length = family == AF_INET ? sizeof(*v4) : sizeof(*v6);
	if (family == AF_INET) {
		v4->sin_port = htons(port);
		v4->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	} else {
		v6->sin6_port = htons(port);
		v6->sin6_addr = in6addr_loopback;
	}
	return storage;
}

static int bound_socket(int family, int type, uint16_t port)
{
	socklen_t length;
	struct sockaddr_storage here = address_of(family, port, &length);
	int fd = checked(socket(family, type, 0), "make a socket"), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	checked(bind(fd, (struct sockaddr *)&here, length), "bind a socket");
	return fd;
}

static void connect_to_port(int fd, int family, uint16_t port)
{
	socklen_t length;
	struct sockaddr_storage there = address_of(family, port, &length);

	checked(connect(fd, (struct sockaddr *)&there, length), "connect a socket");
}

static void open_tcp(struct flow *flow)
{
	int listener = bound_socket(flow->family, SOCK_STREAM, flow->port), on = 1;

	checked(listen(listener, 1), "listen");
	flow->client = checked(socket(flow->family, SOCK_STREAM, 0), "make a socket");
	connect_to_port(flow->client, flow->family, flow->port);
	flow->server = checked(accept(listener, NULL, NULL), "accept");
	setsockopt(flow->client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(flow->server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	close(listener);
}

static void open_udp(struct flow *flow)
{
	flow->server = bound_socket(flow->family, SOCK_DGRAM, flow->port);
	flow->client = bound_socket(flow->family, SOCK_DGRAM, (uint16_t)(flow->port + 1000));
	connect_to_port(flow->client, flow->family, flow->port);
	connect_to_port(flow->server, flow->family, (uint16_t)(flow->port + 1000));
}

static void put(const struct gate *gate, const char *map, const void *key, const void *value)
{
	int fd = bpf_object__find_map_fd_by_name(gate->object, map);

	checked(bpf_map_update_elem(fd, key, value, BPF_ANY), map);
}

/* A latch, and the SA that the packet seems to have: its ports are the SPI. */
static void latch(const struct gate *gate, const struct flow *flow)
{
	struct latch_flow key = {.netns = netns_cookie,
				 .local_port = (uint16_t)(flow->port + 1000),
				 .remote_port = flow->port,
				 .family = (uint8_t)flow->family,
				 .protocol = IPPROTO_UDP};
	struct latch entry = {
		.id = 1,
		.owner = LATCH_OWNER_SOCKET,
		.word = {.generation = 1, .params = PARAMS, .state = LATCH_STATE_ESTABLISHED}};
	struct latch_sa_key sa = {.netns = netns_cookie,
				  .spi = (uint32_t)(flow->port + 1000) << 16 | flow->port,
				  .protocol = IPPROTO_ESP,
				  .family = (uint8_t)flow->family};
	struct latch_sa bound = {.word = {.serial = 1, .params = PARAMS, .state = LATCH_SA_BOUND}};
	struct in_addr v4 = {htonl(INADDR_LOOPBACK)};

	if (flow->family == AF_INET) {
		memcpy(key.local_addr, &v4, 4);
		memcpy(key.remote_addr, &v4, 4);
		memcpy(sa.daddr, &v4, 4);
	} else {
		memcpy(key.local_addr, &in6addr_loopback, 16);
		memcpy(key.remote_addr, &in6addr_loopback, 16);
		memcpy(sa.daddr, &in6addr_loopback, 16);
	}
	put(gate, "latches", &key, &entry);
	put(gate, "sas", &sa, &bound);
}

static void exchange(const struct flow *flow, int round_trips)
{
	char byte = 'x';

	while (round_trips--) {
		checked((int)send(flow->client, &byte, 1, 0), "send");
		if (flow->latched)
			continue; /* nothing receives ESP */
		checked((int)recv(flow->server, &byte, 1, 0), "receive");
		checked((int)send(flow->server, &byte, 1, 0), "send");
		checked((int)recv(flow->client, &byte, 1, 0), "receive");
	}
}

/* ---- measurement */

struct runs {
	uint64_t ns, count;
};

static struct runs runs_of(int program)
{
	struct bpf_prog_info info = {0};
	__u32 length = sizeof(info);

	checked(bpf_prog_get_info_by_fd(program, &info, &length), "read a program's statistics");
	return (struct runs){info.run_time_ns, info.run_cnt};
}

static double ns_a_run(struct runs before, int program)
{
	struct runs now = runs_of(program);

	return now.count > before.count
		       ? (double)(now.ns - before.ns) / (double)(now.count - before.count)
		       : 0;
}

static void measure(const struct flow *flow, int repeat)
{
	struct runs before[OBJECTS_MAX][HOOKS], before_empty[HOOKS];
	enum hook hook;
	int i;

	for (hook = 0; hook < HOOKS; hook++) {
		before_empty[hook] = runs_of(empty[hook]);
		for (i = 0; i < gate_count; i++)
			before[i][hook] = runs_of(gates[i].program[hook]);
	}
	exchange(flow, PROGRAM_RUNS / depth);
	for (hook = 0; repeat > 0 && hook < HOOKS && !(flow->latched && hook == INGRESS); hook++)
		for (i = 0; i < gate_count; i++)
			printf("%d\t%u\t%s\t%s\t%s\t%d\t%.1f\t%.1f\n", depth, crowd, flow->name,
			       hook_names[hook], gates[i].name, repeat,
			       ns_a_run(before[i][hook], gates[i].program[hook]),
			       ns_a_run(before_empty[hook], empty[hook]));
}

static void put_crowd(const struct gate *gate)
{
	static struct latch_flow flows[CROWD_BATCH];
	static struct latch latches[CROWD_BATCH];
	LIBBPF_OPTS(bpf_map_batch_opts, options, .elem_flags = BPF_ANY);
	int fd = bpf_object__find_map_fd_by_name(gate->object, "latches");
	uint32_t number = 0, count, i;

	while (number < crowd) {
		count = crowd - number < CROWD_BATCH ? crowd - number : CROWD_BATCH;
		for (i = 0; i < count; i++, number++) {
			flows[i] = (struct latch_flow){.netns = netns_cookie,
						       .local_port = 4000,
						       .family = AF_INET,
						       .protocol = IPPROTO_TCP};
			memcpy(flows[i].remote_addr, &number, sizeof(number));
			latches[i].id = 1000 + number;
			latches[i].word.state = LATCH_STATE_ESTABLISHED;
		}
		checked(bpf_map_update_batch(fd, flows, latches, &count, &options), "add latches");
	}
}

static struct flow flows[] = {
	{"tcp4 in clear", AF_INET, SOCK_STREAM, 7001, false, false, -1, -1},
	{"tcp6 in clear", AF_INET6, SOCK_STREAM, 7002, false, false, -1, -1},
	{"udp4 in clear", AF_INET, SOCK_DGRAM, 7003, false, false, -1, -1},
	{"udp6 in clear", AF_INET6, SOCK_DGRAM, 7004, false, false, -1, -1},
	{"udp4 latched", AF_INET, SOCK_DGRAM, 4500, true, false, -1, -1},
	{"udp6 latched", AF_INET6, SOCK_DGRAM, 4501, true, false, -1, -1},
	{"udp4 latched, options", AF_INET, SOCK_DGRAM, 4502, true, true, -1, -1},
};

#define FLOWS (sizeof(flows) / sizeof(flows[0]))

static void open_flow(struct flow *flow)
{
	static const unsigned char no_operations[4] = {1, 1, 1, 1};
	int i;

	if (flow->type == SOCK_STREAM)
		open_tcp(flow);
	else
		open_udp(flow);
	if (flow->options)
		checked(setsockopt(flow->client, IPPROTO_IP, IP_OPTIONS, no_operations,
				   sizeof(no_operations)),
			"set IP options");
	for (i = 0; flow->latched && i < gate_count; i++)
		latch(&gates[i], flow);
}

int main(int argc, char **argv)
{
	int repeat, i, levels = argc > 3 ? atoi(argv[2]) : 0;
	size_t f;

	if (levels < 1 || levels > DEPTH_MAX || argc > OBJECTS_MAX + 3) {
		fprintf(stderr, "usage: bench_gate LATCHES CGROUPS OBJECT...\n");
		return 2;
	}
	crowd = (uint32_t)strtoul(argv[1], NULL, 10);
	enter_namespace();
	enter_cgroups(levels);
	load_empty(EGRESS);
	load_empty(INGRESS);
	for (i = 3; i < argc; i++)
		load_gate(argv[i]);
	for (i = 0; i < gate_count; i++)
		put_crowd(&gates[i]);
	for (f = 0; f < FLOWS; f++)
		open_flow(&flows[f]);
	checked(bpf_enable_stats(BPF_STATS_RUN_TIME), "enable statistics");
	for (repeat = 0; repeat <= REPEATS; repeat++)
		for (f = 0; f < FLOWS; f++)
			measure(&flows[f], repeat);
	return 0;
}
