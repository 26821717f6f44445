/* SPDX-License-Identifier: BSD-2-Clause */
/* Latches of connected UDP sockets: disconnected sockets, and broken latches. */
#include "latch_fixture.h"

#include "latchd/latch/disposition.h"
#include "latchd/latch/reaper.h"

static struct reaper reaper;
static struct disposition disposition;
static unsigned int resets;

static void on_news(void *context, const struct news *news)
{
	(void)context;
	cr_expect_eq(news->kind, NEWS_LATCH_RESET);
	cr_expect_eq(news->flow->protocol, IPPROTO_UDP);
	cr_expect_eq(news->latch->word.state, LATCH_STATE_BROKEN);
	resets += !news->error;
}

static struct news_subscriber subscriber = {.fn = on_news};
static const struct news_bus bus = {.first = &subscriber};

static void set_up(void)
{
	latches_start();
	reaper = (struct reaper){.maps = &maps};
	disposition = (struct disposition){.maps = &maps, .news = &bus};
}

TestSuite(owner_udp, .init = set_up, .fini = latches_finish, .timeout = 120);

static int udp_connected(uint16_t port)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = namespace_socket(&ns, AF_INET, SOCK_DGRAM);

	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	address.sin_port = htons(port);
	cr_assert_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static struct latch_flow put_latch_of(int fd, enum latch_state state)
{
	struct latch_flow flow = flow_of(fd);

	flow.protocol = IPPROTO_UDP;
	put_latch(&flow, state, LATCH_OWNER_SOCKET, clock_boot_ns() - 4 * SECOND);
	return flow;
}

static struct latch_flow watched;

static bool watched_is_gone(void)
{
	return !has_latch(&watched);
}

static void one_round(void)
{
	loop_timer_arm(&reaper.timer, 0);
	wait_until(watched_is_gone);
}

/* In every round, not only in an audit. */
Test(owner_udp, R_2_3_19_a_latch_is_deleted_when_its_udp_socket_is_not_connected)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int gone = udp_connected(9), stays = udp_connected(9);
	struct latch_flow kept = put_latch_of(stays, LATCH_STATE_ESTABLISHED);

	reaper_start(&reaper, loop);
	watched = put_latch_of(gone, LATCH_STATE_ESTABLISHED);
	close(gone);
	one_round();
	gone = udp_connected(9);
	watched = put_latch_of(gone, LATCH_STATE_ESTABLISHED);
	cr_assert_eq(connect(gone, &none, sizeof(none)), 0);
	one_round();
	cr_expect(has_latch(&kept));
	close(gone);
	close(stays);
	reaper_stop(&reaper);
}

static bool was_reset(void)
{
	return resets > 0;
}

Test(owner_udp, S30_L_5_2_3_a_broken_udp_socket_gets_one_error_and_is_disconnected)
{
	int fd = udp_connected(9), other = udp_connected(9);
	struct latch_flow whole = put_latch_of(other, LATCH_STATE_ESTABLISHED);
	char byte;

	watched = put_latch_of(fd, LATCH_STATE_BROKEN);
	disposition_start(&disposition, loop);
	wait_until(was_reset);
	cr_expect_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	cr_expect_eq(errno, ECONNABORTED);
	cr_expect_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	cr_expect_eq(errno, EAGAIN);
	wait_until(watched_is_gone);
	cr_expect_eq(resets, 1);
	cr_expect(has_latch(&whole));
	cr_expect_eq(pending_error(other), 0);
	close(fd);
	close(other);
	disposition_stop(&disposition);
}
