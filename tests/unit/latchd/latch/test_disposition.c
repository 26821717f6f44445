/* SPDX-License-Identifier: BSD-2-Clause */
/* Dispositions of broken latches, with real sockets. */
#include "latch_fixture.h"

#include "latchd/latch/disposition.h"
#include "latchd/net/socket_diag.h"

static struct disposition disposition;
static struct latch_flow flow, other;
static unsigned int resets, failures, first_failures;
static int last_error;
static struct latch_flow last_flow;

static void on_news(void *context, const struct news *news)
{
	cr_expect_eq(context, &disposition);
	cr_expect_eq(news->kind, NEWS_LATCH_RESET);
	cr_expect_eq(news->latch->word.state, LATCH_STATE_BROKEN);
	cr_expect_null(news->cause.requester);
	resets += !news->error;
	failures += news->error != 0;
	first_failures += news->error && !news->again;
	last_error = news->error;
	last_flow = *news->flow;
}

static struct news_subscriber subscriber = {.fn = on_news, .context = &disposition};
static const struct news_bus bus = {.first = &subscriber};

static void set_up(void)
{
	latches_start();
	disposition = (struct disposition){.maps = &maps, .news = &bus};
}

static void tear_down(void)
{
	disposition_stop(&disposition);
	latches_finish();
}

TestSuite(disposition, .init = set_up, .fini = tear_down, .timeout = 120);

static bool latch_is_gone(void)
{
	return !has_latch(&flow);
}

static bool was_reset(void)
{
	return resets > 0;
}

/* No program releases the latch with its socket here: the disposition closes the latch. */
Test(disposition, R_5_5_2_only_the_socket_of_the_broken_latch_ends)
{
	struct pair broken = connect_pair(IPV4, IPV4, NULL), whole = connect_pair(IPV4, IPV4, NULL);

	flow = flow_of(broken.client);
	other = flow_of(whole.client);
	put_latch(&flow, LATCH_STATE_BROKEN, LATCH_OWNER_SOCKET, 1);
	put_latch(&other, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	disposition_start(&disposition, loop);
	wait_until(was_reset);
	cr_expect_eq(pending_error(broken.client), ECONNABORTED);
	cr_expect_arr_eq(&last_flow, &flow, sizeof(flow));
	wait_until(latch_is_gone);
	cr_expect_eq(resets, 1);
	cr_expect_eq(failures, 0);
	cr_expect(has_latch(&other));
	cr_expect_eq(pending_error(whole.client), 0);
	expect_alive(whole.client, whole.server);
	expect_alive(whole.server, whole.client);
	close_pair(&broken);
	close_pair(&whole);
}

Test(disposition, a_latch_that_breaks_later_is_reset)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch latch;

	flow = flow_of(pair.server);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	disposition_start(&disposition, loop);
	cr_assert_eq(latch_get(&maps, &flow, &latch), 0);
	cr_assert_eq(latch_break(&maps, &flow, latch.id, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
	disposition_run_soon(&disposition);
	wait_until(was_reset);
	cr_expect_eq(pending_error(pair.server), ECONNABORTED);
	close_pair(&pair);
}

Test(disposition, a_broken_latch_without_a_socket_is_closed)
{
	flow = flow_without_socket(1000);
	put_latch(&flow, LATCH_STATE_BROKEN, LATCH_OWNER_SOCKET, 1);
	disposition_start(&disposition, loop);
	wait_until(latch_is_gone);
	cr_expect_eq(resets + failures, 0);
}

/* The latch of a handshake is closed with it: no callback would ever come. */
Test(disposition, a_broken_handshake_is_ended_at_once)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	flow = flow_of(pair.server);
	put_latch(&flow, LATCH_STATE_BROKEN, LATCH_OWNER_HANDSHAKE, 1);
	disposition_start(&disposition, loop);
	wait_until(was_reset);
	cr_expect(latch_is_gone());
	close_pair(&pair);
}

/* The latch still drops packets that come in under an SA of another peer. */
Test(disposition, a_time_wait_socket_keeps_its_broken_latch)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	flow = flow_without_socket(1000);
	other = flow_of(pair.client);
	end_pair(&pair);
	put_latch(&flow, LATCH_STATE_BROKEN, LATCH_OWNER_SOCKET, 1);
	put_latch(&other, LATCH_STATE_BROKEN, LATCH_OWNER_TIME_WAIT, 1);
	disposition_start(&disposition, loop);
	wait_until(latch_is_gone);
	cr_expect(has_latch(&other));
	cr_expect_eq(resets + failures, 0);
	cr_expect_eq(socket_diag_find(&other), 0);
}

static bool failed_twice(void)
{
	return failures >= 4;
}

/* The latch stays BROKEN, so the gates drop all packets of the flow. */
Test(disposition, a_socket_that_cannot_be_ended_is_published_once_and_tried_again)
{
	flow = flow_without_socket(1000);
	flow.protocol = IPPROTO_DCCP;
	other = flow;
	other.local_port++;
	put_latch(&flow, LATCH_STATE_BROKEN, LATCH_OWNER_SOCKET, 1);
	put_latch(&other, LATCH_STATE_BROKEN, LATCH_OWNER_SOCKET, 1);
	disposition_start(&disposition, loop);
	wait_until(failed_twice);
	cr_expect_eq(last_error, -EPROTONOSUPPORT);
	cr_expect(has_latch(&flow));
	cr_expect_eq(resets, 0);
	cr_expect_eq(first_failures, 2);
}

/* ---- another socket has the addresses and ports of the latch */

static void put_of_another(struct pair *pair, uint8_t flags)
{
	struct latch latch;

	flow = flow_of(pair->client);
	put_latch(&flow, LATCH_STATE_BROKEN, LATCH_OWNER_SOCKET, 1);
	cr_assert_eq(latch_get(&maps, &flow, &latch), 0);
	latch.socket_cookie = UINT64_MAX;
	latch.rule_flags = flags;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_EXIST), 0);
}

static void expect_not_ended(uint8_t flags)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	put_of_another(&pair, flags);
	disposition_start(&disposition, loop);
	wait_until(latch_is_gone);
	cr_expect_eq(resets + failures, 0);
	expect_alive(pair.client, pair.server);
	close_pair(&pair);
}

Test(disposition, R_5_5_2_a_reset_does_not_end_a_socket_that_reuses_the_flow)
{
	expect_not_ended(0);
}

Test(disposition, R_5_5_2_a_timeout_does_not_end_a_socket_that_reuses_the_flow)
{
	expect_not_ended(LATCH_RULE_TIMEOUT);
}

/* ---- SCTP */

static void put_path(const struct latch_flow *path, enum latch_state state, uint64_t association)
{
	struct latch latch = {
		.id = 1000 + path->local_port,
		.owner = LATCH_OWNER_SOCKET,
		.association = association,
		.word = {.generation = 1,
			 .params = 1,
			 .reasons = state == LATCH_STATE_BROKEN ? LATCH_REASON_SA_CONFLICT : 0,
			 .state = state},
	};

	cr_assert_eq(bpf_map_update_elem(maps.latches, path, &latch, BPF_NOEXIST), 0);
}

static struct latch_flow sctp_path(uint16_t port, uint8_t family)
{
	struct latch_flow path = flow_without_socket(port);

	path.protocol = IPPROTO_SCTP;
	path.family = family;
	return path;
}

static bool failed_once(void)
{
	return failures > 0;
}

/* Over IPv6 an association cannot be ended: the failure shows the attempt, once. */
Test(disposition, R_5_5_3_an_sctp_association_ends_with_its_last_path)
{
	struct latch_flow broken = sctp_path(1, AF_INET6), last = sctp_path(2, AF_INET6),
			  sound = sctp_path(3, AF_INET6);

	put_path(&broken, LATCH_STATE_BROKEN, 5);
	put_path(&sound, LATCH_STATE_ESTABLISHED, 5);
	put_path(&last, LATCH_STATE_BROKEN, 6);
	disposition_start(&disposition, loop);
	wait_until(failed_once);
	cr_expect_eq(last_error, -EAFNOSUPPORT);
	cr_expect_eq(failures, 1);
	cr_expect(has_latch(&broken));
	cr_expect(has_latch(&last));
	cr_expect_eq(resets, 0);
}

/* A handshake has no association yet, so no other path belongs to it. */
Test(disposition, a_broken_sctp_handshake_ends_without_regard_to_other_paths)
{
	struct latch_flow broken = sctp_path(1, AF_INET6), sound = sctp_path(2, AF_INET6);

	put_path(&broken, LATCH_STATE_BROKEN, 0);
	put_path(&sound, LATCH_STATE_ESTABLISHED, 0);
	disposition_start(&disposition, loop);
	wait_until(failed_once);
	cr_expect_eq(last_error, -EAFNOSUPPORT);
}

/* ---- audit mode */

static void set_mode(bool audit)
{
	cr_assert_eq(latch_mode_switch(&maps, audit), 1);
}

static bool has_ended_a_round(void)
{
	return disposition.ended_ms > 0;
}

Test(disposition, audit_mode_resets_no_latch_that_it_has_decided_until_enforcement_begins)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch latch;

	flow = flow_of(pair.client);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	set_mode(true);
	cr_assert_eq(latch_get(&maps, &flow, &latch), 0);
	cr_assert_eq(latch_break(&maps, &flow, latch.id, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
	disposition_start(&disposition, loop);
	wait_until(has_ended_a_round);
	cr_expect_eq(resets + failures, 0);
	expect_alive(pair.client, pair.server);
	set_mode(false);
	disposition_run_soon(&disposition);
	wait_until(was_reset);
	cr_expect_eq(pending_error(pair.client), ECONNABORTED);
	close_pair(&pair);
}

/* A packet under way leaves the mark of its flow behind the walk. */
Test(disposition, a_mark_that_comes_after_the_walk_is_reset_in_a_second_one)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	flow = flow_of(pair.client);
	set_mode(true);
	disposition_start(&disposition, loop);
	wait_until(has_ended_a_round);
	set_mode(false);
	disposition.ended_ms = 0;
	disposition_run_twice(&disposition);
	wait_until(has_ended_a_round);
	put_latch(&flow, LATCH_STATE_BROKEN, LATCH_OWNER_SOCKET, 1);
	wait_until(was_reset);
	cr_expect_eq(pending_error(pair.client), ECONNABORTED);
	close_pair(&pair);
}

Test(disposition, audit_mode_resets_what_enforcement_has_broken)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	flow = flow_of(pair.client);
	put_latch(&flow, LATCH_STATE_BROKEN, LATCH_OWNER_SOCKET, 1);
	set_mode(true);
	disposition_start(&disposition, loop);
	wait_until(was_reset);
	cr_expect_eq(pending_error(pair.client), ECONNABORTED);
	close_pair(&pair);
}
