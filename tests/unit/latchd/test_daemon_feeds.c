/* SPDX-License-Identifier: BSD-2-Clause */
/* Feeds over a change of the configuration. No key manager is at their sockets. */
#include "attribution_fixture.h"

#include "latchd/daemon_feeds.h"
#include "latchd/feeds/vici/vici_feed.h"

static struct daemon_feeds feeds;
static struct feed *prepared[CONFIG_MAX_FEEDS];
static struct config before, after;
static struct failure failure;

static void add_feed(struct config *config, const char *name, const char *socket)
{
	struct config_feed *feed = &config->feeds[config->feed_count++];

	feed->type = CONFIG_FEED_VICI;
	strcpy(feed->name, name);
	strcpy(feed->socket, socket);
}

static int prepare(const struct config *config)
{
	return daemon_feeds_prepare(&feeds, loop, sink, config, prepared, &failure);
}

static size_t use(const struct config *config)
{
	cr_assert_eq(prepare(config), 0, "%s", failure.text);
	return daemon_feeds_use(&feeds, attribution, config, prepared);
}

static void start_two(void)
{
	fixture_start();
	daemon_feeds_init(&feeds, "/nonexistent/latchd.sock");
	add_feed(&before, "host", "/nonexistent/host.vici");
	add_feed(&before, "blue", "/nonexistent/blue.vici");
	cr_assert_eq(use(&before), 0);
}

static void end_all(void)
{
	daemon_feeds_stop(&feeds);
	fixture_finish();
	daemon_feeds_free(&feeds);
}

TestSuite(daemon_feeds, .init = start_two, .fini = end_all, .timeout = 60);

Test(daemon_feeds, a_feed_whose_keys_are_the_same_keeps_running_at_another_place)
{
	struct feed *blue = feeds.feed[1];

	add_feed(&after, "blue", "/nonexistent/blue.vici");
	add_feed(&after, "red", "/nonexistent/red.vici");
	cr_expect_eq(use(&after), 1);
	cr_expect_eq(feeds.count, 2);
	cr_expect_eq(feeds.feed[0], blue);
	cr_expect_str_eq(feeds.feed[1]->name, "red");
	cr_expect_str_eq(feeds.report[1].socket, "/nonexistent/red.vici");
}

Test(daemon_feeds, a_feed_with_another_socket_is_a_new_one)
{
	struct feed *host = feeds.feed[0];

	add_feed(&after, "host", "/nonexistent/other.vici");
	cr_expect_eq(use(&after), 2);
	cr_expect_neq(feeds.feed[0], host);
}

Test(daemon_feeds, a_change_that_is_not_made_leaves_the_running_feeds)
{
	struct feed *host = feeds.feed[0], *blue = feeds.feed[1];

	add_feed(&after, "host", "/nonexistent/host.vici");
	add_feed(&after, "red", "/nonexistent/red.vici");
	cr_assert_eq(prepare(&after), 0);
	daemon_feeds_discard(&feeds, prepared, after.feed_count);
	cr_expect_eq(feeds.count, 2);
	cr_expect(feeds.feed[0] == host && feeds.feed[1] == blue);
}

static struct latch_settings served(void)
{
	struct latch_settings settings;
	__u32 key = 0;

	cr_assert_eq(daemon_feeds_write_served(&feeds, attribution, &maps), 0);
	cr_assert_eq(bpf_map_lookup_elem(maps.settings, &key, &settings), 0);
	return settings;
}

static bool serves(const struct latch_settings *settings, uint64_t netns)
{
	size_t i;

	for (i = 0; i < LATCH_FEEDS_MAX; i++)
		if (settings->served[i] == netns)
			return true;
	return false;
}

/* It may come back in another namespace, and until then its old one stays served. */
Test(daemon_feeds, a_feed_that_is_away_is_no_longer_seen_until_it_comes_back)
{
	struct latch_settings settings;
	struct namespace other;

	namespace_start(&other);
	attach(feeds.feed[0], &ns);
	cr_expect_not(served().all_feeds_seen);
	attach(feeds.feed[1], &ns);
	cr_expect(served().all_feeds_seen);
	set_feed_state(feeds.feed[1], FEED_STATE_LOST);
	set_feed_state(feeds.feed[1], FEED_STATE_LOST);
	cr_expect_eq(seen.away, 1);
	settings = served();
	cr_expect_not(settings.all_feeds_seen);
	cr_expect(serves(&settings, ns.cookie));
	attach(feeds.feed[1], &other);
	settings = served();
	cr_expect(settings.all_feeds_seen);
	cr_expect(serves(&settings, ns.cookie) && serves(&settings, other.cookie));
	attach(feeds.feed[0], &other);
	settings = served();
	cr_expect_not(serves(&settings, ns.cookie));
	namespace_end(&other);
}

Test(daemon_feeds, the_sas_of_a_feed_that_is_removed_are_orphans)
{
	struct feed_child child = child_of("c.example", 0x100);

	attach(feeds.feed[1], &ns);
	install_both(&child);
	snapshot(feeds.feed[1], &child, NULL);
	expect_states(&child, LATCH_SA_BOUND);
	add_feed(&after, "host", "/nonexistent/host.vici");
	cr_expect_eq(use(&after), 1);
	expect_states(&child, LATCH_SA_ORPHAN);
}

Test(daemon_feeds, the_sas_of_a_feed_that_stays_are_unchanged)
{
	struct feed_child child = child_of("c.example", 0x100);

	attach(feeds.feed[1], &ns);
	install_both(&child);
	snapshot(feeds.feed[1], &child, NULL);
	add_feed(&after, "blue", "/nonexistent/blue.vici");
	cr_expect_eq(use(&after), 1);
	expect_states(&child, LATCH_SA_BOUND);
}

/* ---- what a feed has decided of its peers */

static struct vici_feed *vici_at(size_t at)
{
	return (struct vici_feed *)feeds.feed[at];
}

static struct vici_memory *memory_at(size_t at)
{
	return &vici_at(at)->session.dispatch.finder.memory;
}

/* As if it had reached its charon, and an IKE_SA with this number. */
static void decide_at(size_t at, uint32_t ike_unique_id)
{
	const struct vici_decision decision = {
		.proof = VICI_PROOF, .class = FEED_AUTH_PUBKEY, .connection = 1, .peer = 2};

	vici_at(at)->daemon = 4711;
	cr_assert_eq(vici_decisions_set(&memory_at(at)->decisions, ike_unique_id, &decision), 0);
}

static bool knows(size_t at, uint32_t ike_unique_id)
{
	return vici_decisions_find(&memory_at(at)->decisions, ike_unique_id);
}

Test(daemon_feeds, a_feed_with_other_statements_has_the_decisions_of_the_one_before)
{
	decide_at(0, 7);
	decide_at(1, 8);
	add_feed(&after, "host", "/nonexistent/host.vici");
	strcpy(after.feeds[0].eap_identities, "x509");
	add_feed(&after, "blue", "/nonexistent/blue.vici");
	cr_expect_eq(use(&after), 1);
	cr_expect(knows(0, 7));
	cr_expect_not(knows(0, 8));
	cr_expect(knows(1, 8));
}

Test(daemon_feeds, feeds_that_swap_their_names_have_the_decisions_on_their_own_charon)
{
	decide_at(0, 7);
	decide_at(1, 8);
	add_feed(&after, "blue", "/nonexistent/host.vici");
	add_feed(&after, "host", "/nonexistent/blue.vici");
	cr_expect_eq(use(&after), 2);
	cr_expect(knows(0, 7) && !knows(0, 8));
	cr_expect(knows(1, 8) && !knows(1, 7));
}

/* The path may be another one of the same charon. For another charon it forgets them. */
Test(daemon_feeds, a_feed_with_another_socket_has_the_decisions_of_its_name)
{
	decide_at(0, 7);
	add_feed(&after, "host", "/nonexistent/other.vici");
	add_feed(&after, "blue", "/nonexistent/blue.vici");
	cr_expect_eq(use(&after), 1);
	cr_expect(knows(0, 7));
}

Test(daemon_feeds, a_feed_that_comes_back_in_a_later_reload_has_its_decisions)
{
	decide_at(0, 7);
	add_feed(&after, "blue", "/nonexistent/blue.vici");
	cr_expect_eq(use(&after), 1);
	cr_expect_not(knows(0, 7), "a feed that runs takes none");
	cr_expect_eq(use(&before), 0);
	cr_expect(knows(0, 7));
}

static const char *path_of(const char *socket)
{
	static char paths[2][FEED_PATH_MAX];
	static unsigned int next;
	char *path = paths[next++ % 2];

	return daemon_feeds_decisions_path("/run", socket, path, FEED_PATH_MAX) ? path : NULL;
}

Test(daemon_feeds, each_socket_has_a_file_of_its_own)
{
	cr_expect_str_eq(path_of("/run/charon.vici"), "/run/run-charon.vici.decisions");
	cr_expect_str_neq(path_of("/run/a/b"), path_of("/run/a-b"));
	cr_expect_str_neq(path_of("/run/a-b"), path_of("/run/a%2db"));
}

Test(daemon_feeds, a_path_that_is_too_long_is_never_cut)
{
	char socket[2 * FEED_PATH_MAX];

	memset(socket, 'x', sizeof(socket));
	socket[sizeof(socket) - 1] = '\0';
	cr_expect_null(path_of(socket));
	socket[FEED_PATH_MAX - 5] = '\0';
	cr_expect_null(path_of(socket));
	socket[FEED_PATH_MAX / 2] = '\0';
	cr_expect_not_null(path_of(socket));
}
