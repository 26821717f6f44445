/* SPDX-License-Identifier: BSD-2-Clause */
#include <criterion/criterion.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "latchd/sa/child_sas.h"

static struct children children;
static struct feed feed = {.name = "charon"}, other_feed = {.name = "pluto"};

static void finish(void)
{
	child_sas_clear(&children);
}

TestSuite(children, .fini = finish, .timeout = 60);

static struct feed_child said(const char *peer, uint32_t in, uint32_t out)
{
	struct feed_child child = {
		.family = AF_INET,
		.ipsec_protocol = IPPROTO_ESP,
		.local_host = {10, 9, 0, 1},
		.remote_host = {10, 9, 0, 2},
		.spi_in = in,
		.spi_out = out,
	};

	strcpy(child.peer_id, peer);
	return child;
}

static struct child *learn(const char *peer, uint32_t in, uint32_t out)
{
	struct feed_child child = said(peer, in, out);

	return child_sas_learn(&children, &feed, 7, &child, "test");
}

static struct child_end *find(bool inbound, uint32_t spi, uint64_t netns)
{
	struct feed_child child = said("", spi, spi);
	struct latch_sa_key in, out;

	child_sa_keys(&child, netns, &in, &out);
	return child_sas_find(&children, inbound ? &in : &out);
}

static unsigned int count(void)
{
	const struct child *child;
	unsigned int n = 0;

	for (child = children.first; child; child = child->next)
		n++;
	return n;
}

Test(children, the_keys_are_the_kernels)
{
	struct feed_child child = said("c.example", 1, 2);
	const struct latch_sa_key want_in = {.netns = 7,
					     .daddr = {10, 9, 0, 1},
					     .spi = 1,
					     .protocol = IPPROTO_ESP,
					     .family = AF_INET};
	const struct latch_sa_key want_out = {.netns = 7,
					      .daddr = {10, 9, 0, 2},
					      .spi = 2,
					      .protocol = IPPROTO_ESP,
					      .family = AF_INET};
	struct latch_sa_key in, out;

	memset(&in, 0xff, sizeof(in));
	memset(&out, 0xff, sizeof(out));
	child_sa_keys(&child, 7, &in, &out);
	cr_expect_arr_eq(&in, &want_in, sizeof(in));
	cr_expect_arr_eq(&out, &want_out, sizeof(out));
}

Test(children, a_child_is_found_by_either_end)
{
	struct child *child = learn("c.example", 1, 2);

	cr_assert_not_null(child);
	cr_expect_eq(find(true, 1, 7), &child->in);
	cr_expect_eq(find(false, 2, 7), &child->out);
	cr_expect_eq(child->in.child, child);
	cr_expect_eq(child->out.child, child);
	cr_expect_null(find(true, 2, 7));
	cr_expect_null(find(false, 1, 7));
	cr_expect_null(find(true, 1, 8));
	cr_expect_eq(child->feed, &feed);
	cr_expect_eq(child->netns, 7);
	cr_expect_eq(child->params, 0);
	cr_expect_str_eq(child->evidence, "test");
}

Test(children, what_is_said_again_replaces_what_was_said)
{
	struct feed_child again = said("d.example", 1, 2);
	struct child *child = learn("c.example", 1, 2);

	child->params = 5;
	child->in.in_kernel = true;
	child->given_up = child->orphan = true;
	child->seen = false;
	cr_expect_eq(child_sas_learn(&children, &other_feed, 7, &again, "later"), child);
	cr_expect_eq(count(), 1);
	cr_expect_str_eq(child->said.peer_id, "d.example");
	cr_expect_str_eq(child->evidence, "later");
	cr_expect_eq(child->feed, &other_feed);
	cr_expect(child->seen);
	cr_expect_not(child->given_up || child->orphan);
	/* What is known of the kernel stays. */
	cr_expect_eq(child->params, 5);
	cr_expect(child->in.in_kernel);
}

Test(children, a_key_that_is_used_again_ends_the_one_before)
{
	struct child *child;

	learn("c.example", 1, 2);
	child = learn("d.example", 1, 3);
	cr_expect_eq(count(), 1);
	cr_expect_eq(find(true, 1, 7)->child, child);
	cr_expect_null(find(false, 2, 7));
	child = learn("e.example", 4, 3);
	cr_expect_eq(count(), 1);
	cr_expect_null(find(true, 1, 7));
	cr_expect_eq(find(false, 3, 7)->child, child);
}

Test(children, one_child_may_end_two)
{
	struct child *child;

	learn("c.example", 1, 2);
	learn("d.example", 3, 4);
	child = learn("e.example", 1, 4);
	cr_expect_eq(count(), 1);
	cr_expect_eq(find(true, 1, 7)->child, child);
	cr_expect_eq(find(false, 4, 7)->child, child);
	cr_expect_null(find(false, 2, 7));
	cr_expect_null(find(true, 3, 7));
}

Test(children, equal_keys_of_two_namespaces_are_two)
{
	struct feed_child child = said("c.example", 1, 2);
	struct child *here = learn("c.example", 1, 2);
	struct child *there = child_sas_learn(&children, &feed, 8, &child, "test");

	cr_expect_neq(here, there);
	cr_expect_eq(find(true, 1, 7)->child, here);
	cr_expect_eq(find(true, 1, 8)->child, there);
}

Test(children, one_key_for_both_ends_is_refused)
{
	struct feed_child child = said("c.example", 1, 1);

	memcpy(child.remote_host, child.local_host, sizeof(child.remote_host));
	cr_expect_null(child_sas_learn(&children, &feed, 7, &child, "test"));
	cr_expect_null(children.first);
	cr_expect_null(children.ends);
}

/* The two ends of a host's talk with itself have the same two keys, the other way round. */
Test(children, a_pair_the_other_way_round_is_another_child)
{
	struct feed_child one = said("c.example", 1, 2), two = said("c.example", 2, 1);
	struct child *child;

	memcpy(one.remote_host, one.local_host, sizeof(one.remote_host));
	memcpy(two.remote_host, two.local_host, sizeof(two.remote_host));
	child_sas_learn(&children, &feed, 7, &one, "test");
	child = child_sas_learn(&children, &feed, 7, &two, "test");
	cr_assert_not_null(child);
	cr_expect_eq(count(), 1);
	cr_expect_eq(find(true, 2, 7), &child->in);
	cr_expect_eq(find(true, 1, 7), &child->out);
}

Test(children, a_long_evidence_is_cut)
{
	struct feed_child child = said("c.example", 1, 2);
	char text[100];
	struct child *learnt;

	memset(text, 'e', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	learnt = child_sas_learn(&children, &feed, 7, &child, text);
	cr_expect_eq(strlen(learnt->evidence), sizeof(learnt->evidence) - 1);
}

/* ---- selectors */

static struct child with_selectors(uint64_t netns, const char *local, const char *remote)
{
	struct child child = {.netns = netns};

	traffic_selector_set_add(&child.said.local_ts, local, strlen(local));
	traffic_selector_set_add(&child.said.remote_ts, remote, strlen(remote));
	return child;
}

Test(children, covers_needs_both_ends_and_the_namespace)
{
	struct child child = with_selectors(7, "10.9.0.1/32[tcp/1000]", "10.9.0.0/24");
	struct latch_flow flow = {
		.netns = 7,
		.local_addr = {10, 9, 0, 1},
		.remote_addr = {10, 9, 0, 2},
		.local_port = 1000,
		.remote_port = 4000,
		.family = AF_INET,
		.protocol = IPPROTO_TCP,
	};
	struct latch_flow near[4] = {flow, flow, flow, flow};
	size_t i;

	near[0].netns = 8;
	near[1].local_port = 1001;
	near[2].remote_addr[2] = 1;
	near[3].protocol = IPPROTO_UDP;
	cr_expect(child_covers(&child, &flow));
	for (i = 0; i < 4; i++)
		cr_expect_not(child_covers(&child, &near[i]), "%zu", i);
}

Test(children, overlap_needs_both_ends_and_the_namespace)
{
	struct child child = with_selectors(7, "10.9.0.1/32", "10.9.0.0/24");
	struct child same = with_selectors(7, "10.9.0.0/16", "10.9.0.2/32");
	struct child elsewhere = with_selectors(8, "10.9.0.0/16", "10.9.0.2/32");
	struct child local = with_selectors(7, "10.9.0.3/32", "10.9.0.2/32");
	struct child remote = with_selectors(7, "10.9.0.1/32", "10.9.1.2/32");

	cr_expect(child_sas_overlap(&child, &same));
	cr_expect(child_sas_overlap(&same, &child));
	cr_expect_not(child_sas_overlap(&child, &elsewhere));
	cr_expect_not(child_sas_overlap(&child, &local));
	cr_expect_not(child_sas_overlap(&child, &remote));
}

/* ---- many steps against a list that is looked through from end to end */

#define MODEL_MAX 64
#define STEPS	  20000
#define SPIS	  8 /* few, so that they collide */

struct pair {
	uint32_t in, out;
	unsigned int step; /* which told it last */
};

static struct pair model[MODEL_MAX];
static unsigned int model_count;
static uint64_t seed = 0x9e3779b97f4a7c15;

static uint32_t draw(uint32_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (uint32_t)(seed >> 33) % below;
}

static void model_remove(unsigned int at)
{
	model[at] = model[--model_count];
}

static void model_learn(uint32_t in, uint32_t out, unsigned int step)
{
	unsigned int i = 0;

	while (i < model_count) {
		if (model[i].in == in || model[i].out == out)
			model_remove(i);
		else
			i++;
	}
	model[model_count++] = (struct pair){in, out, step};
}

static void step_learn(unsigned int step)
{
	uint32_t in = draw(SPIS), out = draw(SPIS);
	struct feed_child child = said("c.example", in, out);

	child.child_unique_id = step;
	cr_assert_not_null(child_sas_learn(&children, &feed, 7, &child, "test"));
	model_learn(in, out, step);
}

static void step_remove(void)
{
	unsigned int at;

	if (!model_count)
		return;
	at = draw(model_count);
	child_sas_remove(&children, find(true, model[at].in, 7)->child);
	model_remove(at);
}

static void compare(unsigned int step)
{
	unsigned int i;

	cr_assert_eq(count(), model_count, "step %u", step);
	cr_assert_eq(HASH_COUNT(children.ends), 2 * model_count, "step %u", step);
	for (i = 0; i < model_count; i++) {
		struct child_end *in = find(true, model[i].in, 7);
		struct child_end *out = find(false, model[i].out, 7);

		cr_assert(in && out && in->child == out->child, "step %u", step);
		cr_assert_eq(in, &in->child->in, "step %u", step);
		cr_assert_eq(out, &in->child->out, "step %u", step);
		cr_assert_eq(in->child->said.child_unique_id, model[i].step, "step %u", step);
	}
}

Test(children, many_steps_agree_with_a_plain_list)
{
	unsigned int step;

	for (step = 0; step < STEPS; step++) {
		if (draw(4))
			step_learn(step);
		else
			step_remove();
		compare(step);
	}
	child_sas_clear(&children);
	cr_expect_null(children.first);
	cr_expect_null(children.ends);
}
