/* SPDX-License-Identifier: BSD-2-Clause */
/* Break, heal and close of one latch: through the real control program, on real sockets. */
#include "latch_fixture.h"

#include "latchd/control/admin.h"

static struct latch_flow flow;
static unsigned int broken, healed, closed;
static int close_error;

static void expect_me(void *context, const struct admin_origin *who)
{
	cr_expect_eq(context, &flow);
	cr_expect_eq(who->pid, getpid());
}

static void on_broken(void *context, const struct latch_flow *of, const struct latch *latch,
		      const struct admin_origin *who)
{
	expect_me(context, who);
	cr_expect_arr_eq(of, &flow, sizeof(flow));
	cr_expect_eq(latch->word.state, LATCH_STATE_ESTABLISHED);
	broken++;
}

static void on_healed(void *context, const struct latch_flow *of, const struct latch *latch,
		      const struct admin_origin *who)
{
	expect_me(context, who);
	cr_expect_arr_eq(of, &flow, sizeof(flow));
	cr_expect_eq(latch->word.state, LATCH_STATE_BROKEN);
	healed++;
}

static void on_closed(void *context, const struct latch_flow *of, const struct latch *latch,
		      const struct admin_origin *who, int error)
{
	(void)latch;
	expect_me(context, who);
	cr_expect_arr_eq(of, &flow, sizeof(flow));
	closed++;
	close_error = error;
}

static struct admin admin;

static void set_up(void)
{
	latches_start();
	admin = (struct admin){&maps, on_broken, on_healed, on_closed, &flow};
}

TestSuite(admin, .init = set_up, .fini = latches_finish, .timeout = 120);

static struct latch latch_now(void)
{
	struct latch latch = {0};

	cr_assert_eq(latch_get(&maps, &flow, &latch), 0);
	return latch;
}

static void expect_request(enum control_act act, uint64_t id, const char *answer)
{
	const struct control_request order = {.act = act, .latch_id = id, .pid = getpid()};
	struct json_writer w;

	json_init(&w);
	admin_request(&admin, &order, &w);
	cr_assert_eq(json_finish(&w), 0);
	w.text[w.length - 1] = '\0';
	cr_expect_str_eq(w.text, answer);
	json_release(&w);
}

static void order(enum control_act act, const char *answer)
{
	expect_request(act, latch_now().id, answer);
}

static void expect_told(unsigned int breaks, unsigned int heals, unsigned int closes)
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
#define LISTENS		   REFUSED("is a listener's; end the program that listens", "wrong-state")
#define WRONG_STATE	   REFUSED("is not established yet, or is closed already", "wrong-state")

Test(admin, R_6_2_1_break_and_heal)
{
	flow = lonely(1000);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	order(CONTROL_ACT_HEAL, NOT_BROKEN);
	order(CONTROL_ACT_BREAK, BROKEN("\"admin\""));
	cr_expect_eq(latch_now().word.state, LATCH_STATE_BROKEN);
	cr_expect_eq(latch_now().word.reasons, LATCH_REASON_ADMIN);
	order(CONTROL_ACT_BREAK, ALREADY);
	expect_told(1, 0, 0);
	order(CONTROL_ACT_HEAL, ESTABLISHED);
	cr_expect_eq(latch_now().word.state, LATCH_STATE_ESTABLISHED);
	order(CONTROL_ACT_HEAL, NOT_BROKEN);
	expect_told(1, 1, 0);
}

/* It would come back with the next count of who listens, and nobody would know why. */
Test(admin, a_listener_is_ended_by_its_program)
{
	flow = lonely(1000);
	flow.remote_port = 0;
	memset(flow.remote_addr, 0, sizeof(flow.remote_addr));
	put_latch(&flow, LATCH_STATE_LISTENER, LATCH_OWNER_SOCKET, 1);
	order(CONTROL_ACT_CLOSE,
	      REFUSED("is a listener's; end the program that listens", "wrong-state"));
	cr_expect_eq(latch_now().word.state, LATCH_STATE_LISTENER);
	expect_told(0, 0, 0);
}

Test(admin, heals_his_own_break_only)
{
	uint64_t id;

	flow = lonely(1000);
	put_latch(&flow, LATCH_STATE_BROKEN, LATCH_OWNER_SOCKET, 1);
	id = latch_now().id;
	order(CONTROL_ACT_HEAL, NOT_BROKEN);
	order(CONTROL_ACT_BREAK, BROKEN("\"sa-conflict\",\"admin\""));
	order(CONTROL_ACT_HEAL, BROKEN("\"sa-conflict\""));
	cr_assert_eq(latch_break(&maps, &flow, id, LATCH_REASON_PEER_DEAD, NULL),
		     LATCH_CONTROL_DONE);
	order(CONTROL_ACT_BREAK, BROKEN("\"sa-conflict\",\"peer-dead\",\"admin\""));
	order(CONTROL_ACT_HEAL, BROKEN("\"sa-conflict\",\"peer-dead\""));
	cr_expect_eq(latch_now().word.state, LATCH_STATE_BROKEN);
	expect_told(0, 0, 0);
}

/* The conflict ends first: his break stands alone, and his heal is the healing. */
Test(admin, the_last_to_heal_tells)
{
	flow = lonely(1000);
	put_latch(&flow, LATCH_STATE_BROKEN, LATCH_OWNER_SOCKET, 1);
	order(CONTROL_ACT_BREAK, BROKEN("\"sa-conflict\",\"admin\""));
	cr_assert_eq(latch_heal(&maps, &flow, latch_now().id, LATCH_REASON_SA_CONFLICT, NULL),
		     LATCH_CONTROL_DONE);
	cr_expect_eq(latch_now().word.state, LATCH_STATE_BROKEN);
	order(CONTROL_ACT_HEAL, ESTABLISHED);
	expect_told(0, 1, 0);
}

Test(admin, an_unknown_latch)
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
	expect_told(0, 0, 0);
}

Test(admin, what_is_not_established_yet_cannot_be_broken)
{
	flow = lonely(1000);
	put_latch(&flow, LATCH_STATE_LARVAL, LATCH_OWNER_HANDSHAKE, 1);
	order(CONTROL_ACT_BREAK, WRONG_STATE);
	order(CONTROL_ACT_HEAL, WRONG_STATE);
	cr_expect_eq(latch_now().word.state, LATCH_STATE_LARVAL);
	order(CONTROL_ACT_CLOSE, CLOSED);
	cr_expect_not(has_latch(&flow));
	expect_told(0, 0, 1);
}

Test(admin, R_2_3_23_close_ends_the_socket)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL), whole = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow other = flow_of(whole.client);

	flow = flow_of(pair.client);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	put_latch(&other, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	order(CONTROL_ACT_CLOSE, CLOSED);
	cr_expect_eq(pending_error(pair.client), ECONNABORTED);
	cr_expect_eq(pending_error(pair.server), ECONNRESET, "its reset may leave");
	cr_expect_not(has_latch(&flow));
	expect_request(CONTROL_ACT_CLOSE, 1, NOT_THERE);
	expect_told(0, 0, 1);
	cr_expect_eq(close_error, 0);
	cr_expect(has_latch(&other));
	expect_alive(whole.client, whole.server);
	close_pair(&pair);
	close_pair(&whole);
}

/* Addresses and ports in use again: whoever has them now is not its owner. */
Test(admin, close_spares_a_successor)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch latch;

	flow = flow_of(pair.client);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	latch = latch_now();
	latch.socket_cookie = UINT64_MAX;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_EXIST), 0);
	order(CONTROL_ACT_CLOSE, CLOSED);
	cr_expect_not(has_latch(&flow));
	expect_alive(pair.client, pair.server);
	close_pair(&pair);
}

/* Neither send nor receive: an error to its owner cannot be had, so the latch must stay. */
Test(admin, R_2_3_24_what_cannot_be_ended_is_cut_off)
{
	flow = lonely(1000);
	flow.protocol = IPPROTO_SCTP;
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	order(CONTROL_ACT_CLOSE,
	      REFUSED("is broken, for its socket cannot be ended: Protocol not supported",
		      "failed"));
	cr_expect_eq(latch_now().word.state, LATCH_STATE_BROKEN);
	cr_expect_eq(latch_now().word.reasons, LATCH_REASON_ADMIN);
	expect_told(0, 0, 1);
	cr_expect_eq(close_error, -EPROTONOSUPPORT);
}

/* Its connections have latches of their own, and to close its latch would not end the program. */
Test(admin, R_2_2_1_a_listener_takes_no_orders)
{
	flow = lonely(1000);
	flow.remote_port = 0;
	memset(flow.remote_addr, 0, sizeof(flow.remote_addr));
	put_latch(&flow, LATCH_STATE_LISTENER, LATCH_OWNER_SOCKET, 1);
	order(CONTROL_ACT_BREAK, LISTENS);
	order(CONTROL_ACT_HEAL, LISTENS);
	order(CONTROL_ACT_CLOSE, LISTENS);
	cr_expect_eq(latch_now().word.state, LATCH_STATE_LISTENER);
	expect_told(0, 0, 0);
}
