/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * S37 without packets: attribution, conflicts and the control program in a random
 * world, beside the reference model of world.h. The test is the kernel, which
 * installs and deletes SAs, and the key managers, which speak of them, go away,
 * come back and forget. After every step both must agree, and the invariants hold.
 *
 * A run is short and starts in an empty world; run N has the seed N. The seed of
 * the run that failed and all its steps are printed.
 *
 *	LATCHD_MODEL_SEED=N    of the first run (1)
 *	LATCHD_MODEL_STEPS=N   about how many steps in all (8000)
 */
#include <inttypes.h>

#include "attribution_fixture.h"

#include "latchd/recovery.h"
#include "seed.h"
#include "world.h"

#define STEPS_A_RUN   60
#define STEPS_DEFAULT 8000

TestSuite(model, .init = fixture_start, .fini = fixture_finish, .timeout = 3600);

/* ---- the world, and what stands for it in latchd's tables */

static struct world world;
static struct random chance;
static uint32_t next_spi;
static struct feed_child said[WORLD_CHILDREN];
static struct latch_flow flows[WORLD_LATCHES];
static struct latch before[WORLD_LATCHES];
static unsigned int counts[32]; /* steps of each kind that did something */

static char story[8192];
static size_t story_length;
static uint64_t seed;

__attribute__((format(printf, 1, 2))) static void tell(const char *format, ...)
{
	va_list arguments;
	int length;

	va_start(arguments, format);
	length = vsnprintf(story + story_length, sizeof(story) - story_length, format, arguments);
	va_end(arguments);
	if (length > 0 && (size_t)length < sizeof(story) - story_length)
		story_length += (size_t)length;
}

__attribute__((format(printf, 1, 2), noreturn)) static void part(const char *format, ...)
{
	char why[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(why, sizeof(why), format, arguments);
	va_end(arguments);
	cr_assert_fail("%s; LATCHD_MODEL_SEED=%" PRIu64 ", steps:%s", why, seed, story);
	abort();
}

#define must(condition, ...)                                                                       \
	do {                                                                                       \
		if (!(condition))                                                                  \
			part(__VA_ARGS__);                                                         \
	} while (0)

static struct feed *feed_of(uint8_t keeper)
{
	return keeper ? &pluto : &charon;
}

/* The same small numbers, as the key manager writes them. */
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
	return inbound ? in_key(&said[i], ns.cookie) : out_key(&said[i], ns.cookie);
}

/* ---- choosing */

static size_t any_child(bool (*is)(size_t))
{
	size_t start = draw(&chance, WORLD_CHILDREN), i;

	for (i = 0; i < WORLD_CHILDREN; i++)
		if (is((start + i) % WORLD_CHILDREN))
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

/* Nothing is left of it, anywhere. */
static bool is_free(size_t i)
{
	const struct world_child *c = &world.children[i];

	return !world_in_kernel(c) && !c->kept && !c->told && !world.hints_lost;
}

static bool is_installed(size_t i)
{
	return world_in_kernel(&world.children[i]);
}

static bool is_kept(size_t i)
{
	return world.children[i].defined && world.children[i].kept;
}

static bool is_bound(size_t i)
{
	const struct world_child *c = &world.children[i];

	return c->defined && c->in && in_state(&said[i]) == LATCH_SA_BOUND;
}

/* ---- the key managers */

static void say_snapshot(uint8_t keeper)
{
	struct feed *feed = feed_of(keeper);
	size_t i;

	sink->snapshot_begin(sink->context, feed);
	for (i = 0; i < WORLD_CHILDREN; i++)
		if (world.children[i].defined && world.children[i].kept &&
		    world.children[i].params.keeper == keeper)
			up(feed, &said[i]);
	sink->snapshot_end(sink->context, feed);
	world_snapshot(&world, keeper);
}

/* What came while one was away is asked for again, as the resync does. */
static void say_all_snapshots(uint8_t keeper)
{
	say_snapshot(keeper);
	if (world_is_synced(&world) && world.present[!keeper])
		say_snapshot(!keeper);
}

static void say_up(size_t i)
{
	struct world_child *c = &world.children[i];

	if (!world.present[c->params.keeper])
		return;
	up(feed_of(c->params.keeper), &said[i]);
	world_told(&world, c);
}

static void come(uint8_t keeper)
{
	attach(feed_of(keeper), &ns);
	world.present[keeper] = true;
	world.synced[keeper] = false;
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

static void put_sa(size_t i, bool inbound)
{
	struct latch_sa_key key = key_of(i, inbound);
	struct latch_sa sa = sa_from(inbound ? said[i].remote_host : said[i].local_host, inbound);

	memset(sa.qop.encryption, 0, sizeof(sa.qop.encryption));
	strcpy(sa.qop.encryption, ciphers[world.children[i].params.cipher]);
	install(&key, sa);
	*(inbound ? &world.children[i].in : &world.children[i].out) = true;
}

static void take_sa(size_t i, bool inbound, bool hint)
{
	struct latch_sa_key key = key_of(i, inbound);
	bool *there = inbound ? &world.children[i].in : &world.children[i].out;

	if (!*there)
		return;
	*there = false;
	vanish(&key);
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
 * The gate lets a latch be born under an SA that is bound and not contested; it may
 * also be quicker than the mark of a conflict that is being found.
 */
static bool may_give_birth(size_t i, const struct world_latch *l)
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
	*ret_params = in_params(&said[i]);
	return may_give_birth(i, l);
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

static void told_of_birth(size_t at)
{
	struct world_latch *l = &world.latches[at];

	attribution_latch_born(attribution, &flows[at]);
	l->conflict = world_has_conflict(&world, l);
}

/* ---- steps: true if anything was done */

static bool step_child_appears(void)
{
	size_t i = any_child(is_free), how = draw(&chance, 4), s = draw(&chance, SELECTORS);
	struct world_child *c = &world.children[i];

	if (i == WORLD_CHILDREN)
		return false;
	*c = (struct world_child){
		.defined = true,
		.kept = true,
		.selector = selector_table[s].world,
		.params = {(uint8_t)(draw(&chance, 4) == 0), (uint8_t)draw(&chance, 3),
			   (uint8_t)(draw(&chance, 6) == 0), (uint8_t)(draw(&chance, 6) == 0)},
	};
	said[i] = child_of(peers[c->params.peer], ++next_spi);
	strcpy(said[i].local_id, locals[c->params.local]);
	said[i].local_ts = selectors(selector_table[s].local);
	said[i].remote_ts = selectors(selector_table[s].remote);
	tell(" appears(%zu peer=%u selector=%zu how=%zu)", i, c->params.peer, s, how);
	if (how == 0)
		say_up(i);
	put_sa(i, true);
	hint_pending(i, true);
	if (how == 1)
		say_up(i);
	put_sa(i, false);
	hint_pending(i, false);
	if (how >= 1)
		say_up(i);
	return true;
}

/* A rekey: the same peer and selectors under a new SPI; the old child may go at once. */
static bool step_rekey(void)
{
	size_t old = any_child(is_bound), i = any_child(is_free);

	if (old == WORLD_CHILDREN || i == WORLD_CHILDREN || !world.children[old].kept)
		return false;
	tell(" rekey(%zu to %zu)", old, i);
	world.children[i] = (struct world_child){.defined = true,
						 .kept = true,
						 .selector = world.children[old].selector,
						 .params = world.children[old].params};
	said[i] = said[old];
	said[i].spi_in = ++next_spi;
	said[i].spi_out = said[i].spi_in | 0x80000000;
	put_sa(i, true);
	put_sa(i, false);
	hint_pending(i, false);
	hint_pending(i, true);
	say_up(i);
	return true;
}

static bool step_child_told_again(void)
{
	size_t i = any_child(is_kept);

	if (i == WORLD_CHILDREN)
		return false;
	tell(" told(%zu)", i);
	say_up(i);
	return true;
}

static bool step_child_given_up(void)
{
	size_t i = any_child(is_kept);

	if (i == WORLD_CHILDREN)
		return false;
	tell(" given-up(%zu)", i);
	world.children[i].kept = false;
	if (!world.present[world.children[i].params.keeper])
		return true;
	down(feed_of(world.children[i].params.keeper), &said[i]);
	world_given_up(&world.children[i]);
	return true;
}

static bool remove_sas(bool hint)
{
	size_t i = any_child(is_installed), which = draw(&chance, 4);

	if (i == WORLD_CHILDREN)
		return false;
	tell(" %s(%zu %s)", hint ? "leaves" : "vanishes", i,
	     which == 0	  ? "in"
	     : which == 1 ? "out"
			  : "both");
	if (which != 1)
		take_sa(i, true, hint);
	if (which != 0)
		take_sa(i, false, hint);
	return true;
}

static bool step_sas_leave(void)
{
	return remove_sas(true);
}

static bool step_sas_vanish(void)
{
	return remove_sas(false);
}

static void reconcile(void)
{
	size_t i;

	attribution_reconcile(attribution);
	world.hints_lost = false;
	for (i = 0; i < WORLD_CHILDREN; i++)
		world_sa_gone(&world.children[i]);
}

static bool step_reconcile(void)
{
	tell(" reconcile");
	reconcile();
	return true;
}

static bool step_keeper_comes(void)
{
	uint8_t keeper = (uint8_t)draw(&chance, 2);

	tell(" comes(%u)", keeper);
	come(keeper);
	return true;
}

static bool step_snapshot(void)
{
	uint8_t keeper = (uint8_t)draw(&chance, 2);

	if (!world.present[keeper])
		return false;
	tell(" snapshot(%u)", keeper);
	say_all_snapshots(keeper);
	return true;
}

static bool step_keeper_lost(void)
{
	uint8_t keeper = (uint8_t)draw(&chance, 2);

	if (!world.present[keeper])
		return false;
	tell(" lost(%u)", keeper);
	lose(feed_of(keeper), draw(&chance, 2) ? FEED_STATE_LOST : FEED_STATE_ABSENT);
	world_lost(&world, keeper);
	return true;
}

/* While it was away, its restart has made it forget. */
static bool step_keeper_forgets(void)
{
	size_t i = any_child(is_kept);

	if (i == WORLD_CHILDREN || world.synced[world.children[i].params.keeper])
		return false;
	tell(" forgets(%zu)", i);
	world.children[i].kept = false;
	return true;
}

static bool step_latchd_restarts(void)
{
	uint8_t keepers = (uint8_t)draw(&chance, 4), keeper;

	tell(" restart(keepers=%#x)", keepers);
	restart_latchd();
	world_restarted(&world);
	for (keeper = 0; keeper < WORLD_KEEPERS; keeper++)
		if (keepers & 1 << keeper)
			come(keeper);
	for (keeper = 0; keeper < WORLD_KEEPERS; keeper++)
		if (keepers & 1 << keeper)
			say_all_snapshots(keeper);
	return true;
}

static bool step_database_corrupt(void)
{
	uint32_t index = 1;
	struct latch_params damaged;
	size_t i;

	if (draw(&chance, 4) || bpf_map_lookup_elem(maps.params, &index, &damaged) ||
	    !damaged.checksum)
		return false;
	tell(" corrupt");
	damaged.peer_id ^= 1;
	cr_assert_eq(bpf_map_update_elem(maps.params, &index, &damaged, BPF_ANY), 0);
	stop_latchd();
	must(!recovery_load_identities(&maps, &identities), "the damaged table was not recovered");
	identities_free(identities);
	start_latchd();
	world_restarted(&world);
	for (i = 0; i < WORLD_LATCHES; i++)
		world.latches[i].exists = false;
	for (i = 0; i < WORLD_CHILDREN; i++)
		world.children[i].ever_told = world.children[i].bound_once = false;
	return true;
}

static bool step_connect(void)
{
	size_t at = any_latch(false);
	uint16_t params;

	if (at == WORLD_LATCHES || !prepare_latch(at, WORLD_LATCHED) ||
	    !choose_params(&world.latches[at], &params))
		return false;
	tell(" connect(%zu peer=%u)", at, world.latches[at].params.peer);
	world.latches[at].exists = true;
	put_latch(at, LATCH_STATE_ESTABLISHED, params);
	told_of_birth(at);
	return true;
}

static bool step_listen_or_acquire(void)
{
	size_t at = any_latch(false);
	bool listen = draw(&chance, 2);

	if (at == WORLD_LATCHES || !prepare_latch(at, listen ? WORLD_LISTENER : WORLD_LARVAL))
		return false;
	tell(" %s(%zu)", listen ? "listen" : "acquire", at);
	world.latches[at].exists = true;
	put_latch(at, listen ? LATCH_STATE_LISTENER : LATCH_STATE_LARVAL, 0);
	return true;
}

/* As the gate does it when the first packet comes under an SA that somebody owns. */
static bool step_larval_settles(void)
{
	size_t at = any_latch(true);
	struct world_latch *l = &world.latches[at];
	struct latch latch;
	uint16_t params;

	if (at == WORLD_LATCHES || l->kind != WORLD_LARVAL || !choose_params(l, &params))
		return false;
	tell(" settles(%zu peer=%u)", at, l->params.peer);
	latch = latch_of(&flows[at]);
	latch.word.state = LATCH_STATE_ESTABLISHED;
	latch.word.params = params;
	latch.word.generation++;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flows[at], &latch, BPF_EXIST), 0);
	l->kind = WORLD_LATCHED;
	told_of_birth(at);
	return true;
}

static void must_result(int got, enum latch_control_result want)
{
	must(got == (int)want, "the control program said %d, the model %d", got, want);
}

static uint8_t draw_reasons(void)
{
	return (uint8_t)(draw(&chance, LATCH_REASONS_ALL + 1) & ~LATCH_REASON_SA_CONFLICT);
}

static void set_reasons(struct world_latch *l, uint8_t reasons, bool to)
{
	l->spd = reasons & LATCH_REASON_SPD_CHANGE ? to : l->spd;
	l->admin = reasons & LATCH_REASON_ADMIN ? to : l->admin;
	if (!to)
		return;
	l->dead = l->dead || reasons & LATCH_REASON_PEER_DEAD;
	l->rebooted = l->rebooted || reasons & LATCH_REASON_PEER_REBOOTED;
}

static enum latch_control_result expected_result(const struct world_latch *l, uint8_t was)
{
	if (l->kind != WORLD_LATCHED)
		return LATCH_CONTROL_REFUSED;
	return world_reasons(l) == was ? LATCH_CONTROL_UNCHANGED : LATCH_CONTROL_DONE;
}

static bool break_or_heal(bool breaks)
{
	uint8_t reasons = draw_reasons(), was;
	size_t at = any_latch(true);
	struct world_latch *l = &world.latches[at];
	int got;

	if (at == WORLD_LATCHES || !reasons)
		return false;
	tell(" %s(%zu reasons=%#x)", breaks ? "break" : "heal", at, reasons);
	was = world_reasons(l);
	got = (breaks ? latch_break : latch_heal)(&maps, &flows[at], latch_of(&flows[at]).id,
						  reasons, NULL);
	if (l->kind == WORLD_LATCHED)
		set_reasons(l, reasons, breaks);
	must_result(got, expected_result(l, was));
	return true;
}

/* A policy edit, dead peers, a reboot, the administrator: told by others, one latch each. */
static bool step_break(void)
{
	return break_or_heal(true);
}

static bool step_heal(void)
{
	return break_or_heal(false);
}

static bool step_close(void)
{
	size_t at = any_latch(true);
	bool wrong = draw(&chance, 4) == 0, reap = draw(&chance, 2);
	struct latch latch;
	int got;

	if (at == WORLD_LATCHES)
		return false;
	tell(" %s%s(%zu)", reap ? "release" : "close", wrong ? "-another" : "", at);
	latch = latch_of(&flows[at]);
	latch.owner_since += wrong && reap;
	latch.id += wrong && !reap ? 1000 : 0;
	got = reap ? latch_reap(&maps, &flows[at], &latch)
		   : latch_close(&maps, &flows[at], latch.id);
	must_result(got, wrong ? LATCH_CONTROL_NOT_FOUND : LATCH_CONTROL_DONE);
	world.latches[at].exists = wrong;
	return true;
}

static const struct {
	bool (*take)(void);
	unsigned int weight;
} steps[] = {
	{step_child_appears, 16},
	{step_rekey, 5},
	{step_child_told_again, 3},
	{step_child_given_up, 6},
	{step_sas_leave, 9},
	{step_sas_vanish, 3},
	{step_reconcile, 3},
	{step_keeper_comes, 2},
	{step_snapshot, 4},
	{step_keeper_lost, 2},
	{step_keeper_forgets, 3},
	{step_latchd_restarts, 2},
	{step_database_corrupt, 1},
	{step_connect, 18},
	{step_listen_or_acquire, 3},
	{step_larval_settles, 6},
	{step_break, 5},
	{step_heal, 7},
	{step_close, 5},
};
#define STEP_KINDS (sizeof(steps) / sizeof(steps[0]))

/* ---- what must be true */

/*
 * Bound by an earlier latchd, and its key manager has not told this one yet, which so
 * knows of no conflict when another key manager has: the gate still refuses its packets.
 */
static bool is_inherited(const struct world_child *c)
{
	return !c->attributed && !world.synced[c->params.keeper];
}

/* I1, R-2.3-7: from the kernel's table, whatever latchd may think of its SAs. */
static void check_no_conflict(size_t at, const struct latch *latch)
{
	size_t i;
	int end;

	for (i = 0; i < WORLD_CHILDREN; i++) {
		const struct world_child *c = &world.children[i];

		for (end = 0; end < 2 && c->defined && !is_inherited(c); end++) {
			struct latch_sa_key key = key_of(i, end);

			if (!(end ? c->in : c->out) || state_of(&key) != LATCH_SA_BOUND)
				continue;
			must(!world_conflicts(c, &world.latches[at]),
			     "I1: latch %zu is established, and SA 0x%08x of another is bound", at,
			     key.spi);
			must(!world_covers(&c->selector, &world.latches[at]) ||
				     sa_at(&key).word.params == latch->word.params,
			     "latch %zu and SA 0x%08x are congruent and differ in params", at,
			     key.spi);
		}
	}
}

/* Nobody has told latchd that an SA has left: it may have noticed, or not yet. */
static void allow_late_news(struct world_latch *l, uint8_t got)
{
	if (world.hints_lost && !world_has_conflict(&world, l) && l->kind == WORLD_LATCHED)
		l->conflict = got & LATCH_REASON_SA_CONFLICT;
}

static void check_latch(size_t at)
{
	struct world_latch *l = &world.latches[at];
	struct latch latch = {0};

	if (!l->exists) {
		must(latch_get(&maps, &flows[at], &latch) == -ENOENT, "latch %zu lives on", at);
		return;
	}
	must(!latch_get(&maps, &flows[at], &latch), "latch %zu is gone", at);
	allow_late_news(l, latch.word.reasons);
	must(latch.word.reasons == world_reasons(l), "latch %zu has reasons %#x, the model %#x", at,
	     latch.word.reasons, world_reasons(l));
	must(latch.word.state == world_state(l), "latch %zu is in state %d, the model's in %d", at,
	     latch.word.state, world_state(l));
	if (latch.word.state == LATCH_STATE_ESTABLISHED)
		check_no_conflict(at, &latch);
}

/* Every transition draws a generation; params stay for life (R-2-14). */
static void check_transition(size_t at, int *ret_breaks)
{
	struct latch now = {0};

	if (latch_get(&maps, &flows[at], &now) || now.id != before[at].id) {
		*ret_breaks += now.id && now.word.reasons & LATCH_REASON_SA_CONFLICT;
		before[at] = now;
		return;
	}
	must((now.word.raw == before[at].word.raw) ==
		     (now.word.generation == before[at].word.generation),
	     "latch %zu changed under the same generation", at);
	must(now.word.params == before[at].word.params ||
		     before[at].word.state == LATCH_STATE_LARVAL,
	     "latch %zu has other params now", at);
	*ret_breaks += !!(now.word.reasons & LATCH_REASON_SA_CONFLICT) -
		       !!(before[at].word.reasons & LATCH_REASON_SA_CONFLICT);
	before[at] = now;
}

static bool is_contested_now(size_t i)
{
	struct latch_sa_key key = key_of(i, world.children[i].in);

	return world_in_kernel(&world.children[i]) && sa_at(&key).word.flags & LATCH_SA_CONTESTED;
}

/* Nobody's SA carries no latch; one that its key manager has told is bound. */
static void check_child(size_t i)
{
	struct world_child *c = &world.children[i];
	struct latch_sa_key in = key_of(i, true), out = key_of(i, false);

	if (c->in && !c->ever_told)
		must(state_of(&in) == LATCH_SA_PENDING, "SA 0x%08x is nobody's", in.spi);
	if (c->out && !c->ever_told)
		must(state_of(&out) == LATCH_SA_PENDING, "SA 0x%08x is nobody's", out.spi);
	c->bound_once = c->out && sa_at(&out).word.params;
	if (!c->attributed || c->given_up || c->orphan || world.hints_lost ||
	    !world.synced[c->params.keeper])
		return;
	must(!c->in || state_of(&in) == LATCH_SA_BOUND, "SA 0x%08x waits in vain", in.spi);
	must(!c->out || state_of(&out) == LATCH_SA_BOUND, "SA 0x%08x waits in vain", out.spi);
	must(is_contested_now(i) == (world_in_kernel(c) && world_is_contested(&world, c)),
	     "SA 0x%08x: contested or not", in.spi);
}

static void check_world(void)
{
	int breaks = 0;
	size_t i;

	for (i = 0; i < WORLD_CHILDREN; i++)
		if (world.children[i].defined)
			check_child(i);
	for (i = 0; i < WORLD_LATCHES; i++) {
		check_latch(i);
		check_transition(i, &breaks);
	}
	/* L-2.2-4: as many alerts as latches that have come to be in conflict. */
	must((int)seen.broken - (int)seen.healed == breaks,
	     "%u breaks and %u heals were told, %d happened", seen.broken, seen.healed, breaks);
}

/* latchd looks again for SAs that wait, in its own time: a child that was given up may be found. */
static void notice_late_attributions(void)
{
	size_t i;

	for (i = 0; i < WORLD_CHILDREN; i++) {
		struct world_child *c = &world.children[i];
		bool waits = c->in && in_state(&said[i]) == LATCH_SA_PENDING;

		if (c->told && c->in && c->waited && !waits)
			c->attributed = true;
		c->waited = waits;
	}
}

/* ---- runs */

static void empty_world(void)
{
	size_t i;

	for (i = 0; i < WORLD_LATCHES; i++) {
		bpf_map_delete_elem(maps.latches, &flows[i]);
		before[i] = (struct latch){0};
	}
	for (i = 0; i < WORLD_CHILDREN; i++) {
		if (world.children[i].in)
			take_sa(i, true, false);
		if (world.children[i].out)
			take_sa(i, false, false);
	}
	memset(&world, 0, sizeof(world));
	restart_latchd();
	come(0);
	say_snapshot(0);
	story_length = 0;
	story[0] = '\0';
}

/* R-2.3-11: at the moment that a latch breaks, what breaks it is not open yet. */
static void on_break(void)
{
	size_t at, i;

	for (at = 0; at < WORLD_LATCHES && memcmp(&flows[at], &seen.flow, sizeof(flows[at]));)
		at++;
	must(at < WORLD_LATCHES, "a latch broke that nobody knows");
	for (i = 0; i < WORLD_CHILDREN; i++)
		must(world.children[i].bound_before || !is_bound(i) ||
			     !world_conflicts(&world.children[i], &world.latches[at]),
		     "latch %zu broke after SA 0x%08x was bound", at, said[i].spi_in);
}

static void begin_step(void)
{
	size_t i;

	seen.broken = seen.healed = 0;
	seen.then = on_break;
	for (i = 0; i < WORLD_CHILDREN; i++)
		world.children[i].bound_before = is_bound(i);
}

static size_t choose_step(void)
{
	unsigned int sum = 0, left;
	size_t kind;

	for (kind = 0; kind < STEP_KINDS; kind++)
		sum += steps[kind].weight;
	left = draw(&chance, sum);
	for (kind = 0; left >= steps[kind].weight; kind++)
		left -= steps[kind].weight;
	return kind;
}

static void run(uint64_t number)
{
	unsigned int step;

	seed = number;
	chance.state = number;
	empty_world();
	for (step = 0; step < STEPS_A_RUN; step++) {
		size_t kind = choose_step();

		begin_step();
		if (!steps[kind].take())
			continue;
		counts[kind]++;
		settle();
		notice_late_attributions();
		world_settle(&world);
		check_world();
	}
}

Test(model, S37_random_worlds)
{
	uint64_t start = env_number("LATCHD_MODEL_SEED", 1), i;
	uint64_t runs = env_number("LATCHD_MODEL_STEPS", STEPS_DEFAULT) / STEPS_A_RUN + 1;
	size_t kind;

	for (i = 0; i < runs; i++)
		run(start + i);
	for (kind = 0; kind < STEP_KINDS && runs > 20; kind++)
		cr_expect_gt(counts[kind], 0, "step %zu was never taken", kind);
}
