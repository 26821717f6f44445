/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Addresses that several tasks name at once for datagrams of one connected UDP socket. The test
 * compiles the text of bpf/gate/named_ends.h.
 */
#include <criterion/criterion.h>
#include <linux/types.h>
#include <stdbool.h>
#include <string.h>

/* ---- in place of bpf/db/maps.h ---- */

#define LATCH_BPF_DB_MAPS_H
#define NAMED_ENDS 4
#define OWN_FRAME  __attribute__((unused))

#include "latch_abi.h"

struct named_end {
	struct latch_flow flow;
	__u64 task;
};

struct named_ends {
	struct named_end ends[NAMED_ENDS];
	__u32 named;
	__u32 pad;
};

static __u64 running;

static __u64 bpf_get_current_task(void)
{
	return running;
}

#include "gate/named_ends.h"

#define QUEUE 99 /* the task in which the gate runs behind a queue */
#define PORT  9

static struct named_ends names;

static struct latch_flow end(__u8 last)
{
	return (struct latch_flow){.remote_addr = {10, 0, 0, last}, .remote_port = PORT};
}

static void name_by(__u64 sender, __u8 last)
{
	struct latch_flow there = end(last);

	running = sender;
	add_name(&names, &there);
}

/* The gate runs in the task that sends. */
static bool is_named_by(__u64 sender)
{
	running = sender;
	return take_name(&names);
}

static bool header_is_named(__u8 last)
{
	running = QUEUE;
	return !take_name(&names) && take_name_of(&names, end(last).remote_addr, PORT);
}

static void begin(void)
{
	memset(&names, 0, sizeof(names));
}

TestSuite(named_ends, .init = begin);

Test(named_ends, a_name_serves_the_task_that_gave_it_and_once)
{
	name_by(1, 1);
	cr_expect_not(is_named_by(2));
	cr_expect(is_named_by(1));
	cr_expect_not(is_named_by(1));
}

Test(named_ends, each_of_several_tasks_that_send_at_once_has_its_name)
{
	__u64 sender;

	for (sender = 1; sender <= NAMED_ENDS; sender++)
		name_by(sender, (__u8)sender);
	for (sender = 1; sender <= NAMED_ENDS; sender++)
		cr_expect(is_named_by(sender), "%d", (int)sender);
}

/* Its datagram is then its connection's: on a latched socket it is lost. */
Test(named_ends, R_2_4_without_a_place_the_oldest_name_is_lost)
{
	__u64 sender;

	for (sender = 1; sender <= NAMED_ENDS + 1; sender++)
		name_by(sender, (__u8)sender);
	cr_expect_not(is_named_by(1));
	cr_expect_not(header_is_named(1));
	cr_expect(is_named_by(2));
	cr_expect(is_named_by(NAMED_ENDS + 1));
}

Test(named_ends, datagrams_for_several_addresses_leave_a_queue)
{
	name_by(1, 1);
	name_by(1, 2);
	name_by(2, 3);
	cr_expect(header_is_named(1));
	cr_expect(header_is_named(2));
	cr_expect(header_is_named(3));
}

/* NAT may send a later datagram of the connection to that address. */
Test(named_ends, R_2_4_of_names_that_have_served_only_the_last_serves_again)
{
	name_by(1, 1);
	cr_expect(is_named_by(1));
	name_by(1, 2);
	cr_expect(is_named_by(1));
	cr_expect_not(header_is_named(1));
	cr_expect(header_is_named(2));
	cr_expect(header_is_named(2));
}

Test(named_ends, R_2_4_an_address_that_no_task_named_is_not_found)
{
	cr_expect_not(header_is_named(1));
	name_by(1, 1);
	cr_expect_not(header_is_named(2));
}
