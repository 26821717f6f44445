/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Which SA may the kernel use? One SA, at 10.9.0.2, and one flow 10.8.0.1:1000 -> 10.2.0.1:80. The
 * index must say the same as a comparison of all policies.
 */
#include <criterion/criterion.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "seed.h"

#include "latchd/choice/choice_join.h"

static struct choice_table table;
static struct sa_way way;
static struct choice_box box;
static struct choice_work work;
static struct random chance = {0x5660};

static void address(uint8_t out[16], const char *text)
{
	memset(out, 0, 16);
	cr_assert_eq(inet_pton(strchr(text, ':') ? AF_INET6 : AF_INET, text, out), 1);
}

static struct traffic_selector end(const char *text, uint16_t port)
{
	struct traffic_selector selector = {
		.family = AF_INET, .protocol = IPPROTO_TCP, .port_low = port, .port_high = port};

	address(selector.low, text);
	address(selector.high, text);
	return selector;
}

static void start(void)
{
	way = (struct sa_way){.family = AF_INET, .protocol = IPPROTO_ESP, .mode = XFRM_MODE_TUNNEL};
	address(way.local, "10.9.0.1");
	address(way.remote, "10.9.0.2");
	work = (struct choice_work){.limit = UINT64_MAX};
	box = (struct choice_box){end("10.8.0.1", 1000), end("10.2.0.1", 80)};
}

static void finish(void)
{
	choice_table_release(&table);
}

TestSuite(choice_table, .init = start, .fini = finish, .timeout = 60);

struct spec {
	struct policy policy;
	struct xfrm_user_tmpl template;
};

/* A policy to 10.2.0.0/16 by the gateway. */
static struct spec policy_to(const char *gateway, enum policy_direction direction,
			     uint32_t priority)
{
	bool out = direction == POLICY_OUT;
	struct spec s = {
		.policy = {.family = AF_INET,
			   .direction = direction,
			   .action = POLICY_PROTECT,
			   .priority = priority,
			   .template_count = 1},
		.template = {.family = AF_INET, .id.proto = IPPROTO_ESP, .mode = XFRM_MODE_TUNNEL},
	};

	address(out ? s.policy.destination : s.policy.source, "10.2.0.0");
	*(out ? &s.policy.destination_bits : &s.policy.source_bits) = 16;
	inet_pton(AF_INET, gateway, out ? (void *)&s.template.id.daddr : (void *)&s.template.saddr);
	inet_pton(AF_INET, "10.9.0.1",
		  out ? (void *)&s.template.saddr : (void *)&s.template.id.daddr);
	return s;
}

static void add(const struct spec *s)
{
	struct choice_policy policy;

	choice_policy_of(&s->policy, &s->template, &policy);
	cr_assert_eq(choice_table_add_policy(&table, &policy), 0);
}

static bool may_carry(void)
{
	cr_assert_eq(choice_table_build(&table), 0);
	return choice_table_may_carry(&table, &way, &box, &work);
}

/* Both directions by the other gateway, so that nothing but the policy under test is in question.
 */
static void add_others(uint32_t priority)
{
	struct spec out = policy_to("10.9.0.3", POLICY_OUT, priority);
	struct spec in = policy_to("10.9.0.3", POLICY_IN, priority);

	add(&out);
	add(&in);
}

Test(choice_table, an_sa_whose_gateway_no_deciding_policy_names_carries_nothing)
{
	add_others(100);
	cr_expect_not(may_carry());
}

/* The policy under test is preferred to those of the other gateway. */
#define MAY(name, expected, direction, change)                                                     \
	Test(choice_table, name)                                                                   \
	{                                                                                          \
		struct spec s = policy_to("10.9.0.2", direction, 50);                              \
                                                                                                   \
		add_others(100);                                                                   \
		change;                                                                            \
		add(&s);                                                                           \
		cr_expect_eq(may_carry(), expected);                                               \
	}

MAY(a_policy_out_with_the_sas_addresses_may_choose_it, true, POLICY_OUT, (void)s)
MAY(a_policy_in_with_the_sas_remote_address_may_accept_it, true, POLICY_IN, (void)s)
MAY(the_reqid_separates_nothing, true, POLICY_OUT, s.template.reqid = 7)
MAY(a_template_without_addresses_fits_any_sa, true, POLICY_OUT,
    (s.template.id.daddr.a4 = s.template.saddr.a4 = 0))
MAY(packets_out_need_the_local_address, false, POLICY_OUT,
    inet_pton(AF_INET, "10.9.0.7", &s.template.saddr))
MAY(packets_in_are_not_checked_for_the_local_address, true, POLICY_IN,
    inet_pton(AF_INET, "10.9.0.7", &s.template.id.daddr))
MAY(another_mode_of_the_template_fits_not, false, POLICY_OUT, s.template.mode = XFRM_MODE_TRANSPORT)
MAY(another_protocol_of_the_template_fits_not, false, POLICY_OUT, s.template.id.proto = IPPROTO_AH)
MAY(a_transport_template_fits_an_sa_of_any_address, true, POLICY_OUT,
    (s.template.mode = XFRM_MODE_TRANSPORT, way.mode = XFRM_MODE_TRANSPORT,
     inet_pton(AF_INET, "10.9.0.7", &s.template.id.daddr)))
MAY(several_templates_may_fit, true, POLICY_IN,
    (s.policy.template_count = 2, s.template.id.proto = IPPROTO_COMP))
MAY(an_optional_template_may_fit, true, POLICY_IN,
    (s.template.optional = 1, s.template.mode = XFRM_MODE_TRANSPORT))
MAY(a_policy_with_a_mark_may_decide, true, POLICY_OUT, s.policy.limited = true)
MAY(an_entry_of_latchd_may_decide, true, POLICY_OUT, s.policy.entry = true)
MAY(a_lower_priority_does_not_decide, false, POLICY_OUT, s.policy.priority = 101)
MAY(an_equal_priority_may_decide, true, POLICY_OUT, s.policy.priority = 100)
MAY(another_interface_id_does_not_decide, false, POLICY_OUT, s.policy.if_id = 7)
MAY(another_family_does_not_decide, false, POLICY_OUT, s.policy.family = AF_INET6)
MAY(another_port_does_not_decide, false, POLICY_OUT,
    (s.policy.destination_port = 81, s.policy.destination_port_mask = 0xffff))
MAY(another_protocol_does_not_decide, false, POLICY_OUT, s.policy.protocol = IPPROTO_UDP)
MAY(another_network_does_not_decide, false, POLICY_OUT, s.policy.destination[1] = 3)
MAY(a_bypass_in_accepts_no_tunnel, false, POLICY_IN,
    (s.policy.action = POLICY_BYPASS, s.policy.template_count = 0))
MAY(a_bypass_in_accepts_transport_mode, true, POLICY_IN,
    (s.policy.action = POLICY_BYPASS, s.policy.template_count = 0, way.mode = XFRM_MODE_TRANSPORT))
MAY(a_bypass_out_uses_no_sa, false, POLICY_OUT,
    (s.policy.action = POLICY_BYPASS, s.policy.template_count = 0))
MAY(a_block_uses_no_sa, false, POLICY_IN,
    (s.policy.action = POLICY_BLOCK, s.policy.template_count = 0))
MAY(a_tunnel_of_the_other_family_is_not_ruled_out_in, true, POLICY_IN,
    (s.template.family = AF_INET6, way.family = AF_INET6, box.local.family = AF_INET))
MAY(a_marked_sa_is_not_ruled_out, true, POLICY_OUT, (s.policy.priority = 200, way.marked = 1))

Test(choice_table, a_policy_that_decides_over_a_part_leaves_the_rest_to_the_next)
{
	struct spec out = policy_to("10.9.0.2", POLICY_OUT, 200),
		    in = policy_to("10.9.0.2", POLICY_IN, 200);

	add_others(100);
	add(&out);
	add(&in);
	cr_expect_not(may_carry());
	choice_table_release(&table);
	add_others(100);
	table.policies[0].remote_port = table.policies[1].remote_port = 80;
	table.policies[0].remote_port_mask = table.policies[1].remote_port_mask = 0xffff;
	add(&out);
	add(&in);
	box.remote.port_high = 81;
	cr_expect(may_carry());
}

Test(choice_table, without_a_policy_in_any_sa_may_be_accepted)
{
	struct spec out = policy_to("10.9.0.3", POLICY_OUT, 100);

	add(&out);
	cr_expect(may_carry());
}

Test(choice_table, an_sa_with_the_id_of_no_device_is_also_checked_without_id)
{
	struct spec in = policy_to("10.9.0.3", POLICY_IN, 100),
		    own = policy_to("10.9.0.2", POLICY_IN, 100);

	way.if_id_in = way.if_id_out = in.policy.if_id = 41;
	add(&in);
	cr_assert_eq(choice_table_add_device(&table, 41), 0);
	cr_expect_not(may_carry());
	table.device_count = 0;
	add(&own);
	cr_expect(may_carry());
}

Test(choice_table, an_unreadable_table_rules_nothing_out)
{
	struct sa_way other = {.if_id_in = 42, .if_id_out = 42};

	add_others(100);
	way.if_id_in = way.if_id_out = 41;
	choice_table_add_device(&table, 41);
	choice_table_add_device(&table, 42);
	cr_expect(choice_table_tells_apart(&table, &way, &other));
	table.unreadable = true;
	cr_expect_not(choice_table_tells_apart(&table, &way, &other));
	cr_expect(may_carry());
}

/* ---- the index against a comparison of all */

static struct choice_policy any_policy(void)
{
	struct choice_policy policy = {
		.family = draw(&chance, 4) ? AF_INET : AF_INET6,
		.direction = draw(&chance, 2) ? POLICY_OUT : POLICY_IN,
		.priority = draw(&chance, 4),
		.if_id = draw(&chance, 3) ? 0 : 41,
		.certain = draw(&chance, 4),
		.protects = true,
		.template_protocol = IPPROTO_ESP,
		.template_mode = XFRM_MODE_TUNNEL,
		.template_family = AF_INET,
	};
	unsigned int first = draw(&chance, 8), last = first + draw(&chance, 4);

	policy.remote_low[0] = (uint8_t)first;
	memset(policy.remote_high, 0xff, policy.family == AF_INET ? 4 : 16);
	policy.remote_high[0] = (uint8_t)last;
	memset(policy.local_high, 0xff, sizeof(policy.local_high));
	address(policy.template_remote, draw(&chance, 2) ? "10.9.0.2" : "10.9.0.3");
	return policy;
}

static bool decides(const struct choice_policy *policy, enum policy_direction direction,
		    uint32_t if_id)
{
	return policy->direction == direction && policy->if_id == if_id &&
	       choice_policy_touches(policy, &box);
}

static bool may_use_by_all(enum policy_direction direction, uint32_t if_id)
{
	uint64_t priority = UINT64_MAX;
	bool may_use = false;
	size_t i;

	for (i = 0; i < table.count; i++)
		if (decides(&table.policies[i], direction, if_id) && table.policies[i].certain &&
		    choice_policy_covers(&table.policies[i], &box) &&
		    table.policies[i].priority < priority)
			priority = table.policies[i].priority;
	for (i = 0; i < table.count; i++)
		may_use |= decides(&table.policies[i], direction, if_id) &&
			   table.policies[i].priority <= priority &&
			   choice_policy_may_use(&table.policies[i], &way);
	return may_use || (direction == POLICY_IN && priority == UINT64_MAX);
}

Test(choice_table, the_index_finds_what_a_comparison_of_all_policies_finds)
{
	unsigned int round, i, yes = 0;

	way.if_id_in = way.if_id_out = 41;
	for (round = 0; round < 3000; round++) {
		for (i = draw(&chance, 24); i > 0; i--) {
			struct choice_policy policy = any_policy();

			choice_table_add_policy(&table, &policy);
		}
		choice_table_add_device(&table, 41);
		memset(&box.remote.high, 0xff, 4);
		box.remote.low[0] = (uint8_t)draw(&chance, 8);
		box.remote.high[0] = (uint8_t)(box.remote.low[0] + draw(&chance, 2));
		yes += may_carry();
		cr_assert_eq(choice_table_may_carry(&table, &way, &box, &work),
			     may_use_by_all(POLICY_OUT, 41) || may_use_by_all(POLICY_IN, 41));
		choice_table_release(&table);
	}
	cr_expect(yes > 300 && yes < 2900, "%u", yes);
}

/* ---- two dumps */

static void dump_with(struct choice_table *dump, const struct spec *one, const struct spec *other)
{
	struct choice_policy policy;

	*dump = (struct choice_table){0};
	choice_policy_of(&one->policy, &one->template, &policy);
	cr_assert_eq(choice_table_add_policy(dump, &policy), 0);
	choice_policy_of(&other->policy, &other->template, &policy);
	cr_assert_eq(choice_table_add_policy(dump, &policy), 0);
	cr_assert_eq(choice_table_add_device(dump, other->policy.priority), 0);
}

Test(choice_table, a_policy_of_one_dump_only_counts_and_decides_nothing_for_certain)
{
	const struct spec both = policy_to("10.9.0.2", POLICY_OUT, 50),
			  before = policy_to("10.9.0.3", POLICY_OUT, 60),
			  after = policy_to("10.9.0.4", POLICY_OUT, 70);
	struct choice_table next;
	size_t i;

	dump_with(&table, &both, &before);
	dump_with(&next, &both, &after);
	cr_assert_eq(choice_join(&table, &next), 0);
	cr_expect_eq(table.count, 3);
	for (i = 0; i < table.count; i++)
		cr_expect_eq(table.policies[i].certain, table.policies[i].priority == 50);
	choice_table_release(&next);
}

/* ---- what has changed */

static struct choice_policy policy_at(uint8_t network, uint16_t local_port, uint32_t if_id)
{
	struct choice_policy policy = {
		.family = AF_INET,
		.direction = POLICY_OUT,
		.remote_low = {10, network},
		.remote_high = {10, network, 255, 255},
		.local_port = local_port,
		.local_port_mask = 0xffff,
		.if_id = if_id,
		.certain = true,
		.protects = true,
	};

	return policy;
}

#define ALIKE 4096 /* policies that begin at one remote address */

Test(choice_table, the_policy_of_a_selector_is_found_among_many_of_one_address_in_few_steps)
{
	struct choice_policy policy;
	uint16_t port;

	for (port = 1; port <= ALIKE; port++) {
		policy = policy_at(2, port * 7, 0);
		cr_assert_eq(choice_table_add_policy(&table, &policy), 0);
	}
	cr_assert_eq(choice_table_build(&table), 0);
	for (port = 1; port <= ALIKE; port++) {
		policy = policy_at(2, port * 7, 0);
		cr_assert(choice_table_has_selector(&table, &policy, &work));
		policy.local_port++;
		cr_assert_not(choice_table_has_selector(&table, &policy, &work));
	}
	cr_expect_leq(work.done, 2 * ALIKE * 13ull);
}

Test(choice_table, a_device_of_one_dump_only_separates_nothing)
{
	struct choice_table next = {0};
	uint32_t id;

	for (id = 41; id <= 43; id++)
		cr_assert_eq(choice_table_add_device(&table, id), 0);
	for (id = 42; id <= 44; id++)
		cr_assert_eq(choice_table_add_device(&next, id), 0);
	cr_assert_eq(choice_join(&table, &next), 0);
	cr_expect_eq(table.device_count, 2);
	for (id = 41; id <= 44; id++)
		cr_expect_eq(choice_table_has_device(&table, id), id == 42 || id == 43);
	choice_table_release(&next);
}

static bool concerns(const struct choice_change *change, uint8_t network, uint32_t if_id)
{
	const uint8_t low[16] = {10, network}, high[16] = {10, network, 255, 255};
	const struct sa_way of = {.if_id_in = if_id, .if_id_out = if_id};

	return choice_change_concerns(change, &of, AF_INET, low, high);
}

Test(choice_table, many_edits_of_one_interface_id_concern_no_other_one)
{
	struct choice_change change = {.count = 0};
	struct choice_policy policy;
	unsigned int i;

	policy = policy_at(200, 1, 42);
	choice_change_add(&change, &policy);
	for (i = 0; i < 3 * CHOICE_EDITS_MAX; i++) {
		policy = policy_at((uint8_t)(10 + i % 90), 1, 41);
		choice_change_add(&change, &policy);
	}
	policy = policy_at(5, 1, 43);
	choice_change_add(&change, &policy);
	cr_expect_not(change.everything);
	for (i = 10; i < 100; i++)
		cr_expect(concerns(&change, (uint8_t)i, 41));
	cr_expect(concerns(&change, 200, 42));
	cr_expect(concerns(&change, 5, 43));
	cr_expect_not(concerns(&change, 5, 41));
	cr_expect_not(concerns(&change, 150, 41));
	cr_expect_not(concerns(&change, 20, 42));
}

/* A peer with some selectors below and some above another peer's changes nothing for that one. */
Test(choice_table, many_edits_on_both_sides_of_an_address_do_not_concern_it)
{
	struct choice_change change = {.count = 0};
	struct choice_policy policy;
	unsigned int i;

	for (i = 0; i < CHOICE_EDITS_MAX; i++) {
		policy = policy_at((uint8_t)(i % 2 ? 10 + i / 2 : 200 + i / 2), 1, 0);
		choice_change_add(&change, &policy);
		choice_change_add(&change, &policy);
	}
	cr_expect_not(change.everything);
	for (i = 0; i < CHOICE_EDITS_MAX; i++)
		cr_expect(concerns(&change, (uint8_t)(i % 2 ? 10 + i / 2 : 200 + i / 2), 0));
	cr_expect_not(concerns(&change, 9, 0));
	cr_expect_not(concerns(&change, 100, 0), "no policy was edited there");
	cr_expect_not(concerns(&change, 240, 0));
}

/* More of them than a change has room for. */
Test(choice_table, edits_of_many_interface_ids_are_a_change_of_everything)
{
	struct choice_change change = {.count = 0};
	struct choice_policy policy;
	uint32_t i;

	for (i = 0; i < CHOICE_EDITS_MAX; i++) {
		policy = policy_at(10, 1, 100 + i);
		choice_change_add(&change, &policy);
	}
	policy = policy_at(12, 1, 100);
	choice_change_add(&change, &policy);
	cr_expect_not(change.everything);
	cr_expect(concerns(&change, 12, 100));
	policy = policy_at(10, 1, 99);
	choice_change_add(&change, &policy);
	cr_expect(change.everything);
}

Test(choice_table, a_device_with_the_last_id_that_comes_is_a_change)
{
	struct choice_table before = {0};
	struct choice_change change;

	cr_assert_eq(choice_table_add_device(&before, 41), 0);
	cr_assert_eq(choice_table_add_device(&table, 41), 0);
	cr_assert_eq(choice_table_add_device(&table, UINT32_MAX), 0);
	choice_compare(&before, &table, &change);
	cr_expect_eq(change.count, 1);
	cr_expect_eq(change.edits[0].if_id, UINT32_MAX);
	choice_compare(&table, &before, &change);
	cr_expect_eq(change.count, 1);
	choice_table_release(&before);
}
