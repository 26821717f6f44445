/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Attribution on the real maps and the real control program. The test acts as the kernel, which
 * puts SAs and latches into the maps, and as the key managers.
 *
 *	test as charon, pluto ---> feed sink ---> attribution ---> latch_control (BPF_PROG_RUN)
 *	test as kernel --- SAs, latches ---> maps <---------------------+
 *
 * W = 10.9.0.1 is the local address, C = 10.9.0.2 the peer's.
 */
#ifndef LATCHD_TESTS_ATTRIBUTION_FIXTURE_H
#define LATCHD_TESTS_ATTRIBUTION_FIXTURE_H

#include <bpf/bpf.h>
#include <linux/xfrm.h>
#include <netinet/in.h>

#include "loaded_control.h"
#include "namespace.h"

#include "common/clock.h"
#include "common/log.h"
#include "latchd/sa/attribution.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"

#define LIMIT_MS 20000
#define TICK_MS	 5
#define OLD_NS	 6000000000ull /* longer than an SA may stay unattributed */

static struct identities *identities;
static struct loop *loop;

#include "loop_wait.h"
static struct attribution *attribution;
static const struct feed_sink *sink;
static struct namespace ns;
static struct feed charon, pluto;

/* ---- what was seen */

static struct {
	unsigned int broken, healed, bound, served, away;
	struct latch_flow flow; /* of the latch broken or healed last */
	uint16_t got;
	uint8_t reasons; /* that a latch may be broken for; 0 = in conflict only */
	uint16_t bound_params;
	uint64_t bound_netns;
	char bound_feed[FEED_NAME_MAX];
	/* At the moment that a latch broke: */
	const struct latch_sa_key *watched;
	enum latch_sa_state watched_state;
	void (*on_break)(void); /* called after the break */
	void (*on_bound)(const struct latch_sa_key *key);
	void (*on_served)(void);
} seen;

static struct {
	const char *wanted;
	unsigned int count;
	void (*on_wanted)(void);
} logged;

static enum latch_sa_state state_of(const struct latch_sa_key *key)
{
	struct latch_sa sa;

	return sa_get(&maps, key, &sa) ? LATCH_SA_NONE : sa.word.state;
}

static void on_broken(const struct news *news)
{
	uint8_t expected = seen.reasons ? seen.reasons : LATCH_REASON_SA_CONFLICT;
	uint8_t reason = news->cause.reason;

	cr_expect_eq(reason & ~expected, 0, "reason 0x%x", reason);
	cr_expect_eq(__builtin_popcount(reason), 1);
	cr_expect_eq(news->latch->word.reasons & reason, 0);
	seen.broken++;
	seen.flow = *news->flow;
	seen.got = news->cause.got;
	if (seen.watched)
		seen.watched_state = state_of(seen.watched);
	if (seen.on_break)
		seen.on_break();
}

static void on_healed(const struct news *news)
{
	cr_expect_eq(news->cause.reason, LATCH_REASON_SA_CONFLICT);
	seen.healed++;
	seen.flow = *news->flow;
}

static void on_bound(const struct news_sa *bound)
{
	cr_expect(!strcmp(bound->evidence, "test") || !strcmp(bound->evidence, FEED_EVIDENCE_LIST));
	seen.bound++;
	seen.bound_params = bound->params;
	seen.bound_netns = bound->key->netns;
	snprintf(seen.bound_feed, sizeof(seen.bound_feed), "%s", bound->feed);
	if (seen.on_bound)
		seen.on_bound(bound->key);
}

static void on_news(void *context, const struct news *news)
{
	cr_expect_eq(context, &seen);
	switch (news->kind) {
	case NEWS_LATCH_BROKEN:
		on_broken(news);
		return;
	case NEWS_LATCH_HEALED:
		on_healed(news);
		return;
	case NEWS_SA_BOUND:
		on_bound(&news->sa);
		return;
	case NEWS_NETNS_SERVED:
		seen.served++;
		if (seen.on_served)
			seen.on_served();
		return;
	case NEWS_FEED_AWAY:
		seen.away++;
		return;
	case NEWS_KERNEL_EVENT:
	case NEWS_LATCH_HELD:
	case NEWS_LATCH_RELEASED:
	case NEWS_LATCH_RESET:
	case NEWS_FLOW_REFUSED:
	case NEWS_EVENTS_LOST:
	case NEWS_MODE_CHANGED:
	case NEWS_FOR_APPLICATION:
		cr_expect_fail("attribution publishes no news of kind %d", news->kind);
		return;
	}
}

static struct news_subscriber subscriber = {.fn = on_news, .context = &seen};
static const struct news_bus bus = {.first = &subscriber};

static void on_log(enum log_level level, const char *subsystem, const char *text)
{
	(void)level;
	(void)subsystem;
	if (!logged.wanted || !strstr(text, logged.wanted))
		return;
	logged.count++;
	if (logged.on_wanted)
		logged.on_wanted();
}

/* ---- key managers */

static void on_resync(struct feed *feed)
{
	feed->resyncs++;
}

static inline void feed_init(struct feed *feed, const char *name)
{
	*feed = (struct feed){.resync = on_resync};
	strcpy(feed->name, name);
}

static inline struct traffic_selector_set selectors(const char *text)
{
	struct traffic_selector_set set = {0};

	traffic_selector_set_add(&set, text, strlen(text));
	cr_assert_not(set.covers_all, "%s", text);
	return set;
}

static inline struct feed_child child_of(const char *peer, uint32_t spi)
{
	struct feed_child child = {
		.peer_auth = FEED_AUTH_PUBKEY,
		.mode = FEED_MODE_TRANSPORT,
		.family = AF_INET,
		.ipsec_protocol = IPPROTO_ESP,
		.local_host = {10, 9, 0, 1},
		.remote_host = {10, 9, 0, 2},
		.spi_in = spi,
		.spi_out = spi | 0x80000000,
		.local_ts = selectors("10.9.0.1/32"),
		.remote_ts = selectors("10.9.0.2/32"),
	};

	strcpy(child.config_name, "x509");
	strcpy(child.local_id, "w.example");
	strcpy(child.peer_id, peer);
	return child;
}

static inline void attach(struct feed *feed, const struct namespace *where)
{
	cr_assert_eq(sink->attached(sink->context, feed, where->pid), 0);
	sink->state(sink->context, feed, FEED_STATE_CONNECTED, "");
}

static inline void up(struct feed *feed, const struct feed_child *child)
{
	sink->child_up(sink->context, feed, child, "test");
}

static inline void down(struct feed *feed, const struct feed_child *child)
{
	sink->child_down(sink->context, feed, child);
}

static inline void set_feed_state(struct feed *feed, enum feed_state state)
{
	sink->state(sink->context, feed, state, "");
}

/* The key manager reports all its children: up to two, NULL for none. */
static inline void snapshot(struct feed *feed, const struct feed_child *one,
			    const struct feed_child *two)
{
	sink->snapshot_begin(sink->context, feed);
	if (one)
		up(feed, one);
	if (two)
		up(feed, two);
	sink->snapshot_end(sink->context, feed);
}

/* ---- the kernel: SAs */

static uint32_t last_serial;

static inline struct latch_sa_key in_key(const struct feed_child *child, uint64_t netns)
{
	struct latch_sa_key key = {.netns = netns,
				   .spi = child->spi_in,
				   .protocol = child->ipsec_protocol,
				   .family = child->family};

	memcpy(key.daddr, child->local_host, sizeof(key.daddr));
	return key;
}

static inline struct latch_sa_key out_key(const struct feed_child *child, uint64_t netns)
{
	struct latch_sa_key key = in_key(child, netns);

	key.spi = child->spi_out;
	memcpy(key.daddr, child->remote_host, sizeof(key.daddr));
	return key;
}

static inline struct latch_sa sa_from(const uint8_t source[16], bool inbound)
{
	struct latch_sa sa = {
		.installed = clock_boot_ns(),
		.qop = {.encryption_bits = 288, .icv_bits = 128, .replay_protection = inbound},
		.mode = XFRM_MODE_TRANSPORT,
	};

	strcpy(sa.qop.encryption, "rfc4106(gcm(aes))");
	memcpy(sa.saddr, source, sizeof(sa.saddr));
	return sa;
}

/* As the SA watch does: the SA is pending and has a new serial. */
static inline void install(const struct latch_sa_key *key, struct latch_sa sa)
{
	sa.word.raw = 0;
	sa.previous = last_serial;
	sa.word.serial = ++last_serial;
	sa.word.state = LATCH_SA_PENDING;
	sa.instance = 0x1000 + last_serial;
	cr_assert_eq(bpf_map_update_elem(maps.sas, key, &sa, BPF_NOEXIST), 0);
}

static inline void install_in(const struct feed_child *child, uint64_t netns)
{
	struct latch_sa_key key = in_key(child, netns);

	install(&key, sa_from(child->remote_host, true));
}

static inline void install_out(const struct feed_child *child, uint64_t netns)
{
	struct latch_sa_key key = out_key(child, netns);

	install(&key, sa_from(child->local_host, false));
}

static inline void install_both(const struct feed_child *child)
{
	install_in(child, ns.cookie);
	install_out(child, ns.cookie);
}

/* The kernel deletes an SA and latchd gets no event. */
static inline void delete_without_event(const struct latch_sa_key *key)
{
	cr_assert_eq(bpf_map_delete_elem(maps.sas, key), 0);
}

/* The kernel deletes an SA, and latchd gets the event. */
static inline void delete_sa(const struct latch_sa_key *key)
{
	delete_without_event(key);
	attribution_sa_gone(attribution, key);
}

static inline void delete_both(const struct feed_child *child)
{
	struct latch_sa_key in = in_key(child, ns.cookie), out = out_key(child, ns.cookie);

	delete_sa(&in);
	delete_sa(&out);
}

static inline struct latch_sa sa_at(const struct latch_sa_key *key)
{
	struct latch_sa sa = {0};

	cr_assert_eq(sa_get(&maps, key, &sa), 0, "no SA 0x%08x", key->spi);
	return sa;
}

static inline enum latch_sa_state in_state(const struct feed_child *child)
{
	struct latch_sa_key key = in_key(child, ns.cookie);

	return state_of(&key);
}

static inline enum latch_sa_state out_state(const struct feed_child *child)
{
	struct latch_sa_key key = out_key(child, ns.cookie);

	return state_of(&key);
}

static inline uint16_t in_params(const struct feed_child *child)
{
	struct latch_sa_key key = in_key(child, ns.cookie);

	return sa_at(&key).word.params;
}

static inline bool is_contested(const struct feed_child *child)
{
	struct latch_sa_key in = in_key(child, ns.cookie), out = out_key(child, ns.cookie);
	bool contested = sa_at(&in).word.flags & LATCH_SA_CONTESTED;

	cr_expect_eq(!!(sa_at(&out).word.flags & LATCH_SA_CONTESTED), contested);
	return contested;
}

static inline void expect_states(const struct feed_child *child, enum latch_sa_state state)
{
	cr_expect_eq(in_state(child), state, "inbound is %d", in_state(child));
	cr_expect_eq(out_state(child), state, "outbound is %d", out_state(child));
}

/* The key manager reports the child after its SAs were installed. */
static inline void install_and_report(struct feed *feed, const struct feed_child *child)
{
	install_both(child);
	up(feed, child);
	expect_states(child, LATCH_SA_BOUND);
}

/* ---- the kernel: latches */

static inline struct latch_flow flow_at(uint16_t local_port, uint64_t netns)
{
	return (struct latch_flow){
		.netns = netns,
		.local_addr = {10, 9, 0, 1},
		.remote_addr = {10, 9, 0, 2},
		.local_port = local_port,
		.remote_port = 4000,
		.family = AF_INET,
		.protocol = IPPROTO_TCP,
	};
}

static inline struct latch_flow latch_at(uint16_t local_port, uint64_t netns, uint16_t params)
{
	static uint64_t last_id;
	struct latch_flow flow = flow_at(local_port, netns);
	struct latch latch = {
		.id = ++last_id,
		.owner = LATCH_OWNER_SOCKET,
		.word = {.generation = 1, .params = params, .state = LATCH_STATE_ESTABLISHED},
	};

	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_NOEXIST), 0);
	return flow;
}

/* Runs two rounds of the loop: work that is deferred to the next round is done, too. */
static struct {
	struct loop_timer tick;
	unsigned int rounds;
} settling;

static void on_round(void *context)
{
	(void)context;
	if (settling.rounds++)
		loop_stop(loop);
	else
		loop_timer_arm(&settling.tick, 1);
}

static inline void settle(void)
{
	settling.rounds = 0;
	loop_timer_init(loop, &settling.tick, on_round, NULL);
	loop_timer_arm(&settling.tick, 0);
	cr_assert_eq(loop_run(loop), 0);
}

static inline struct latch latch_of(const struct latch_flow *flow)
{
	struct latch latch = {0};

	cr_assert_eq(latch_get(&maps, flow, &latch), 0);
	return latch;
}

static inline enum latch_state latch_state_of(const struct latch_flow *flow)
{
	settle();
	return latch_of(flow).word.state;
}

/* ---- the whole */

static inline void start_latchd(void)
{
	cr_assert_eq(identities_load(&maps, &identities), 0);
	loop = loop_new();
	cr_assert_not_null(loop);
	attribution = attribution_new(loop, &maps, identities, &bus);
	cr_assert_not_null(attribution);
	sink = attribution_sink(attribution);
	feed_init(&charon, "charon");
	feed_init(&pluto, "pluto");
}

static inline void stop_latchd(void)
{
	attribution_free(attribution);
	loop_free(loop);
	identities_free(identities);
}

/* latchd loses its memory; the maps are unchanged. */
static inline void restart_latchd(void)
{
	stop_latchd();
	start_latchd();
}

static inline void fixture_start(void)
{
	control_set_up();
	log_set_sink(on_log);
	namespace_start(&ns);
	start_latchd();
}

/* One key manager is attached and has no child. */
static inline void fixture_start_synced(void)
{
	fixture_start();
	attach(&charon, &ns);
	snapshot(&charon, NULL, NULL);
}

static inline void fixture_finish(void)
{
	stop_latchd();
	namespace_end(&ns);
	control_tear_down();
}

#endif
