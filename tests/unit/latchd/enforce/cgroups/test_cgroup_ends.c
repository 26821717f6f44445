/* SPDX-License-Identifier: BSD-2-Clause */
/* The end of the programs of a former cgroup: no live latch loses its gate. */
#include "cgroups_fixture.h"

#include <bpf/btf.h>
#include <sys/syscall.h>

#include "latchd/enforce/cgroups/cgroup_table.h"
#include "latchd/enforce/cgroups/program_runs.h"
#include "latchd/maps/wishes.h"

/* In place of latchd's: what happens until the last program has run. */
static void (*meanwhile)(void);

/* First those that take wishes, then those that latch. */
static unsigned int waits;

void program_runs_wait(void)
{
	waits++;
	if (meanwhile)
		meanwhile();
}

TestSuite(cgroup_ends, .init = start, .fini = finish, .timeout = 120);

static void latch_one(void)
{
	put_latch(LATCH_STATE_ESTABLISHED);
}

static void latch_one_late(void)
{
	if (waits == 2)
		latch_one();
}

static struct latch_flow the_latch(void)
{
	return (struct latch_flow){.local_port = 80, .family = AF_INET};
}

/* At once: without pin and descriptor the kernel detaches a link later. */
static void expect_at_once(int which, unsigned int count)
{
	cr_expect_eq(programs_of(which), before + count, "%u programs at %s, not %u",
		     programs_of(which) - before, names[which], count);
}

static void make_former(int which, int other)
{
	configure(which);
	attach();
	put_latch(LATCH_STATE_ESTABLISHED);
	restart_with(other);
	expect_state(which, CGROUP_FORMER);
}

static void end_latch(void)
{
	struct latch_flow flow = the_latch();

	remove_latch(&flow);
}

/* A program that admits no other one at this cgroup. */
static void exclude_others(int which)
{
	uint64_t id;
	int fd = cgroup_open(paths[which], &id);

	cr_assert_geq(fd, 0);
	cr_assert_eq(
		bpf_prog_attach(gates_program(gates, GATES_EGRESS), fd, BPF_CGROUP_INET_EGRESS, 0),
		0, "%s", strerror(errno));
	close(fd);
}

static void admit_others(int which)
{
	uint64_t id;
	int fd = cgroup_open(paths[which], &id);

	cr_assert_geq(fd, 0);
	cr_assert_eq(
		bpf_prog_detach2(gates_program(gates, GATES_EGRESS), fd, BPF_CGROUP_INET_EGRESS),
		0);
	close(fd);
}

Test(cgroup_ends, the_programs_of_a_former_cgroup_are_detached_when_its_end_is_reported)
{
	char pin[LINK_PIN_MAX];
	int holder;

	make(A);
	make(B);
	before = programs_of(A);
	make_former(A, B);
	cr_assert_eq(link_pin_name(pin, "gate_egress", entry_of(paths[A]).id), 0);
	holder = link_pin_open(pin, "");
	cr_assert_geq(holder, 0);
	end_latch();
	cgroups_check(cgroups);
	cr_expect_not(is_listed(A));
	expect_at_once(A, 0);
	expect_at_once(B, 1);
	close(holder);
}

Test(cgroup_ends, a_connection_that_is_latched_meanwhile_has_the_programs_again)
{
	make(A);
	make(B);
	before = programs_of(A);
	make_former(A, B);
	end_latch();
	waits = 0;
	meanwhile = latch_one_late;
	cgroups_check(cgroups);
	cr_expect_eq(waits, 2);
	expect_state(A, CGROUP_FORMER);
	expect_at_once(A, 1);
	cr_expect(cgroups_have_program(cgroups, "gate_egress"));
	meanwhile = NULL;
	end_latch();
	cgroups_check(cgroups);
	cr_expect_not(is_listed(A));
	expect_at_once(A, 0);
}

Test(cgroup_ends, a_connection_that_is_latched_during_the_start_has_the_programs_again)
{
	make(A);
	make(B);
	before = programs_of(A);
	configure(A);
	attach();
	meanwhile = latch_one;
	restart_with(B);
	expect_state(A, CGROUP_FORMER);
	expect_at_once(A, 1);
	expect_at_once(B, 1);
}

/* ---- wishes */

static void enter(const char *path)
{
	char procs[400];
	FILE *file;

	snprintf(procs, sizeof(procs), "%s/cgroup.procs", path);
	file = fopen(procs, "w");
	cr_assert_not_null(file);
	fputs("0", file);
	cr_assert_eq(fclose(file), 0, "%s: %s", procs, strerror(errno));
}

/* Of struct socket_wish, which latchd does not know. */
static size_t offset_of_terms(void)
{
	const struct btf *btf = bpf_object__btf(gates_object(gates));
	int id = btf__find_by_name_kind(btf, "socket_wish", BTF_KIND_STRUCT), i;
	const struct btf_type *type = btf__type_by_id(btf, (__u32)id);

	cr_assert_gt(id, 0);
	for (i = 0; i < btf_vlen(type); i++)
		if (!strcmp(btf__name_by_offset(btf, btf_members(type)[i].name_off), "terms"))
			return btf_member_bit_offset(type, (__u32)i) / 8;
	cr_assert_fail("no terms");
	return 0;
}

/* Of the cgroup, and made there. */
static int socket_at(const char *path, unsigned char terms)
{
	unsigned char wish[4096] = {0};
	int fd;

	enter(path);
	fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	enter(cgroup_path);
	wish[offset_of_terms()] = terms;
	cr_assert_geq(fd, 0);
	cr_assert_eq(bpf_map_update_elem(maps.wishes, &fd, wish, BPF_ANY), 0, "%s",
		     strerror(errno));
	return fd;
}

static int socket_with(int which, unsigned char terms)
{
	return socket_at(paths[which], terms);
}

static bool has_wish(int which)
{
	struct latch_wish_search search = {.cgroup = entry_of(paths[which]).id};
	int found = wishes_find(&maps, &search);

	cr_assert_geq(found, 0, "%s", strerror(-found));
	return found;
}

/* Its next connection needs the gate: nothing else keeps the wish. */
Test(cgroup_ends, a_former_cgroup_keeps_its_programs_while_a_socket_has_a_wish)
{
	int wishing, without;

	make(A);
	make(B);
	before = programs_of(A);
	make_former(A, B);
	wishing = socket_with(A, 1);
	without = socket_with(A, 0);
	cr_expect(has_wish(A));
	cr_expect_not(has_wish(B));
	end_latch();
	cgroups_check(cgroups);
	expect_state(A, CGROUP_FORMER);
	expect_at_once(A, 1);
	close(wishing);
	/* The kernel frees a socket later. One that was taken back is none. */
	while (has_wish(A))
		poll(NULL, 0, 10);
	cgroups_check(cgroups);
	cr_expect_not(is_listed(A));
	expect_at_once(A, 0);
	close(without);
}

Test(cgroup_ends, a_wish_of_another_cgroup_keeps_no_programs_of_a_former_one)
{
	int fd;

	make(A);
	make(B);
	before = programs_of(A);
	make_former(A, B);
	fd = socket_with(B, 1);
	end_latch();
	cgroups_check(cgroups);
	cr_expect_not(is_listed(A));
	expect_at_once(A, 0);
	expect_at_once(B, 1);
	close(fd);
}

/* A_B_C is below A_B, which gets programs of its own. */
Test(cgroup_ends, a_wish_below_a_configured_cgroup_is_kept_by_the_programs_there)
{
	int fd;

	make(A);
	make(A_B);
	make(A_B_C);
	before = programs_of(A);
	make_former(A, A_B);
	fd = socket_with(A_B_C, 1);
	end_latch();
	cgroups_check(cgroups);
	cr_expect_not(is_listed(A));
	expect_state(A_B, CGROUP_ATTACHED);
	expect_at_once(A_B_C, 1);
	close(fd);
}

Test(cgroup_ends, a_wish_anywhere_below_a_former_cgroup_keeps_its_programs)
{
	int fd;

	make(A);
	make(A_B);
	make(B);
	before = programs_of(A);
	make_former(A, B);
	fd = socket_with(A_B, 1);
	end_latch();
	cgroups_check(cgroups);
	expect_state(A, CGROUP_FORMER);
	expect_at_once(A_B, 1);
	close(fd);
}

/* Cgroups, one in another: any user may nest them, in a cgroup that was delegated. */
static void check_nested(int below, enum cgroup_state state_of_a)
{
	enum {
		LEVELS = 40
	};
	char path[sizeof(paths[0]) + 2 * LEVELS];
	size_t length = (size_t)snprintf(path, sizeof(path), "%s", paths[below]), level;
	int fd;

	for (level = 1; level <= LEVELS; level++) {
		strcpy(path + length + 2 * (level - 1), "/x");
		cr_assert_eq(mkdir(path, 0755), 0, "%s", strerror(errno));
	}
	fd = socket_at(path, 1);
	cgroups_check(cgroups);
	if (state_of_a == CGROUP_FORMER)
		expect_state(A, state_of_a);
	else
		cr_expect_not(is_listed(A));
	close(fd);
	for (level = LEVELS; level; level--) {
		path[length + 2 * level] = '\0';
		rmdir(path);
	}
}

Test(cgroup_ends, a_wish_far_below_a_former_cgroup_keeps_its_programs_and_one_elsewhere_does_not)
{
	make(A);
	make(B);
	before = programs_of(A);
	make_former(A, B);
	end_latch();
	check_nested(A, CGROUP_FORMER);
	check_nested(B, CGROUP_REMOVED);
	expect_at_once(A, 0);
}

#define OTHER_SOCKETS 64

static int other_sockets[OTHER_SOCKETS];
static void (*behind_read)(void);
static unsigned int searches, search_ms; /* and how long one takes */

static void work_for(unsigned int ms)
{
	clock_t end = clock() + (clock_t)ms * CLOCKS_PER_SEC / 1000;

	while (clock() < end)
		;
}

/* In place of that of the C library. */
ssize_t read(int fd, void *buffer, size_t size)
{
	ssize_t length = syscall(SYS_read, fd, buffer, size);

	if (size == 1) {
		work_for(search_ms);
		searches++;
	}
	if (behind_read && length > 0)
		behind_read();
	return length;
}

static void close_others(void)
{
	size_t i;

	behind_read = NULL;
	for (i = 0; i < OTHER_SOCKETS; i++)
		close(other_sockets[i]);
}

/* Any user can do so. The gates are there, as long as the search finds the wish in A. */
static void open_others(void)
{
	size_t i;

	expect_at_once(A, 1);
	if (behind_read)
		close_others();
	for (i = 0; i < OTHER_SOCKETS; i++)
		other_sockets[i] = socket_with(B, 1);
	behind_read = close_others;
}

/* Behind a record the kernel goes on by counting sockets, and newer ones come first. */
Test(cgroup_ends, sockets_that_are_closed_during_the_search_hide_no_wish)
{
	int rounds, fd;

	make(A);
	make(B);
	before = programs_of(A);
	make_former(A, B);
	end_latch();
	meanwhile = open_others;
	for (rounds = 0; rounds < 16; rounds++) {
		fd = socket_with(A, 1);
		open_others();
		cgroups_check(cgroups);
		expect_state(A, CGROUP_FORMER);
		expect_at_once(A, 1);
		if (behind_read)
			close_others();
		close(fd);
	}
}

static uint64_t last_searched(void)
{
	struct latch_wish_search search;
	__u32 key = 0;

	cr_assert_eq(bpf_map_lookup_elem(maps.wish_search, &key, &search), 0);
	return search.cgroup;
}

static void two_formers(void)
{
	make(A);
	make(B);
	make(C);
	before = programs_of(A);
	make_former(A, B);
	restart_with(C);
	expect_state(A, CGROUP_FORMER);
	expect_state(B, CGROUP_FORMER);
}

/* Any user can have many sockets with wishes, in deep cgroups. */
Test(cgroup_ends,
     R_2_15_long_searches_for_wishes_take_a_fifth_of_the_time_and_each_cgroup_has_its_turn)
{
	int in_a, in_b, i;
	uint64_t first;

	two_formers();
	in_a = socket_with(A, 1);
	in_b = socket_with(B, 1);
	end_latch();
	search_ms = 60;
	searches = 0;
	for (i = 0; i < 10; i++)
		cgroups_check(cgroups);
	cr_expect_eq(searches, 1);
	expect_state(A, CGROUP_FORMER);
	expect_state(B, CGROUP_FORMER);
	for (i = 0; i < 2; i++) {
		first = last_searched();
		while (walk_pace_wait_ms(&cgroups->searches))
			poll(NULL, 0, 10);
		cgroups_check(cgroups);
		cr_expect_eq(searches, (unsigned int)i + 2);
		cr_expect_neq(last_searched(), first);
	}
	close(in_a);
	close(in_b);
}

Test(cgroup_ends, short_searches_end_all_former_cgroups_at_once)
{
	two_formers();
	end_latch();
	cgroups_check(cgroups);
	cr_expect_not(is_listed(A));
	cr_expect_not(is_listed(B));
	expect_at_once(A, 0);
	expect_at_once(B, 0);
}

static int wished_meanwhile = -1;

/* The application connects at once. */
static void wish_one(void)
{
	if (wished_meanwhile < 0)
		wished_meanwhile = socket_with(A, 1);
	expect_at_once(A, 1);
}

Test(cgroup_ends, a_wish_that_comes_meanwhile_keeps_the_gates_all_the_time)
{
	make(A);
	make(B);
	before = programs_of(A);
	make_former(A, B);
	end_latch();
	waits = 0;
	meanwhile = wish_one;
	cgroups_check(cgroups);
	cr_expect_eq(waits, 1);
	expect_state(A, CGROUP_FORMER);
	expect_at_once(A, 1);
	close(wished_meanwhile);
}

static void latch_and_exclude(void)
{
	if (waits < 2)
		return;
	latch_one();
	exclude_others(A);
}

Test(cgroup_ends, a_former_cgroup_that_cannot_have_its_programs_again_is_reported_and_retried)
{
	make(A);
	make(B);
	before = programs_of(A);
	make_former(A, B);
	end_latch();
	waits = 0;
	meanwhile = latch_and_exclude;
	cgroups_check(cgroups);
	expect_state(A, CGROUP_FAILED);
	cr_expect_not(cgroups_have_program(cgroups, "gate_egress"));
	admit_others(A);
	cgroups_check(cgroups);
	expect_state(A, CGROUP_FORMER);
	expect_at_once(A, 1);
	cr_expect(cgroups_have_program(cgroups, "gate_egress"));
}

Test(cgroup_ends, a_former_cgroup_stays_while_one_below_it_cannot_have_programs_of_its_own)
{
	make(A);
	make(A_B);
	before = programs_of(A);
	make_former(A, A_B);
	exclude_others(A_B);
	end_latch();
	cgroups_check(cgroups);
	expect_state(A, CGROUP_FORMER);
	expect_state(A_B, CGROUP_COVERED);
	expect_at_once(A, 1);
	admit_others(A_B);
	cgroups_check(cgroups);
	cr_expect_not(is_listed(A));
	expect_state(A_B, CGROUP_ATTACHED);
	expect_at_once(A, 0);
	expect_at_once(A_B, 1);
}

/* ---- a read-only bpffs */

static void remount(unsigned long flags)
{
	cr_assert_eq(mount(NULL, "/sys/fs/bpf", NULL, MS_REMOUNT | flags, NULL), 0, "%s",
		     strerror(errno));
}

Test(cgroup_ends, a_former_cgroup_stays_while_its_pins_cannot_be_removed)
{
	make(A);
	make(B);
	before = programs_of(A);
	make_former(A, B);
	end_latch();
	remount(MS_RDONLY);
	cgroups_check(cgroups);
	expect_state(A, CGROUP_FORMER);
	expect_at_once(A, 1);
	remount(0);
	cgroups_check(cgroups);
	cr_expect_not(is_listed(A));
	expect_at_once(A, 0);
}

/* ---- one cgroup by two paths */

static char link_directory[] = "/tmp/latchd-test-cgroup-XXXXXX";
static char link_path[sizeof(link_directory) + 8];

static void link_to(int which)
{
	cr_assert_not_null(mkdtemp(link_directory));
	snprintf(link_path, sizeof(link_path), "%s/link", link_directory);
	cr_assert_eq(symlink(paths[which], link_path), 0);
}

static void unlink_it(void)
{
	unlink(link_path);
	rmdir(link_directory);
}

static void start_with_both(int which, bool link_first)
{
	cgroups_free(cgroups);
	strcpy(config.cgroups[link_first ? 0 : 1], link_path);
	strcpy(config.cgroups[link_first ? 1 : 0], paths[which]);
	config.cgroup_count = 2;
	attach();
}

Test(cgroup_ends, a_cgroup_that_is_configured_by_two_paths_keeps_its_programs)
{
	make(A);
	link_to(A);
	before = programs_of(A);
	start_with_both(A, false);
	expect_at_once(A, 1);
	start_with_both(A, true);
	expect_at_once(A, 1);
	cgroups_check(cgroups);
	expect_at_once(A, 1);
	cr_expect(cgroups_have_program(cgroups, "gate_egress"));
	unlink(link_path);
	cgroups_check(cgroups);
	expect_state(A, CGROUP_ATTACHED);
	expect_at_once(A, 1);
	unlink_it();
}

/* ---- a former cgroup's path */

static const char mount_path[] = "/latchd-test-mount";

static void mount_as_the_only_directory(int which)
{
	cr_assert(!mkdir(mount_path, 0700) || errno == EEXIST);
	cr_assert_eq(mount(paths[which], mount_path, NULL, MS_BIND, NULL), 0, "%s",
		     strerror(errno));
}

static void unmount_it(void)
{
	umount2(mount_path, MNT_DETACH);
	rmdir(mount_path);
}

static void restart_with_mount(void)
{
	cgroups_free(cgroups);
	strcpy(config.cgroups[0], mount_path);
	config.cgroup_count = 1;
	attach();
}

Test(cgroup_ends, a_former_cgroup_is_found_below_a_mount_in_the_root_directory)
{
	make(A);
	make(A_B);
	before = programs_of(A);
	configure(A_B);
	attach();
	latch_one();
	mount_as_the_only_directory(A);
	restart_with_mount();
	expect_at_once(A, 1);
	expect_at_once(A_B, 1);
	cr_expect_eq(cgroups_list(cgroups, NULL, 0), 1);
	unmount_it();
}

Test(cgroup_ends, a_former_cgroup_that_is_not_found_keeps_its_programs_and_is_reported)
{
	make(A);
	make(B);
	before = programs_of(A);
	configure(B);
	attach();
	latch_one();
	mount_as_the_only_directory(A);
	restart_with_mount();
	cr_expect_eq(entry_of("").state, CGROUP_FORMER);
	end_latch();
	cgroups_check(cgroups);
	cr_expect_eq(entry_of("").state, CGROUP_FORMER);
	expect_at_once(B, 1);
	unmount_it();
}

static char former_path[] = "/latchd-test-mount/f", present_path[] = "/latchd-test-mount/p";

static void restart_at(const char *path)
{
	cgroups_free(cgroups);
	config.cgroup_count = 1;
	strcpy(config.cgroups[0], path);
	attach();
}

/* As in a container, whose root is a cgroup far below that of the host. */
Test(cgroup_ends, a_wish_in_a_deep_cgroup_with_a_short_path_keeps_its_programs)
{
	enum {
		LEVELS = 40
	};
	char path[sizeof(paths[0]) + 2 * LEVELS + 1];
	size_t length, level;
	int fd;

	make(A);
	length = (size_t)snprintf(path, sizeof(path), "%s", paths[A]);
	for (level = 1; level <= LEVELS; level++) {
		strcpy(path + length + 2 * (level - 1), "/x");
		cr_assert_eq(mkdir(path, 0755), 0, "%s", strerror(errno));
	}
	cr_assert(!mkdir(mount_path, 0700) || errno == EEXIST);
	cr_assert_eq(mount(path, mount_path, NULL, MS_BIND, NULL), 0, "%s", strerror(errno));
	cr_assert(!mkdir(former_path, 0755) && !mkdir(present_path, 0755));
	restart_at(former_path);
	latch_one();
	restart_at(present_path);
	cr_assert_eq(entry_of(former_path).state, CGROUP_FORMER);
	fd = socket_at(former_path, 1);
	end_latch();
	cgroups_check(cgroups);
	cr_expect_eq(entry_of(former_path).state, CGROUP_FORMER);
	close(fd);
	rmdir(former_path);
	rmdir(present_path);
	unmount_it();
	for (level = LEVELS; level; level--) {
		path[length + 2 * level] = '\0';
		rmdir(path);
	}
}

static int level_of(const char *path)
{
	uint64_t id;
	int fd = cgroup_open(path, &id), level;

	cr_assert_geq(fd, 0);
	level = cgroup_level(fd);
	close(fd);
	return level;
}

Test(cgroup_ends, the_level_of_a_cgroup_is_known_by_links_and_unknown_below_another_mount)
{
	int level;

	make(A);
	make(A_B);
	level = level_of(paths[A]);
	cr_expect_gt(level, 0);
	cr_expect_eq(level_of(paths[A_B]), level + 1);
	cr_expect_eq(level_of(cgroup_path), level - 1);
	link_to(A_B);
	cr_expect_eq(level_of(link_path), level + 1);
	unlink_it();
	mount_as_the_only_directory(A);
	cr_expect_eq(level_of("/latchd-test-mount/b"), -EXDEV);
	unmount_it();
	make(B);
	cr_assert_eq(mount(paths[A], paths[B], NULL, MS_BIND, NULL), 0);
	cr_expect_eq(level_of(paths[B]), -EXDEV, "mounted on another cgroup");
	umount2(paths[B], MNT_DETACH);
}

/* ---- more cgroups than latchd lists */

static void fill_list(void)
{
	while (cgroup_table_add(cgroups, "/nonexistent/latchd", true))
		;
}

static void empty_list(void)
{
	while (cgroups->count > 1)
		cgroup_table_forget(cgroups, cgroups->count - 1);
}

/* The kernel keeps the programs of a removed cgroup for it. */
static int socket_in(int which)
{
	int fd;

	enter(paths[which]);
	fd = socket(AF_INET, SOCK_DGRAM, 0);
	enter(cgroup_path);
	cr_assert_geq(fd, 0);
	return fd;
}

static void search_again(void)
{
	cgroups->searched_ms = 0;
	cgroups_check(cgroups);
}

Test(cgroup_ends, a_removed_cgroup_without_a_place_keeps_its_programs_for_its_sockets)
{
	unsigned int count, waited;
	int fd;

	make(A);
	configure(A);
	attach();
	count = pins();
	fd = socket_in(A);
	fill_list();
	cr_assert_eq(rmdir(paths[A]), 0);
	cgroups_check(cgroups);
	search_again();
	cr_expect_eq(pins(), count, "a live socket has lost its gate");
	close(fd);
	for (waited = 0; pins() > count / 2 && waited < LIMIT_MS; waited += 10) {
		poll(NULL, 0, 10);
		search_again();
	}
	cr_expect_lt(pins(), count, "the pins of a cgroup that is gone stay");
	cr_expect_not(cgroups->unlisted);
}

Test(cgroup_ends, a_cgroup_without_a_place_is_listed_when_there_is_room)
{
	int fd;

	make(A);
	configure(A);
	attach();
	fd = socket_in(A);
	fill_list();
	cr_assert_eq(rmdir(paths[A]), 0);
	cgroups_check(cgroups);
	cr_expect(cgroups->unlisted);
	empty_list();
	cr_assert_eq(cgroups->count, 1);
	search_again();
	cr_expect_not(cgroups->unlisted);
	cr_assert_eq(cgroups->count, 2);
	cr_expect_eq(cgroups->listed[1]->state, CGROUP_FORMER, "it has the programs");
	cr_expect(cgroup_has_programs(cgroups->listed[1]));
	close(fd);
}

Test(cgroup_ends, the_search_for_cgroups_without_a_place_has_a_pace)
{
	uint64_t searched;

	make(A);
	configure(A);
	attach();
	cgroups->unlisted = true;
	cgroups_check(cgroups);
	cr_expect_not(cgroups->unlisted);
	searched = cgroups->searched_ms;
	cr_assert_gt(searched, 0);
	cgroups->unlisted = true;
	cgroups_check(cgroups);
	cr_expect(cgroups->unlisted, "local users would have latchd open all pins at each event");
	cr_expect_eq(cgroups->searched_ms, searched);
}
