/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What an answer costs, in policies that are looked at. A branch with n networks here and n there,
 * at 10.9.0.3, beside a tunnel for all of them, at 10.9.0.2. There is a policy for each pair of
 * networks.
 */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "latchd/choice/choice.h"

#define NETNS	 7
#define WORK_MAX 524288
#define CLAIMED	 64 /* networks at most */

static struct loop *loop;
static struct choice *choice;
static struct traffic_selector_set all_local, all_remote, some_local, some_remote;
static struct sa_way wide, branch;

static struct {
	unsigned int networks;
	unsigned int other_ids; /* policies of other interface ids */
	bool has_ids;
	int links;
	unsigned int device_loads;
} kernel;

static struct choice_policy policy_of(enum policy_direction direction, uint32_t priority,
				      const struct sa_way *way)
{
	struct choice_policy policy;

	memset(&policy, 0, sizeof(policy));
	policy.direction = direction;
	policy.family = AF_INET;
	policy.priority = priority;
	policy.certain = policy.protects = true;
	policy.template_protocol = IPPROTO_ESP;
	policy.template_mode = XFRM_MODE_TUNNEL;
	policy.template_family = AF_INET;
	memcpy(policy.template_local, way->local, sizeof(policy.template_local));
	memcpy(policy.template_remote, way->remote, sizeof(policy.template_remote));
	return policy;
}

static void set_network(uint8_t low[16], uint8_t high[16], uint8_t second, int third)
{
	const uint8_t from[] = {10, second, (uint8_t)(third < 0 ? 0 : third), 0},
		      to[] = {10, second, (uint8_t)(third < 0 ? 255 : third), 255};

	memcpy(low, from, sizeof(from));
	memcpy(high, to, sizeof(to));
}

static void add(struct choice_table *table, struct choice_policy policy, int local, int remote)
{
	set_network(policy.local_low, policy.local_high, 1, local);
	set_network(policy.remote_low, policy.remote_high, 2, remote);
	cr_assert_eq(choice_table_add_policy(table, &policy), 0);
}

static int load(uint64_t netns, struct choice_table *ret)
{
	struct choice_policy policy;
	enum policy_direction direction;
	unsigned int i, j;

	cr_assert_eq(netns, NETNS);
	*ret = (struct choice_table){.has_ids = kernel.has_ids};
	for (direction = POLICY_OUT; direction < POLICY_DIRECTIONS; direction++) {
		add(ret, policy_of(direction, 200, &wide), -1, -1);
		policy = policy_of(direction, 100, &branch);
		for (i = 0; i < kernel.networks; i++)
			for (j = 0; j < kernel.networks; j++)
				add(ret, policy, (int)i, (int)j);
		for (policy.if_id = 1; policy.if_id <= kernel.other_ids; policy.if_id++)
			add(ret, policy, -1, -1);
	}
	return choice_table_build(ret);
}

static int load_devices(uint64_t netns, struct choice_table *ret)
{
	cr_assert_eq(netns, NETNS);
	kernel.device_loads++;
	(void)ret;
	return 0;
}

static int open_links(uint64_t netns)
{
	int pair[2];

	cr_assert_eq(netns, NETNS);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
	kernel.links = pair[1];
	return pair[0];
}

static int last_edit(void *context, uint64_t netns, uint64_t *ret_ns)
{
	(void)context;
	(void)netns;
	*ret_ns = 0;
	return 0;
}

static void on_changed(void *context, uint64_t netns, const struct choice_change *change)
{
	(void)context;
	(void)netns;
	(void)change;
}

static void claim(struct traffic_selector_set *set, unsigned int second, unsigned int networks)
{
	char text[32];
	unsigned int i;

	for (i = 0; i < networks; i++) {
		snprintf(text, sizeof(text), "10.%u.%u.0/24", second, i);
		traffic_selector_set_add(set, text, strlen(text));
	}
	if (!networks) {
		snprintf(text, sizeof(text), "10.%u.0.0/16", second);
		traffic_selector_set_add(set, text, strlen(text));
	}
	traffic_selector_set_seal(set);
}

static struct sa_way way_to(const char *gateway)
{
	struct sa_way way = {.family = AF_INET, .protocol = IPPROTO_ESP, .mode = XFRM_MODE_TUNNEL};

	inet_pton(AF_INET, "10.9.0.1", way.local);
	inet_pton(AF_INET, gateway, way.remote);
	return way;
}

static void start(void)
{
	static const struct choice_source source = {.load = load,
						    .load_devices = load_devices,
						    .open_links = open_links,
						    .last_edit = last_edit};

	memset(&kernel, 0, sizeof(kernel));
	loop = loop_new();
	cr_assert_not_null(loop);
	choice = choice_new(loop, &source, on_changed, NULL);
	cr_assert_not_null(choice);
	wide = way_to("10.9.0.2");
	branch = way_to("10.9.0.3");
	claim(&all_local, 1, 0);
	claim(&all_remote, 2, 0);
}

static void finish(void)
{
	traffic_selector_set_release(&all_local);
	traffic_selector_set_release(&all_remote);
	traffic_selector_set_release(&some_local);
	traffic_selector_set_release(&some_remote);
	choice_free(choice);
	loop_free(loop);
}

TestSuite(choice_answers, .init = start, .fini = finish, .timeout = 60);

/* Work of the comparison with so many networks on both sides. */
static uint64_t compare(unsigned int networks, bool *ret_both)
{
	const struct choice_claim one = {&wide, &all_local, &all_remote},
				  other = {&branch, &some_local, &some_remote};
	uint64_t work = 0;

	kernel.networks = networks;
	traffic_selector_set_release(&some_local);
	traffic_selector_set_release(&some_remote);
	claim(&some_local, 1, networks);
	claim(&some_remote, 2, networks);
	choice_refresh(choice, NETNS);
	*ret_both = choice_may_both_carry(choice, NETNS, &one, &other, &work);
	return work;
}

Test(choice_answers, forty_networks_on_both_sides_have_an_exact_answer)
{
	bool both;

	compare(40, &both);
	cr_expect_not(both);
}

Test(choice_answers, R_2_3_8_the_work_of_two_claims_has_a_bound_beyond_which_they_conflict)
{
	uint64_t work, twice;
	bool both;

	work = compare(CLAIMED / 4, &both);
	cr_expect_not(both);
	twice = compare(CLAIMED / 2, &both);
	cr_expect_not(both);
	cr_expect_gt(twice, 4 * work);
	work = compare(CLAIMED, &both);
	cr_expect(both);
	cr_expect_leq(work, WORK_MAX + 2 * CLAIMED, "%lu", work);
	twice = compare(2 * CLAIMED, &both);
	cr_expect(both);
	cr_expect_leq(twice, WORK_MAX + 4 * CLAIMED, "%lu", twice);
}

Test(choice_answers, policies_of_other_interface_ids_cost_an_answer_nothing)
{
	uint64_t alone, among;
	bool both;

	alone = compare(4, &both);
	kernel.other_ids = 1000;
	among = compare(4, &both);
	cr_expect_eq(among, alone);
}

/* ---- reports of links */

static bool (*done)(void);
static struct loop_timer poll_timer;

static void on_poll(void *context)
{
	(void)context;
	if (done())
		loop_stop(loop);
	else
		loop_timer_arm(&poll_timer, 5);
}

static void run_until(bool (*condition)(void))
{
	done = condition;
	loop_timer_init(loop, &poll_timer, on_poll, NULL);
	loop_timer_arm(&poll_timer, 0);
	cr_assert_eq(loop_run(loop), 0);
}

static bool has_links(void)
{
	return kernel.links > 0 && kernel.device_loads > 0;
}

static unsigned int loads_before;

static bool has_looked_again(void)
{
	return kernel.device_loads > loads_before;
}

/* Without a report the next look is ten seconds later. */
Test(choice_answers, a_report_of_a_link_makes_latchd_look_at_the_devices, .timeout = 9)
{
	kernel.has_ids = true;
	kernel.networks = 1;
	choice_refresh(choice, NETNS);
	run_until(has_links);
	loads_before = kernel.device_loads;
	cr_assert_eq(send(kernel.links, "x", 1, 0), 1);
	run_until(has_looked_again);
	cr_expect_eq(kernel.device_loads, loads_before + 1);
	close(kernel.links);
}
