/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs the program latch_control alone, on maps of the test with one latch or one SA. */
#include <criterion/criterion.h>

#include <bpf/bpf.h>
#include <errno.h>
#include <string.h>

#include "fake/control_program.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"
#include "latchd/sa/child/sa_groups.h"

static struct control_program *program;
static struct kernel_maps maps;

static const struct latch_flow flow = {.netns = 7, .local_port = 80, .family = 2, .protocol = 6};
static const struct latch_sa_key sa_key = {.netns = 7, .spi = 0x1001, .protocol = 50, .family = 2};

static void load(void)
{
	int err = control_program_load(64, &program, &maps);

	if (err == -EPERM)
		cr_skip_test("BPF programs need root");
	cr_assert_eq(err, 0, "%s", strerror(-err));
}

static void unload(void)
{
	control_program_free(program);
}

TestSuite(latch_control, .init = load, .fini = unload, .timeout = 60);

static void put_latch(void)
{
	struct latch latch = {
		.id = 5,
		.owner_since = 1000,
		.word = {.generation = 9, .params = 3, .state = LATCH_STATE_ESTABLISHED},
	};

	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_ANY), 0);
}

static struct latch the_latch(void)
{
	struct latch latch;

	cr_assert_eq(latch_get(&maps, &flow, &latch), 0);
	return latch;
}

Test(latch_control, a_break_and_a_heal_change_state_and_reasons)
{
	union latch_word word = {0};

	put_latch();
	cr_expect_eq(latch_break(&maps, &flow, 5, LATCH_REASON_SA_CONFLICT, &word),
		     LATCH_CONTROL_DONE);
	cr_expect_eq(word.state, LATCH_STATE_BROKEN);
	cr_expect_eq(word.reasons, LATCH_REASON_SA_CONFLICT);
	cr_expect_eq(word.params, 3);
	cr_expect_neq(word.generation, 9);
	cr_expect_eq(the_latch().word.raw, word.raw);
	cr_expect_eq(latch_break(&maps, &flow, 5, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_UNCHANGED);
	cr_expect_eq(latch_heal(&maps, &flow, 5, LATCH_REASON_SA_CONFLICT, &word),
		     LATCH_CONTROL_DONE);
	cr_expect_eq(word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(the_latch().word.raw, word.raw);
}

Test(latch_control, steps_for_another_latch_or_owner_change_nothing)
{
	struct latch seen = {.id = 5, .owner_since = 1001};

	cr_expect_eq(latch_break(&maps, &flow, 5, LATCH_REASON_ADMIN, NULL),
		     LATCH_CONTROL_NOT_FOUND);
	put_latch();
	cr_expect_eq(latch_break(&maps, &flow, 6, LATCH_REASON_ADMIN, NULL),
		     LATCH_CONTROL_NOT_FOUND);
	cr_expect_eq(latch_close(&maps, &flow, 6), LATCH_CONTROL_NOT_FOUND);
	cr_expect_eq(latch_reap(&maps, &flow, &seen), LATCH_CONTROL_NOT_FOUND);
	cr_expect_eq(the_latch().word.generation, 9);
}

Test(latch_control, close_deletes_a_tcp_latch)
{
	struct latch latch;

	put_latch();
	cr_expect_eq(latch_close(&maps, &flow, 5), LATCH_CONTROL_DONE);
	cr_expect_eq(latch_get(&maps, &flow, &latch), -ENOENT);
	cr_expect_eq(latch_close(&maps, &flow, 5), LATCH_CONTROL_NOT_FOUND);
}

/*
 * An SCTP socket keeps no state of a closed latch, so the entry stays, without parameters.
 */
Test(latch_control, close_keeps_an_sctp_path_closed_until_it_is_reaped)
{
	struct latch_flow path = flow;
	struct latch latch = {
		.id = 5,
		.word = {.generation = 9, .params = 3, .state = LATCH_STATE_ESTABLISHED},
	};

	path.protocol = 132;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &path, &latch, BPF_ANY), 0);
	cr_expect_eq(latch_close(&maps, &path, 5), LATCH_CONTROL_DONE);
	cr_assert_eq(latch_get(&maps, &path, &latch), 0);
	cr_expect_eq(latch.word.state, LATCH_STATE_CLOSED);
	cr_expect_eq(latch.word.params, 0);
	cr_expect_eq(latch_reap(&maps, &path, &latch), LATCH_CONTROL_DONE);
	cr_expect_eq(latch_get(&maps, &path, &latch), -ENOENT);
}

Test(latch_control, a_mark_is_deleted_unless_it_was_used_since)
{
	struct latch_flow key = {.netns = 7, .protocol = 132, .pad = LATCH_MARK_REMOTE_TAG};
	struct latch_association mark = {.id = 5, .changed = 1000},
				 other = {.id = 6, .changed = 1000};

	cr_assert_eq(bpf_map_update_elem(maps.associations, &key, &mark, BPF_ANY), 0);
	mark.changed = 999;
	cr_expect_eq(association_forget(&maps, &key, &mark), LATCH_CONTROL_NOT_FOUND);
	cr_expect_eq(association_forget(&maps, &key, &other), LATCH_CONTROL_NOT_FOUND);
	mark.changed = 1000;
	cr_expect_eq(association_forget(&maps, &key, &mark), LATCH_CONTROL_DONE);
	cr_expect_eq(association_forget(&maps, &key, &mark), LATCH_CONTROL_NOT_FOUND);
}

static uint64_t foreign_marks(void)
{
	struct latch_clock clock;
	uint32_t zero = 0;

	cr_assert_eq(bpf_map_lookup_elem(maps.clock, &zero, &clock), 0);
	return clock.foreign_marks;
}

Test(latch_control, only_a_deleted_mark_of_a_foreign_namespace_gives_its_place_back)
{
	struct latch_flow key = {.netns = 7, .protocol = 132, .pad = LATCH_MARK_REMOTE_TAG};
	struct latch_association mark = {.id = 5, .changed = 1000, .foreign = 1};
	struct latch_clock clock = {.foreign_marks = 2};
	uint32_t zero = 0;

	cr_assert_eq(bpf_map_update_elem(maps.clock, &zero, &clock, BPF_ANY), 0);
	cr_assert_eq(bpf_map_update_elem(maps.associations, &key, &mark, BPF_ANY), 0);
	cr_expect_eq(association_forget(&maps, &key, &mark), LATCH_CONTROL_DONE);
	cr_expect_eq(foreign_marks(), 1);
	cr_expect_eq(association_forget(&maps, &key, &mark), LATCH_CONTROL_NOT_FOUND);
	cr_expect_eq(foreign_marks(), 1);
	mark.foreign = 0;
	cr_assert_eq(bpf_map_update_elem(maps.associations, &key, &mark, BPF_ANY), 0);
	cr_expect_eq(association_forget(&maps, &key, &mark), LATCH_CONTROL_DONE);
	cr_expect_eq(foreign_marks(), 1);
}

Test(latch_control, reap_deletes_the_latch_of_the_owner_that_was_seen)
{
	struct latch latch;

	put_latch();
	latch = the_latch();
	cr_expect_eq(latch_reap(&maps, &flow, &latch), LATCH_CONTROL_DONE);
	cr_expect_eq(latch_get(&maps, &flow, &latch), -ENOENT);
}

Test(latch_control, an_adopted_sa_is_pending_whatever_the_dump_has)
{
	struct latch_sa sa = {.reqid = 4, .instance = 99, .word = {.state = LATCH_SA_BOUND}}, got;

	cr_expect_eq(sa_adopt(&maps, &sa_key, &sa, false), LATCH_CONTROL_DONE);
	cr_assert_eq(sa_get(&maps, &sa_key, &got), 0);
	cr_expect_eq(got.word.state, LATCH_SA_PENDING);
	cr_expect_neq(got.word.serial, 0);
	cr_expect_eq(got.instance, 0);
	cr_expect_eq(got.reqid, 4);
	cr_expect_neq(got.installed, 0);
	cr_expect_eq(sa_adopt(&maps, &sa_key, &sa, false), LATCH_CONTROL_UNCHANGED);
}

Test(latch_control, an_sa_is_set_and_deleted_by_its_serial_only)
{
	struct latch_sa sa = {0}, got;

	cr_expect_eq(sa_set(&maps, &sa_key, 1, LATCH_SA_BOUND, 3, 0), LATCH_CONTROL_NOT_FOUND);
	cr_assert_eq(sa_adopt(&maps, &sa_key, &sa, false), LATCH_CONTROL_DONE);
	cr_assert_eq(sa_get(&maps, &sa_key, &got), 0);
	cr_expect_eq(sa_set(&maps, &sa_key, got.word.serial + 1, LATCH_SA_BOUND, 3, 0),
		     LATCH_CONTROL_NOT_FOUND);
	cr_expect_eq(sa_set(&maps, &sa_key, got.word.serial, LATCH_SA_BOUND, 3, 256),
		     LATCH_CONTROL_DONE);
	cr_assert_eq(sa_get(&maps, &sa_key, &got), 0);
	cr_expect_eq(got.word.state, LATCH_SA_BOUND);
	cr_expect_eq(got.word.params, 3);
	cr_expect_eq(got.word.flags, LATCH_SA_CONTESTED);
	cr_expect_eq(sa_set(&maps, &sa_key, got.word.serial, LATCH_SA_BOUND, 3, 1),
		     LATCH_CONTROL_UNCHANGED);
	cr_expect_eq(sa_set(&maps, &sa_key, got.word.serial, LATCH_SA_BOUND, 3, 0),
		     LATCH_CONTROL_DONE);
	cr_expect_eq(sa_forget(&maps, &sa_key, got.word.serial + 1), LATCH_CONTROL_NOT_FOUND);
	cr_expect_eq(sa_forget(&maps, &sa_key, got.word.serial), LATCH_CONTROL_DONE);
	cr_expect_eq(sa_get(&maps, &sa_key, &got), -ENOENT);
}

static __u8 flags_of_sa(void)
{
	struct latch_sa sa;

	cr_assert_eq(sa_get(&maps, &sa_key, &sa), 0);
	return sa.word.flags;
}

Test(latch_control, a_pending_sa_is_unproven_by_its_serial_only_until_its_state_is_set)
{
	struct latch_sa sa = {0}, got;

	cr_expect_eq(sa_set_unproven(&maps, &sa_key, 1), LATCH_CONTROL_NOT_FOUND);
	cr_assert_eq(sa_adopt(&maps, &sa_key, &sa, true), LATCH_CONTROL_DONE);
	cr_assert_eq(sa_get(&maps, &sa_key, &got), 0);
	cr_expect_eq(sa_set_unproven(&maps, &sa_key, got.word.serial + 1), LATCH_CONTROL_NOT_FOUND);
	cr_expect_eq(flags_of_sa(), LATCH_SA_FOREIGN);
	cr_expect_eq(sa_set_unproven(&maps, &sa_key, got.word.serial), LATCH_CONTROL_DONE);
	cr_expect_eq(flags_of_sa(), LATCH_SA_FOREIGN | LATCH_SA_UNPROVEN);
	cr_expect_eq(sa_set_unproven(&maps, &sa_key, got.word.serial), LATCH_CONTROL_UNCHANGED);
	cr_expect_eq(sa_set(&maps, &sa_key, got.word.serial, LATCH_SA_BOUND, 3, 0),
		     LATCH_CONTROL_DONE);
	cr_expect_eq(flags_of_sa(), LATCH_SA_FOREIGN);
	cr_expect_eq(sa_set_unproven(&maps, &sa_key, got.word.serial), LATCH_CONTROL_REFUSED);
	cr_expect_eq(sa_set(&maps, &sa_key, got.word.serial, LATCH_SA_PENDING, 0, 0),
		     LATCH_CONTROL_DONE);
	cr_expect_eq(sa_set_unproven(&maps, &sa_key, got.word.serial), LATCH_CONTROL_DONE);
	cr_expect_eq(sa_set(&maps, &sa_key, got.word.serial, LATCH_SA_PENDING, 0, 0),
		     LATCH_CONTROL_DONE, "the owner is waited for again");
	cr_expect_eq(flags_of_sa(), LATCH_SA_FOREIGN);
}

static void put_flags(__u8 flags)
{
	struct latch_sa sa;

	cr_assert_eq(sa_get_entry(&maps, &sa_key, &sa), 0);
	sa.word.flags = flags;
	cr_assert_eq(bpf_map_update_elem(maps.sas, &sa_key, &sa, BPF_EXIST), 0);
}

Test(latch_control, an_entry_of_two_sas_or_of_a_deleted_one_is_not_marked_as_unproven)
{
	struct latch_sa sa = {0}, got;

	cr_assert_eq(sa_adopt(&maps, &sa_key, &sa, false), LATCH_CONTROL_DONE);
	cr_assert_eq(sa_get(&maps, &sa_key, &got), 0);
	put_flags(LATCH_SA_AMBIGUOUS);
	cr_expect_eq(sa_set_unproven(&maps, &sa_key, got.word.serial), LATCH_CONTROL_REFUSED);
	put_flags(LATCH_SA_GONE);
	cr_expect_eq(sa_set_unproven(&maps, &sa_key, got.word.serial), LATCH_CONTROL_NOT_FOUND);
	put_flags(LATCH_SA_CLAIMED);
	cr_expect_eq(sa_set_unproven(&maps, &sa_key, got.word.serial), -EAGAIN);
}

/* The programs could not delete it. A dump shows that the kernel has another SA under its key. */
Test(latch_control, an_entry_of_a_deleted_sa_is_not_set_and_gives_way_to_an_adopted_sa)
{
	struct latch_sa sa = {0}, got;

	cr_assert_eq(sa_adopt(&maps, &sa_key, &sa, false), LATCH_CONTROL_DONE);
	cr_assert_eq(sa_get(&maps, &sa_key, &got), 0);
	got.word.flags = LATCH_SA_GONE;
	cr_assert_eq(bpf_map_update_elem(maps.sas, &sa_key, &got, BPF_EXIST), 0);
	cr_expect_eq(sa_get(&maps, &sa_key, &sa), -ENOENT);
	cr_expect_eq(sa_set(&maps, &sa_key, got.word.serial, LATCH_SA_BOUND, 3, 0),
		     LATCH_CONTROL_NOT_FOUND);
	cr_expect_eq(sa_adopt(&maps, &sa_key, &sa, false), LATCH_CONTROL_DONE);
	cr_assert_eq(sa_get(&maps, &sa_key, &sa), 0);
	cr_expect_eq(sa.word.state, LATCH_SA_PENDING);
	cr_expect_neq(sa.word.serial, got.word.serial);
}

Test(latch_control, adopting_an_sa_into_a_full_table_is_refused)
{
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info), i;
	struct latch_sa_key key = sa_key;
	struct latch_sa sa = {0};

	cr_assert_eq(bpf_map_get_info_by_fd(maps.sas, &info, &length), 0);
	for (i = 0; i < info.max_entries; i++) {
		key.spi = i;
		cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_NOEXIST), 0);
	}
	key.spi = i;
	cr_expect_eq(sa_adopt(&maps, &key, &sa, false), LATCH_CONTROL_FULL);
}

static struct latch_clock clock_now(void)
{
	struct latch_clock now = {0};
	__u32 key = 0;

	cr_assert_eq(bpf_map_lookup_elem(maps.clock, &key, &now), 0);
	return now;
}

/*
 * A user with a user namespace can run a key manager there, which latchd serves. Its SAs must not
 * fill the table.
 */
Test(latch_control, sas_of_other_user_namespaces_fill_at_most_half_of_the_table)
{
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info), key = 0;
	struct latch_sa_key second = sa_key;
	struct latch_clock now = clock_now();
	struct latch_sa sa = {0}, got;

	cr_assert_eq(bpf_map_get_info_by_fd(maps.sas, &info, &length), 0);
	now.foreign_sas = info.max_entries / 2 - 1;
	cr_assert_eq(bpf_map_update_elem(maps.clock, &key, &now, BPF_ANY), 0);
	second.spi++;
	cr_expect_eq(sa_adopt(&maps, &sa_key, &sa, true), LATCH_CONTROL_DONE);
	cr_expect_eq(sa_adopt(&maps, &second, &sa, true), LATCH_CONTROL_FULL);
	cr_expect_eq(sa_adopt(&maps, &second, &sa, false), LATCH_CONTROL_DONE);
	cr_assert_eq(sa_get(&maps, &sa_key, &got), 0);
	cr_expect_eq(sa_set(&maps, &sa_key, got.word.serial, LATCH_SA_BOUND, 3, 0),
		     LATCH_CONTROL_DONE);
	cr_expect_eq(sa_forget(&maps, &sa_key, got.word.serial), LATCH_CONTROL_DONE);
	cr_expect_eq(clock_now().foreign_sas, info.max_entries / 2 - 1);
	cr_expect_eq(sa_adopt(&maps, &second, &sa, true), LATCH_CONTROL_UNCHANGED);
	cr_expect_eq(clock_now().foreign_sas, info.max_entries / 2 - 1);
}

static const uint8_t peer[16] = {10, 9, 0, 2}, other_peer[16] = {10, 9, 0, 3};

static int adopt_from(const uint8_t source[16], __u32 spi)
{
	struct latch_sa_key key = sa_key;
	struct latch_sa sa = {0};

	key.spi = spi;
	memcpy(sa.saddr, source, sizeof(sa.saddr));
	return sa_adopt(&maps, &key, &sa, false);
}

static __u64 over_quota(void)
{
	uint64_t counters[LATCH_COUNTER_COUNT];

	cr_assert_eq(counters_read(&maps, counters), 0);
	return counters[LATCH_COUNTER_SAS_OVER_QUOTA];
}

/* An authenticated peer needs only CREATE_CHILD_SA for each pair of SAs. */
Test(latch_control, sas_between_two_addresses_fill_at_most_a_quarter_of_the_table)
{
	struct bpf_map_info info = {0};
	__u32 length = sizeof(info), spi;
	struct latch_sa_key key = sa_key;
	struct latch_sa got;

	cr_assert_eq(bpf_map_get_info_by_fd(maps.sas, &info, &length), 0);
	cr_expect_leq(2 * 2 * SA_GROUPS_PEER_MAX, info.max_entries / 4,
		      "one peer leaves half of it to others at its address");
	for (spi = 1; spi <= info.max_entries / 4; spi++)
		cr_assert_eq(adopt_from(peer, spi), LATCH_CONTROL_DONE);
	cr_expect_eq(adopt_from(peer, spi), LATCH_CONTROL_OVER_SHARE);
	cr_expect_eq(over_quota(), 1);
	cr_expect_eq(adopt_from(other_peer, spi), LATCH_CONTROL_DONE);
	cr_expect_eq(adopt_from(peer, 1), LATCH_CONTROL_UNCHANGED);
	key.spi = 1;
	cr_assert_eq(sa_get(&maps, &key, &got), 0);
	cr_expect_eq(sa_refuse(&maps, &key, got.word.serial), LATCH_CONTROL_DONE);
	cr_expect_eq(over_quota(), 2);
	cr_expect_eq(adopt_from(peer, spi + 1), LATCH_CONTROL_DONE);
	cr_expect_eq(adopt_from(peer, spi + 2), LATCH_CONTROL_OVER_SHARE);
}

Test(latch_control, a_closed_program_descriptor_is_an_error)
{
	struct kernel_maps none = maps;

	none.control = -1;
	cr_expect_eq(latch_close(&none, &flow, 5), -EBADF);
}
