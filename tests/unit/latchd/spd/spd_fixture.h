/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One latch, changed by the real control program, and the SPD of a namespace of the test that
 * protects its flow. A watch checks the SPD on a loop.
 */
#ifndef LATCHD_TESTS_SPD_FIXTURE_H
#define LATCHD_TESTS_SPD_FIXTURE_H

#include "policy_message.h"

#include "latch_fixture.h"

#include "latchd/identity/identities.h"
#include "latchd/spd/spd_watch.h"

#define GRACE_MS 5000

static struct spd_watch watch;
static struct identities *identities;
static struct latch_flow flow;
static uint16_t params;
static struct {
	unsigned int broken, healed, held, released;
	struct news_policy policy;
} seen;

static bool several_flows; /* news may be of other flows too */

static void expect_flow(const struct latch_flow *of)
{
	if (!several_flows)
		cr_expect_arr_eq(of, &flow, sizeof(flow));
}

static void note_policy(const struct news *news)
{
	seen.policy = *news->cause.policy;
}

static void on_broken(const struct news *news)
{
	expect_flow(news->flow);
	cr_expect_eq(news->latch->word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(news->cause.reason, LATCH_REASON_SPD_CHANGE);
	seen.broken++;
	note_policy(news);
}

static void on_healed(const struct news *news)
{
	cr_expect_eq(news->latch->word.state, LATCH_STATE_BROKEN);
	cr_expect_eq(news->cause.reason, LATCH_REASON_SPD_CHANGE);
	seen.healed++;
}

static void on_news(void *context, const struct news *news)
{
	cr_expect_eq(context, &watch);
	switch (news->kind) {
	case NEWS_LATCH_BROKEN:
		on_broken(news);
		return;
	case NEWS_LATCH_HEALED:
		on_healed(news);
		return;
	case NEWS_LATCH_HELD:
		expect_flow(news->flow);
		seen.held++;
		note_policy(news);
		return;
	case NEWS_LATCH_RELEASED:
		expect_flow(news->flow);
		seen.released++;
		return;
	case NEWS_KERNEL_EVENT:
	case NEWS_LATCH_RESET:
	case NEWS_FLOW_REFUSED:
	case NEWS_SA_BOUND:
	case NEWS_NETNS_SERVED:
	case NEWS_FEED_AWAY:
	case NEWS_EVENTS_LOST:
	case NEWS_MODE_CHANGED:
	case NEWS_FOR_APPLICATION:
		cr_expect_fail("the SPD watch publishes no news of kind %d", news->kind);
		return;
	}
}

static struct news_subscriber subscriber = {.fn = on_news, .context = &watch};
static const struct news_bus bus = {.first = &subscriber};

static uint16_t intern_peer(void)
{
	struct latch_identity identity = {.authority = "manual", .id = "c.example", .auth = 1};
	struct latch_params wanted = {.protocol = IPPROTO_ESP, .mode = XFRM_MODE_TRANSPORT};
	uint16_t index = 0;

	cr_assert_eq(identities_intern(identities, &identity, &wanted.peer_id), 0);
	wanted.local_id = wanted.peer_id;
	cr_assert_eq(identities_intern_params(identities, &wanted, &index), 0);
	return index;
}

static void start_watch(void)
{
	watch = (struct spd_watch){
		.maps = &maps,
		.identities = identities,
		.news = &bus,
		.grace_ms = GRACE_MS,
	};
	spd_watch_start(&watch, loop);
}

static inline void set_up(void)
{
	struct policy out = policy_protecting(POLICY_OUT), in = policy_protecting(POLICY_IN);

	latches_start();
	cr_assert_eq(identities_load(&maps, &identities), 0);
	params = intern_peer();
	policy_add(&ns, &out);
	policy_add(&ns, &in);
	flow = flow_without_socket(1000);
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 0);
	cr_assert_eq(params, 1, "the fixture's latches have params 1");
	start_watch();
}

static inline void tear_down(void)
{
	spd_watch_stop(&watch);
	identities_free(identities);
	latches_finish();
}

static inline struct latch now(void)
{
	struct latch latch = {0};

	cr_assert_eq(latch_get(&maps, &flow, &latch), 0);
	return latch;
}

static inline bool is_seen(void)
{
	return now().spd == (LATCH_SPD_OUT | LATCH_SPD_IN);
}

static inline bool is_broken(void)
{
	return now().word.state == LATCH_STATE_BROKEN;
}

static inline bool is_whole(void)
{
	return now().word.state == LATCH_STATE_ESTABLISHED;
}

static unsigned int round_before;

static inline bool has_checked_twice(void)
{
	return watch.round >= round_before + 2;
}

/* Reports an edit, as an event of the kernel does, and waits for two checks. */
static inline void edited_without_effect(void)
{
	spd_watch_edited(&watch, ns.cookie);
	round_before = watch.round;
	wait_until(has_checked_twice);
	cr_expect(is_whole());
	cr_expect_eq(seen.broken + seen.healed, 0);
}

static inline void edited(bool (*done)(void))
{
	spd_watch_edited(&watch, ns.cookie);
	wait_until(done);
}

static inline void put_sa(uint32_t spi, uint32_t if_id)
{
	const struct latch_sa_key key = {.netns = ns.cookie, .daddr = {10}, .spi = spi};
	struct latch_sa sa = {.if_id = if_id, .reqid = 7, .word = {.params = params}};

	cr_assert_eq(bpf_map_update_elem(maps.sas, &key, &sa, BPF_ANY), 0);
}

/* Sets the rule flags of the latch, and adds its SAs. */
static inline void want_protection(const struct latch_flow *of)
{
	struct latch latch;

	cr_assert_eq(latch_get(&maps, of, &latch), 0);
	latch.rule_flags = LATCH_RULE_PROTECT;
	latch.spi_out = 0x1001;
	latch.spi_in = 0x1002;
	cr_assert_eq(bpf_map_update_elem(maps.latches, of, &latch, BPF_EXIST), 0);
	put_sa(0x1001, 0);
	put_sa(0x1002, 0);
}

#endif
