/* SPDX-License-Identifier: BSD-2-Clause */
/* Clients of the control socket that send descriptors with a close that blocks. */
#include "control_fixture.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include "blocking_descriptor.h"
#include "latchd/control/control_client.h"
#include "latchd/net/unread.h"

static void set_up(void)
{
	serve();
	accept_descriptors(control->socket.fd);
}

TestSuite(control_descriptors, .init = set_up, .fini = finish, .timeout = 30);

/* Fails if latchd hangs: by the limit of the suite, or here. */
static void expect_lively(void)
{
	uint64_t start = loop_now_ms();

	expect_answer("status\n", "{\"verb\":\"status\"}\n");
	cr_expect_lt(loop_now_ms() - start, 5000);
}

/* The last copy is the one in the message. Returns the peer of the descriptor. */
static int send_slow(int client, int flags)
{
	int peer, fd = slow_to_close(&peer);

	cr_assert_eq(hand_over_flags(client, fd, 1, flags), 0);
	close(fd);
	return peer;
}

static int connect_client(void)
{
	int client = connect_to(socket_path);

	cr_assert_geq(client, 0);
	return client;
}

static bool is_ended(int fd)
{
	char text[256];
	ssize_t length;

	do
		length = recv(fd, text, sizeof(text), MSG_DONTWAIT);
	while (length > 0);
	return !length || errno != EAGAIN;
}

static void expect_end(int client)
{
	int i;

	for (i = 0; i < 200 && !is_ended(client); i++)
		run_for(10);
	cr_expect(is_ended(client));
}

static void expect_closed_and_lively(int client, int peer)
{
	expect_end(client);
	close(client);
	expect_lively();
	close(peer);
}

Test(control_descriptors, a_descriptor_from_before_accept_does_not_block_latchd)
{
	int client = connect_client(), peer = send_slow(client, 0);

	expect_closed_and_lively(client, peer);
}

Test(control_descriptors, a_descriptor_in_the_middle_of_a_request_does_not_block_latchd)
{
	int client = connect_client(), peer;

	cr_assert_eq(send(client, "sta", 3, MSG_NOSIGNAL), 3);
	run_for(20);
	peer = send_slow(client, 0);
	expect_closed_and_lively(client, peer);
	cr_expect_eq(handler_calls, 1, "only the honest request");
}

Test(control_descriptors, a_descriptor_as_urgent_data_does_not_block_latchd)
{
	int client = connect_client(), peer;

	cr_assert_eq(send(client, "sta", 3, MSG_NOSIGNAL), 3);
	run_for(20);
	peer = send_slow(client, MSG_OOB);
	send(client, "tus\n", 4, MSG_NOSIGNAL);
	expect_closed_and_lively(client, peer);
}

Test(control_descriptors, a_descriptor_behind_a_request_does_not_block_latchd)
{
	struct peer client;
	int peer;

	list_size = 300000;
	client = send_request("list\n");
	run_for(20);
	peer = send_slow(client.fd, 0);
	wait_for(&client);
	cr_expect_eq(client.length, list_size * 19 - 1 + 3);
	peer_close(&client);
	expect_lively();
	close(peer);
}

Test(control_descriptors, a_descriptor_of_a_monitor_does_not_block_latchd)
{
	struct peer monitor = send_request("monitor\n");
	int peer;

	monitor.wanted = 1;
	wait_for(&monitor);
	peer = send_slow(monitor.fd, 0);
	run_for(20);
	peer_close(&monitor);
	run_for(20);
	cr_expect_not(control_has_monitors(control));
	expect_lively();
	close(peer);
}

/* In a child: the credentials are those of connect(). */
static int connect_as_other_user(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), status;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	pid_t child;

	strcpy(address.sun_path, socket_path);
	child = fork();
	if (!child)
		_exit(setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) ||
		      connect(fd, (struct sockaddr *)&address, sizeof(address)));
	cr_assert_eq(waitpid(child, &status, 0), child);
	cr_assert_eq(status, 0);
	return fd;
}

static void open_to_others(void)
{
	struct rlimit limit = {4096, 4096};

	if (geteuid())
		cr_skip_test("needs root");
	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	chmod(scratch_dir, 0755);
	chmod(scratch_path("run"), 0755);
	chmod(socket_path, 0666);
}

Test(control_descriptors, a_descriptor_of_a_refused_connection_does_not_block_latchd)
{
	int client, peer;

	open_to_others();
	client = connect_as_other_user();
	peer = send_slow(client, 0);
	expect_closed_and_lively(client, peer);
	cr_expect_eq(handler_calls, 1);
}

Test(control_descriptors, a_crowd_with_descriptors_does_not_delay_root_and_is_forgotten)
{
	enum {
		CROWD = 100
	};
	unsigned int before, i;
	int peers[CROWD], client;

	open_to_others();
	before = count_descriptors();
	for (i = 0; i < CROWD; i++) {
		client = connect_as_other_user();
		peers[i] = send_slow(client, 0);
		close(client);
	}
	expect_lively();
	for (i = 0; i < CROWD; i++)
		close(peers[i]);
	expect_lively();
	cr_expect_leq(count_descriptors(), before, "%u before", before);
}

/* Of the process: a thread has no room for its stack. */
static void limit_memory(rlim_t size)
{
	struct rlimit limit;

	cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = size;
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

/* The thread that closes them cannot be made: the backlog keeps those beyond the limit. */
Test(control_descriptors, connections_that_cannot_be_closed_have_a_limit_and_go_later)
{
	enum {
		ROUNDS = 6,
		CROWD = 80,
		LIMIT = 448
	};
	unsigned int before, wanted, waiting, i, j;
	struct rlimit memory;
	int client;

	open_to_others();
	cr_assert_eq(getrlimit(RLIMIT_AS, &memory), 0);
	before = count_descriptors();
	for (i = 0; i < ROUNDS; i++) {
		for (j = 0; j < CROWD; j++) {
			client = connect_as_other_user();
			cr_assert_eq(hand_over(client, STDIN_FILENO, 1), 0);
			close(client);
		}
		wanted = (i + 1) * CROWD < LIMIT ? (i + 1) * CROWD : LIMIT;
		limit_memory(4096);
		for (j = 0; j < 1000 && unread_waiting() < wanted; j++)
			run_for(10);
		run_for(50);
		waiting = unread_waiting();
		limit_memory(memory.rlim_cur);
	}
	cr_expect_eq(waiting, LIMIT, "%u wait", waiting);
	expect_lively();
	cr_expect_eq(unread_waiting(), 0);
	cr_expect_leq(count_descriptors(), before, "%u before", before);
}

Test(control_descriptors, connections_that_wait_do_not_block_the_end_of_latchd)
{
	int clients[8], peers[8], i;
	uint64_t start;

	for (i = 0; i < 8; i++) {
		clients[i] = connect_client();
		peers[i] = send_slow(clients[i], 0);
		close(clients[i]);
	}
	start = loop_now_ms();
	control_free(control);
	cr_expect_lt(loop_now_ms() - start, 5000);
	cr_assert_eq(control_new(loop, socket_path, "", &handlers, &control, &failure), 0, "%s",
		     failure.text);
	expect_lively();
	for (i = 0; i < 8; i++)
		close(peers[i]);
}

Test(control_descriptors, text_behind_a_request_is_harmless)
{
	struct peer honest = send_request("status\nand more");

	wait_for(&honest);
	cr_expect_str_eq(honest.text, "{\"verb\":\"status\"}\n");
	peer_close(&honest);
}

/* With the socket as latchd makes it. */
TestSuite(control_no_descriptors, .init = serve, .fini = finish, .timeout = 30);

Test(control_no_descriptors, a_client_cannot_send_descriptors_where_the_kernel_can_refuse_them)
{
	int client = connect_client();

	if (!kernel_can_refuse_descriptors())
		cr_skip_test("SO_PASSRIGHTS is of Linux 6.16");
	cr_expect_eq(hand_over(client, STDIN_FILENO, 1), -EPERM);
	cr_expect_eq(send(client, "status\n", 7, MSG_NOSIGNAL), 7);
	expect_lively();
	close(client);
}
