/* SPDX-License-Identifier: BSD-2-Clause */
/* A report of a CHILD_SA for which latchd has no memory. This program has a calloc() of its own. */
#include "attribution_fixture.h"

#include "latchd/sa/attribution_parts.h"

void *__libc_calloc(size_t count, size_t size);
void *calloc(size_t count, size_t size);

static bool memory_is_short;

void *calloc(size_t count, size_t size)
{
	return memory_is_short && size == sizeof(struct child_sa) ? NULL
								  : __libc_calloc(count, size);
}

TestSuite(report_memory, .init = fixture_start_synced, .fini = fixture_finish, .timeout = 60);

static void list(const struct feed_child *child)
{
	sink->snapshot_begin(sink->context, &charon);
	sink->child_up(sink->context, &charon, child, FEED_EVIDENCE_LIST);
	sink->snapshot_end(sink->context, &charon);
}

/* An earlier latchd has bound them, so that no unattributed SA asks for a list. */
Test(report_memory, sas_of_a_report_without_memory_are_bound_by_the_next_list)
{
	struct feed_child c = child_of("c.example", 1);

	install_and_report(&charon, &c);
	restart_latchd();
	attach(&charon, &ns);
	charon.resyncs = 0;
	logged.wanted = "no memory";
	memory_is_short = true;
	list(&c);
	memory_is_short = false;
	cr_expect_eq(logged.count, 1);
	expect_states(&c, LATCH_SA_ORPHAN);
	attribution_check_all(attribution);
	cr_expect_eq(charon.resyncs, 1);
	list(&c);
	expect_states(&c, LATCH_SA_BOUND);
	attribution_check_all(attribution);
	cr_expect_eq(charon.resyncs, 1);
}

/* SAs of this host to itself may have one key. A further list has the same. */
Test(report_memory, a_pair_with_one_key_asks_for_no_list)
{
	struct feed_child c = child_of("c.example", 1);

	memcpy(c.remote_host, c.local_host, sizeof(c.remote_host));
	c.spi_out = c.spi_in;
	logged.wanted = "both SAs have one key";
	charon.resyncs = 0;
	list(&c);
	cr_expect_eq(logged.count, 1);
	attribution_check_all(attribution);
	cr_expect_eq(charon.resyncs, 0);
}
