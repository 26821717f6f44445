/* SPDX-License-Identifier: BSD-2-Clause */
/* What a latchd leaves for the next one, and which files and directories it reads. */
#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "latchd/feeds/vici/decision_file.h"

#define CHARON	4711
#define STARTED 99

static struct vici_decision_file file;
static struct vici_memory memory;

static void begin(void)
{
	scratch_make();
	snprintf(file.path, sizeof(file.path), "%s", scratch_path("x.decisions"));
	memory.key = (struct keyed_hash_key){{1, 2}};
}

static void forget(void)
{
	vici_decision_file_close(&file);
	vici_decisions_clear(&memory.decisions);
	vici_unproven_clear(&memory.unproven_connections);
	memory.key = (struct keyed_hash_key){{0, 0}};
	memory.unnoted = 0;
}

static void finish(void)
{
	forget();
	scratch_remove();
}

TestSuite(vici_decision_file, .init = begin, .fini = finish);

static int open_as(pid_t charon)
{
	return vici_decision_file_open(&file, charon, STARTED, &memory);
}

static void add(uint32_t id, enum vici_proof proof)
{
	const struct vici_decision decision = {.proof = proof,
					       .class = FEED_AUTH_PSK,
					       .connection = 5,
					       .peer = 6 + (uint64_t)proof};

	cr_assert_eq(vici_decisions_set(&memory.decisions, id, &decision), 0);
	cr_assert_eq(vici_decision_file_add(&file, id, &decision, &memory), 0);
}

/* An earlier latchd has proven IKE_SA 7, and 8 is unproven. */
static void leave_two(void)
{
	cr_assert_eq(open_as(CHARON), 0);
	add(7, VICI_PROOF);
	add(8, VICI_UNPROVEN_ANY);
	vici_unproven_note(&memory.unproven_connections, 5, true);
	cr_assert_eq(vici_decision_file_add_unproven(&file, 5, true, &memory), 0);
	forget();
}

static off_t size_of_file(void)
{
	struct stat st;

	return stat(file.path, &st) ? -1 : st.st_size;
}

Test(vici_decision_file, the_next_latchd_has_the_decisions_their_key_and_the_connections)
{
	bool ended;
	const struct vici_decision *decision;

	leave_two();
	cr_assert_eq(open_as(CHARON), 0);
	decision = vici_decisions_find(&memory.decisions, 7);
	cr_assert_not_null(decision);
	cr_expect_eq(decision->proof, VICI_PROOF);
	cr_expect_eq(decision->class, FEED_AUTH_PSK);
	cr_expect_eq(decision->connection, 5);
	cr_expect_eq(decision->peer, 6);
	decision = vici_decisions_find(&memory.decisions, 8);
	cr_assert_not_null(decision);
	cr_expect_eq(decision->proof, VICI_UNPROVEN_ANY);
	cr_expect_eq(memory.key.word[1], 2);
	cr_expect(vici_unproven_contain(&memory.unproven_connections, 5));
	vici_unproven_sweep(&memory.unproven_connections, &ended);
	vici_unproven_sweep(&memory.unproven_connections, &ended);
	vici_unproven_sweep(&memory.unproven_connections, &ended);
	cr_expect(vici_unproven_contain(&memory.unproven_connections, 5),
		  "its traps outlive its IKE_SAs");
}

static struct feed_key key_of(uint8_t byte)
{
	struct feed_key key = {.known = true};

	memset(key.sha256, byte, sizeof(key.sha256));
	return key;
}

static void expect_key(const struct feed_key *key, uint8_t byte)
{
	const struct feed_key expected = key_of(byte);

	cr_expect(key->known);
	cr_expect_eq(memcmp(key->sha256, expected.sha256, sizeof(key->sha256)), 0);
}

Test(vici_decision_file, the_next_latchd_has_the_keys)
{
	struct vici_decision decision = {.proof = VICI_PROOF, .class = FEED_AUTH_PUBKEY};
	const struct vici_decision *next;

	cr_assert_eq(open_as(CHARON), 0);
	decision.peer_key = key_of(0xc9);
	cr_assert_eq(vici_decisions_set(&memory.decisions, 7, &decision), 0);
	cr_assert_eq(vici_decision_file_add(&file, 7, &decision, &memory), 0);
	decision.local_key = key_of(0x01);
	cr_assert_eq(vici_decisions_set(&memory.decisions, 8, &decision), 0);
	cr_assert_eq(vici_decision_file_add(&file, 8, &decision, &memory), 0);
	forget();
	cr_assert_eq(open_as(CHARON), 0);
	next = vici_decisions_find(&memory.decisions, 7);
	cr_assert_not_null(next);
	expect_key(&next->peer_key, 0xc9);
	cr_expect_not(next->local_key.known);
	next = vici_decisions_find(&memory.decisions, 8);
	cr_assert_not_null(next);
	expect_key(&next->peer_key, 0xc9);
	expect_key(&next->local_key, 0x01);
}

/* An earlier latchd wrote lines without keys. */
Test(vici_decision_file, a_line_with_a_malformed_key_does_not_count)
{
	static const char *const keys[] = {" - -\n", " -\n",	 " - - \n",
					   " x y\n", " 00 00\n", " - 0-\n"};
	char path[sizeof(file.path)];
	const struct vici_decision *decision;
	FILE *stream;
	size_t i;

	leave_two();
	strcpy(path, file.path);
	stream = fopen(path, "a");
	cr_assert_not_null(stream);
	for (i = 0; i < 6; i++)
		fprintf(stream, "ike-sa %zu 0 1 5 6%s", 20 + i, keys[i]);
	fprintf(stream, "ike-sa 30 0 1 5 6 %065d -\n", 0);
	fprintf(stream, "ike-sa 31 0 1 5 6 -%063d -\n", 0);
	cr_assert_eq(fclose(stream), 0);
	cr_assert_eq(open_as(CHARON), 0);
	decision = vici_decisions_find(&memory.decisions, 20);
	cr_assert_not_null(decision);
	cr_expect_not(decision->peer_key.known || decision->local_key.known);
	for (i = 1; i < 6; i++)
		if (i != 2)
			cr_expect_null(vici_decisions_find(&memory.decisions, 20 + (uint32_t)i),
				       "%s", keys[i]);
	cr_expect_null(vici_decisions_find(&memory.decisions, 30));
	cr_expect_null(vici_decisions_find(&memory.decisions, 31), "a sign is no digit");
}

Test(vici_decision_file, another_charon_begins_anew)
{
	leave_two();
	cr_assert_eq(open_as(CHARON + 1), 0);
	cr_expect_eq(memory.decisions.count, 0);
	cr_expect_eq(memory.unproven_connections.count, 0);
}

Test(vici_decision_file, a_line_that_was_cut_off_and_unknown_numbers_do_not_count)
{
	FILE *stream;

	leave_two();
	stream = fopen(file.path, "a");
	cr_assert_not_null(stream);
	fprintf(stream, "ike-sa 9 99 1 5 6\nike-sa 10 0 99 5 6\nike-sa 11 0 1 5");
	cr_assert_eq(fclose(stream), 0);
	cr_assert_eq(open_as(CHARON), 0);
	cr_expect_eq(memory.decisions.count, 2);
}

/* Without a free descriptor nothing is known, and the file must stay for the next try. */
Test(vici_decision_file, a_file_that_cannot_be_opened_now_is_left_as_it_is)
{
	struct rlimit before, none = {0, 0};
	off_t size;
	int err;

	leave_two();
	size = size_of_file();
	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	err = open_as(CHARON);
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_expect_eq(err, -EMFILE);
	cr_expect(vici_decision_file_may_retry(err));
	cr_expect_eq(size_of_file(), size);
	cr_assert_eq(open_as(CHARON), 0);
	cr_expect_eq(memory.decisions.count, 2);
}

Test(vici_decision_file, a_lasting_error_is_not_tried_again)
{
	cr_expect_not(vici_decision_file_may_retry(0));
	cr_expect_not(vici_decision_file_may_retry(-EACCES));
	cr_expect_not(vici_decision_file_may_retry(-ENOSPC));
}

/* Another user of the group can put back an older file: only what it refuses counts. */
Test(vici_decision_file, a_directory_that_others_can_write_to_proves_nothing)
{
	leave_two();
	cr_assert_eq(chmod(scratch_path("."), 0770), 0);
	cr_assert_eq(open_as(CHARON), 0);
	cr_expect(file.exposed);
	cr_expect_null(vici_decisions_find(&memory.decisions, 7));
	cr_expect_not_null(vici_decisions_find(&memory.decisions, 8));
	cr_expect(vici_unproven_contain(&memory.unproven_connections, 5));
}

Test(vici_decision_file, the_file_of_a_directory_with_the_sticky_bit_is_read)
{
	leave_two();
	cr_assert_eq(chmod(scratch_path("."), 01777), 0);
	cr_assert_eq(open_as(CHARON), 0);
	cr_expect_not(file.exposed);
	cr_expect_not_null(vici_decisions_find(&memory.decisions, 7));
}

Test(vici_decision_file, a_file_that_others_can_write_to_is_not_read)
{
	leave_two();
	cr_assert_eq(chmod(file.path, 0660), 0);
	cr_assert_eq(open_as(CHARON), 0);
	cr_expect_eq(memory.decisions.count, 0);
}

Test(vici_decision_file, lines_of_ended_ike_sas_do_not_make_the_file_grow_without_end)
{
	uint32_t id;

	cr_assert_eq(open_as(CHARON), 0);
	for (id = 1; id < 4 * VICI_DECISION_FILE_SPARE; id++) {
		const struct vici_decision decision = {
			.proof = VICI_PROOF, .class = FEED_AUTH_PSK, .connection = 5, .peer = id};

		cr_assert_eq(vici_decision_file_add(&file, id, &decision, &memory), 0);
	}
	cr_expect_leq(file.lines, VICI_DECISION_FILE_SPARE + 1);
}

/* One peer that rekeys leaves a line each time. Its last IKE_SA is the one that lives. */
Test(vici_decision_file, the_last_of_many_ike_sas_of_a_peer_has_its_decision)
{
	const struct vici_decision decision = {
		.proof = VICI_UNPROVEN_ANY, .class = FEED_AUTH_PSK, .connection = 5, .peer = 6};
	uint32_t id;

	cr_assert_eq(open_as(CHARON), 0);
	for (id = 1; id <= 2 * VICI_DECISIONS_PEER; id++)
		cr_assert_eq(vici_decision_file_add(&file, id, &decision, &memory), 0);
	forget();
	cr_assert_eq(open_as(CHARON), 0);
	cr_expect_not_null(vici_decisions_find(&memory.decisions, id - 1));
	cr_expect_eq(vici_decisions_room(&memory.decisions, 5, 6), 0, "the others may have ended");
}

Test(vici_decision_file, the_next_latchd_has_the_number_of_an_ike_sa_without_room)
{
	cr_assert_eq(open_as(CHARON), 0);
	memory.unnoted = 17;
	cr_assert_eq(vici_decision_file_add_unnoted(&file, &memory), 0);
	memory.unnoted = 19;
	cr_assert_eq(vici_decision_file_add_unnoted(&file, &memory), 0);
	forget();
	cr_assert_eq(open_as(CHARON), 0);
	cr_expect_eq(memory.unnoted, 19);
	forget();
	cr_assert_eq(open_as(CHARON), 0);
	cr_expect_eq(memory.unnoted, 19, "also after it was written anew");
}

static void without_descriptors(int (*act)(void), int expected)
{
	struct rlimit before, none = {0, 0};
	int err;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	err = act();
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	cr_expect_eq(err, expected);
}

static int add_ten(void)
{
	const struct vici_decision decision = {
		.proof = VICI_PROOF, .class = FEED_AUTH_PSK, .connection = 5, .peer = 6};

	return vici_decision_file_add(&file, 10, &decision, &memory);
}

static int renew(void)
{
	return vici_decision_file_renew(&file, &memory);
}

Test(vici_decision_file, a_worn_file_that_cannot_be_written_anew_now_is_appended_to)
{
	cr_assert_eq(open_as(CHARON), 0);
	file.lines = VICI_DECISION_FILE_SPARE + 1;
	without_descriptors(add_ten, 0);
	cr_expect_not_null(file.file);
	forget();
	cr_assert_eq(open_as(CHARON), 0);
	cr_expect_not_null(vici_decisions_find(&memory.decisions, 10));
}

Test(vici_decision_file, an_error_of_the_rewriting_is_reported_and_tried_again)
{
	cr_assert_eq(open_as(CHARON), 0);
	file.lines = 77;
	without_descriptors(renew, -EMFILE);
	cr_expect_not_null(file.file);
	vici_decision_file_retry(&file, &memory);
	cr_expect_eq(file.lines, 0, "it is written anew");
	file.lines = 77;
	vici_decision_file_retry(&file, &memory);
	cr_expect_eq(file.lines, 77, "and once only");
}

/* As with a full file system for one moment. */
Test(vici_decision_file, a_file_that_an_error_closed_has_all_again_at_the_next_list)
{
	cr_assert_eq(open_as(CHARON), 0);
	cr_assert_eq(fclose(file.file), 0);
	file.file = fopen("/dev/full", "w");
	cr_assert_not_null(file.file);
	cr_expect_eq(add_ten(), -ENOSPC);
	cr_expect_null(file.file);
	vici_decisions_set(
		&memory.decisions, 10,
		&(struct vici_decision){
			.proof = VICI_PROOF, .class = FEED_AUTH_PSK, .connection = 5, .peer = 6});
	vici_decision_file_retry(&file, &memory);
	forget();
	cr_assert_eq(open_as(CHARON), 0);
	cr_expect_not_null(vici_decisions_find(&memory.decisions, 10));
}

Test(vici_decision_file, a_charon_of_unknown_start_has_no_line_in_the_file_of_another)
{
	cr_assert_eq(open_as(CHARON), 0);
	cr_assert_eq(vici_decision_file_open(&file, CHARON + 1, 0, &memory), 0);
	cr_expect_null(file.file);
}

Test(vici_decision_file, the_file_of_a_feed_that_takes_over_has_all_of_it)
{
	struct vici_decision_file next = {0};

	leave_two();
	cr_assert_eq(open_as(CHARON), 0);
	snprintf(next.path, sizeof(next.path), "%s", scratch_path("y.decisions"));
	vici_decision_file_succeed(&next, &file);
	cr_expect_null(file.file);
	cr_assert_eq(vici_decision_file_retry(&next, &memory), 0);
	vici_decision_file_close(&next);
	forget();
	snprintf(file.path, sizeof(file.path), "%s", scratch_path("y.decisions"));
	cr_assert_eq(open_as(CHARON), 0);
	cr_expect_not_null(vici_decisions_find(&memory.decisions, 7));
	cr_expect_not_null(vici_decisions_find(&memory.decisions, 8));
}

/* It may have what the memory has not. */
Test(vici_decision_file, a_file_that_was_never_read_is_not_replaced_by_a_feed_that_takes_over)
{
	struct vici_decision_file next = {0};
	off_t size;

	leave_two();
	size = size_of_file();
	memcpy(next.path, file.path, sizeof(next.path));
	vici_decision_file_leave(&file);
	vici_decision_file_succeed(&next, &file);
	cr_assert_eq(vici_decision_file_retry(&next, &memory), 0);
	cr_expect_null(next.file);
	cr_expect_eq(size_of_file(), size);
}
