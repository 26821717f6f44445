/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * News by liblatch and by latch.py, from a latch of the programs to the application.
 *
 *	latch_news_open() -------------- service ------------- bus <--- event ring
 *	latch_news_add() --- option_set --- maps ---- control ----^
 *
 * Two applications, with a socket and a peer each: a report to the wrong one fails.
 */
#include "unit/bpf/api/news_fixture.h"
#include "unit/latchd/subscribers/subscribers_fixture.h"

#include <pthread.h>
#include <sys/epoll.h>

#include "latchd/daemon_events.h"
#include "latchd/daemon_parts.h"
#include "latchd/news/latch_transition.h"
#include "liblatch/latch.h"

static struct ring_buffer *service_ring;
static struct daemon latchd; /* its bus only */

static int publish_event(void *context, void *data, size_t size)
{
	(void)context;
	cr_assert_eq(size, sizeof(struct latch_event));
	daemon_kernel_event(&latchd, data);
	return 0;
}

static void set_up(void)
{
	api_set_up();
	start_service(&maps);
	latchd.news = bus;
	service_ring = ring_buffer__new(maps.events, publish_event, NULL, NULL);
	cr_assert_not_null(service_ring);
}

static void tear_down(void)
{
	ring_buffer__free(service_ring);
	stop_service();
	gate_tear_down();
}

TestSuite(liblatch_news, .init = set_up, .fini = tear_down, .timeout = 60);

static void take_events(void)
{
	cr_assert_geq(ring_buffer__consume(service_ring), 0);
}

/* The service runs in this process, and the call waits for it. */
struct opening {
	struct latch_news_channel channel;
	int err;
};

static void *open_channel(void *context)
{
	struct opening *opening = context;

	opening->err = latch_news_open(&opening->channel, news_path);
	return NULL;
}

static int try_to_open(struct latch_news_channel *ret)
{
	struct opening opening = {0};
	pthread_t thread;

	cr_assert_eq(pthread_create(&thread, NULL, open_channel, &opening), 0);
	serve_until(pthread_tryjoin_np(thread, NULL) == 0);
	*ret = opening.channel;
	return opening.err;
}

static struct latch_news_channel open_one(void)
{
	struct latch_news_channel channel;
	int err = try_to_open(&channel);

	cr_assert_eq(err, 0, "%s", strerror(-err));
	return channel;
}

static void take_step(const struct latch_flow *flow, enum latch_transition_kind kind)
{
	struct latch latch = latch_of(flow);
	const struct latch_transition step = {
		.kind = kind,
		.flow = flow,
		.latch = &latch,
		.cause = {.reason = LATCH_REASON_ADMIN},
	};

	cr_assert_eq(latch_transition(&maps, &bus, &step, NULL), LATCH_CONTROL_DONE);
}

#define expect_item(channel, wanted, fd, value)                                                    \
	do {                                                                                       \
		struct latch_news item_;                                                           \
		int err_ = latch_news_read(channel, &item_, sizeof(item_));                        \
                                                                                                   \
		cr_assert_eq(err_, 0, "%s", strerror(-err_));                                      \
		cr_expect_eq(item_.event, wanted, "event %d", item_.event);                        \
		cr_expect_eq(item_.socket, cookie_of(fd));                                         \
		cr_expect_eq(item_.data, value);                                                   \
	} while (0)

static void expect_none(const struct latch_news_channel *channel)
{
	struct latch_news item;

	cr_expect_eq(latch_news_read(channel, &item, sizeof(item)), -EAGAIN);
}

/* ---- break, heal, close, spawn */

struct two {
	struct latch_news_channel mine, foreign;
	struct pair one, other;
	struct latch_flow flow, other_flow;
};

static struct two two_applications(void)
{
	struct two two = {.mine = open_one(),
			  .foreign = open_one(),
			  .one = connect_pair(IPV4, IPV4, NULL),
			  .other = connect_pair(IPV6, IPV6, NULL)};

	two.flow = latch_socket(two.one.client, &c);
	two.other_flow = latch_socket(two.other.client, &d);
	cr_assert_eq(latch_news_add(&two.mine, two.one.client, 1), 0);
	cr_assert_eq(latch_news_add(&two.foreign, two.other.client, 2), 0);
	return two;
}

static void end_two(struct two *two)
{
	close(two->mine.fd);
	close(two->foreign.fd);
	close_pair(&two->one);
	close_pair(&two->other);
}

Test(liblatch_news, L_2_2_a_break_and_a_heal_are_reported_to_the_application_of_the_socket_only)
{
	struct two two = two_applications();

	take_step(&two.flow, LATCH_TRANSITION_BREAK);
	expect_item(&two.mine, LATCH_NEWS_BROKEN, two.one.client, 1);
	cr_expect_eq(latch_state(two.one.client), LATCH_APP_BROKEN, "the socket says so");
	take_step(&two.flow, LATCH_TRANSITION_HEAL);
	expect_item(&two.mine, LATCH_NEWS_HEALED, two.one.client, 1);
	cr_expect_eq(latch_state(two.one.client), LATCH_APP_ESTABLISHED);
	expect_none(&two.mine);
	expect_none(&two.foreign);
	take_step(&two.other_flow, LATCH_TRANSITION_BREAK);
	expect_item(&two.foreign, LATCH_NEWS_BROKEN, two.other.client, 2);
	expect_none(&two.mine);
	end_two(&two);
}

/* Without a descriptor of the socket there is nothing to subscribe, whatever is known of it. */
Test(liblatch_news, a_foreign_process_gets_no_news_of_a_socket_that_it_does_not_hold)
{
	struct two two = two_applications();
	pid_t pid = fork();
	int status;

	if (!pid) {
		int mine = tcp_socket(IPV4);

		close(two.one.client);
		_exit(latch_news_add(&two.foreign, two.one.client, 3) != -EBADF ||
		      latch_news_add(&two.foreign, mine, 3));
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_expect_eq(status, 0);
	take_step(&two.flow, LATCH_TRANSITION_BREAK);
	expect_none(&two.foreign);
	expect_item(&two.mine, LATCH_NEWS_BROKEN, two.one.client, 1);
	end_two(&two);
}

/* With a guessed token a process could fill the connection of another one. */
Test(liblatch_news, no_socket_is_subscribed_by_a_guessed_token)
{
	struct two two = two_applications();
	struct latch_news_channel guessed = two.foreign;
	int i;

	for (i = 0; i < 128; i++) {
		guessed = two.foreign;
		guessed.token[i / 8] ^= (__u8)(1 << i % 8);
		cr_expect_eq(latch_news_add(&guessed, two.one.client, 3), -ENOENT);
	}
	take_step(&two.flow, LATCH_TRANSITION_BREAK);
	expect_none(&two.foreign);
	expect_item(&two.mine, LATCH_NEWS_BROKEN, two.one.client, 1);
	end_two(&two);
}

Test(liblatch_news, the_end_of_a_latch_is_reported)
{
	struct two two = two_applications();
	uint64_t id = latch_of(&two.flow).id;

	cr_assert_eq(latch_close(&maps, &two.flow, id), LATCH_CONTROL_DONE);
	take_events();
	expect_item(&two.mine, LATCH_NEWS_CLOSED, two.one.client, 1);
	expect_none(&two.foreign);
	end_two(&two);
}

Test(liblatch_news, no_end_is_reported_of_a_socket_that_the_application_has_closed)
{
	struct two two = two_applications();

	close(two.one.client);
	wait_for(!has_latch(&two.flow) || latch_of(&two.flow).owner == LATCH_OWNER_TIME_WAIT);
	take_step(&two.other_flow, LATCH_TRANSITION_BREAK);
	take_events();
	expect_none(&two.mine);
	two.one.client = tcp_socket(IPV4);
	end_two(&two);
}

Test(liblatch_news, R_2_3_1_connections_of_a_listener_are_reported_with_its_data)
{
	struct latch_news_channel mine = open_one(), foreign = open_one();
	int listener = start_listener(IPV4, NULL), client, server;
	struct address there = name_of(listener, getsockname), here = address_of(IPV4, 0);
	struct latch_flow flow;

	cr_assert_eq(latch_news_add(&mine, listener, 5), 0);
	client = new_socket(&there, NULL);
	cr_assert_eq(bind(client, &here.any, here.length), 0);
	flow = flow_between(there, name_of(client, getsockname));
	put_latch(&flow, LATCH_OWNER_HANDSHAKE);
	cr_assert_eq(connect(client, &there.any, there.length), 0);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(server, 0);
	take_events();
	expect_item(&mine, LATCH_NEWS_SPAWNED, server, 5);
	take_step(&flow, LATCH_TRANSITION_BREAK);
	expect_item(&mine, LATCH_NEWS_BROKEN, server, 5);
	expect_none(&mine);
	expect_none(&foreign);
	close(server);
	close(client);
	close(listener);
	close(mine.fd);
	close(foreign.fd);
}

Test(liblatch_news, L_5_2_3_a_connected_UDP_socket_has_news)
{
	struct latch_news_channel mine = open_one();
	struct pair udp = udp_pair(IPV4, IPV4);
	struct latch_flow flow = latch_socket_as(udp.client, &c, udp_flow(udp.client));

	cr_assert_eq(latch_news_add(&mine, udp.client, 6), 0);
	take_step(&flow, LATCH_TRANSITION_BREAK);
	expect_item(&mine, LATCH_NEWS_BROKEN, udp.client, 6);
	take_step(&flow, LATCH_TRANSITION_HEAL);
	expect_item(&mine, LATCH_NEWS_HEALED, udp.client, 6);
	udp_close(&udp);
	close(mine.fd);
}

Test(liblatch_news, the_state_is_readable_after_news_were_lost)
{
	struct two two = two_applications();
	struct latch_news item = {0};
	int i;

	for (i = 0; i < 2000; i++)
		take_step(&two.flow, i % 2 ? LATCH_TRANSITION_HEAL : LATCH_TRANSITION_BREAK);
	take_step(&two.flow, LATCH_TRANSITION_BREAK);
	while (!latch_news_read(&two.mine, &item, sizeof(item)))
		cr_expect_neq(item.event, LATCH_NEWS_LOST);
	serve_until(!latch_news_read(&two.mine, &item, sizeof(item)));
	cr_expect_eq(item.event, LATCH_NEWS_LOST);
	cr_expect_eq(latch_state(two.one.client), LATCH_APP_BROKEN);
	end_two(&two);
}

/* ---- the descriptor */

Test(liblatch_news, the_descriptor_wakes_epoll)
{
	struct two two = two_applications();
	struct epoll_event event = {.events = EPOLLIN, .data.u64 = 9};
	int poller = epoll_create1(EPOLL_CLOEXEC);

	cr_assert_eq(epoll_ctl(poller, EPOLL_CTL_ADD, two.mine.fd, &event), 0);
	cr_expect_eq(epoll_wait(poller, &event, 1, 0), 0, "the greeting is read");
	take_step(&two.flow, LATCH_TRANSITION_BREAK);
	cr_expect_eq(epoll_wait(poller, &event, 1, 0), 1);
	expect_item(&two.mine, LATCH_NEWS_BROKEN, two.one.client, 1);
	cr_expect_eq(epoll_wait(poller, &event, 1, 0), 0);
	subscribers_enable(&service, false);
	cr_expect_eq(epoll_wait(poller, &event, 1, 0), 1);
	close(poller);
	end_two(&two);
}

Test(liblatch_news, latchd_away_is_EPIPE_and_its_token_is_not_known_to_the_next_one)
{
	struct two two = two_applications();
	struct latch_news_channel former = two.mine;
	struct latch_news item;

	subscribers_enable(&service, false);
	cr_expect_eq(latch_news_read(&former, &item, sizeof(item)), -EPIPE);
	cr_expect_eq(latch_news_read(&former, &item, sizeof(item)), -EPIPE);
	cr_expect_eq(latch_news_add(&former, two.one.client, 1), -ENOENT);
	take_step(&two.flow, LATCH_TRANSITION_BREAK);
	subscribers_enable(&service, true);
	cr_expect_eq(latch_news_add(&former, two.one.client, 1), -ENOENT);
	two.mine = open_one();
	cr_assert_eq(latch_news_add(&two.mine, two.one.client, 1), 0);
	cr_expect_eq(latch_state(two.one.client), LATCH_APP_BROKEN, "asked again");
	take_step(&two.flow, LATCH_TRANSITION_HEAL);
	expect_item(&two.mine, LATCH_NEWS_HEALED, two.one.client, 1);
	close(former.fd);
	end_two(&two);
}

Test(liblatch_news, errors_are_negative_and_errno_stays)
{
	struct latch_news_channel mine = open_one(), none;
	struct latch_news item;
	int fd = tcp_socket(IPV4), file = open("/dev/null", O_RDONLY | O_CLOEXEC);
	char longest[300];

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	errno = EXDEV;
	cr_expect_eq(latch_news_add(&mine, -1, 0), -EBADF);
	cr_expect_eq(latch_news_add(&mine, file, 0), -ENOTSOCK);
	cr_expect_eq(latch_news_read(&mine, &item, sizeof(item) - 1), -EINVAL);
	cr_expect_eq(latch_news_read(&mine, &item, sizeof(item)), -EAGAIN);
	cr_expect_eq(latch_news_open(&none, "/nonexistent/news"), -ENOENT);
	cr_expect_eq(none.fd, -1);
	cr_expect_eq(latch_news_open(&none, longest), -ENAMETOOLONG);
	change_settings(false, 0, 0);
	errno = EXDEV;
	cr_expect_eq(latch_news_add(&mine, fd, 0), -LATCH_UNAVAILABLE);
	cr_expect_eq(errno, EXDEV);
	close(fd);
	close(file);
	close(mine.fd);
}

Test(liblatch_news, one_connection_too_many_is_EUSERS)
{
	struct latch_news_channel channels[LATCH_NEWS_CLIENTS + 1];
	size_t i;

	for (i = 0; i < LATCH_NEWS_CLIENTS; i++)
		channels[i] = open_one();
	cr_expect_eq(try_to_open(&channels[i]), -EUSERS);
	cr_expect_eq(channels[i].fd, -1);
	for (i = 0; i < LATCH_NEWS_CLIENTS; i++)
		close(channels[i].fd);
	serve_until(!service.count);
	channels[0] = open_one();
	close(channels[0].fd);
}

struct later_news {
	struct latch_news news;
	uint64_t more;
};

Test(liblatch_news, a_later_program_gets_zeros_behind_what_latchd_knows)
{
	struct two two = two_applications();
	struct later_news later;

	memset(&later, 0xa5, sizeof(later));
	take_step(&two.flow, LATCH_TRANSITION_BREAK);
	cr_expect_eq(latch_news_read(&two.mine, &later.news, sizeof(later)), 0);
	cr_expect_eq(later.news.size, sizeof(later.news));
	cr_expect_eq(later.more, 0);
	end_two(&two);
}

/* ---- Python */

Test(liblatch_news, latch_py_gets_the_same_news)
{
	struct two two = two_applications();
	int copy = dup(two.one.client), status = -1;
	char number[16];
	pid_t pid;

	snprintf(number, sizeof(number), "%d", copy);
	pid = fork();
	if (!pid) {
		execl("/usr/bin/python3", "python3", "-B", "tests/unit/liblatch/news.py", news_path,
		      number, (char *)NULL);
		_exit(127);
	}
	serve_until(is_subscribed(cookie_of(copy), &service.first->token, 4711));
	take_step(&two.flow, LATCH_TRANSITION_BREAK);
	take_step(&two.flow, LATCH_TRANSITION_HEAL);
	take_step(&two.other_flow, LATCH_TRANSITION_BREAK);
	run_for(300);
	subscribers_enable(&service, false);
	serve_until(waitpid(pid, &status, WNOHANG) == pid);
	cr_expect_eq(status, 0, "news.py: %#x", status);
	close(copy);
	end_two(&two);
}
