/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The errors that an application gets from a broken latch, by disposition: real sockets
 * under the real gates. Each test is a row of the table in latchd(8).
 */
#include "gate_fixture.h"

#include "common/log.h"
#include "latchd/latch/disposition.h"
#include "latchd/net/socket_diag.h"
#include "latchd/latch/tcp_timeout.h"

#define TICK_MS 10

static struct loop *loop;

#include "loop_wait.h"

static struct disposition disposition;
static unsigned int resets, failures;
static int watched; /* a socket */

static void on_news(void *context, const struct news *news)
{
	(void)context;
	cr_expect_eq(news->kind, NEWS_LATCH_RESET);
	resets += !news->error;
	failures += news->error != 0;
}

static struct news_subscriber subscriber = {.fn = on_news};
static const struct news_bus bus = {.first = &subscriber};

static void quiet(enum log_level level, const char *subsystem, const char *text)
{
	(void)level;
	(void)subsystem;
	(void)text;
}

static void set_up(void)
{
	gate_set_up();
	log_set_sink(quiet);
	loop = loop_new();
	disposition = (struct disposition){.maps = &maps, .news = &bus};
	attach_gates();
	disposition_start(&disposition, loop);
}

static void tear_down(void)
{
	disposition_stop(&disposition);
	loop_free(loop);
	gate_tear_down();
}

TestSuite(application, .init = set_up, .fini = tear_down, .timeout = 120);

/* A BROKEN latch with the disposition and flags of a rule. */
static void put_broken(const struct latch_flow *flow, int fd, enum latch_disposition what,
		       __u8 flags)
{
	static uint64_t last_id = LATCH_ID;
	struct latch latch = {
		.id = ++last_id,
		.owner = LATCH_OWNER_SOCKET,
		.owner_since = 1000,
		.socket_cookie = cookie_of(fd),
		.word = {.generation = 9,
			 .params = 3,
			 .reasons = LATCH_REASON_SA_CONFLICT,
			 .state = LATCH_STATE_BROKEN},
		.disposition = what,
		.rule_flags = flags,
	};

	cr_assert_eq(bpf_map_update_elem(maps.latches, flow, &latch, BPF_NOEXIST), 0);
	forget_passes();
}

static void break_end(int fd, enum latch_disposition what, __u8 flags)
{
	struct latch_flow flow = flow_of(fd);

	put_broken(&flow, fd, what, flags);
	disposition_run_soon(&disposition);
}

static int poll_events(int fd)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN | POLLOUT};

	poll(&polled, 1, 0);
	return polled.revents;
}

static bool watched_has_error(void)
{
	return poll_events(watched) & POLLERR;
}

static void wait_for_error(int fd)
{
	watched = fd;
	wait_until(watched_has_error);
}

/* The error once, then the end of the stream. */
static void expect_read_fails(int fd, int error)
{
	char byte;

	cr_expect_eq(poll_events(fd) & (POLLIN | POLLERR | POLLHUP), POLLIN | POLLERR | POLLHUP);
	cr_expect_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	cr_expect_eq(errno, error, "%s", strerror(errno));
	cr_expect_eq(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
	cr_expect_eq(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	cr_expect_eq(errno, EPIPE);
}

static void expect_write_fails(int fd, int error)
{
	cr_expect_eq(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	cr_expect_eq(errno, error, "%s", strerror(errno));
}

/* All packets were dropped: the other end has no error and no data. */
static void expect_silence(int other_end)
{
	cr_expect_eq(pending_error(other_end), 0);
	cr_expect_not(is_readable(other_end));
	cr_expect_eq(tcp_state_of(other_end), TCP_ESTABLISHED);
}

static unsigned int user_timeout_of(int fd)
{
	unsigned int ms = 1;
	socklen_t length = sizeof(ms);

	cr_assert_eq(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, &length), 0);
	return ms;
}

Test(application, R_5_5_2_a_reset_gives_the_application_econnaborted)
{
	struct pair reader = connect_prompt_pair(IPV4, IPV4),
		    writer = connect_prompt_pair(IPV6, IPV6);

	break_end(reader.client, LATCH_DISPOSITION_RESET, 0);
	break_end(writer.server, LATCH_DISPOSITION_RESET, 0);
	wait_for_error(reader.client);
	expect_read_fails(reader.client, ECONNABORTED);
	wait_for_error(writer.server);
	expect_write_fails(writer.server, ECONNABORTED);
	expect_silence(reader.server);
	expect_silence(writer.client);
	cr_expect_eq(resets, 2);
	cr_expect_eq(failures, 0);
	close_pair(&reader);
	close_pair(&writer);
}

/* Of a socket that waits for data, and of one with unacknowledged data. */
Test(application, a_timeout_gives_the_application_etimedout)
{
	struct pair reader = connect_prompt_pair(IPV4, IPV4),
		    writer = connect_prompt_pair(IPV6, IPV6),
		    mapped = connect_prompt_pair("::", MAPPED);

	break_end(reader.client, LATCH_DISPOSITION_RESET, LATCH_RULE_TIMEOUT);
	break_end(mapped.server, LATCH_DISPOSITION_RESET, LATCH_RULE_TIMEOUT);
	break_end(writer.client, LATCH_DISPOSITION_RESET, LATCH_RULE_TIMEOUT);
	send_byte(writer.client);
	wait_for_error(reader.client);
	expect_read_fails(reader.client, ETIMEDOUT);
	wait_for_error(mapped.server);
	expect_read_fails(mapped.server, ETIMEDOUT);
	wait_for_error(writer.client);
	expect_write_fails(writer.client, ETIMEDOUT);
	expect_silence(reader.server);
	expect_silence(mapped.client);
	expect_silence(writer.server);
	cr_expect_eq(resets, 3, "each is published once");
	cr_expect_eq(failures, 0);
	close_pair(&reader);
	close_pair(&writer);
	close_pair(&mapped);
}

static unsigned int resets_before;

static bool was_reset(void)
{
	return resets > resets_before;
}

/* The reset of another latch in the same walk shows that the walk is complete. */
static void until_disposed_of(void)
{
	struct pair other = connect_prompt_pair(IPV4, IPV4);

	resets_before = resets;
	break_end(other.client, LATCH_DISPOSITION_RESET, 0);
	wait_until(was_reset);
	cr_expect_eq(resets, resets_before + 1);
	close_pair(&other);
}

Test(application, wait_gives_the_application_no_error)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(pair.client);

	break_end(pair.client, LATCH_DISPOSITION_WAIT, LATCH_RULE_TIMEOUT);
	send_byte(pair.client);
	until_disposed_of();
	expect_silence(pair.client);
	expect_silence(pair.server);
	cr_expect_eq(user_timeout_of(pair.client), 0);
	cr_expect_eq(latch_of(&flow).word.state, LATCH_STATE_BROKEN);
	close_pair(&pair);
}

Test(application, R_2_3_22_wait_ends_by_the_timeout_that_the_application_set)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);
	unsigned int ms = 500;

	cr_assert_eq(setsockopt(pair.client, IPPROTO_TCP, TCP_USER_TIMEOUT, &ms, sizeof(ms)), 0);
	break_end(pair.client, LATCH_DISPOSITION_WAIT, 0);
	send_byte(pair.client);
	wait_for_error(pair.client);
	expect_read_fails(pair.client, ETIMEDOUT);
	cr_expect_eq(resets + failures, 0);
	expect_silence(pair.server);
	close_pair(&pair);
}

/* A client whose SYN is dropped: its flow has a broken latch. */
static int connect_broken(enum latch_disposition what, __u8 flags, int *ret_listener)
{
	int listener = start_listener(IPV4, NULL), client;
	struct address there = address_of(IPV4, ntohs(name_of(listener, getsockname).v4.sin_port));
	struct address any = address_of(IPV4, 0);
	struct latch_flow flow;

	client = new_socket(&any, NULL);
	cr_assert_eq(bind(client, &any.any, any.length), 0);
	flow = flow_between(name_of(client, getsockname), there);
	put_broken(&flow, client, what, flags);
	cr_assert_eq(fcntl(client, F_SETFL, O_NONBLOCK), 0);
	cr_assert_eq(connect(client, &there.any, there.length), -1);
	cr_assert_eq(errno, EINPROGRESS, "%s", strerror(errno));
	disposition_run_soon(&disposition);
	*ret_listener = listener;
	return client;
}

Test(application, L_5_5_1_unreachable_ends_a_connect_and_lets_a_connection_wait)
{
	struct pair pair = connect_prompt_pair(IPV4, IPV4);
	int listener, client = connect_broken(LATCH_DISPOSITION_UNREACHABLE, 0, &listener);

	break_end(pair.client, LATCH_DISPOSITION_UNREACHABLE, 0);
	wait_for_error(client);
	cr_expect_eq(pending_error(client), ECONNABORTED);
	until_disposed_of();
	expect_silence(pair.client);
	expect_silence(pair.server);
	close(client);
	close(listener);
	close_pair(&pair);
}

Test(application, a_connect_is_reset_or_times_out)
{
	int one, other;
	int aborted = connect_broken(LATCH_DISPOSITION_RESET, 0, &one);
	int timed = connect_broken(LATCH_DISPOSITION_RESET, LATCH_RULE_TIMEOUT, &other);

	wait_for_error(aborted);
	cr_expect_eq(pending_error(aborted), ECONNABORTED);
	wait_for_error(timed);
	cr_expect_eq(pending_error(timed), ETIMEDOUT);
	close(aborted);
	close(timed);
	close(one);
	close(other);
}

/* The socket of the latch is closed, and another one has its addresses and ports. */
Test(application, a_socket_that_reuses_the_flow_is_neither_reset_nor_timed_out)
{
	struct pair reused = connect_prompt_pair(IPV4, IPV4),
		    timed = connect_prompt_pair(IPV4, IPV4),
		    another = connect_prompt_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(reused.client), timed_flow = flow_of(timed.client);

	put_broken(&flow, another.client, LATCH_DISPOSITION_RESET, 0);
	put_broken(&timed_flow, another.client, LATCH_DISPOSITION_RESET, LATCH_RULE_TIMEOUT);
	disposition_run_soon(&disposition);
	until_disposed_of();
	cr_expect_not(has_latch(&flow), "the socket of the latch is gone");
	cr_expect_eq(pending_error(reused.client), 0);
	cr_expect_eq(tcp_state_of(reused.client), TCP_ESTABLISHED);
	cr_expect_eq(user_timeout_of(timed.client), 0);
	close_pair(&reused);
	close_pair(&timed);
	close_pair(&another);
}

static void on_timed_out(void *context, const struct latch_timed_out *ended)
{
	const struct latch_flow *of = context;

	cr_expect_arr_eq(&ended->flow, of, sizeof(*of));
	cr_expect_eq(ended->error, 0);
	resets++;
}

/*
 * One run of the program serves all latches of a namespace, including a latch whose
 * addresses and ports another socket has by then.
 */
Test(application, a_socket_that_reuses_the_flow_is_not_timed_out_with_other_sockets)
{
	struct pair timed = connect_prompt_pair(IPV4, IPV4),
		    successor = connect_prompt_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(timed.client), stale = flow_of(successor.client);

	put_broken(&flow, timed.client, LATCH_DISPOSITION_RESET, LATCH_RULE_TIMEOUT);
	put_broken(&stale, timed.client, LATCH_DISPOSITION_RESET, LATCH_RULE_TIMEOUT);
	cr_expect_eq(timeout_broken(&maps, ns.cookie, on_timed_out, &flow), 0);
	cr_expect_eq(resets, 1);
	wait_for_error(timed.client);
	cr_expect_eq(pending_error(timed.client), ETIMEDOUT);
	cr_expect_eq(user_timeout_of(successor.client), 0);
	cr_expect_eq(pending_error(successor.client), 0);
	cr_expect_eq(tcp_state_of(successor.client), TCP_ESTABLISHED);
	close_pair(&timed);
	close_pair(&successor);
}
