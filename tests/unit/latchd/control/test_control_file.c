/* SPDX-License-Identifier: BSD-2-Clause */
/* The control socket as a file, and the permissions of its peers. */
#include "control_fixture.h"

#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "latchd/control/control_socket.h"

TestSuite(control_file, .init = scratch_make, .fini = scratch_remove, .timeout = 60);

static struct control *open_at(const char *path, const char *group)
{
	struct control *opened = NULL;
	int err;

	loop = loop ? loop : loop_new();
	err = control_new(loop, path, group, &handlers, &opened, &failure);
	cr_expect_eq(!err, opened != NULL);
	return opened;
}

Test(control_file, the_socket_file_is_removed_with_the_service)
{
	struct control *first = open_at(scratch_path("sock"), "");

	cr_assert_not_null(first, "%s", failure.text);
	cr_expect_eq(access(scratch_path("sock"), F_OK), 0);
	control_free(first);
	cr_expect_neq(access(scratch_path("sock"), F_OK), 0);
}

Test(control_file, a_stale_socket_file_is_replaced)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, scratch_path("sock"));
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	cr_assert_not_null(open_at(scratch_path("sock"), ""), "%s", failure.text);
	cr_expect_geq(connect_to(scratch_path("sock")), 0);
}

Test(control_file, a_socket_that_answers_is_not_replaced)
{
	struct control *first = open_at(scratch_path("sock"), "");

	cr_assert_not_null(first);
	cr_expect_null(open_at(scratch_path("sock"), ""));
	cr_expect(strstr(failure.text, "another program answers"), "%s", failure.text);
	cr_expect_geq(connect_to(scratch_path("sock")), 0, "the first service still answers");
}

Test(control_file, the_socket_file_of_a_successor_is_not_removed)
{
	struct control *first = open_at(scratch_path("sock"), "");

	cr_assert_eq(rename(scratch_path("sock"), scratch_path("moved")), 0);
	cr_assert_not_null(open_at(scratch_path("sock"), ""));
	control_free(first);
	cr_expect_eq(access(scratch_path("sock"), F_OK), 0);
}

Test(control_file, a_file_that_is_no_socket_is_not_replaced)
{
	scratch_write("sock", "precious", 8);
	cr_expect_null(open_at(scratch_path("sock"), ""));
	cr_expect(strstr(failure.text, "is no socket"), "%s", failure.text);
	cr_expect_eq(access(scratch_path("sock"), F_OK), 0);
	unlink(scratch_path("sock"));
	cr_assert_eq(symlink("/nowhere", scratch_path("sock")), 0);
	cr_expect_null(open_at(scratch_path("sock"), ""));
}

Test(control_file, an_impossible_path_fails_with_its_reason)
{
	cr_expect_null(open_at(scratch_path("no/such/dir/sock"), ""));
	cr_expect(strstr(failure.text, "No such file") && strstr(failure.text, "[control]"), "%s",
		  failure.text);
}

Test(control_file, an_unknown_group_fails_with_the_command_that_adds_it)
{
	cr_expect_null(open_at(scratch_path("sock"), "no-such-group"));
	cr_expect(strstr(failure.text, "groupadd --system no-such-group"), "%s", failure.text);
}

Test(control_file, a_group_gets_access_and_an_existing_directory_keeps_its_mode)
{
	struct group *group = getgrnam("daemon");
	struct stat st;

	if (geteuid())
		cr_skip_test("giving a file to a group needs root");
	cr_assert_not_null(group);
	scratch_mkdir("mine");
	cr_assert_not_null(open_at(scratch_path("mine/sock"), "daemon"), "%s", failure.text);
	cr_assert_eq(stat(scratch_path("mine/sock"), &st), 0);
	cr_expect(st.st_gid == group->gr_gid && (st.st_mode & 07777) == 0660);
	cr_expect_eq(mode_of(scratch_path("mine")), 0700);
	cr_assert_not_null(open_at(scratch_path("made/sock"), "daemon"), "%s", failure.text);
	cr_assert_eq(stat(scratch_path("made"), &st), 0);
	cr_expect(st.st_gid == group->gr_gid && (st.st_mode & 07777) == 0750);
}

/* Sends a request as another user, from a process of its own; returns the first line of the answer.
 */
static void send_request_as(uid_t uid, gid_t gid, gid_t extra, const char *request, char *answer,
			    size_t size)
{
	struct peer peer = {0};
	int fds[2];
	pid_t child;

	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	child = fork();
	if (!child) {
		char line[256];
		ssize_t length = -1;
		int fd = -1;

		if (!setgroups(1, &extra) && !setgid(gid) && !setuid(uid))
			fd = connect_to(scratch_path("sock"));
		/* A rejected client may find the other end closed, with the answer readable. */
		if (fd >= 0 && !fcntl(fd, F_SETFL, 0) &&
		    (send(fd, request, strlen(request), MSG_NOSIGNAL) > 0 || errno == EPIPE))
			length = recv(fd, line, sizeof(line), 0);
		if (length > 0 && write(fds[1], line, (size_t)length) == length)
			_exit(0);
		_exit(1);
	}
	close(fds[1]);
	peer.fd = fds[0];
	wait_for(&peer);
	snprintf(answer, size, "%s", peer.text);
	peer_close(&peer);
	waitpid(child, NULL, 0);
}

static void request_status_as(uid_t uid, gid_t gid, gid_t extra, char *answer, size_t size)
{
	send_request_as(uid, gid, extra, "status\n", answer, size);
}

/* Members of the control group may read, but must not change a latch. */
Test(control_file, R_2_2_1_only_root_may_change_a_latch)
{
	static const char *const requests[] = {"break 2\n", "heal 2\n", "close 2\n", "close x\n"};
	gid_t others = 65534, daemon_group;
	char answer[256];
	size_t i;

	if (geteuid())
		cr_skip_test("becoming another user needs root");
	daemon_group = getgrnam("daemon")->gr_gid;
	cr_assert_not_null(open_at(scratch_path("sock"), "daemon"), "%s", failure.text);
	cr_assert_eq(chmod(scratch_dir, 0755), 0);
	for (i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		send_request_as(65534, others, daemon_group, requests[i], answer, sizeof(answer));
		cr_expect_str_eq(answer, "{\"error\":\"not permitted: only root may break, heal or "
					 "close a latch\",\"code\":\"not-permitted\"}\n");
	}
	cr_expect_eq(received_requests, 0);
	send_request_as(65534, others, daemon_group, "mode audit\n", answer, sizeof(answer));
	cr_expect_str_eq(answer, "{\"error\":\"not permitted: only root may switch the mode\","
				 "\"code\":\"not-permitted\"}\n");
	cr_expect_eq(received_modes, 0);
	send_request_as(0, others, daemon_group, "close 2\n", answer, sizeof(answer));
	cr_expect_str_eq(answer, "{}\n");
	cr_expect_eq(received_requests, 1);
}

Test(control_file, credentials_decide_even_when_the_mode_of_the_file_allows_more)
{
	static const char refused[] = "{\"error\":\"not permitted";
	static const char answered[] = "{\"verb\":\"status\"}\n";
	gid_t daemon_group, others = 65534;
	char answer[256];

	if (geteuid())
		cr_skip_test("becoming another user needs root");
	daemon_group = getgrnam("daemon")->gr_gid;
	cr_assert_not_null(open_at(scratch_path("sock"), "daemon"), "%s", failure.text);
	cr_assert_eq(chmod(scratch_dir, 0755), 0);

	request_status_as(65534, others, others, answer, sizeof(answer));
	cr_expect_str_eq(answer, "", "the mode of the file denies access to other users");
	request_status_as(65534, others, daemon_group, answer, sizeof(answer));
	cr_expect_str_eq(answer, answered, "a member by supplementary group");
	request_status_as(65534, daemon_group, others, answer, sizeof(answer));
	cr_expect_str_eq(answer, answered, "a member by primary group");
	cr_expect_eq(calls_for_root, 0);
	request_status_as(0, others, daemon_group, answer, sizeof(answer));
	cr_expect_eq(calls_for_root, 1);

	cr_assert_eq(chmod(scratch_path("sock"), 0666), 0);
	request_status_as(65534, others, others, answer, sizeof(answer));
	cr_expect_eq(strncmp(answer, refused, strlen(refused)), 0, "%s", answer);
}

/* Takes all places of clients and keeps them. */
static void flood(int ready)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	char answer[64], byte = 0;
	int i, fd;

	strcpy(address.sun_path, socket_path);
	for (i = 0; i < 2 * CONTROL_CLIENTS_MEMBERS; i++) {
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)))
			_exit(1);
		/* A rejected client has its answer by then, and perhaps no peer. */
		if (send(fd, "monitor\n", 8, MSG_NOSIGNAL) < 0 && errno != EPIPE)
			_exit(1);
		if (recv(fd, answer, sizeof(answer), 0) <= 0)
			_exit(1);
	}
	if (write(ready, &byte, 1) != 1)
		_exit(1);
	while (true)
		pause();
}

Test(control_file, R_2_2_1_members_of_the_control_group_cannot_block_root)
{
	struct peer flooder = {.wanted = 1}, kept[CONTROL_CLIENTS_ROOT];
	unsigned int i;
	gid_t daemon_group;
	pid_t child;
	int fds[2];

	if (geteuid())
		cr_skip_test("becoming another user needs root");
	daemon_group = getgrnam("daemon")->gr_gid;
	snprintf(socket_path, sizeof(socket_path), "%s", scratch_path("sock"));
	control = open_at(socket_path, "daemon");
	cr_assert_not_null(control, "%s", failure.text);
	cr_assert_eq(chmod(scratch_dir, 0755), 0);
	cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	child = fork();
	if (!child && !setgroups(1, &daemon_group) && !setgid(65534) && !setuid(65534))
		flood(fds[1]);
	close(fds[1]);
	flooder.fd = fds[0];
	wait_for(&flooder);
	cr_expect_not(flooder.ended);
	cr_expect_eq(control_load(control).members, CONTROL_CLIENTS_MEMBERS);
	for (i = 0; i < CONTROL_CLIENTS_ROOT - 1; i++)
		kept[i] = send_request("monitor\n");
	expect_answer("close 2\n", "{}\n");
	cr_expect_eq(received_requests, 1);
	for (i = 0; i < CONTROL_CLIENTS_ROOT - 1; i++)
		peer_close(&kept[i]);
	peer_close(&flooder);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

/* A /run of the test's own. */
static void private_run(void)
{
	if (geteuid() || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		cr_skip_test("a private /run needs root");
	cr_assert_eq(mount("tmpfs", "/run", "tmpfs", 0, "mode=0755"), 0);
}

Test(control_file, a_default_directory_of_another_user_is_refused_and_unchanged)
{
	struct stat st;

	private_run();
	cr_assert_eq(mkdir(CONTROL_DEFAULT_DIRECTORY, 0777), 0);
	cr_assert_eq(chown(CONTROL_DEFAULT_DIRECTORY, 65534, 65534), 0);
	cr_assert_eq(chmod(CONTROL_DEFAULT_DIRECTORY, 0777), 0);
	cr_expect_null(open_at(CONTROL_DEFAULT_DIRECTORY "/latchd.sock", ""));
	cr_expect(strstr(failure.text, "belongs to another user"), "%s", failure.text);
	cr_assert_eq(stat(CONTROL_DEFAULT_DIRECTORY, &st), 0);
	cr_expect(st.st_uid == 65534 && (st.st_mode & 07777) == 0777);
	cr_assert_eq(chown(CONTROL_DEFAULT_DIRECTORY, 0, 0), 0);
	cr_expect_not_null(open_at(CONTROL_DEFAULT_DIRECTORY "/latchd.sock", ""));
	cr_expect_eq(mode_of(CONTROL_DEFAULT_DIRECTORY), 0750);
}

Test(control_file, a_default_directory_that_is_a_symbolic_link_is_refused)
{
	private_run();
	scratch_mkdir("elsewhere");
	cr_assert_eq(symlink(scratch_path("elsewhere"), CONTROL_DEFAULT_DIRECTORY), 0);
	cr_expect_null(open_at(CONTROL_DEFAULT_DIRECTORY "/latchd.sock", ""));
	cr_expect(strstr(failure.text, "symbolic link"), "%s", failure.text);
	cr_expect_neq(access(scratch_path("elsewhere/latchd.sock"), F_OK), 0);
}
