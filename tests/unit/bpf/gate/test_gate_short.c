/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * S38: short connections that gate, socket program and reaper begin and end, and what that costs.
 *
 *	  test's cgroup: gate_egress, watch_socket; the reaper
 *	+---------------------------------------------------------+
 *	| client ---- seems to be ESP, under a bound SA ---> server |
 *	|   ^                                                 |   |
 *	|   +------------------ in clear --------------------+   |
 *	+---------------------------------------------------------+
 *
 * The SYN of each client makes a latch, with the params of its SA. The ends take turns to reset. A
 * latch of a client that resets stays as in TIME_WAIT, until the same ports are used again or the
 * reaper comes. The machine needs no ESP, so nothing is checked on its way in.
 *
 * Half of the connections go without the programs before, for the ratio; no test depends on it. The
 * number and the ratio are the detail of the result. LATCHD_S38_NATIVE: so many connections (2000,
 * and a million in make conformance).
 */
#define LATCHES_ROOM 4096u

#include "pretended_esp.h"

#include <stdarg.h>
#include <time.h>

#include "latchd/latch/reaper.h"

#define FIRST_PORT 20000u
#define PORTS	   1000u /* of clients, used in turn; each has its SA */
#define BLOCK	   500u	 /* connections: the cheapest block counts, other work only adds */
#define PARAMS	   3
#define MINUTES_2  120000000000ull
#define TICK_MS	   20

static struct loop *loop;

#include "loop_wait.h"

TestSuite(gate_short, .init = gate_set_up, .fini = gate_tear_down, .timeout = 3600);

static uint32_t connections_asked(void)
{
	const char *text = getenv("LATCHD_S38_NATIVE");

	return text && *text ? (uint32_t)strtoul(text, NULL, 10) : 2000;
}

static uint64_t created(void)
{
	uint64_t counters[LATCH_COUNTER_COUNT];

	cr_assert_eq(counters_read(&maps, counters), 0);
	return counters[LATCH_COUNTER_LATCHES_CREATED];
}

/* ---- connections */

static int client_at(uint32_t number)
{
	struct address here = address_of(IPV4, (uint16_t)(FIRST_PORT + number % PORTS));
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0, "%s", strerror(errno));
	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
	cr_assert_eq(bind(fd, &here.any, here.length), 0, "%s", strerror(errno));
	return fd;
}

static void reset(int fd)
{
	struct linger linger = {.l_onoff = 1};

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
	close(fd);
}

static void expect_latched(int client, const struct address *there)
{
	struct latch_flow flow = flow_between(name_of(client, getsockname), *there);
	struct latch latch = latch_of(&flow);

	cr_assert_eq(latch.word.state, LATCH_STATE_ESTABLISHED);
	cr_assert_eq(latch.word.params, PARAMS);
}

static void visit(int listener, const struct address *there, uint32_t number, bool latched)
{
	int client = client_at(number), server;
	char byte;

	cr_assert_eq(connect(client, &there->any, there->length), 0, "%s", strerror(errno));
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(server, 0);
	if (latched && number % BLOCK == 0)
		expect_latched(client, there);
	reset(number % 2 ? client : server);
	recv(number % 2 ? server : client, &byte, 1, 0);
	close(number % 2 ? server : client);
}

/* Of this process: the loopback's packets are sent and received in its system calls. */
static uint64_t cpu_ns(void)
{
	struct timespec now;

	cr_assert_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The cost of one, in the cheapest block. */
static uint64_t visits(int listener, const struct address *there, uint32_t count, bool latched)
{
	uint64_t start = cpu_ns(), took, best = UINT64_MAX;
	uint32_t i;

	for (i = 0; i < count; i++) {
		visit(listener, there, i, latched);
		if (i % BLOCK != BLOCK - 1)
			continue;
		took = (cpu_ns() - start) / BLOCK;
		best = took < best ? took : best;
		start = cpu_ns();
	}
	return best;
}

/* ---- what is left of them */

struct left {
	uint32_t all, waiting;
};

static int count_left(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct left *left = context;

	(void)flow;
	left->all++;
	left->waiting += latch->owner == LATCH_OWNER_TIME_WAIT;
	return 0;
}

static struct left count_all(void)
{
	struct left left = {0};

	cr_assert_eq(latches_walk(&maps, count_left, &left), 0);
	return left;
}

static int age(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct latch older = *latch;

	(void)context;
	older.owner_since -= MINUTES_2;
	return bpf_map_update_elem(maps.latches, flow, &older, BPF_EXIST);
}

static bool none_is_left(void)
{
	return count_all().all == 0;
}

static bool one_is_left(void)
{
	return count_all().all == 1;
}

/* The reaper as latchd runs it, two minutes later. */
static void reap_until(bool (*done)(void))
{
	struct reaper reaper = {.maps = &maps};

	cr_assert_eq(latches_walk(&maps, age, NULL), 0);
	loop = loop_new();
	cr_assert_not_null(loop);
	reaper_start(&reaper, loop);
	loop_timer_arm(&reaper.timer, 0);
	wait_until(done);
	reaper_stop(&reaper);
	loop_free(loop);
}

/* ---- the test */

/* The detail of a passed test's result: a line in the file of tests/unit/run, or on stderr. */
__attribute__((format(printf, 2, 3))) static void note(const char *test, const char *format, ...)
{
	const char *path = getenv("LATCHD_NOTES");
	FILE *file = path ? fopen(path, "ae") : stderr;
	va_list arguments;

	cr_assert_not_null(file, "%s: %s", path, strerror(errno));
	fprintf(file, "%s\t", test);
	va_start(arguments, format);
	vfprintf(file, format, arguments);
	va_end(arguments);
	fputc('\n', file);
	if (path)
		cr_assert_eq(fclose(file), 0);
}

static void pretend(uint16_t port)
{
	struct address there = address_of(IPV4, port);
	uint32_t i;

	make_esp("ip", "tcp", port);
	run("nft 'add chain ip t back { type filter hook prerouting priority 0; }'");
	run("nft add rule ip t back ip protocol 50 ip protocol set 6");
	for (i = 0; i < PORTS; i++) {
		struct address here = address_of(IPV4, (uint16_t)(FIRST_PORT + i));
		struct latch_flow flow = flow_between(here, there);

		put_sa_of(&flow, LATCH_SA_BOUND, PARAMS);
	}
}

Test(gate_short, the_reaper_ends_short_connections_beside_one_that_stays_open)
{
	struct address there;
	struct latch_flow flow;
	int listener, client;
	uint32_t i;

	cr_assert_eq(setns(ns.fd, CLONE_NEWNET), 0, "%s", strerror(errno));
	listener = start_listener(IPV4, NULL);
	there = address_of(IPV4, port_of(listener));
	pretend(port_of(listener));
	attach(GATES_EGRESS);
	attach(GATES_SOCKET);
	client = client_at(0);
	cr_assert_eq(connect(client, &there.any, there.length), 0, "%s", strerror(errno));
	close(accept4(listener, NULL, NULL, SOCK_CLOEXEC));
	for (i = 1; i < PORTS; i += 2)
		visit(listener, &there, i, true);
	cr_expect_eq(count_all().all, PORTS / 2 + 1);
	reap_until(one_is_left);
	flow = flow_between(name_of(client, getsockname), there);
	cr_expect(has_latch(&flow));
	close(client);
	close(listener);
}

Test(gate_short, S38_short_connections_are_latched_by_the_gate_and_leave_no_latch)
{
	uint32_t count = connections_asked() / PORTS * PORTS;
	uint64_t plain_ns, latched_ns;
	struct address there;
	struct left left;
	int listener;

	cr_assert_eq(setns(ns.fd, CLONE_NEWNET), 0, "%s", strerror(errno));
	listener = start_listener(IPV4, NULL);
	there = address_of(IPV4, port_of(listener));
	pretend(port_of(listener));
	plain_ns = visits(listener, &there, count / 2, false);
	cr_assert_eq(created(), 0);
	attach(GATES_EGRESS);
	attach(GATES_SOCKET);
	latched_ns = visits(listener, &there, count, true);
	cr_expect_eq(created(), count, "%llu latches", (unsigned long long)created());
	cr_expect_eq(drops_in_all().egress, 0);
	left = count_all();
	cr_expect_eq(left.all, left.waiting, "%u latches without an owner",
		     left.all - left.waiting);
	cr_expect(left.all > 0 && left.all <= PORTS / 2, "%u latches", left.all);
	reap_until(none_is_left);
	cr_expect(none_is_left());
	close(listener);
	note("gate_short::S38_short_connections_are_latched_by_the_gate_and_leave_no_latch",
	     "%u short connections: none left, %u by the reaper; %llu ns of the processor each, %llu ns "
	     "without the programs: ratio %.2f",
	     count, left.all, (unsigned long long)latched_ns, (unsigned long long)plain_ns,
	     (double)latched_ns / (double)plain_ns);
}
