/* SPDX-License-Identifier: BSD-2-Clause */
/* Break, heal and close of one latch by the real control program, with real sockets. */
#include "latch_fixture.h"

#include "latchd/control/admin.h"
#include "latchd/report/report.h"

static struct latch_flow flow;
static unsigned int broken, healed, closed;
static int close_error;

static void on_news(void *context, const struct news *news)
{
	cr_expect_eq(context, &flow);
	cr_expect_arr_eq(news->flow, &flow, sizeof(flow));
	cr_expect_eq(news->cause.reason, LATCH_REASON_ADMIN);
	cr_assert_not_null(news->cause.requester);
	cr_expect_eq(news->cause.requester->pid, getpid());
	if (news->kind == NEWS_LATCH_BROKEN) {
		cr_expect_eq(news->latch->word.state, LATCH_STATE_ESTABLISHED);
		broken++;
	} else if (news->kind == NEWS_LATCH_HEALED) {
		cr_expect_eq(news->latch->word.state, LATCH_STATE_BROKEN);
		healed++;
	} else {
		cr_expect_eq(news->kind, NEWS_LATCH_RESET);
		closed++;
		close_error = news->error;
	}
}

static struct news_subscriber subscriber = {.fn = on_news, .context = &flow};
static const struct news_bus bus = {.first = &subscriber};
static const struct admin admin = {.maps = &maps, .news = &bus};

TestSuite(admin, .init = latches_start, .fini = latches_finish, .timeout = 120);

static struct latch latch_now(void)
{
	struct latch latch = {0};

	cr_assert_eq(latch_get(&maps, &flow, &latch), 0);
	return latch;
}

static void expect_request(enum control_act act, uint64_t id, const char *answer)
{
	const struct control_request request = {.act = act, .latch_id = id, .pid = getpid()};
	struct admin_result result = admin_request(&admin, &request);
	struct json_writer w;

	json_init(&w);
	report_request(&w, &result);
	cr_assert_eq(json_finish(&w), 0);
	w.text[w.length - 1] = '\0';
	cr_expect_str_eq(w.text, answer);
	json_release(&w);
}

static void request(enum control_act act, const char *answer)
{
	expect_request(act, latch_now().id, answer);
}

static void expect_news(unsigned int breaks, unsigned int heals, unsigned int closes)
{
	cr_expect_eq(broken, breaks);
	cr_expect_eq(healed, heals);
	cr_expect_eq(closed, closes);
}

#define BROKEN(reasons)	   "{\"schema\":1,\"id\":\"1\",\"state\":\"broken\",\"reasons\":[" reasons "]}"
#define ESTABLISHED	   "{\"schema\":1,\"id\":\"1\",\"state\":\"established\",\"reasons\":[]}"
#define CLOSED		   "{\"schema\":1,\"id\":\"1\",\"state\":\"closed\",\"reasons\":[]}"
#define REFUSED(why, code) "{\"error\":\"latch 1 " why "\",\"code\":\"" code "\"}"
#define ALREADY		   REFUSED("is already broken by an administrator", "already-broken")
#define NOT_BROKEN	   REFUSED("is not broken by an administrator", "not-broken")
#define NOT_THERE	   REFUSED("does not exist; see latchctl list", "not-found")
#define LISTENS		   REFUSED("belongs to a listening socket; end its program instead", "wrong-state")
#define WRONG_STATE	   REFUSED("is not established yet, or is closed already", "wrong-state")

Test(admin, R_6_2_1_root_breaks_and_heals_a_latch)
{
	flow = lonely(1000);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	request(CONTROL_ACT_HEAL, NOT_BROKEN);
	request(CONTROL_ACT_BREAK, BROKEN("\"admin\""));
	cr_expect_eq(latch_now().word.state, LATCH_STATE_BROKEN);
	cr_expect_eq(latch_now().word.reasons, LATCH_REASON_ADMIN);
	request(CONTROL_ACT_BREAK, ALREADY);
	expect_news(1, 0, 0);
	request(CONTROL_ACT_HEAL, ESTABLISHED);
	cr_expect_eq(latch_now().word.state, LATCH_STATE_ESTABLISHED);
	request(CONTROL_ACT_HEAL, NOT_BROKEN);
	expect_news(1, 1, 0);
}

/* The next scan of listening sockets would create the latch anew, without a visible cause. */
Test(admin, close_of_a_listener_latch_is_rejected)
{
	flow = lonely(1000);
	flow.remote_port = 0;
	memset(flow.remote_addr, 0, sizeof(flow.remote_addr));
	put_latch(&flow, LATCH_STATE_LISTENER, LATCH_OWNER_SOCKET, 1);
	request(CONTROL_ACT_CLOSE,
		REFUSED("belongs to a listening socket; end its program instead", "wrong-state"));
	cr_expect_eq(latch_now().word.state, LATCH_STATE_LISTENER);
	expect_news(0, 0, 0);
}

Test(admin, heal_undoes_only_the_break_of_an_administrator)
{
	uint64_t id;

	flow = lonely(1000);
	put_latch(&flow, LATCH_STATE_BROKEN, LATCH_OWNER_SOCKET, 1);
	id = latch_now().id;
	request(CONTROL_ACT_HEAL, NOT_BROKEN);
	request(CONTROL_ACT_BREAK, BROKEN("\"sa-conflict\",\"admin\""));
	request(CONTROL_ACT_HEAL, BROKEN("\"sa-conflict\""));
	cr_assert_eq(latch_break(&maps, &flow, id, LATCH_REASON_PEER_DEAD, NULL),
		     LATCH_CONTROL_DONE);
	request(CONTROL_ACT_BREAK, BROKEN("\"sa-conflict\",\"peer-dead\",\"admin\""));
	request(CONTROL_ACT_HEAL, BROKEN("\"sa-conflict\",\"peer-dead\""));
	cr_expect_eq(latch_now().word.state, LATCH_STATE_BROKEN);
	expect_news(0, 0, 0);
}

/* The conflict ends first, so the break by request is the last reason. */
Test(admin, heal_of_the_last_reason_is_published)
{
	flow = lonely(1000);
	put_latch(&flow, LATCH_STATE_BROKEN, LATCH_OWNER_SOCKET, 1);
	request(CONTROL_ACT_BREAK, BROKEN("\"sa-conflict\",\"admin\""));
	cr_assert_eq(latch_heal(&maps, &flow, latch_now().id, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
	cr_expect_eq(latch_now().word.state, LATCH_STATE_BROKEN);
	request(CONTROL_ACT_HEAL, ESTABLISHED);
	expect_news(0, 1, 0);
}

Test(admin, requests_for_an_unknown_latch_are_rejected)
{
	flow = lonely(1000);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	cr_assert_eq(latch_now().id, 1);
	cr_assert_eq(latch_close(&maps, &flow, 1), LATCH_CONTROL_DONE);
	expect_request(CONTROL_ACT_BREAK, 1, NOT_THERE);
	expect_request(CONTROL_ACT_HEAL, 1, NOT_THERE);
	expect_request(CONTROL_ACT_CLOSE, 1, NOT_THERE);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	expect_request(CONTROL_ACT_CLOSE, 1, NOT_THERE);
	cr_expect_eq(latch_now().id, 2, "its successor is another latch");
	expect_news(0, 0, 0);
}

Test(admin, a_larval_latch_can_be_closed_but_not_broken)
{
	flow = lonely(1000);
	put_latch(&flow, LATCH_STATE_LARVAL, LATCH_OWNER_HANDSHAKE, 1);
	request(CONTROL_ACT_BREAK, WRONG_STATE);
	request(CONTROL_ACT_HEAL, WRONG_STATE);
	cr_expect_eq(latch_now().word.state, LATCH_STATE_LARVAL);
	request(CONTROL_ACT_CLOSE, CLOSED);
	cr_expect_not(has_latch(&flow));
	expect_news(0, 0, 1);
}

Test(admin, R_2_3_23_close_ends_the_socket_of_the_latch_only)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL), whole = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow other = flow_of(whole.client);

	flow = flow_of(pair.client);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	put_latch(&other, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	request(CONTROL_ACT_CLOSE, CLOSED);
	cr_expect_eq(pending_error(pair.client), ECONNABORTED);
	cr_expect_eq(pending_error(pair.server), ECONNRESET, "the RST may leave");
	cr_expect_not(has_latch(&flow));
	expect_request(CONTROL_ACT_CLOSE, 1, NOT_THERE);
	expect_news(0, 0, 1);
	cr_expect_eq(close_error, 0);
	cr_expect(has_latch(&other));
	expect_alive(whole.client, whole.server);
	close_pair(&pair);
	close_pair(&whole);
}

/* Another socket has the same addresses and ports now. */
Test(admin, close_does_not_end_the_socket_that_now_has_the_flow)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch latch;

	flow = flow_of(pair.client);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	latch = latch_now();
	latch.socket_cookie = UINT64_MAX;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_EXIST), 0);
	request(CONTROL_ACT_CLOSE, CLOSED);
	cr_expect_not(has_latch(&flow));
	expect_alive(pair.client, pair.server);
	close_pair(&pair);
}

/* The application gets no error, so the latch must stay: the flow neither sends nor receives. */
Test(admin, R_2_3_24_close_breaks_the_latch_of_a_socket_that_cannot_be_ended)
{
	flow = lonely(1000);
	flow.protocol = IPPROTO_SCTP;
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	request(CONTROL_ACT_CLOSE,
		REFUSED("is broken instead: its socket cannot be ended: Protocol not supported",
			"failed"));
	cr_expect_eq(latch_now().word.state, LATCH_STATE_BROKEN);
	cr_expect_eq(latch_now().word.reasons, LATCH_REASON_ADMIN);
	expect_news(0, 0, 1);
	cr_expect_eq(close_error, -EPROTONOSUPPORT);
}

/* Its connections have latches of their own, and a close would not end the listening program. */
Test(admin, R_2_2_1_no_request_changes_a_listener_latch)
{
	flow = lonely(1000);
	flow.remote_port = 0;
	memset(flow.remote_addr, 0, sizeof(flow.remote_addr));
	put_latch(&flow, LATCH_STATE_LISTENER, LATCH_OWNER_SOCKET, 1);
	request(CONTROL_ACT_BREAK, LISTENS);
	request(CONTROL_ACT_HEAL, LISTENS);
	request(CONTROL_ACT_CLOSE, LISTENS);
	cr_expect_eq(latch_now().word.state, LATCH_STATE_LISTENER);
	expect_news(0, 0, 0);
}
