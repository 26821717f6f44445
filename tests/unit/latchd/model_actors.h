/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The actors in the random worlds of test_model: the kernel, the key managers, and the gate that
 * creates latches. Each actor does the same to latchd's maps and to the reference model.
 */
#ifndef LATCHD_TESTS_MODEL_ACTORS_H
#define LATCHD_TESTS_MODEL_ACTORS_H

#include <inttypes.h>

#include "attribution_fixture.h"
#include "seed.h"
#include "world.h"

/* ---- the reference model, and its objects in latchd's maps and reports */

static struct world world;
static struct random chance;
static uint32_t next_spi;
static struct feed_child feed_children[WORLD_CHILDREN];
static struct latch_flow flows[WORLD_LATCHES];
static struct latch before[WORLD_LATCHES];
static unsigned int counts[32]; /* steps of each kind that had an effect */

static char step_log[8192];
static size_t step_log_length;
static uint64_t seed;

__attribute__((format(printf, 1, 2))) static void log_step(const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(step_log + step_log_length, sizeof(step_log) - step_log_length, format,
			   arguments);
	va_end(arguments);
	if (length > 0 && (size_t)length < sizeof(step_log) - step_log_length)
		step_log_length += (size_t)length;
}

__attribute__((format(printf, 1, 2), noreturn)) static void fail(const char *format, ...)
{
	char reason[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(reason, sizeof(reason), format, arguments);
	va_end(arguments);
	cr_assert_fail("%s; LATCHD_MODEL_SEED=%" PRIu64 ", steps:%s", reason, seed, step_log);
	abort();
}

#define must(condition, ...)                                                                       \
	do {                                                                                       \
		if (!(condition))                                                                  \
			fail(__VA_ARGS__);                                                         \
	} while (0)

static struct feed *feed_of(uint8_t key_manager)
{
	return key_manager ? &pluto : &charon;
}

/* The model's small numbers, and the selectors as a key manager writes them. */
static const struct {
	struct world_selector world;
	const char *local, *remote;
} selector_table[] = {
	{{1, 1, 2, 2, 0, 65535, 0}, "10.9.0.1/32", "10.9.0.2/32"},
	{{1, 1, 2, 3, 0, 65535, 0}, "10.9.0.1/32", "10.9.0.2/31"},
	{{0, 255, 0, 255, 0, 65535, 0}, "10.9.0.0/24", "10.9.0.0/24"},
	{{1, 1, 2, 2, 1000, 1000, 6}, "10.9.0.1/32[tcp/1000]", "10.9.0.2/32[tcp]"},
	{{1, 1, 2, 2, 1001, 1002, 6}, "10.9.0.1/32[tcp/1001-1002]", "10.9.0.2/32[tcp]"},
	{{1, 1, 2, 2, 0, 65535, 17}, "10.9.0.1/32[udp]", "10.9.0.2/32[udp]"},
	{{4, 4, 2, 2, 0, 65535, 0}, "10.9.0.4/32", "10.9.0.2/32"},
	{{1, 1, 3, 3, 0, 65535, 0}, "10.9.0.1/32", "10.9.0.3/32"},
};
#define SELECTORS (sizeof(selector_table) / sizeof(selector_table[0]))

static const char *const peers[] = {"c.example", "d.example", "e.example"};
static const char *const locals[] = {"w.example", "w2.example"};
static const char *const ciphers[] = {"rfc4106(gcm(aes))", "cbc(aes)"};

static struct latch_sa_key key_of(size_t i, bool inbound)
{
	return inbound ? in_key(&feed_children[i], ns.cookie)
		       : out_key(&feed_children[i], ns.cookie);
}

/* ---- random choices */

static size_t any_child(bool (*matches)(size_t))
{
	size_t start = draw(&chance, WORLD_CHILDREN), i;

	for (i = 0; i < WORLD_CHILDREN; i++)
		if (matches((start + i) % WORLD_CHILDREN))
			return (start + i) % WORLD_CHILDREN;
	return WORLD_CHILDREN;
}

static size_t any_latch(bool exists)
{
	size_t start = draw(&chance, WORLD_LATCHES), i;

	for (i = 0; i < WORLD_LATCHES; i++)
		if (world.latches[(start + i) % WORLD_LATCHES].exists == exists)
			return (start + i) % WORLD_LATCHES;
	return WORLD_LATCHES;
}

/* Neither the kernel nor the key manager nor latchd has state of the child. */
static bool is_free(size_t i)
{
	const struct world_child *c = &world.children[i];

	return !world_in_kernel(c) && !c->listed && !c->reported && !world.hints_lost;
}

static bool is_installed(size_t i)
{
	return world_in_kernel(&world.children[i]);
}

static bool is_listed(size_t i)
{
	return world.children[i].defined && world.children[i].listed;
}

static bool is_bound(size_t i)
{
	const struct world_child *c = &world.children[i];

	return c->defined && c->in && in_state(&feed_children[i]) == LATCH_SA_BOUND;
}

/* ---- the key managers */

static void report_snapshot(uint8_t key_manager)
{
	struct feed *feed = feed_of(key_manager);
	size_t i;

	sink->snapshot_begin(sink->context, feed);
	for (i = 0; i < WORLD_CHILDREN; i++)
		if (world.children[i].defined && world.children[i].listed &&
		    world.children[i].params.key_manager == key_manager)
			up(feed, &feed_children[i]);
	sink->snapshot_end(sink->context, feed);
	world_snapshot(&world, key_manager);
}

/* When the second key manager is synced, the first reports again, as a resync makes it. */
static void report_snapshots(uint8_t key_manager)
{
	report_snapshot(key_manager);
	if (world_is_synced(&world) && world.present[!key_manager])
		report_snapshot(!key_manager);
}

static void report_child(size_t i)
{
	struct world_child *c = &world.children[i];

	if (!world.present[c->params.key_manager])
		return;
	up(feed_of(c->params.key_manager), &feed_children[i]);
	world_report_child(&world, c);
}

/* Its peer is decided to be unproven, until the administrator states the contrary. */
static void refuse_child(size_t i)
{
	static const struct feed_refusal refusal = {
		.reason = "configure it", .evidence = "test", .decided = true};
	struct world_child *c = &world.children[i];

	if (!world.present[c->params.key_manager])
		return;
	sink->child_refused(sink->context, feed_of(c->params.key_manager), &feed_children[i],
			    &refusal);
	c->refused = true;
}

static void connect_key_manager(uint8_t key_manager)
{
	attach(feed_of(key_manager), &ns);
	world.present[key_manager] = true;
	world.synced[key_manager] = false;
}

/* ---- the kernel */

static void hint_pending(size_t i, bool inbound)
{
	struct latch_sa_key key = key_of(i, inbound);
	struct world_child *c = &world.children[i];

	attribution_sa_pending(attribution, &key);
	if (world_is_synced(&world))
		world_attribute(c);
}

static void install_sa(size_t i, bool inbound)
{
	struct latch_sa_key key = key_of(i, inbound);
	struct latch_sa sa = sa_from(
		inbound ? feed_children[i].remote_host : feed_children[i].local_host, inbound);

	memset(sa.qop.encryption, 0, sizeof(sa.qop.encryption));
	strcpy(sa.qop.encryption, ciphers[world.children[i].params.cipher]);
	install(&key, sa);
	*(inbound ? &world.children[i].in : &world.children[i].out) = true;
}

static void remove_sa(size_t i, bool inbound, bool hint)
{
	struct latch_sa_key key = key_of(i, inbound);
	bool *there = inbound ? &world.children[i].in : &world.children[i].out;

	if (!*there)
		return;
	*there = false;
	delete_without_event(&key);
	world.hints_lost = world.hints_lost || !hint;
	if (!hint)
		return;
	attribution_sa_gone(attribution, &key);
	world_sa_gone(&world.children[i]);
}

/* ---- latches */

static struct latch_flow flow_of(const struct world_latch *l)
{
	struct latch_flow flow = flow_at(l->port, ns.cookie);

	flow.remote_addr[3] = l->remote;
	return flow;
}

static uint64_t last_latch;

static void put_latch(size_t at, enum latch_state state, uint16_t params)
{
	struct latch latch = {
		.id = ++last_latch,
		.owner = LATCH_OWNER_SOCKET,
		.owner_since = last_latch,
		.word = {.generation = 0x80000000, .params = params, .state = state},
	};

	flows[at] = flow_of(&world.latches[at]);
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flows[at], &latch, BPF_NOEXIST), 0);
}

/*
 * The gate creates a latch under an SA that is bound and not contested. It may also create one
 * before latchd has marked the SA of a new conflict as contested.
 */
static bool may_create_latch(size_t i, const struct world_latch *l)
{
	struct latch_sa_key key;
	bool contested;

	if (!is_bound(i) || !world_covers(&world.children[i].selector, l))
		return false;
	key = key_of(i, true);
	contested = sa_at(&key).word.flags & LATCH_SA_CONTESTED;
	return !contested || (!world.hints_lost && world_has_conflict(&world, l));
}

static bool choose_params(struct world_latch *l, uint16_t *ret_params)
{
	size_t i = any_child(is_bound);

	if (i == WORLD_CHILDREN)
		return false;
	l->params = world.children[i].params;
	*ret_params = in_params(&feed_children[i]);
	return may_create_latch(i, l);
}

static bool prepare_latch(size_t at, enum world_kind kind)
{
	struct world_latch *l = &world.latches[at];

	*l = (struct world_latch){
		.kind = kind,
		.port = (uint16_t)(1000 + at),
		.remote = (uint8_t)(2 + draw(&chance, 4) / 3),
	};
	return true;
}

static void report_creation(size_t at)
{
	struct world_latch *l = &world.latches[at];

	attribution_latch_created(attribution, &flows[at]);
	l->conflict = world_has_conflict(&world, l);
}

#endif
