/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The table of reported CHILD_SAs alone, without maps: W 10.9.0.1 and C 10.9.0.2
 * in namespace 7, pairs of inbound and outbound SPIs.
 */
#include <criterion/criterion.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "latchd/sa/child/child_sas.h"

static struct child_sas child_sas;
static struct feed feed = {.name = "charon"}, other_feed = {.name = "pluto"};

static void finish(void)
{
	child_sas_clear(&child_sas);
}

TestSuite(child_sas, .fini = finish, .timeout = 60);

static struct feed_child reported_child(const char *peer, uint32_t in, uint32_t out)
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

static struct child_sa *report(const char *peer, uint32_t in, uint32_t out)
{
	struct feed_child child = reported_child(peer, in, out);

	return child_sas_learn(&child_sas, &feed, 7, &child, "test");
}

static struct child_sa_end *find(bool inbound, uint32_t spi, uint64_t netns)
{
	struct feed_child child = reported_child("", spi, spi);
	struct latch_sa_key in, out;

	child_sas_keys(&child, netns, &in, &out);
	return child_sas_find(&child_sas, inbound ? &in : &out);
}

static unsigned int count(void)
{
	const struct child_sa *child;
	unsigned int n = 0;

	for (child = child_sas.first; child; child = child->next)
		n++;
	return n;
}

Test(child_sas, both_keys_are_the_kernels_sa_keys)
{
	struct feed_child child = reported_child("c.example", 1, 2);
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
	child_sas_keys(&child, 7, &in, &out);
	cr_expect_arr_eq(&in, &want_in, sizeof(in));
	cr_expect_arr_eq(&out, &want_out, sizeof(out));
}

Test(child_sas, a_child_sa_is_found_by_the_key_of_either_sa)
{
	struct child_sa *child = report("c.example", 1, 2);

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

Test(child_sas, a_repeated_report_replaces_the_report_and_keeps_the_kernel_state)
{
	struct feed_child again = reported_child("d.example", 1, 2);
	struct child_sa *child = report("c.example", 1, 2);

	child->params = 5;
	child->in.in_kernel = true;
	child->deleted = child->orphan = true;
	child->in_snapshot = false;
	cr_expect_eq(child_sas_learn(&child_sas, &other_feed, 7, &again, "later"), child);
	cr_expect_eq(count(), 1);
	cr_expect_str_eq(child->reported.peer_id, "d.example");
	cr_expect_str_eq(child->evidence, "later");
	cr_expect_eq(child->feed, &other_feed);
	cr_expect(child->in_snapshot);
	cr_expect_not(child->deleted || child->orphan);
	/* The state of the kernel's SAs stays. */
	cr_expect_eq(child->params, 5);
	cr_expect(child->in.in_kernel);
}

Test(child_sas, a_reused_key_removes_the_earlier_child_sa)
{
	struct child_sa *child;

	report("c.example", 1, 2);
	child = report("d.example", 1, 3);
	cr_expect_eq(count(), 1);
	cr_expect_eq(find(true, 1, 7)->child, child);
	cr_expect_null(find(false, 2, 7));
	child = report("e.example", 4, 3);
	cr_expect_eq(count(), 1);
	cr_expect_null(find(true, 1, 7));
	cr_expect_eq(find(false, 3, 7)->child, child);
}

Test(child_sas, a_child_sa_with_two_reused_keys_removes_two_child_sas)
{
	struct child_sa *child;

	report("c.example", 1, 2);
	report("d.example", 3, 4);
	child = report("e.example", 1, 4);
	cr_expect_eq(count(), 1);
	cr_expect_eq(find(true, 1, 7)->child, child);
	cr_expect_eq(find(false, 4, 7)->child, child);
	cr_expect_null(find(false, 2, 7));
	cr_expect_null(find(true, 3, 7));
}

Test(child_sas, equal_spis_in_two_namespaces_are_two_child_sas)
{
	struct feed_child child = reported_child("c.example", 1, 2);
	struct child_sa *here = report("c.example", 1, 2);
	struct child_sa *there = child_sas_learn(&child_sas, &feed, 8, &child, "test");

	cr_expect_neq(here, there);
	cr_expect_eq(find(true, 1, 7)->child, here);
	cr_expect_eq(find(true, 1, 8)->child, there);
}

Test(child_sas, a_child_sa_with_one_key_for_both_sas_is_refused)
{
	struct feed_child child = reported_child("c.example", 1, 1);

	memcpy(child.remote_host, child.local_host, sizeof(child.remote_host));
	cr_expect_null(child_sas_learn(&child_sas, &feed, 7, &child, "test"));
	cr_expect_null(child_sas.first);
	cr_expect_null(child_sas.ends);
}

/* A host with SAs to itself has two pairs of the same two keys, swapped. */
Test(child_sas, a_pair_with_swapped_keys_is_another_child_sa)
{
	struct feed_child one = reported_child("c.example", 1, 2),
			  two = reported_child("c.example", 2, 1);
	struct child_sa *child;

	memcpy(one.remote_host, one.local_host, sizeof(one.remote_host));
	memcpy(two.remote_host, two.local_host, sizeof(two.remote_host));
	child_sas_learn(&child_sas, &feed, 7, &one, "test");
	child = child_sas_learn(&child_sas, &feed, 7, &two, "test");
	cr_assert_not_null(child);
	cr_expect_eq(count(), 1);
	cr_expect_eq(find(true, 2, 7), &child->in);
	cr_expect_eq(find(true, 1, 7), &child->out);
}

Test(child_sas, a_long_evidence_text_is_truncated)
{
	struct feed_child child = reported_child("c.example", 1, 2);
	char text[100];
	struct child_sa *child_sa;

	memset(text, 'e', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	child_sa = child_sas_learn(&child_sas, &feed, 7, &child, text);
	cr_expect_eq(strlen(child_sa->evidence), sizeof(child_sa->evidence) - 1);
}

/* ---- selectors */

static struct child_sa with_selectors(uint64_t netns, const char *local, const char *remote)
{
	struct child_sa child = {.netns = netns};

	traffic_selector_set_add(&child.reported.local_ts, local, strlen(local));
	traffic_selector_set_add(&child.reported.remote_ts, remote, strlen(remote));
	return child;
}

Test(child_sas, a_child_sa_covers_a_flow_only_by_both_selectors_and_the_namespace)
{
	struct child_sa child = with_selectors(7, "10.9.0.1/32[tcp/1000]", "10.9.0.0/24");
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
	cr_expect(child_sas_covers(&child, &flow));
	for (i = 0; i < 4; i++)
		cr_expect_not(child_sas_covers(&child, &near[i]), "%zu", i);
}

Test(child_sas, child_sas_overlap_only_by_both_selectors_and_the_namespace)
{
	struct child_sa child = with_selectors(7, "10.9.0.1/32", "10.9.0.0/24");
	struct child_sa same = with_selectors(7, "10.9.0.0/16", "10.9.0.2/32");
	struct child_sa elsewhere = with_selectors(8, "10.9.0.0/16", "10.9.0.2/32");
	struct child_sa local = with_selectors(7, "10.9.0.3/32", "10.9.0.2/32");
	struct child_sa remote = with_selectors(7, "10.9.0.1/32", "10.9.1.2/32");

	cr_expect(child_sas_overlap(&child, &same, NULL));
	cr_expect(child_sas_overlap(&same, &child, NULL));
	cr_expect_not(child_sas_overlap(&child, &elsewhere, NULL));
	cr_expect_not(child_sas_overlap(&child, &local, NULL));
	cr_expect_not(child_sas_overlap(&child, &remote, NULL));
}

/* ---- random steps against a plain list */

#define MODEL_MAX 64
#define STEPS	  20000
#define SPIS	  8 /* few, so that they collide */

struct pair {
	uint32_t in, out;
	unsigned int step; /* of the last report */
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

static void model_report(uint32_t in, uint32_t out, unsigned int step)
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

static void step_report(unsigned int step)
{
	uint32_t in = draw(SPIS), out = draw(SPIS);
	struct feed_child child = reported_child("c.example", in, out);

	child.child_unique_id = step;
	cr_assert_not_null(child_sas_learn(&child_sas, &feed, 7, &child, "test"));
	model_report(in, out, step);
}

static void step_remove(void)
{
	unsigned int at;

	if (!model_count)
		return;
	at = draw(model_count);
	child_sas_remove(&child_sas, find(true, model[at].in, 7)->child);
	model_remove(at);
}

static void compare(unsigned int step)
{
	unsigned int i;

	cr_assert_eq(count(), model_count, "step %u", step);
	cr_assert_eq(HASH_COUNT(child_sas.ends), 2 * model_count, "step %u", step);
	for (i = 0; i < model_count; i++) {
		struct child_sa_end *in = find(true, model[i].in, 7);
		struct child_sa_end *out = find(false, model[i].out, 7);

		cr_assert(in && out && in->child == out->child, "step %u", step);
		cr_assert_eq(in, &in->child->in, "step %u", step);
		cr_assert_eq(out, &in->child->out, "step %u", step);
		cr_assert_eq(in->child->reported.child_unique_id, model[i].step, "step %u", step);
	}
}

Test(child_sas, random_steps_agree_with_a_plain_list)
{
	unsigned int step;

	for (step = 0; step < STEPS; step++) {
		if (draw(4))
			step_report(step);
		else
			step_remove();
		compare(step);
	}
	child_sas_clear(&child_sas);
	cr_expect_null(child_sas.first);
	cr_expect_null(child_sas.ends);
}
