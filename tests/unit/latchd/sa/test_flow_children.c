/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * For people: the CHILD_SAs that the kernel could use for a flow.
 *
 *   W 10.9.0.1:1000 --- 10.9.0.2:4000  c.example (SPI 1), d.example (SPI 2)
 */
#include "attribution_fixture.h"

static struct feed_child c, d;
static uint32_t spis[8];
static size_t visited;

static void start(void)
{
	fixture_start_synced();
	c = child_of("c.example", 1);
	d = child_of("d.example", 2);
	visited = 0;
}

TestSuite(flow_children, .init = start, .fini = fixture_finish, .timeout = 60);

static int note(void *context, const struct attribution_child *child)
{
	cr_expect_eq(child->params, sa_at(child->in).word.params);
	spis[visited++] = child->in->spi;
	return context != NULL;
}

static int visit(const struct latch_flow *flow, void *context)
{
	visited = 0;
	return attribution_children_of(attribution, flow, note, context);
}

Test(flow_children, each_child_that_covers_the_flow_is_visited)
{
	struct latch_flow flow = flow_at(1000, ns.cookie);

	cr_expect_eq(visit(&flow, NULL), 0);
	cr_expect_eq(visited, 0);
	install_and_report(&charon, &c);
	install_and_report(&charon, &d);
	cr_expect_eq(visit(&flow, NULL), 0);
	cr_expect_eq(visited, 2);
	cr_expect_eq(spis[0] + spis[1], 3);
	cr_expect_eq(visit(&flow, &flow), 1, "a result ends the walk");
	cr_expect_eq(visited, 1);
}

Test(flow_children, a_child_of_another_flow_or_namespace_is_not_visited)
{
	struct latch_flow flow = flow_at(1000, ns.cookie);

	install_and_report(&charon, &c);
	flow.remote_addr[3] = 9;
	visit(&flow, NULL);
	cr_expect_eq(visited, 0);
	flow = flow_at(1000, ns.cookie + 1);
	visit(&flow, NULL);
	cr_expect_eq(visited, 0);
}
