/* SPDX-License-Identifier: BSD-2-Clause */
/* What cannot be read is not gone; what is gone leaves nothing. */
#include "cgroups_fixture.h"

#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/syscall.h>

TestSuite(cgroup_errors, .init = start, .fini = finish, .timeout = 180);

/* As the unit, latchd has no capability to pass over the mode of a directory. */
static void obey_modes(void)
{
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2];

	cr_assert_eq(syscall(SYS_capget, &header, data), 0);
	data[0].effective &= ~(1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH);
	cr_assert_eq(syscall(SYS_capset, &header, data), 0);
}

static void close_directory(int which)
{
	cr_assert_eq(chmod(paths[which], 0), 0);
}

static void open_directory(int which)
{
	cr_assert_eq(chmod(paths[which], 0700), 0);
}

static size_t listed(void)
{
	return cgroups_list(cgroups, NULL, 0);
}

static void allow_descriptors(rlim_t count)
{
	struct rlimit limit;

	cr_assert_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = count;
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0, "%s", strerror(errno));
}

/* ---- a directory that its owner closes */

Test(cgroup_errors, a_cgroup_that_cannot_be_opened_for_a_while_keeps_its_state_and_programs)
{
	unsigned int i;

	make(A);
	before = programs_of(A);
	configure(A);
	attach();
	obey_modes();
	for (i = 0; i < 3; i++) {
		close_directory(A);
		cgroups_check(cgroups);
		expect_state(A, CGROUP_ATTACHED);
		cr_expect(cgroups_have_program(cgroups, "gate_egress"));
		open_directory(A);
		cgroups_check(cgroups);
		expect_state(A, CGROUP_ATTACHED);
	}
	cr_expect_eq(listed(), 1);
	expect_once(A);
}

Test(cgroup_errors, a_cgroup_that_cannot_be_opened_at_the_start_is_retried)
{
	make(A);
	make(B);
	before = programs_of(A);
	configure(A);
	configure(B);
	obey_modes();
	close_directory(A);
	attach();
	expect_state(A, CGROUP_FAILED);
	expect_state(B, CGROUP_ATTACHED);
	cr_expect_not(cgroups_have_program(cgroups, "gate_egress"));
	open_directory(A);
	cgroups_check(cgroups);
	expect_state(A, CGROUP_ATTACHED);
	expect_once(A);
}

Test(cgroup_errors, a_cgroup_that_cannot_be_opened_at_a_restart_keeps_its_programs)
{
	struct latch_flow flow;

	make(A);
	before = programs_of(A);
	configure(A);
	attach();
	flow = put_latch(LATCH_STATE_ESTABLISHED);
	obey_modes();
	close_directory(A);
	restart_with(A);
	open_directory(A);
	expect_once(A);
	remove_latch(&flow);
	cgroups_check(cgroups);
	cgroups_check(cgroups);
	expect_state(A, CGROUP_ATTACHED);
	cr_expect_eq(listed(), 1);
	expect_once(A);
	cr_expect(cgroups_have_program(cgroups, "gate_egress"));
}

/* ---- a removed cgroup with a socket */

static int make_socket_in(int which)
{
	int fd;

	cr_assert_eq(cgroup_move_to(paths[which]), 0);
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	cr_assert_geq(fd, 0);
	cr_assert_eq(cgroup_move_to(cgroup_path), 0);
	return fd;
}

static void await_pins(unsigned int count)
{
	unsigned int waited;

	for (waited = 0; pins() != count && waited < LIMIT_MS; waited += 10) {
		poll(NULL, 0, 10);
		cgroups_check(cgroups);
	}
	cr_expect_eq(pins(), count);
}

Test(cgroup_errors, without_descriptors_a_removed_cgroup_keeps_its_programs)
{
	unsigned int count;
	int fd;

	make(A);
	configure(A);
	attach();
	count = pins();
	cr_assert_gt(count, 0);
	fd = make_socket_in(A);
	cr_assert_eq(rmdir(paths[A]), 0);
	cgroups_check(cgroups);
	cr_expect_eq(listed(), 2);
	allow_descriptors(3);
	cgroups_check(cgroups);
	allow_descriptors(512);
	cr_expect_eq(pins(), count);
	cgroups_check(cgroups);
	cr_expect_eq(listed(), 2);
	close(fd);
	await_pins(0);
	cgroups_check(cgroups);
	cr_expect_eq(listed(), 1);
}

static void await_dead_link(const char *pin)
{
	struct bpf_link_info info = {.cgroup.cgroup_id = 1};
	unsigned int waited;
	int fd = link_pin_open(pin, "");

	cr_assert_geq(fd, 0);
	for (waited = 0; info.cgroup.cgroup_id && waited < LIMIT_MS; waited += 10) {
		cr_assert_eq(link_pin_info(fd, &info), 0);
		poll(NULL, 0, 10);
	}
	close(fd);
	cr_assert_eq(info.cgroup.cgroup_id, 0);
}

Test(cgroup_errors, a_removed_cgroup_with_dead_links_leaves_no_pins)
{
	char pin[LINK_PIN_MAX];

	make(A);
	configure(A);
	attach();
	cr_assert_eq(link_pin_name(pin, "gate_egress", entry_of(paths[A]).id), 0);
	cr_assert_eq(rmdir(paths[A]), 0);
	await_dead_link(pin);
	cgroups_check(cgroups);
	cr_expect_eq(pins(), 0);
	cr_expect_eq(listed(), 1);
}

/* ---- many cgroups */

static unsigned int asked;

/* In place of libbpf's, to count the calls. */
int bpf_link_get_next_id(__u32 start_id, __u32 *next_id)
{
	union bpf_attr attr;
	long err;

	memset(&attr, 0, sizeof(attr));
	attr.start_id = start_id;
	asked++;
	err = syscall(SYS_bpf, BPF_LINK_GET_NEXT_ID, &attr, sizeof(attr));
	if (!err)
		*next_id = attr.next_id;
	return err ? -errno : 0;
}

static char many_path[sizeof(paths[0]) + 16];

static const char *one_of_many(unsigned int i)
{
	snprintf(many_path, sizeof(many_path), "%s/%u", paths[A], i);
	return many_path;
}

Test(cgroup_errors, a_restart_with_all_cgroups_that_a_configuration_can_have_succeeds)
{
	unsigned int i, count;

	make(A);
	for (i = 0; i < CONFIG_MAX_CGROUPS; i++) {
		cr_assert_eq(mkdir(one_of_many(i), 0755), 0);
		strcpy(config.cgroups[i], many_path);
	}
	config.cgroup_count = CONFIG_MAX_CGROUPS;
	attach();
	count = pins();
	cgroups_free(cgroups);
	allow_descriptors(CONFIG_MAX_CGROUPS * 8);
	attach();
	cr_expect_eq(pins(), count);
	for (i = 0; i < CONFIG_MAX_CGROUPS; i++) {
		cr_expect_eq(entry_of(one_of_many(i)).state, CGROUP_ATTACHED);
		rmdir(many_path);
	}
}

static unsigned int count_links(void)
{
	__u32 id = 0;

	asked = 0;
	while (!bpf_link_get_next_id(id, &id))
		;
	return asked;
}

/* Each pin on a read-only file system is looked up in the kernel's list. */
Test(cgroup_errors, a_check_with_a_read_only_file_system_reads_the_kernels_links_once)
{
	unsigned int links;

	make(A);
	make(B);
	make(C);
	configure(A);
	configure(B);
	configure(C);
	attach();
	cr_assert_eq(mount(NULL, "/sys/fs/bpf", NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	links = count_links();
	asked = 0;
	cr_expect(cgroups_have_program(cgroups, "gate_egress"));
	cr_expect(cgroups_have_program(cgroups, "gate_ingress"));
	cr_expect(cgroups_have_program(cgroups, "datagram_connect4"));
	cr_expect_leq(asked, links + links / 2, "%u calls for %u links", asked, links);
	cr_assert_eq(mount(NULL, "/sys/fs/bpf", NULL, MS_REMOUNT, NULL), 0);
}
