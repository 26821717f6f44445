/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What one round of the disposition does, in numbers of operations. The linker prefers the
 * functions here to those of the archive: sockets are made up, and each operation is counted.
 */
#define LATCHES_ROOM 32768
#include "latch_fixture.h"

#include <dlfcn.h> /* RTLD_NEXT */

#include "latchd/latch/disposition.h"
#include "latchd/latch/sctp_abort.h"
#include "latchd/latch/sctp_disposition.h"
#include "latchd/latch/tcp_timeout.h"
#include "latchd/net/socket_diag.h"

/* The remote port of a flow decides which socket it has. */
enum made_up {
	FOUND = 1,     /* by the look-up */
	TO_DEVICE = 2, /* by the search only */
	CONNECTED = 3, /* no longer connecting */
	WITHOUT = 9,   /* no socket */
};

static struct disposition disposition;
static unsigned int resets, failures;

static struct operations {
	unsigned int lookups, searches, handshake_searches, timeouts, aborts, walks;
} now, most, all;
static unsigned int counted_round;
static bool ended[UINT16_MAX + 1]; /* sockets, by local port */
static bool timed[UINT16_MAX + 1]; /* namespaces */
static unsigned int aborts_of[UINT16_MAX + 1];
static unsigned int round_of_end[UINT16_MAX + 1];

static void count(unsigned int *in_round, unsigned int *at_most, unsigned int *in_all)
{
	if (counted_round != disposition.attempts.round) {
		counted_round = disposition.attempts.round;
		now = (struct operations){0};
	}
	++*in_round;
	++*in_all;
	if (*in_round > *at_most)
		*at_most = *in_round;
}

#define COUNT(what) count(&now.what, &most.what, &all.what)

/* ---- in place of the kernel */

static int end(const struct latch_flow *flow)
{
	ended[flow->local_port] = true;
	round_of_end[flow->local_port] = disposition.attempts.round;
	return 0;
}

static bool has_socket(const struct latch_flow *flow, bool searched)
{
	if (ended[flow->local_port])
		return false;
	return flow->remote_port == FOUND || flow->remote_port == CONNECTED ||
	       (searched && flow->remote_port == TO_DEVICE);
}

static int look_up(const struct latch_flow *flow)
{
	COUNT(lookups);
	return has_socket(flow, false) ? 0 : -ENOENT;
}

static int search(const struct latch_flow *flow)
{
	struct latch latch = {0};

	COUNT(searches);
	latch_get(&maps, flow, &latch);
	if (latch.owner == LATCH_OWNER_HANDSHAKE)
		COUNT(handshake_searches);
	return has_socket(flow, true) ? 0 : -ENOENT;
}

static int destroy(const struct latch_flow *flow, int found, bool connecting)
{
	if (found)
		return found;
	return connecting && flow->remote_port == CONNECTED ? -EISCONN : end(flow);
}

int socket_diag_prepare(void)
{
	return 0;
}

int socket_diag_destroy_found(const struct latch_flow *flow, uint64_t cookie, bool connecting)
{
	(void)cookie;
	return destroy(flow, look_up(flow), connecting);
}

int socket_diag_destroy_owner(const struct latch_flow *flow, uint64_t cookie)
{
	(void)cookie;
	return destroy(flow, search(flow), false);
}

int socket_diag_destroy_connecting(const struct latch_flow *flow, uint64_t cookie)
{
	(void)cookie;
	return destroy(flow, search(flow), true);
}

int socket_diag_find_owner(const struct latch_flow *flow, uint64_t cookie)
{
	(void)cookie;
	return look_up(flow);
}

int socket_diag_search(const struct latch_flow *flow, uint64_t cookie)
{
	(void)cookie;
	return search(flow);
}

int timeout_broken(const struct kernel_maps *of, uint64_t netns, timed_out_fn on_timed_out,
		   void *context)
{
	(void)of;
	(void)on_timed_out;
	(void)context;
	COUNT(timeouts);
	timed[(uint16_t)netns] = true;
	return 0;
}

int sctp_abort(const struct latch_flow *flow, const uint32_t *tags, size_t number)
{
	size_t i;

	cr_expect(tags || !number);
	for (i = 0; i < number; i++)
		COUNT(aborts);
	aborts_of[flow->local_port] += (unsigned int)number;
	round_of_end[flow->local_port] = disposition.attempts.round;
	return number ? 0 : -ENOENT;
}

/* The first part of each walk over a table is counted. */
int bpf_map_lookup_batch(int fd, void *in, void *out, void *keys, void *values, __u32 *number,
			 const struct bpf_map_batch_opts *opts)
{
	static int (*real)(int, void *, void *, void *, void *, __u32 *,
			   const struct bpf_map_batch_opts *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "bpf_map_lookup_batch");
	if (!in)
		COUNT(walks);
	return real(fd, in, out, keys, values, number, opts);
}

/* ---- latches */

static void on_news(void *context, const struct news *news)
{
	(void)context;
	resets += !news->error;
	failures += news->error != 0;
}

static struct news_subscriber subscriber = {.fn = on_news};
static const struct news_bus bus = {.first = &subscriber};

static void set_up(void)
{
	latches_start();
	disposition = (struct disposition){.maps = &maps, .news = &bus};
	resets = failures = counted_round = 0;
	now = most = all = (struct operations){0};
	memset(ended, 0, sizeof(ended));
	memset(aborts_of, 0, sizeof(aborts_of));
}

static void tear_down(void)
{
	disposition_stop(&disposition);
	latches_finish();
}

TestSuite(disposition_rounds, .init = set_up, .fini = tear_down, .timeout = 120);

static struct latch_flow flow_with(enum made_up socket, uint16_t port)
{
	struct latch_flow flow = flow_without_socket(port);

	flow.remote_port = socket;
	return flow;
}

static struct latch_flow put(enum made_up socket, uint16_t port, enum latch_owner owner)
{
	struct latch_flow flow = flow_with(socket, port);

	put_latch(&flow, LATCH_STATE_BROKEN, owner, 1);
	return flow;
}

static void set(const struct latch_flow *flow, enum latch_disposition how, uint8_t rule_flags,
		uint64_t association)
{
	struct latch latch;

	cr_assert_eq(latch_get(&maps, flow, &latch), 0);
	latch.disposition = how;
	latch.rule_flags = rule_flags;
	latch.association = association;
	cr_assert_eq(bpf_map_update_elem(maps.latches, flow, &latch, BPF_EXIST), 0);
}

static unsigned int rounds_wanted;

static bool had_rounds(void)
{
	return disposition.attempts.round >= rounds_wanted;
}

static void run_rounds(unsigned int number)
{
	rounds_wanted = disposition.attempts.round + number;
	wait_until(had_rounds);
}

static void break_again(void)
{
	disposition_run_soon(&disposition);
	run_rounds(1);
}

/* ---- sockets */

Test(disposition_rounds, a_few_sockets_are_all_ended_in_the_first_round)
{
	uint16_t port;

	for (port = 1; port <= 20; port++)
		put(port % 2 ? FOUND : TO_DEVICE, port, LATCH_OWNER_SOCKET);
	put(TO_DEVICE, 21, LATCH_OWNER_HANDSHAKE);
	disposition_start(&disposition, loop);
	run_rounds(1);
	for (port = 1; port <= 21; port++)
		cr_expect(ended[port], "port %u", port);
	cr_expect_eq(resets, 21);
	cr_expect_eq(all.lookups, 21);
	cr_expect_eq(all.searches, 11);
}

#define FLOOD 3000

static bool flood_is_gone(void)
{
	struct latch_flow flow;
	uint16_t port;

	for (port = 1; port <= FLOOD; port++) {
		flow = flow_with(WITHOUT, port);
		if (has_latch(&flow))
			return false;
	}
	return true;
}

/* A peer opens handshakes under an SA of its own, and then conflicts with itself. */
Test(disposition_rounds, a_flood_of_latches_without_a_socket_is_done_in_rounds)
{
	uint16_t port;

	for (port = 1; port <= FLOOD; port++)
		put(WITHOUT, port, LATCH_OWNER_HANDSHAKE);
	put(FOUND, 10001, LATCH_OWNER_SOCKET);
	put(TO_DEVICE, 10002, LATCH_OWNER_SOCKET);
	disposition_start(&disposition, loop);
	wait_until(flood_is_gone);
	cr_expect_leq(most.lookups, DISPOSITION_LOOKUPS);
	cr_expect_leq(most.searches, DISPOSITION_SEARCHES);
	cr_expect_leq(most.handshake_searches, DISPOSITION_HANDSHAKES);
	cr_expect_leq(most.walks, 1);
	cr_expect_leq(all.lookups, FLOOD + 2 + 2, "two sockets are checked once more");
	cr_expect_leq(all.searches, FLOOD + 2 + 2);
	cr_expect(ended[10001] && ended[10002]);
	cr_expect_leq(round_of_end[10001], FLOOD / DISPOSITION_LOOKUPS);
	cr_expect_leq(round_of_end[10002], FLOOD / DISPOSITION_LOOKUPS);
}

Test(disposition_rounds, breaks_in_a_row_leave_a_pause_between_two_rounds)
{
	put(FOUND, 1, LATCH_OWNER_SOCKET);
	disposition_start(&disposition, loop);
	run_rounds(1);
	disposition_run_soon(&disposition);
	disposition_run_soon(&disposition);
	cr_expect_eq(disposition.timer.deadline_ms, disposition.ended_ms + DISPOSITION_PAUSE_MS);
}

Test(disposition_rounds, an_established_connection_that_is_unreachable_is_looked_up_once)
{
	struct latch_flow flow = put(CONNECTED, 1, LATCH_OWNER_SOCKET), other;

	set(&flow, LATCH_DISPOSITION_UNREACHABLE, 0, 0);
	disposition_start(&disposition, loop);
	run_rounds(1);
	break_again();
	break_again();
	cr_expect_eq(all.lookups, 1);
	cr_expect_eq(all.searches, 0);
	other = put(FOUND, 2, LATCH_OWNER_SOCKET);
	break_again();
	cr_expect(ended[other.local_port]);
	cr_expect_not(ended[flow.local_port]);
}

Test(disposition_rounds, a_latch_that_breaks_again_is_tried_again)
{
	struct latch_flow flow = put(CONNECTED, 1, LATCH_OWNER_SOCKET);
	struct latch latch;

	set(&flow, LATCH_DISPOSITION_UNREACHABLE, 0, 0);
	disposition_start(&disposition, loop);
	run_rounds(1);
	cr_assert_eq(latch_get(&maps, &flow, &latch), 0);
	cr_assert_eq(latch_heal(&maps, &flow, latch.id, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
	cr_assert_eq(latch_break(&maps, &flow, latch.id, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
	break_again();
	cr_expect_eq(all.lookups, 2);
}

#define NAMESPACES 40

static bool all_timed(void)
{
	uint16_t netns;

	for (netns = 1; netns <= NAMESPACES && timed[netns]; netns++)
		;
	return netns > NAMESPACES;
}

/* Latches of different namespaces alternate in a walk. */
Test(disposition_rounds, one_walk_over_the_sockets_of_a_namespace_serves_all_of_its_timeouts)
{
	uint16_t netns, i;

	for (i = 0; i < 10; i++)
		for (netns = 1; netns <= NAMESPACES; netns++) {
			struct latch_flow flow = flow_with(FOUND, (uint16_t)(1000 + i));

			flow.netns = netns;
			put_latch(&flow, LATCH_STATE_BROKEN, LATCH_OWNER_SOCKET, 1);
			set(&flow, LATCH_DISPOSITION_RESET, LATCH_RULE_TIMEOUT, 0);
		}
	disposition_start(&disposition, loop);
	run_rounds(1);
	cr_expect_eq(most.timeouts, DISPOSITION_TIMEOUTS);
	wait_until(all_timed);
	cr_expect_eq(most.timeouts, DISPOSITION_TIMEOUTS);
}

/* ---- SCTP */

static struct latch_flow sctp_flow(uint16_t port, uint8_t path)
{
	struct latch_flow flow = flow_without_socket(port);

	flow.protocol = IPPROTO_SCTP;
	flow.remote_addr[2] = path;
	return flow;
}

static struct latch_flow put_path(uint16_t port, uint8_t path, enum latch_state state,
				  uint64_t association)
{
	struct latch_flow flow = sctp_flow(port, path);

	put_latch(&flow, state, LATCH_OWNER_SOCKET, 1);
	set(&flow, LATCH_DISPOSITION_RESET, 0, association);
	return flow;
}

static void put_tag(uint64_t association, uint32_t tag)
{
	const struct latch_association mark = {.id = association};
	struct latch_flow key = {
		.netns = ns.cookie,
		.protocol = IPPROTO_SCTP,
		.pad = LATCH_MARK_LOCAL_TAG,
	};

	memcpy(key.remote_addr, &tag, sizeof(tag));
	key.local_port = (uint16_t)association;
	cr_assert_eq(bpf_map_update_elem(maps.associations, &key, &mark, BPF_NOEXIST), 0);
}

Test(disposition_rounds, R_5_5_3_every_path_of_a_dead_association_is_tried)
{
	put_path(1, 1, LATCH_STATE_BROKEN, 5);
	put_path(2, 2, LATCH_STATE_BROKEN, 5);
	put_path(3, 1, LATCH_STATE_BROKEN, 6);
	put_path(4, 2, LATCH_STATE_ESTABLISHED, 6);
	put_tag(5, 50);
	put_tag(5, 51);
	put_tag(6, 60);
	disposition_start(&disposition, loop);
	run_rounds(1);
	cr_expect(aborts_of[1] == 2 && aborts_of[2] == 2);
	cr_expect_eq(aborts_of[3] + aborts_of[4], 0, "the other path carries the association");
	cr_expect_eq(resets, 2);
}

Test(disposition_rounds, an_association_that_was_aborted_is_not_aborted_at_a_later_break)
{
	struct latch_flow last;
	struct latch latch;

	put_path(1, 1, LATCH_STATE_BROKEN, 5);
	put_path(3, 1, LATCH_STATE_BROKEN, 6);
	last = put_path(4, 2, LATCH_STATE_ESTABLISHED, 6);
	put_tag(5, 50);
	put_tag(6, 60);
	disposition_start(&disposition, loop);
	run_rounds(1);
	cr_assert_eq(latch_get(&maps, &last, &latch), 0);
	cr_assert_eq(latch_break(&maps, &last, latch.id, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
	break_again();
	cr_expect(aborts_of[1] == 1 && aborts_of[3] == 1 && aborts_of[4] == 1);
	cr_expect_eq(resets, 3);
}

#define ASSOCIATIONS 2000

static bool all_aborted(void)
{
	uint16_t port;

	for (port = 1; port <= ASSOCIATIONS && aborts_of[port]; port++)
		;
	return port > ASSOCIATIONS;
}

/* A peer with many associations is dead, as may happen to any host. */
Test(disposition_rounds, many_associations_are_aborted_in_rounds_of_two_walks)
{
	uint16_t port;

	for (port = 1; port <= ASSOCIATIONS; port++) {
		put_path(port, 1, LATCH_STATE_BROKEN, port);
		put_tag(port, port);
	}
	disposition_start(&disposition, loop);
	wait_until(all_aborted);
	cr_expect_leq(most.aborts, SCTP_ABORT_ROUND);
	cr_expect_leq(most.walks, 2);
	cr_expect_leq(all.walks, 2 * (ASSOCIATIONS / SCTP_ABORT_ROUND + 1));
	cr_expect_eq(all.aborts, ASSOCIATIONS);
}

#define TAGS	  300
#define MANY_TAGS 5 /* associations: more than a round serves */

static bool all_tags_tried(void)
{
	return all.aborts >= MANY_TAGS * TAGS + 1;
}

/* A peer makes any number of tags: each INIT gets another one. */
Test(disposition_rounds, associations_of_many_tags_delay_no_other_one)
{
	uint32_t tag;
	uint16_t i;

	for (i = 1; i <= MANY_TAGS; i++) {
		put_path(i, 1, LATCH_STATE_BROKEN, i);
		put_path(i, 2, LATCH_STATE_BROKEN, i);
		for (tag = 1; tag <= TAGS; tag++)
			put_tag(i, tag);
	}
	disposition_start(&disposition, loop);
	run_rounds(2);
	put_path(9, 1, LATCH_STATE_BROKEN, 9);
	put_tag(9, 1);
	break_again();
	cr_expect_eq(aborts_of[9], 1);
	wait_until(all_tags_tried);
	cr_expect_leq(most.aborts, SCTP_ABORT_ROUND);
	for (i = 1; i <= MANY_TAGS; i++)
		cr_expect_eq(aborts_of[i], TAGS, "each tag once, on one path");
}
