/* SPDX-License-Identifier: BSD-2-Clause */
/* The connections for news: how many a user gets, and what a hostile client can do with one. */
#include "subscribers_fixture.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "blocking_descriptor.h"
#include "fake/kernel_maps.h"

#define OTHER_UID 12345

static struct kernel_maps maps;
static unsigned int sends;
static int send_error;

/* In place of the C library's, and the same unless an error is set. */
ssize_t send(int fd, const void *message, size_t size, int flags)
{
	sends++;
	errno = send_error;
	return send_error ? -1 : sendto(fd, message, size, flags, NULL, 0);
}

static void set_up(void)
{
	if (geteuid())
		cr_skip_test("not root: no maps");
	cr_assert_eq(fake_kernel_maps_make(&maps), 0);
	start_service(&maps);
	accept_descriptors(service.file.fd);
}

static void tear_down(void)
{
	stop_service();
	fake_kernel_maps_close(&maps);
}

TestSuite(subscribers, .init = set_up, .fini = tear_down, .timeout = 120);

static bool is_known(const struct latch_token *token)
{
	__u64 sockets;

	return !bpf_map_lookup_elem(maps.news_tokens, token, &sockets);
}

static void put_socket(__u64 cookie, const struct latch_token *token, __u64 data)
{
	struct latch_subscription subscription = {.token = *token, .data = data};

	cr_assert_eq(bpf_map_update_elem(maps.news_sockets, &cookie, &subscription, BPF_ANY), 0);
}

static bool has_socket(__u64 cookie)
{
	struct latch_subscription found;

	return !bpf_map_lookup_elem(maps.news_sockets, &cookie, &found);
}

static void break_of(__u64 cookie, __u64 id)
{
	const struct latch latch = {.id = id, .socket_cookie = cookie};
	const struct latch_flow flow = {0};

	news_publish(&bus, &(struct news){.kind = NEWS_LATCH_BROKEN,
					  .flow = &flow,
					  .latch = &latch,
					  .cause = {.reason = LATCH_REASON_SA_CONFLICT}});
}

/* ---- connections */

Test(subscribers, the_programs_know_the_token_before_its_client_does)
{
	int fd = dial();
	struct latch_news_greeting greeting;
	struct latch_token token;

	greeting = greeting_of(fd);
	token = token_of(&greeting);
	cr_expect_eq(greeting.error, 0);
	cr_expect(is_known(&token));
	cr_expect(token.words[0] && token.words[1]);
	close(fd);
	serve_until(!service.count);
	cr_expect(!is_known(&token), "no socket is subscribed to an ended connection");
}

Test(subscribers, no_two_connections_have_one_token)
{
	struct latch_token tokens[LATCH_NEWS_CLIENTS];
	int fds[LATCH_NEWS_CLIENTS];
	size_t i, j;

	for (i = 0; i < LATCH_NEWS_CLIENTS; i++) {
		fds[i] = join(&tokens[i]);
		for (j = 0; j < i; j++) {
			cr_expect_neq(tokens[i].words[0], tokens[j].words[0]);
			cr_expect_neq(tokens[i].words[1], tokens[j].words[1]);
		}
	}
	for (i = 0; i < LATCH_NEWS_CLIENTS; i++)
		close(fds[i]);
}

Test(subscribers, each_user_may_connect)
{
	struct stat st, directory;

	cr_assert_eq(stat(news_path, &st), 0);
	cr_expect_eq(st.st_mode & 07777, 0666);
	cr_assert_eq(stat(scratch_path("run"), &directory), 0);
	cr_expect_eq(directory.st_mode & 07777, 0755);
}

Test(subscribers, a_client_that_has_ended_frees_its_place)
{
	int i;

	for (i = 0; i < 3 * LATCH_NEWS_CLIENTS; i++) {
		close(join(NULL));
		serve_until(!service.count);
	}
}

/* ---- shares */

static int drop_to(uid_t uid)
{
	return setgid(uid) || setuid(uid);
}

/* A process of another user that connects so often, tells how many were taken, and stays. */
static pid_t start_crowd(uid_t uid, int connections, int *ret_report)
{
	int report[2], i, taken = 0;
	pid_t pid;

	cr_assert_eq(pipe2(report, O_CLOEXEC), 0);
	pid = fork();
	if (pid) {
		close(report[1]);
		*ret_report = report[0];
		return pid;
	}
	if (drop_to(uid))
		_exit(1);
	for (i = 0; i < connections; i++) {
		struct latch_news_greeting greeting = {0};
		int fd = dial_at(news_path);

		if (fd < 0 || recv(fd, &greeting, sizeof(greeting), 0) != sizeof(greeting))
			_exit(2);
		taken += !greeting.error;
		if (greeting.error && greeting.error != EUSERS)
			_exit(3);
	}
	if (write(report[1], &taken, sizeof(taken)) < 0)
		_exit(4);
	pause();
	_exit(5);
}

static int taken_by(int report)
{
	int taken = -1;

	serve_until(is_readable_now(report));
	cr_assert_eq(read(report, &taken, sizeof(taken)), (ssize_t)sizeof(taken));
	close(report);
	return taken;
}

static void end_process(pid_t pid)
{
	cr_assert_eq(kill(pid, SIGKILL), 0);
	cr_assert_eq(waitpid(pid, NULL, 0), pid);
}

static void allow_descriptors(rlim_t number)
{
	struct rlimit limit = {number, number};

	cr_assert_eq(setrlimit(RLIMIT_NOFILE, &limit), 0, "%s", strerror(errno));
}

Test(subscribers, a_thousand_connections_of_one_user_leave_room_for_another)
{
	pid_t crowd, other;
	int report;

	allow_descriptors(4096);
	crowd = start_crowd(OTHER_UID, 1000, &report);
	cr_expect_eq(taken_by(report), LATCH_NEWS_CLIENTS);
	cr_expect_eq(service.count, LATCH_NEWS_CLIENTS);
	other = start_crowd(OTHER_UID + 1, 1, &report);
	cr_expect_eq(taken_by(report), 1);
	close(join(NULL));
	end_process(crowd);
	end_process(other);
	serve_until(!service.count);
}

/* Such as the subordinate uids of one user. */
Test(subscribers, many_users_leave_the_places_of_root)
{
	enum {
		USERS = LATCH_SUBSCRIBERS_MAX / LATCH_NEWS_CLIENTS
	};
	int fds[LATCH_NEWS_CLIENTS], report, sum = 0;
	pid_t crowds[USERS];
	size_t i;

	allow_descriptors(4096);
	for (i = 0; i < USERS; i++) {
		crowds[i] = start_crowd(OTHER_UID + (uid_t)i, LATCH_NEWS_CLIENTS, &report);
		sum += taken_by(report);
	}
	cr_expect_eq(sum, LATCH_SUBSCRIBERS_MAX - SUBSCRIBERS_FOR_ROOT);
	for (i = 0; i < LATCH_NEWS_CLIENTS; i++)
		fds[i] = join(NULL);
	for (i = 0; i < LATCH_NEWS_CLIENTS; i++)
		close(fds[i]);
	for (i = 0; i < USERS; i++)
		end_process(crowds[i]);
	serve_until(!service.count);
}

/* As the programs do. */
static void subscribe_many(__u64 first, __u64 count, const struct latch_token *token)
{
	__u64 cookie;

	for (cookie = first; cookie < first + count; cookie++)
		put_socket(cookie, token, 1);
	cr_assert_eq(bpf_map_update_elem(maps.news_tokens, token, &count, BPF_EXIST), 0);
}

/* False: the user has no place. The walk over the sockets comes later. */
static bool comes_and_goes(__u64 first, __u64 sockets)
{
	int fd = dial();
	struct latch_news_greeting greeting = greeting_of(fd);
	struct latch_token token = token_of(&greeting);

	if (!greeting.error)
		subscribe_many(first, sockets, &token);
	close(fd);
	serve_until(!service.count);
	loop_timer_arm(&service.sweep, 60000);
	return !greeting.error;
}

/* A client that is faster than the walk would fill the map for all users. */
Test(subscribers, connections_that_end_keep_room_for_their_sockets_until_these_are_forgotten)
{
	pid_t other;
	int report;
	__u64 i;

	for (i = 0; i < LATCH_NEWS_CLIENTS; i++)
		cr_assert(
			comes_and_goes(1 + i * LATCH_SUBSCRIBER_SOCKETS, LATCH_SUBSCRIBER_SOCKETS));
	cr_expect_not(comes_and_goes(1 + i * LATCH_SUBSCRIBER_SOCKETS, 1));
	other = start_crowd(OTHER_UID, 1, &report);
	cr_expect_eq(taken_by(report), 1, "another user has a place");
	end_process(other);
	loop_timer_arm(&service.sweep, 0);
	serve_until(!service.ended);
	cr_expect_not(has_socket(1));
	for (i = 0; i < LATCH_NEWS_CLIENTS; i++)
		cr_expect(comes_and_goes(1 + i, 1), "each place is free again");
}

Test(subscribers, short_connections_with_few_sockets_need_no_place_each)
{
	__u64 i;

	for (i = 0; i < 10 * LATCH_NEWS_CLIENTS; i++)
		cr_assert(comes_and_goes(1 + 3 * i, 3));
	for (i = 0; i < 10 * LATCH_NEWS_CLIENTS; i++)
		cr_assert(comes_and_goes(1, 0));
}

/* ---- items */

Test(subscribers, a_break_is_reported_to_the_connection_of_the_socket_and_to_no_other)
{
	struct latch_token mine, foreign;
	int fd = join(&mine), other = join(&foreign);
	struct latch_news item;

	put_socket(500, &mine, 77);
	put_socket(501, &foreign, 88);
	break_of(500, 9);
	cr_assert(next_item(fd, &item));
	cr_expect_eq(item.event, LATCH_NEWS_BROKEN);
	cr_expect_eq(item.why, LATCH_WHY_SA_CONFLICT);
	cr_expect_eq(item.reasons, LATCH_APP_SA_CONFLICT);
	cr_expect_eq(item.socket, 500);
	cr_expect_eq(item.data, 77);
	cr_expect_eq(item.latch, 9);
	cr_expect_gt(item.time_ns, 0);
	cr_expect(!next_item(fd, &item));
	cr_expect(!next_item(other, &item));
	break_of(501, 10);
	cr_expect(!next_item(fd, &item));
	cr_assert(next_item(other, &item));
	cr_expect_eq(item.data, 88);
	close(fd);
	close(other);
}

Test(subscribers, the_latch_of_a_handshake_is_no_socket_s)
{
	struct latch_token mine;
	int fd = join(&mine);
	struct latch_news item;

	put_socket(0, &mine, 77);
	break_of(0, 9);
	cr_expect(!next_item(fd, &item));
	close(fd);
}

/* latchd has read the latch before its socket was there. */
Test(subscribers, a_handshake_that_ends_during_a_break_has_a_socket)
{
	const struct latch_flow flow = {0};
	struct latch now = {.id = 8, .socket_cookie = 500};
	struct latch_token mine;
	struct latch_news item;
	int fd = join(&mine);

	put_socket(500, &mine, 77);
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &now, BPF_ANY), 0);
	break_of(0, 9);
	cr_expect(!next_item(fd, &item), "the latch of a later connection");
	now.id = 9;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &now, BPF_ANY), 0);
	break_of(0, 9);
	cr_assert(next_item(fd, &item));
	cr_expect_eq(item.socket, 500);
	close(fd);
}

Test(subscribers, a_close_that_a_socket_outlives_is_a_break)
{
	const struct latch latch = {.id = 9, .socket_cookie = 500};
	const struct news_requester root = {.pid = 1};
	const struct latch_flow flow = {0};
	struct news news = {.kind = NEWS_LATCH_RESET, .flow = &flow, .latch = &latch};
	struct latch_token mine;
	struct latch_news item;
	int fd = join(&mine);

	put_socket(500, &mine, 77);
	news_publish(&bus, &news);
	news.error = -EBUSY;
	news_publish(&bus, &news);
	cr_expect(!next_item(fd, &item), "its break was reported");
	news.cause = (struct news_cause){.reason = LATCH_REASON_ADMIN, .requester = &root};
	news_publish(&bus, &news);
	cr_assert(next_item(fd, &item));
	cr_expect_eq(item.event, LATCH_NEWS_BROKEN);
	cr_expect_eq(item.why, LATCH_WHY_ADMIN);
	close(fd);
}

Test(subscribers, lost_events_and_a_switch_of_the_mode_make_each_client_ask)
{
	static const enum news_kind kinds[] = {NEWS_EVENTS_LOST, NEWS_MODE_CHANGED};
	int fd = join(NULL), other = join(NULL);
	struct latch_news item;
	size_t i;

	for (i = 0; i < 2; i++) {
		news_publish(&bus, &(struct news){.kind = kinds[i], .count = 3});
		cr_assert(next_item(fd, &item));
		cr_expect_eq(item.event, LATCH_NEWS_LOST);
		cr_expect_eq(item.socket, 0);
		cr_assert(next_item(other, &item));
		cr_expect_eq(item.event, LATCH_NEWS_LOST);
	}
	close(fd);
	close(other);
}

/* ---- a client that does not read */

static unsigned int read_all(int fd, struct latch_news *last)
{
	unsigned int count = 0;

	while (next_item(fd, last))
		count++;
	return count;
}

Test(subscribers, a_client_that_does_not_read_loses_news_and_gets_a_report_of_it)
{
	struct latch_token mine, foreign;
	int fd = join(&mine), other = join(&foreign), i;
	unsigned int kept;
	struct latch_news item = {0};

	put_socket(500, &mine, 77);
	put_socket(501, &foreign, 88);
	for (i = 0; i < 100000; i++)
		break_of(500, 9);
	break_of(501, 9);
	cr_expect_eq(read_all(other, &item), 1, "a full connection is no obstacle for others");
	kept = read_all(fd, &item);
	cr_expect_gt(kept, 32);
	cr_expect_lt(kept, 4096, "%u items wait in the kernel", kept);
	cr_expect_eq(item.event, LATCH_NEWS_BROKEN);
	serve_until(next_item(fd, &item));
	cr_expect_eq(item.event, LATCH_NEWS_LOST);
	run_for(50);
	cr_expect(!next_item(fd, &item), "reported once");
	break_of(500, 11);
	cr_assert(next_item(fd, &item), "news again");
	cr_expect_eq(item.latch, 11);
	close(fd);
	close(other);
}

Test(subscribers, no_item_follows_a_lost_one_before_the_client_knows)
{
	struct latch_token mine;
	struct latch_news item = {0};
	int fd = join(&mine), i;

	put_socket(500, &mine, 77);
	for (i = 0; i < 100000; i++)
		break_of(500, 9);
	/* One place is free again. */
	cr_assert(next_item(fd, &item));
	break_of(500, 12);
	while (next_item(fd, &item))
		cr_expect(item.latch == 9 || item.event == LATCH_NEWS_LOST);
	close(fd);
}

Test(subscribers, a_full_connection_keeps_no_processor_busy)
{
	struct latch_token mine;
	struct timespec before, behind;
	int fd = join(&mine), i;

	put_socket(500, &mine, 77);
	for (i = 0; i < 10000; i++)
		break_of(500, 9);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	run_for(1000);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &behind);
	cr_expect_lt((behind.tv_sec - before.tv_sec) * 1000 +
			     (behind.tv_nsec - before.tv_nsec) / 1000000,
		     300);
	close(fd);
}

Test(subscribers, a_client_that_ends_with_news_unread_is_no_error)
{
	struct latch_token mine;
	int fd = join(&mine), i;

	put_socket(500, &mine, 77);
	for (i = 0; i < 10000; i++)
		break_of(500, 9);
	close(fd);
	break_of(500, 9);
	serve_until(!service.count);
	break_of(500, 9);
}

/* It is writable all the time, and yet no item can be sent. */
Test(subscribers, short_memory_keeps_no_processor_busy_and_the_report_comes_later)
{
	struct latch_token mine;
	struct latch_news item;
	int fd = join(&mine);

	put_socket(500, &mine, 77);
	send_error = ENOBUFS;
	sends = 0;
	break_of(500, 9);
	run_for(500);
	send_error = 0;
	cr_expect_lt(sends, 20, "%u attempts", sends);
	serve_until(next_item(fd, &item));
	cr_expect_eq(item.event, LATCH_NEWS_LOST);
	run_for(300);
	cr_expect(!next_item(fd, &item), "reported once");
	send_error = ENOBUFS;
	break_of(500, 9);
	close(fd);
	serve_until(!service.count);
}

/* ---- the end of latchd, and the next one */

Test(subscribers, the_end_of_latchd_is_the_end_of_file)
{
	struct latch_token token;
	int fd = join(&token);

	put_socket(500, &token, 1);
	subscribers_enable(&service, false);
	cr_expect(is_ended(fd));
	cr_expect(!is_known(&token));
	cr_expect_eq(access(news_path, F_OK), -1);
	cr_expect_eq(dial_at(news_path), -ENOENT);
	close(fd);
	subscribers_enable(&service, true);
	close(join(NULL));
}

/* A crash leaves tokens and sockets in the maps. */
Test(subscribers, the_next_latchd_knows_no_token_of_the_former_one)
{
	const struct latch_token former = {{5, 6}};
	__u64 sockets = 3;

	cr_assert_eq(bpf_map_update_elem(maps.news_tokens, &former, &sockets, BPF_ANY), 0);
	put_socket(500, &former, 1);
	subscribers_stop(&service);
	subscribers_start(&service, loop, &maps, news_path);
	subscribers_enable(&service, true);
	cr_expect(!is_known(&former));
	cr_expect(!has_socket(500));
}

static bool is_sweeping(void)
{
	return service.unswept || service.swept.begun || loop_timer_armed(&service.sweep);
}

Test(subscribers, sockets_of_an_ended_connection_are_forgotten_and_no_others)
{
	struct latch_token mine, foreign;
	int fd = join(&mine), other = join(&foreign);
	__u64 cookie;

	for (cookie = 500; cookie < 800; cookie++)
		put_socket(cookie, cookie % 2 ? &mine : &foreign, 1);
	close(fd);
	serve_until(service.swept.begun);
	serve_until(!is_sweeping());
	for (cookie = 500; cookie < 800; cookie++)
		cr_expect_eq(has_socket(cookie), cookie % 2 == 0);
	close(other);
}

/* Two of them end: the second one in the middle of the walk for the first. */
Test(subscribers, a_walk_over_many_sockets_stops_no_other_work)
{
	enum {
		SOCKETS = 21000
	};
	struct latch_token tokens[3];
	int fds[3] = {join(&tokens[0]), join(&tokens[1]), join(&tokens[2])};
	uint64_t longest = 0, start;
	__u64 cookie, left = 0;

	for (cookie = 1; cookie <= SOCKETS; cookie++)
		put_socket(cookie, &tokens[cookie % 3], 1);
	close(fds[0]);
	serve_until(service.swept.begun);
	close(fds[1]);
	while (is_sweeping()) {
		start = loop_now_ms();
		run_for(1);
		longest = loop_now_ms() - start > longest ? loop_now_ms() - start : longest;
	}
	for (cookie = 1; cookie <= SOCKETS; cookie++)
		left += has_socket(cookie);
	cr_expect_eq(left, SOCKETS / 3, "%llu are left", (unsigned long long)left);
	cr_expect(has_socket(2) && !has_socket(1) && !has_socket(3));
	cr_expect_lt(longest, 1000);
	close(fds[2]);
}

Test(subscribers, a_socket_file_of_a_crash_is_replaced)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int stale = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	subscribers_enable(&service, false);
	strcpy(address.sun_path, news_path);
	cr_assert_eq(bind(stale, (struct sockaddr *)&address, sizeof(address)), 0);
	close(stale);
	subscribers_enable(&service, true);
	close(join(NULL));
}

Test(subscribers, another_program_s_file_stays_and_latchd_tries_again)
{
	FILE *file;

	subscribers_enable(&service, false);
	file = fopen(news_path, "we");
	cr_assert_not_null(file);
	fclose(file);
	subscribers_enable(&service, true);
	cr_expect_lt(service.file.fd, 0);
	cr_expect_eq(access(news_path, F_OK), 0);
	cr_assert_eq(unlink(news_path), 0);
	serve_until(service.file.fd >= 0);
	close(join(NULL));
}

/* ---- hostile clients */

/* Returns when the service has closed the client, or fails the test: the service must not hang. */
static void expect_lively(void)
{
	uint64_t start = loop_now_ms();

	close(join(NULL));
	cr_expect_lt(loop_now_ms() - start, 5000);
}

/* The last copy is the one in the message. */
static void hand_over_slow(size_t size, bool plain_first)
{
	int peer, fd = slow_to_close(&peer), client = dial();

	if (plain_first)
		cr_assert_eq(send(client, "", 0, MSG_NOSIGNAL), 0);
	cr_assert_eq(hand_over(client, fd, size), 0);
	close(fd);
	serve_until(is_ended(client));
	close(client);
	expect_lively();
	serve_until(!service.count);
	close(peer); /* with unread data: a reset, and the close ends */
}

Test(subscribers, a_descriptor_whose_close_blocks_does_not_block_latchd)
{
	hand_over_slow(1, false);
}

Test(subscribers, a_descriptor_in_a_message_without_a_byte_does_not_block_latchd)
{
	hand_over_slow(0, false);
}

Test(subscribers, a_descriptor_behind_an_empty_message_does_not_block_latchd)
{
	hand_over_slow(1, true);
}

Test(subscribers, a_client_that_was_greeted_can_send_nothing)
{
	int client = join(NULL), peer, fd = slow_to_close(&peer);

	cr_expect_eq(hand_over(client, fd, 1), -EPIPE);
	cr_expect_eq(send(client, "x", 1, MSG_NOSIGNAL), -1);
	close(client);
	serve_until(!service.count);
	expect_lively();
	close(peer);
	close(fd);
}

Test(subscribers, descriptors_of_connections_that_wait_do_not_block_the_end_of_latchd)
{
	int clients[8], peers[8], fd, i;
	uint64_t start;

	for (i = 0; i < 8; i++) {
		fd = slow_to_close(&peers[i]);
		clients[i] = dial();
		cr_assert_eq(hand_over(clients[i], fd, 1), 0);
		close(fd);
		close(clients[i]);
	}
	start = loop_now_ms();
	subscribers_enable(&service, false);
	cr_expect_lt(loop_now_ms() - start, 5000);
	for (i = 0; i < 8; i++)
		close(peers[i]);
	subscribers_enable(&service, true);
	serve_until(!unread_waiting());
	expect_lively();
}

/* Of the process: a thread has no room for its stack. */
static rlim_t forbid_threads(void)
{
	struct rlimit limit;
	rlim_t before;

	cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
	before = limit.rlim_cur;
	limit.rlim_cur = 4096;
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
	return before;
}

static void allow_threads(rlim_t before)
{
	struct rlimit limit;

	cr_assert_eq(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = before;
	cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

/* The thread that closes them cannot be made: their number has a limit. */
Test(subscribers, connections_that_cannot_be_closed_have_a_limit_and_others_go_on_beside_them)
{
	enum {
		HOSTILE = 100,
		LIMIT = 64
	};
	int peers[HOSTILE], client, fd, i;
	struct latch_token mine;
	struct latch_news item;
	int honest = join(&mine);
	unsigned int before, waiting;
	rlim_t memory;

	allow_descriptors(4096);
	put_socket(500, &mine, 77);
	before = count_descriptors();
	for (i = 0; i < HOSTILE; i++) {
		fd = slow_to_close(&peers[i]);
		client = dial();
		cr_assert_eq(hand_over(client, fd, 1), 0);
		close(fd);
		close(client);
	}
	memory = forbid_threads();
	for (i = 0; i < 1000 && unread_waiting() < LIMIT; i++)
		run_for(10);
	run_for(100);
	waiting = unread_waiting();
	break_of(500, 9);
	allow_threads(memory);
	cr_expect_eq(waiting, LIMIT, "%u wait", waiting);
	cr_expect(next_item(honest, &item), "connections that are there get their news");
	expect_lively();
	for (i = 0; i < HOSTILE; i++)
		close(peers[i]);
	serve_until(!unread_waiting() && count_descriptors() <= before);
	close(honest);
}

Test(subscribers, a_client_cannot_send_descriptors_where_the_kernel_can_refuse_them)
{
	int client;

	if (!kernel_can_refuse_descriptors())
		cr_skip_test("SO_PASSRIGHTS is of Linux 6.16");
	subscribers_enable(&service, false);
	subscribers_enable(&service, true);
	client = dial();
	cr_expect_eq(hand_over(client, STDIN_FILENO, 1), -EPERM);
	close(client);
	expect_lively();
}
