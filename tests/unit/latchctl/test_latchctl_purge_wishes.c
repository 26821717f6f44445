/* SPDX-License-Identifier: BSD-2-Clause */
/* How many sockets have a wish, by the pinned map, when latchd does not run any more. */
#include "loaded_gates.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "db/socket_wish.h"
#include "latchctl/purge_wishes.h"

#define ROOT "/sys/fs/bpf/latchd"

static void start(void)
{
	gates_set_up();
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL))
		cr_skip_test("a private BPF file system needs root");
	cr_assert(!mkdir(ROOT, 0700) && !mkdir(ROOT "/v1", 0700) && !mkdir(ROOT "/v1/maps", 0700));
}

static void finish(void)
{
	gates_tear_down();
	umount2("/sys/fs/bpf", MNT_DETACH);
}

TestSuite(purge_wishes, .init = start, .fini = finish, .timeout = 60);

static int socket_with(int type, __u16 terms)
{
	struct socket_wish wish = {.terms = terms};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	cr_assert_geq(fd, 0);
	cr_assert_eq(bpf_map_update_elem(maps.wishes, &fd, &wish, BPF_ANY), 0, "%s",
		     strerror(errno));
	return fd;
}

static void pin_wishes(void)
{
	cr_assert_eq(bpf_obj_pin(maps.wishes, ROOT "/v1/maps/wishes"), 0, "%s", strerror(errno));
}

Test(purge_wishes, each_socket_with_a_wish_counts_once)
{
	int fds[5];
	size_t i;

	pin_wishes();
	cr_expect_eq(purge_count_wishes(ROOT), 0);
	fds[0] = socket_with(SOCK_STREAM, WISH_REQUIRE);
	fds[1] = socket_with(SOCK_STREAM, WISH_PEER | WISH_LOCAL);
	fds[2] = socket_with(SOCK_DGRAM, WISH_TAG);
	fds[3] = socket_with(SOCK_STREAM, 0);
	fds[4] = socket_with(SOCK_STREAM, WISH_BYPASS);
	cr_expect_eq(purge_count_wishes(ROOT), 3, "a bypass is less than a rule says");
	for (i = 0; i < 5; i++)
		close(fds[i]);
}

Test(purge_wishes, nine_hundred_sockets_are_counted)
{
	enum {
		SOCKETS = 900
	};
	int fds[SOCKETS], i;

	pin_wishes();
	for (i = 0; i < SOCKETS; i++)
		fds[i] = socket_with(SOCK_DGRAM, WISH_REQUIRE);
	cr_expect_eq(purge_count_wishes(ROOT), SOCKETS);
	for (i = 0; i < SOCKETS; i++)
		close(fds[i]);
}

Test(purge_wishes, without_a_pin_there_is_none)
{
	int fd = socket_with(SOCK_STREAM, WISH_REQUIRE);

	cr_expect_eq(purge_count_wishes(ROOT), 0);
	cr_expect_eq(purge_count_wishes("/nonexistent"), 0);
	close(fd);
}

static int exit_status_of_user(const char *root)
{
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(setresuid(65534, 65534, 65534) ? 2 : purge_count_wishes(root) == -EACCES);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

Test(purge_wishes, a_user_that_may_not_look_gets_an_error_and_no_number)
{
	int fd = socket_with(SOCK_STREAM, WISH_REQUIRE);

	pin_wishes();
	cr_expect_eq(exit_status_of_user(ROOT), 1);
	cr_assert_eq(chmod("/sys/fs/bpf", 0700), 0);
	cr_expect_eq(exit_status_of_user(ROOT), 1, "nor above it");
	cr_expect_eq(exit_status_of_user("/nonexistent"), 0);
	cr_expect_eq(purge_count_wishes(ROOT), 1);
	close(fd);
}

Test(purge_wishes, a_pin_of_another_kind_is_an_error)
{
	cr_assert_eq(bpf_obj_pin(maps.latches, ROOT "/v1/maps/wishes"), 0);
	cr_expect_lt(purge_count_wishes(ROOT), 0);
}
