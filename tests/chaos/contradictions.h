/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Key managers that contradict themselves, each other and the kernel, before attribution on the
 * real maps.
 *
 *	kernel: SAs, latches ------------------> maps <----------------+
 *	charon, pluto: changes, duplicates,          ^                     |
 *	  snapshots that disagree, losses --> attribution ---> latch_control (BPF_PROG_RUN)
 *
 * The kernel never changes: an SA exists or does not, and its peer is fixed at its installation. At
 * the end of a burst both key managers report what is installed (expected.h). The tables must agree
 * with it.
 *
 * A class of authentication belongs to a name here: latchd keeps the first one of an SA on purpose.
 */
#ifndef LATCHD_TESTS_CONTRADICTIONS_H
#define LATCHD_TESTS_CONTRADICTIONS_H

#include <inttypes.h>

#include "attribution_fixture.h"
#include "seed.h"

#define PAIRS	     10
#define FLOWS	     8
#define KEY_MANAGERS 2
#define FIRST_PORT   1000

/* The two SAs of a CHILD_SA. */
struct pair {
	bool in, out;	  /* in the kernel */
	bool listed;	  /* its key manager has the CHILD_SA */
	bool reported;	  /* to this latchd */
	bool misreported; /* with other selectors or another partner, since the installation */
	unsigned int key_manager, selector;
	struct feed_child installed;
};

static struct pair pairs[PAIRS];
static struct latch_flow flows[FLOWS];
static bool has_listed[KEY_MANAGERS]; /* this latchd has had a list of it */
static bool deaths_reported;	      /* since the latches were removed */
static struct random chance;
static uint64_t chaos_seed, event_number;
static const char *event_name = "start";

__attribute__((format(printf, 1, 2), noreturn)) static void contradiction(const char *format, ...)
{
	char text[256];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	cr_assert_fail("%s; seed %" PRIu64 ", event %" PRIu64 " (%s)", text, chaos_seed,
		       event_number, event_name);
	abort();
}

#define must(condition, ...)                                                                       \
	do {                                                                                       \
		if (!(condition))                                                                  \
			contradiction(__VA_ARGS__);                                                \
	} while (0)

/* ---- names and selectors */

static const char *name_of(unsigned int number)
{
	static char longest[FEED_ID_MAX];
	static const char *const names[] = {
		"c.example",
		"d.example",
		"C=CH, O=x, CN=\"e\"",
		"%any",
		"%s%n%x",
		"\x1b[2J\r\n{\"event\":\"latch-broken\"}",
		"\xff\xfe\x80 invalid",
		longest,
	};

	memset(longest, 'x', sizeof(longest) - 1);
	return names[number % (sizeof(names) / sizeof(names[0]))];
}
#define NAMES 8

static const struct {
	const char *local, *remote;
	uint16_t first, last; /* local ports of flows that it covers */
} selector_table[] = {
	{"10.9.0.1/32", "10.9.0.2/32", 0, 65535},
	{"10.9.0.1/32[tcp/1000-1003]", "10.9.0.2/32[tcp]", 1000, 1003},
	{"10.9.0.0/24", "10.9.0.0/30", 0, 65535},
	{"10.9.0.1/32", "10.9.0.9/32", 1, 0},
};
#define SELECTORS (sizeof(selector_table) / sizeof(selector_table[0]))

/* Half of the peers are one: else every SA would be contested, and no latch created. */
static unsigned int any_name(void)
{
	return draw(&chance, 2) ? 0 : draw(&chance, NAMES);
}

static bool covers(const struct pair *pair, size_t flow)
{
	uint16_t port = (uint16_t)(FIRST_PORT + flow);

	return selector_table[pair->selector].first <= port &&
	       selector_table[pair->selector].last >= port;
}

static void set_peer(struct feed_child *child, unsigned int number)
{
	strcpy(child->peer_id, name_of(number));
	child->peer_auth = number % 2 ? FEED_AUTH_PSK : FEED_AUTH_PUBKEY;
}

static void set_selectors(struct feed_child *child, unsigned int number)
{
	child->local_ts = selectors(selector_table[number].local);
	child->remote_ts = selectors(selector_table[number].remote);
}

static struct feed *feed_at(unsigned int number)
{
	return number ? &pluto : &charon;
}

static struct feed *any_feed(void)
{
	return feed_at(draw(&chance, KEY_MANAGERS));
}

static struct pair *any_pair(void)
{
	return &pairs[draw(&chance, PAIRS)];
}

/* ---- the kernel */

static struct latch_sa_key key_of(const struct pair *pair, bool inbound)
{
	return inbound ? in_key(&pair->installed, ns.cookie) : out_key(&pair->installed, ns.cookie);
}

static void hint_pending(const struct pair *pair, bool inbound)
{
	struct latch_sa_key key = key_of(pair, inbound);

	attribution_sa_pending(attribution, &key);
}

static void hint_gone(const struct pair *pair, bool inbound)
{
	struct latch_sa_key key = key_of(pair, inbound);

	attribution_sa_gone(attribution, &key);
}

static void remove_end(struct pair *pair, bool inbound)
{
	struct latch_sa_key key = key_of(pair, inbound);
	bool *there = inbound ? &pair->in : &pair->out;

	if (*there)
		delete_without_event(&key);
	*there = false;
}

/* The inbound SA first, as the kernel installs a pair. Hints may be lost. */
static void install_pair(struct pair *pair)
{
	static uint32_t last_spi = 0x100;
	uint32_t spi =
		pair->installed.spi_in && draw(&chance, 2) ? pair->installed.spi_in : ++last_spi;

	remove_end(pair, true);
	remove_end(pair, false);
	pair->key_manager = draw(&chance, KEY_MANAGERS);
	pair->selector = draw(&chance, SELECTORS);
	pair->listed = true;
	pair->reported = pair->misreported = false;
	pair->installed = child_of("c.example", spi);
	set_peer(&pair->installed, any_name());
	set_selectors(&pair->installed, pair->selector);
	install_in(&pair->installed, ns.cookie);
	install_out(&pair->installed, ns.cookie);
	pair->in = pair->out = true;
	if (draw(&chance, 3))
		hint_pending(pair, true);
	if (draw(&chance, 3))
		hint_pending(pair, false);
}

static void delete_end(struct pair *pair)
{
	bool inbound = draw(&chance, 2);

	remove_end(pair, inbound);
	if (draw(&chance, 3))
		hint_gone(pair, inbound);
}

/* An SA that exists is "gone"; one that does not is "pending". */
static void false_hint(struct pair *pair)
{
	bool inbound = draw(&chance, 2);

	if (!pair->installed.spi_in)
		return;
	if (draw(&chance, 2))
		hint_gone(pair, inbound);
	else
		hint_pending(pair, inbound);
}

/* As the gate does: only under an SA that is bound and not contested. The event follows. */
static void create_latch(void)
{
	const struct pair *pair = any_pair();
	size_t at = draw(&chance, FLOWS);
	struct latch_sa_key key = key_of(pair, true);
	struct latch latch;
	struct latch_sa sa;

	if (!pair->in || !covers(pair, at) || !latch_get(&maps, &flows[at], &latch) ||
	    sa_get(&maps, &key, &sa) || sa.word.state != LATCH_SA_BOUND ||
	    sa.word.flags & LATCH_SA_CONTESTED)
		return;
	flows[at] = latch_at((uint16_t)(FIRST_PORT + at), ns.cookie, sa.word.params);
	attribution_latch_created(attribution, &flows[at]);
}

static void create_latches(void)
{
	unsigned int tries = 8;

	while (tries--)
		create_latch();
}

static void remove_latches(void)
{
	size_t i;

	for (i = 0; i < FLOWS; i++)
		bpf_map_delete_elem(maps.latches, &flows[i]);
	deaths_reported = false;
}

/* ---- what a key manager reports */

/* Every pair with an SPI in the report. */
static void note_report(const struct feed_child *report, unsigned int selector)
{
	size_t i;

	for (i = 0; i < PAIRS; i++) {
		struct pair *pair = &pairs[i];
		bool same_in = report->spi_in == pair->installed.spi_in;
		bool same_out = report->spi_out == pair->installed.spi_out;

		if (!same_in && !same_out)
			continue;
		pair->reported = true;
		pair->misreported =
			pair->misreported || !same_in || !same_out || selector != pair->selector;
	}
}

/* Changes one or two fields. Returns the number of the selectors. */
static unsigned int contradict(struct feed_child *child, unsigned int selector)
{
	unsigned int changes = 1 + draw(&chance, 2);

	while (changes--) {
		switch (draw(&chance, 7)) {
		case 0:
		case 1:
			set_peer(child, any_name());
			break;
		case 2:
			strcpy(child->config_name, draw(&chance, 2) ? "x509" : "\x01\x7f psk");
			break;
		case 3:
			strcpy(child->local_id, draw(&chance, 2) ? "w.example" : "\r\nroot");
			break;
		case 4:
			selector = draw(&chance, SELECTORS);
			set_selectors(child, selector);
			break;
		case 5:
			child->mode = FEED_MODE_TUNNEL;
			break;
		default:
			child->spi_out = any_pair()->installed.spi_out;
			break;
		}
	}
	return selector;
}

static void report_up(struct feed *feed, const struct pair *pair, bool honest)
{
	struct feed_child report = pair->installed;
	unsigned int selector = pair->selector;

	if (!report.spi_in)
		return;
	if (!honest)
		selector = contradict(&report, selector);
	if (!report.spi_out)
		return;
	note_report(&report, selector);
	up(feed, &report);
}

static void report_down(struct feed *feed, const struct pair *pair)
{
	if (pair->installed.spi_in)
		down(feed, &pair->installed);
}

static struct feed_peer any_peer(void)
{
	struct feed_peer peer = {
		.ike_unique_id = 1 + draw(&chance, 6),
		.just_authenticated = draw(&chance, 2),
		.successor = draw(&chance, 4) ? 0 : 1 + draw(&chance, 6),
	};
	unsigned int number = any_name();

	strcpy(peer.config_name, "x509");
	strcpy(peer.id, name_of(number));
	peer.auth = number % 2 ? FEED_AUTH_PSK : FEED_AUTH_PUBKEY;
	return peer;
}

static void say_peer(struct feed *feed)
{
	struct feed_peer peer = any_peer();

	switch (draw(&chance, 6)) {
	case 0:
		deaths_reported = true;
		sink->peer_down(sink->context, feed, &peer, FEED_DOWN_PEER_DEAD);
		return;
	case 1:
		deaths_reported = true;
		sink->peer_down(sink->context, feed, &peer, FEED_DOWN_PEER_REBOOTED);
		return;
	case 2:
		sink->peer_down(sink->context, feed, &peer, FEED_DOWN_ORDERLY);
		return;
	case 3:
		sink->peer_rekeyed(sink->context, feed, 1 + draw(&chance, 6), &peer);
		return;
	default:
		sink->peer_up(sink->context, feed, &peer);
		return;
	}
}

static void end_snapshot(struct feed *feed)
{
	sink->snapshot_end(sink->context, feed);
	has_listed[feed == feed_at(1)] = true;
}

/* Some children are absent, some are changes, some occur twice. */
static void say_snapshot(struct feed *feed)
{
	size_t i;

	sink->snapshot_begin(sink->context, feed);
	for (i = 0; i < PAIRS; i++)
		if (draw(&chance, 3))
			report_up(feed, any_pair(), draw(&chance, 3));
	if (draw(&chance, 2))
		say_peer(feed);
	end_snapshot(feed);
}

static void disconnect(struct feed *feed)
{
	set_feed_state(feed, draw(&chance, 4) ? FEED_STATE_LOST : FEED_STATE_ABSENT);
}

/* A process that is not there cannot be attached. */
static void attach_unknown_process(struct feed *feed)
{
	must(sink->attached(sink->context, feed, 0x7ffffff0) < 0,
	     "a process that is gone is attached");
}

static void forget_reports(void)
{
	size_t i;

	for (i = 0; i < PAIRS; i++)
		pairs[i].reported = false;
	memset(has_listed, 0, sizeof(has_listed));
}

/* ---- events */

enum chaos_event {
	CHAOS_INSTALL,
	CHAOS_DELETE,
	CHAOS_FALSE_HINT,
	CHAOS_LATCH,
	CHAOS_REPORT,
	CHAOS_LIE,
	CHAOS_DENY,
	CHAOS_PEER,
	CHAOS_SNAPSHOT,
	CHAOS_LOSE,
	CHAOS_ATTACH,
	CHAOS_ATTACH_UNKNOWN_PROCESS,
	CHAOS_RECONCILE,
	CHAOS_EVENTS,
};

static const struct {
	const char *name;
	unsigned int weight;
} event_table[CHAOS_EVENTS] = {
	[CHAOS_INSTALL] = {"install", 10},
	[CHAOS_DELETE] = {"delete", 8},
	[CHAOS_FALSE_HINT] = {"false hint", 8},
	[CHAOS_LATCH] = {"latch", 20},
	[CHAOS_REPORT] = {"report", 20},
	[CHAOS_LIE] = {"lie", 20},
	[CHAOS_DENY] = {"deny", 6},
	[CHAOS_PEER] = {"peer", 6},
	[CHAOS_SNAPSHOT] = {"snapshot", 4},
	[CHAOS_LOSE] = {"lose", 1},
	[CHAOS_ATTACH] = {"attach", 1},
	[CHAOS_ATTACH_UNKNOWN_PROCESS] = {"attach unknown process", 1},
	[CHAOS_RECONCILE] = {"reconcile", 2},
};

static unsigned long event_counts[CHAOS_EVENTS];

static enum chaos_event any_event(void)
{
	unsigned int sum = 0, i, drawn;

	for (i = 0; i < CHAOS_EVENTS; i++)
		sum += event_table[i].weight;
	drawn = draw(&chance, sum);
	for (i = 0; drawn >= event_table[i].weight; i++)
		drawn -= event_table[i].weight;
	return (enum chaos_event)i;
}

static void take(enum chaos_event event)
{
	struct pair *pair = any_pair();

	switch (event) {
	case CHAOS_INSTALL:
		return install_pair(pair);
	case CHAOS_DELETE:
		return delete_end(pair);
	case CHAOS_FALSE_HINT:
		return false_hint(pair);
	case CHAOS_LATCH:
		return create_latches();
	case CHAOS_REPORT:
		return report_up(feed_at(pair->key_manager), pair, true);
	case CHAOS_LIE:
		return report_up(any_feed(), pair, false);
	case CHAOS_DENY:
		return report_down(any_feed(), pair);
	case CHAOS_PEER:
		return say_peer(any_feed());
	case CHAOS_SNAPSHOT:
		return say_snapshot(any_feed());
	case CHAOS_LOSE:
		return disconnect(any_feed());
	case CHAOS_ATTACH:
		return attach(any_feed(), &ns);
	case CHAOS_ATTACH_UNKNOWN_PROCESS:
		return attach_unknown_process(any_feed());
	case CHAOS_RECONCILE:
		return attribution_reconcile(attribution);
	case CHAOS_EVENTS:
		return;
	}
}

#endif
