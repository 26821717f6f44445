/* SPDX-License-Identifier: BSD-2-Clause */
/* A full share of foreign namespaces: how often latchd looks one up, and what it says of it. */
#include "netfilter_fixture.h"

#include "common/loop.h"
#include "latchd/enforce/netfilter/netfilter_netns.h"
#include "latchd/net/netns.h"

#define LIMIT_MS 60000
#define CROWD	 (NETFILTER_NETNS_FOREIGN_MAX + 2)

static struct netfilter b;
static struct loop *loop;
static struct netfilter_netns *netfilter_netns;
static struct namespace crowd[CROWD], own;

/* ---- in place of latchd's look-up of namespaces */

static unsigned int look_ups;
static bool too_many;

int netns_open(uint64_t cookie)
{
	size_t i;

	look_ups++;
	if (too_many)
		return -EAGAIN;
	if (cookie == own.cookie)
		return fcntl(own.fd, F_DUPFD_CLOEXEC, 0);
	for (i = 0; i < CROWD; i++)
		if (crowd[i].cookie == cookie)
			return fcntl(crowd[i].fd, F_DUPFD_CLOEXEC, 0);
	return -ENOENT;
}

void netns_hint(uint64_t cookie, pid_t pid)
{
	(void)cookie;
	(void)pid;
}

int netns_is_foreign(uint64_t cookie)
{
	(void)cookie;
	return -ENOENT;
}

uint64_t netns_passes(void)
{
	return 0;
}

int netns_walk(netns_visit_fn visit, void *context)
{
	(void)visit;
	(void)context;
	return 0;
}

/* ---- */

static void start(void)
{
	size_t i;

	netfilter_private_pins();
	netfilter_load(&b);
	loop = loop_new();
	cr_assert_not_null(loop);
	for (i = 0; i < CROWD; i++)
		namespace_start_foreign(&crowd[i]);
	namespace_start(&own);
	netfilter_netns = netfilter_netns_new(loop, &b.maps, &b.gate);
	cr_assert_not_null(netfilter_netns);
}

static void finish(void)
{
	size_t i;

	netfilter_netns_free(netfilter_netns);
	loop_free(loop);
	object_release(&b.object);
	for (i = 0; i < CROWD; i++)
		namespace_end(&crowd[i]);
	namespace_end(&own);
}

TestSuite(netfilter_share, .init = start, .fini = finish, .timeout = 180);

static void put_latches(const struct namespace *ns, unsigned int count)
{
	struct latch entry = {.word = {.state = LATCH_STATE_LARVAL}};

	while (count) {
		struct latch_flow flow = {
			.netns = ns->cookie, .local_port = (uint16_t)count--, .family = AF_INET};

		cr_assert_eq(bpf_map_update_elem(b.maps.latches, &flow, &entry, BPF_ANY), 0);
	}
}

static void fill(void)
{
	size_t i;

	for (i = 0; i < NETFILTER_NETNS_FOREIGN_MAX; i++)
		netfilter_netns_add(netfilter_netns, crowd[i].cookie, NETFILTER_NETNS_FOREIGN);
}

/* ---- waiting, while the loop runs */

static struct loop_timer watch;
static unsigned int waited_ms;

static bool own_is_listed(void)
{
	struct netfilter_netns_entry known[CROWD + 1];
	size_t count = netfilter_netns_list(netfilter_netns, known, CROWD + 1), i;

	for (i = 0; i < count; i++)
		if (known[i].cookie == own.cookie)
			return known[i].attached;
	return false;
}

static void check_own(void *context)
{
	(void)context;
	waited_ms += 20;
	if (own_is_listed() || waited_ms > LIMIT_MS)
		loop_stop(loop);
	else
		loop_timer_arm(&watch, 20);
}

static void await_own(void)
{
	loop_timer_init(loop, &watch, check_own, NULL);
	loop_timer_arm(&watch, 1);
	cr_assert_eq(loop_run(loop), 0);
	cr_assert(own_is_listed(), "not within %d ms", LIMIT_MS);
}

/* ---- tests */

Test(netfilter_share, a_namespace_with_many_latches_is_looked_up_once)
{
	put_latches(&crowd[CROWD - 1], 15);
	put_latches(&crowd[CROWD - 2], 15);
	put_latches(&own, 15);
	fill();
	look_ups = 0;
	netfilter_netns_start(netfilter_netns);
	cr_expect_leq(look_ups, 3, "%u look-ups of three namespaces", look_ups);
	cr_expect(own_is_listed());
}

Test(netfilter_share, a_namespace_of_the_host_that_could_not_be_looked_up_is_found_later)
{
	netfilter_netns_start(netfilter_netns);
	fill();
	too_many = true;
	netfilter_netns_add(netfilter_netns, own.cookie, NETFILTER_NETNS_UNKNOWN);
	netfilter_netns_add(netfilter_netns, crowd[CROWD - 1].cookie, NETFILTER_NETNS_UNKNOWN);
	cr_expect_not(own_is_listed());
	cr_expect_not(netfilter_netns_is_foreign(netfilter_netns, own.cookie));
	too_many = false;
	await_own();
	cr_expect_not(netfilter_netns_is_foreign(netfilter_netns, own.cookie));
	cr_expect(netfilter_netns_is_foreign(netfilter_netns, crowd[CROWD - 1].cookie));
}

Test(netfilter_share, a_namespace_with_a_place_is_foreign_only_if_a_look_up_says_so)
{
	too_many = true;
	netfilter_netns_add(netfilter_netns, own.cookie, NETFILTER_NETNS_UNKNOWN);
	cr_expect_not(netfilter_netns_is_foreign(netfilter_netns, own.cookie));
	too_many = false;
	netfilter_netns_add(netfilter_netns, crowd[0].cookie, NETFILTER_NETNS_UNKNOWN);
	cr_expect(netfilter_netns_is_foreign(netfilter_netns, crowd[0].cookie));
}

Test(netfilter_share, the_number_of_remembered_namespaces_has_a_limit)
{
	uint64_t cookie;

	fill();
	for (cookie = 1ULL << 40; cookie < (1ULL << 40) + 10000; cookie++)
		netfilter_netns_add(netfilter_netns, cookie, NETFILTER_NETNS_UNKNOWN);
	cr_expect_leq(look_ups, NETFILTER_NETNS_FOREIGN_MAX + 4096, "%u", look_ups);
	netfilter_netns_add(netfilter_netns, crowd[CROWD - 1].cookie, NETFILTER_NETNS_OWN);
	cr_expect_not(netfilter_netns_is_foreign(netfilter_netns, crowd[CROWD - 1].cookie));
}
