/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Connections with both ends in the cgroup of the cgroup gate; the verdicts are read from the maps.
 *
 *	      test's cgroup: gate_egress, gate_ingress, watch_socket ...
 *	+---------------------------------------------------------------------+
 *	|  client <---- loopback of the test's network namespace ----> server |
 *	+---------------------------------------------------------------------+
 *	      maps: latches, sas, rules, settings, drops, events
 *
 * There is no IPsec: every packet is in clear.
 */
#ifndef LATCHD_TESTS_GATE_FIXTURE_H
#define LATCHD_TESTS_GATE_FIXTURE_H

#include <criterion/criterion.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "cgroup.h"
#include "loaded_gates.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"
#include "tcp.h"

#define EVENTS_KEPT 256
#define LATCH_ID    77
#define HOUR_NS	    3600000000000ull

/* The address of the listener, and the address to which the client connects. */
static const char *const tcp_ways[][2] = {
	{IPV4, IPV4},
	{IPV6, IPV6},
	{"::", IPV4},
	{"::", MAPPED},
};
#define TCP_WAYS (sizeof(tcp_ways) / sizeof(tcp_ways[0]))

static struct ring_buffer *events_ring;
static struct latch_event events_seen[EVENTS_KEPT];
static unsigned int event_count;

/* Until the condition is true; fails the test after LIMIT_MS. */
#define wait_for(condition)                                                                        \
	do {                                                                                       \
		uint64_t wait_limit = loop_now_ms() + LIMIT_MS;                                    \
                                                                                                   \
		while (!(condition) && loop_now_ms() < wait_limit)                                 \
			sched_yield();                                                             \
		cr_assert(condition, "waited %d ms for " #condition, LIMIT_MS);                    \
	} while (0)

static inline int keep_event(void *context, void *data, size_t size)
{
	(void)context;
	cr_assert_eq(size, sizeof(struct latch_event));
	if (event_count < EVENTS_KEPT)
		memcpy(&events_seen[event_count++], data, size);
	return 0;
}

/* The programs are loaded and not attached. */
static inline void gate_set_up(void)
{
	struct latch_settings settings = {.drop_event_interval = HOUR_NS};
	__u32 key = 0;

	gates_set_up();
	cr_assert_eq(bpf_map_update_elem(maps.settings, &key, &settings, BPF_ANY), 0);
	events_ring = ring_buffer__new(maps.events, keep_event, NULL, NULL);
	cr_assert_not_null(events_ring);
	cgroup_enter();
	tcp_set_up();
}

static inline void gate_tear_down(void)
{
	if (ns.pid)
		tcp_tear_down();
	cgroup_leave();
	ring_buffer__free(events_ring);
	gates_tear_down();
}

static inline void attach(enum gates_part part)
{
	int err = gates_attach(gates, part, cgroup_fd);

	if (err == -EPERM)
		cr_skip_test("this kernel refuses to attach %s (EPERM)",
			     gates_program_name(gates, part));
	cr_assert_eq(err, 0, "%s: %s", gates_program_name(gates, part), strerror(-err));
}

/* 1: an event for every drop. */
static inline void set_drop_event_interval(uint64_t interval_ns)
{
	struct latch_settings settings;
	__u32 key = 0;

	cr_assert_eq(bpf_map_lookup_elem(maps.settings, &key, &settings), 0);
	settings.drop_event_interval = interval_ns;
	cr_assert_eq(bpf_map_update_elem(maps.settings, &key, &settings, BPF_ANY), 0);
}

static inline void attach_gates(void)
{
	attach(GATES_EGRESS);
	attach(GATES_INGRESS);
}

/* For what a test writes into a map itself: the programs would have advanced an epoch. */
static inline void forget_passes(void)
{
	struct latch_control control = {.op = LATCH_CONTROL_RESTAMP};
	LIBBPF_OPTS(bpf_test_run_opts, run, .ctx_in = &control, .ctx_size_in = sizeof(control));

	cr_assert_eq(bpf_prog_test_run_opts(maps.control, &run), 0);
	cr_assert_eq(run.retval, 0);
}

static inline void put_latch_as(const struct latch_flow *flow, enum latch_owner owner,
				uint64_t socket_cookie)
{
	struct latch latch = {
		.id = LATCH_ID,
		.owner = owner,
		.owner_since = 1000,
		.socket_cookie = socket_cookie,
		.word = {.generation = 9, .params = 3, .state = LATCH_STATE_ESTABLISHED},
	};

	cr_assert_eq(bpf_map_update_elem(maps.latches, flow, &latch, BPF_NOEXIST), 0);
	forget_passes();
}

static inline uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);

	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length), 0);
	return cookie;
}

/* Without a socket cookie. */
static inline void put_latch(const struct latch_flow *flow, enum latch_owner owner)
{
	put_latch_as(flow, owner, 0);
}

static inline void put_latch_of(const struct latch_flow *flow, int fd)
{
	put_latch_as(flow, LATCH_OWNER_SOCKET, cookie_of(fd));
}

static inline struct latch latch_of(const struct latch_flow *flow)
{
	struct latch latch = {0};

	cr_assert_eq(latch_get(&maps, flow, &latch), 0);
	return latch;
}

static inline bool has_latch(const struct latch_flow *flow)
{
	struct latch latch;
	int err = latch_get(&maps, flow, &latch);

	cr_assert(!err || err == -ENOENT);
	return !err;
}

/* The sum over all reasons but one, read at once: TCP may repeat a dropped segment meanwhile. */
static inline struct latch_drop_count drops_for_others(enum latch_drop but)
{
	struct latch_drop_count drops[LATCH_DROP_COUNT], sum = {0};
	int i;

	cr_assert_eq(drops_read(&maps, drops), 0);
	for (i = 0; i < LATCH_DROP_COUNT; i++) {
		if (i == (int)but)
			continue;
		sum.egress += drops[i].egress;
		sum.ingress += drops[i].ingress;
	}
	return sum;
}

/* A drop for an unexpected reason counts, too. */
static inline struct latch_drop_count drops_in_all(void)
{
	return drops_for_others(LATCH_DROP_COUNT);
}

static inline struct latch_drop_count drops_for(enum latch_drop why)
{
	struct latch_drop_count drops[LATCH_DROP_COUNT];

	cr_assert_eq(drops_read(&maps, drops), 0);
	return drops[why];
}

/* Counts the events of one type about one flow so far; *ret_last is the newest. */
static inline unsigned int events_of(enum latch_event_type type, const struct latch_flow *flow,
				     struct latch_event *ret_last)
{
	unsigned int i, found = 0;

	cr_assert_geq(ring_buffer__consume(events_ring), 0);
	for (i = 0; i < event_count; i++)
		if (events_seen[i].type == type &&
		    !memcmp(&events_seen[i].flow, flow, sizeof(*flow))) {
			found++;
			if (ret_last)
				*ret_last = events_seen[i];
		}
	return found;
}

/* True if the command succeeded. Its output is discarded. */
static inline bool run_in_namespace(const char *command)
{
	char line[256];

	snprintf(line, sizeof(line), "nsenter --net=/proc/%d/ns/net %s >/dev/null 2>&1",
		 (int)ns.pid, command);
	return system(line) == 0;
}

static inline void send_byte(int fd)
{
	cr_assert_eq(send(fd, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT), 1, "%s", strerror(errno));
}

static inline void set_no_delay(int fd)
{
	int on = 1;

	cr_assert_eq(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)), 0);
}

/* Both ends send each byte at once (TCP_NODELAY). */
static inline struct pair connect_prompt_pair(const char *listen_on, const char *connect_from)
{
	struct pair pair = connect_pair(listen_on, connect_from, NULL);

	set_no_delay(pair.client);
	set_no_delay(pair.server);
	return pair;
}

static inline bool is_readable(int fd)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};

	return poll(&readable, 1, 0) > 0;
}

static inline int tcp_state_of(int fd)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	return info.tcpi_state;
}

/* ---- a process that shares the test's sockets */

static inline pid_t start_holder(void)
{
	pid_t pid = fork();

	if (!pid)
		while (true)
			pause();
	cr_assert_gt(pid, 0);
	return pid;
}

static inline void kill_holder(pid_t pid)
{
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

#endif
