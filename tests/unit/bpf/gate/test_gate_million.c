/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * S38: a million latches in the table of the gates, and connections beside them.
 *
 *	  test's cgroup: gate_egress, gate_ingress, watch_socket
 *	+--------------------------------------------------------+
 *	| client <---- handshake, data, FIN, RST ----> server    |
 *	+--------------------------------------------------------+
 *	  latches: 1,000,000 of other flows, put there by the test
 *
 * There is no IPsec: a connection without a latch is in clear and passes, and one with a latch is
 * dropped. Both need a search of the table. The costs are printed, unless the program runs with
 * --quiet; no test depends on them. LATCHD_S38_CONNECTIONS: so many short connections (2000).
 */
#define CROWD	     1000000u
#define FEW	     1000u
#define LATCHES_ROOM 1048576u

#include "gate_fixture.h"

#include <time.h>

#define BATCH	4096u
#define ROUNDS	5
#define PACKETS 4000u
#define SAMPLES 1000u

TestSuite(gate_million, .init = gate_set_up, .fini = gate_tear_down, .timeout = 3600);

/* ---- the crowd */

/* 10.0.0.0/8 to port 4000 of 192.0.2.1. */
static struct latch_flow crowd_flow(uint32_t number)
{
	return (struct latch_flow){
		.netns = ns.cookie,
		.local_addr = {192, 0, 2, 1},
		.remote_addr = {10, (__u8)(number >> 16), (__u8)(number >> 8), (__u8)number},
		.local_port = 4000,
		.remote_port = 40000,
		.family = AF_INET,
		.protocol = IPPROTO_TCP,
	};
}

static struct latch crowd_latch(uint32_t number)
{
	return (struct latch){
		.id = 1000 + number,
		.owner = LATCH_OWNER_SOCKET,
		.word = {.generation = number, .params = 3, .state = LATCH_STATE_ESTABLISHED},
	};
}

static void put_batch(uint32_t first, uint32_t count)
{
	static struct latch_flow flows[BATCH];
	static struct latch latches[BATCH];
	LIBBPF_OPTS(bpf_map_batch_opts, options, .elem_flags = BPF_ANY);
	uint32_t i, done = count;

	for (i = 0; i < count; i++) {
		flows[i] = crowd_flow(first + i);
		latches[i] = crowd_latch(first + i);
	}
	cr_assert_eq(bpf_map_update_batch(maps.latches, flows, latches, &done, &options), 0);
	cr_assert_eq(done, count);
}

static void put_crowd(uint32_t first, uint32_t end)
{
	uint32_t count;

	for (; first < end; first += count) {
		count = end - first < BATCH ? end - first : BATCH;
		put_batch(first, count);
	}
}

struct census {
	uint32_t crowd, others;
	bool intact;
};

static int count_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	struct census *census = context;
	struct latch wanted;

	if (flow->local_port != 4000) {
		census->others++;
		return 0;
	}
	wanted = crowd_latch((uint32_t)latch->id - 1000);
	census->crowd++;
	census->intact &= latch->word.raw == wanted.word.raw && !latch->drops;
	return 0;
}

static struct census take_census(void)
{
	struct census census = {.intact = true};

	cr_assert_eq(latches_walk(&maps, count_latch, &census), 0);
	return census;
}

static void expect_crowd_alone(void)
{
	struct census census = take_census();

	cr_expect_eq(census.crowd, CROWD);
	cr_expect_eq(census.others, 0, "%u latches are left over", census.others);
	cr_expect(census.intact, "a latch of the crowd has changed");
}

/* ---- costs */

static void exchange(const struct pair *pair, uint32_t packets)
{
	char byte = 'x';

	while (packets--) {
		cr_assert_eq(send(pair->client, &byte, 1, MSG_NOSIGNAL), 1);
		cr_assert_eq(recv(pair->server, &byte, 1, 0), 1);
	}
}

/* Of this process: the loopback's packets are sent and received in its system calls. */
static uint64_t cpu_ns(void)
{
	struct timespec now;

	cr_assert_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* The smallest of some rounds: other work of the machine only adds to a round. */
static uint64_t packet_cost_ns(void)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);
	uint64_t start, took, best = UINT64_MAX;
	int i;

	for (i = 0; i < ROUNDS; i++) {
		start = cpu_ns();
		exchange(&pair, PACKETS);
		took = (cpu_ns() - start) / PACKETS;
		best = took < best ? took : best;
	}
	close_pair(&pair);
	return best;
}

/* What the map occupies, by the kernel's own account. */
static unsigned long long map_bytes(int map)
{
	unsigned long long bytes = 0;
	char path[64], line[128];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", map);
	file = fopen(path, "re");
	cr_assert_not_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	fclose(file);
	return bytes;
}

static void attach_all(void)
{
	attach_gates();
	attach(GATES_SOCKET);
}

Test(gate_million, S38_a_million_latches_are_each_found_and_obeyed)
{
	uint64_t few_ns, many_ns;
	struct latch latch;
	uint32_t i;

	attach_all();
	put_crowd(0, FEW);
	few_ns = packet_cost_ns();
	put_crowd(FEW, CROWD);
	many_ns = packet_cost_ns();
	expect_crowd_alone();
	for (i = 0; i < SAMPLES; i++) {
		uint32_t number = i * (CROWD / SAMPLES) + i % 7;
		struct latch_flow flow = crowd_flow(number);

		cr_assert_eq(latch_get(&maps, &flow, &latch), 0, "latch %u", number);
		cr_assert_eq(latch.id, 1000 + number);
	}
	fprintf(stderr,
		"S38: %u latches, capacity %u: %llu bytes of memory, %llu a latch; a packet through "
		"both gates %llu ns, %llu ns beside %u latches: ratio %.2f\n",
		CROWD, LATCHES_ROOM, map_bytes(maps.latches),
		map_bytes(maps.latches) / LATCHES_ROOM, (unsigned long long)many_ns,
		(unsigned long long)few_ns, FEW, (double)many_ns / (double)few_ns);
}

/* The connection's own latch is one of a million and one. */
Test(gate_million, S38_a_connection_beside_a_million_latches_obeys_its_own)
{
	struct pair pair, other;
	struct latch_flow flow;
	uint64_t before;

	put_crowd(0, CROWD);
	pair = connect_prompt_pair(IPV4, IPV4);
	other = connect_prompt_pair(IPV4, IPV4);
	flow = flow_of(pair.client);
	put_latch(&flow, LATCH_OWNER_SOCKET);
	attach_gates();
	send_byte(pair.client);
	wait_for(drops_for(LATCH_DROP_PLAINTEXT).egress > 0);
	send_byte(pair.server);
	wait_for(drops_for(LATCH_DROP_PLAINTEXT).ingress > 0);
	cr_assert_eq(latch_break(&maps, &flow, LATCH_ID, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
	before = drops_for(LATCH_DROP_BROKEN).egress;
	wait_for(drops_for(LATCH_DROP_BROKEN).egress > before);
	cr_expect_not(is_readable(pair.server));
	cr_expect_not(is_readable(pair.client));
	expect_alive(other.client, other.server);
	cr_assert_eq(latch_close(&maps, &flow, LATCH_ID), LATCH_CONTROL_DONE);
	expect_crowd_alone();
	close_pair(&pair);
	close_pair(&other);
}

/* ---- short connections */

/* The test's own process is in the namespace: namespace_socket() costs two changes for each. */
static int client_socket(void)
{
	struct address address = address_of(IPV4, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0, "%s", strerror(errno));
	cr_assert_eq(bind(fd, &address.any, address.length), 0, "%s", strerror(errno));
	return fd;
}

static void set_abort(int fd)
{
	struct linger linger = {.l_onoff = 1};

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
}

/* The end that resets keeps its latch for a while, as in TIME_WAIT, and the reaper releases it. */
static void expect_end(const struct latch_flow *flow)
{
	struct latch latch;

	if (latch_get(&maps, flow, &latch))
		return;
	cr_assert_eq(latch.owner, LATCH_OWNER_TIME_WAIT);
	cr_assert_eq(latch_reap(&maps, flow, &latch), LATCH_CONTROL_DONE);
}

/* Both ends have latches, as if the gate had created them. The ends take turns to reset. */
static void visit(int listener, const struct address *there, uint32_t number)
{
	int client = client_socket(), server;
	struct latch_flow out = flow_between(name_of(client, getsockname), *there);
	struct latch_flow in = other_end(out);
	char byte;

	put_latch(&out, LATCH_OWNER_HANDSHAKE);
	put_latch(&in, LATCH_OWNER_HANDSHAKE);
	cr_assert_eq(connect(client, &there->any, there->length), 0, "%s", strerror(errno));
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(server, 0);
	cr_assert(has_latch(&out) && has_latch(&in));
	set_abort(number % 2 ? client : server);
	close(number % 2 ? client : server);
	/* The other end is reset; its latch ends when it reads or closes. */
	recv(number % 2 ? server : client, &byte, 1, 0);
	close(number % 2 ? server : client);
	expect_end(&out);
	expect_end(&in);
}

static uint32_t connections(void)
{
	const char *text = getenv("LATCHD_S38_CONNECTIONS");

	return text && *text ? (uint32_t)strtoul(text, NULL, 10) : 2000;
}

Test(gate_million, S38_short_connections_beside_a_million_latches_leave_none)
{
	uint32_t i, count = connections();
	struct address there;
	int listener;

	put_crowd(0, CROWD);
	attach(GATES_SOCKET);
	cr_assert_eq(setns(ns.fd, CLONE_NEWNET), 0, "%s", strerror(errno));
	listener = start_listener(IPV4, NULL);
	there = address_of(IPV4, port_of(listener));
	for (i = 0; i < count; i++)
		visit(listener, &there, i);
	close(listener);
	expect_crowd_alone();
	fprintf(stderr, "S38: %u short connections, both ends latched: none left\n", count);
}
