/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Terms of rules on the peer, and tags, at the cgroup gate. Each test has two peers, c and d, which
 * are of the sets web and db. Each set is required once: an accidental answer fails.
 */
#include "unit/bpf/api/wish_fixture.h"

#include "pretended_esp.h"

#include "latchd/config/config_peer.h"
#include "latchd/latch/refused_connect.h"
#include "latch_mode.h"

enum {
	WEB = 1, /* as in struct latch_rule */
	DB = 2,
};

/* The n-th bit: the n-th set. */
static void put_facts(const struct peer *peer, __u32 first, __u32 second)
{
	struct latch_peer_facts facts = {.sets = {first, second}};
	struct latch_params params;
	__u32 index = peer->params;

	cr_assert_eq(bpf_map_lookup_elem(maps.params, &index, &params), 0);
	cr_assert_eq(bpf_map_update_elem(maps.peer_facts, &params.peer_id, &facts, BPF_ANY), 0);
}

static __u32 stamp(void)
{
	struct latch_settings settings;
	__u32 key = 0;

	cr_assert_eq(bpf_map_lookup_elem(maps.settings, &key, &settings), 0);
	return settings.rule_stamp;
}

static void put_names(const char *first, const char *second)
{
	struct latch_peer_sets sets = {.digest = 0};
	__u32 half;

	strcpy(sets.names[0], first);
	strcpy(sets.names[1], second);
	for (half = 0; half < 2; half++)
		cr_assert_eq(bpf_map_update_elem(maps.peer_sets, &half, &sets, BPF_ANY), 0);
}

static void put_all(void)
{
	put_names("web", "db");
	put_facts(&c, 1, 1);
	put_facts(&d, 2, 2);
}

static void make_all_esp(void)
{
	run("nft add table ip t");
	run("nft 'add chain ip t out { type filter hook output priority 0; }'");
	run("nft 'add rule ip t out meta l4proto { tcp, udp } ip protocol set 50'");
}

static void set_up(void)
{
	api_set_up();
	set_drop_event_interval(1);
	attach_gates();
	make_all_esp();
	put_all();
}

TestSuite(gate_tags, .init = set_up, .fini = gate_tear_down, .timeout = 60);

/* Of all UDP. Puts the other half in force. */
static void require(__u8 set, __u8 min_encryption)
{
	config.rules[0].rule = (struct latch_rule){.protocol = IPPROTO_UDP,
						   .local_port_last = 65535,
						   .remote_port_last = 65535,
						   .action = LATCH_ACTION_REQUIRE,
						   .flags = LATCH_RULE_REQUIRE,
						   .peer_set = set,
						   .min_encryption = min_encryption};
	config.rule_count = 1;
	cr_assert_eq(rules_load(&maps, &config, true, &(struct rules_change){0}), 0);
}

struct sender {
	int fd, there;
	struct latch_flow flow;
};

static struct sender sender_new(void)
{
	return (struct sender){.fd = udp_bound(IPV4), .there = udp_bound(IPV4)};
}

static void sender_connect(struct sender *s)
{
	udp_connect(s->fd, name_of(s->there, getsockname));
	s->flow = udp_flow(s->fd);
}

static void sender_end(struct sender *s)
{
	close(s->fd);
	close(s->there);
}

static int send_under(const struct sender *s, const struct peer *peer)
{
	put_sa_of(&s->flow, LATCH_SA_BOUND, peer->params);
	return udp_send(s->fd);
}

static void expect_refused(const struct sender *s, enum latch_drop why, enum latch_why wish)
{
	struct latch_event event = {0};

	cr_expect_not(has_latch(&s->flow));
	cr_expect_geq(events_of(LATCH_EVENT_REFUSED, &s->flow, &event), 1);
	cr_expect_eq(event.drop, why, "%d", event.drop);
	cr_expect_eq(event.wish, wish, "%u", event.wish);
}

/* ---- rules */

static void check_rule(__u8 set, const struct peer *admitted, const struct peer *other)
{
	struct sender s = sender_new();

	require(set, 0);
	sender_connect(&s);
	cr_expect_eq(send_under(&s, other), -EPERM);
	expect_refused(&s, LATCH_DROP_IDENTITY, LATCH_WHY_NONE);
	cr_expect_eq(send_under(&s, admitted), 0);
	cr_expect_eq(latch_of(&s.flow).word.params, admitted->params);
	sender_end(&s);
}

Test(gate_tags, a_rule_admits_only_peers_of_its_set)
{
	check_rule(WEB, &c, &d);
	check_rule(DB, &d, &c);
}

Test(gate_tags, a_rule_without_a_set_admits_each_peer)
{
	struct sender s = sender_new(), other = sender_new();

	require(0, 0);
	sender_connect(&s);
	sender_connect(&other);
	cr_expect_eq(send_under(&s, &c), 0);
	cr_expect_eq(send_under(&other, &d), 0);
	sender_end(&s);
	sender_end(&other);
}

/* As a change of the sets: the facts of both halves are there before. */
Test(gate_tags, the_half_that_is_in_force_decides)
{
	struct sender s = sender_new();

	require(WEB, 0);
	put_facts(&c, stamp() & 1 ? 1 : 0, stamp() & 1 ? 0 : 1);
	put_facts(&d, stamp() & 1 ? 0 : 1, stamp() & 1 ? 1 : 0);
	sender_connect(&s);
	cr_expect_eq(send_under(&s, &c), -EPERM);
	cr_expect_eq(send_under(&s, &d), 0);
	cr_expect_eq(latch_of(&s.flow).word.params, d.params);
	sender_end(&s);
	s = sender_new();
	require(WEB, 1); /* another rule: the other half */
	sender_connect(&s);
	cr_expect_eq(send_under(&s, &d), -EPERM);
	sender_end(&s);
}

Test(gate_tags, a_change_of_the_sets_breaks_no_latch)
{
	struct sender s = sender_new();

	require(WEB, 0);
	sender_connect(&s);
	cr_assert_eq(send_under(&s, &c), 0);
	put_facts(&c, 0, 0);
	require(DB, 0);
	cr_expect_eq(udp_send(s.fd), 0);
	cr_expect_eq(latch_of(&s.flow).word.params, c.params);
	sender_end(&s);
}

/* The SA of the fixture's peers has AES with keys of 256 bits. */
Test(gate_tags, a_rule_admits_only_encryption_that_is_strong_enough)
{
	struct sender s = sender_new();

	require(0, 264 / 8);
	sender_connect(&s);
	cr_expect_eq(send_under(&s, &c), -EPERM);
	expect_refused(&s, LATCH_DROP_QOP, LATCH_WHY_NONE);
	require(WEB, 256 / 8);
	cr_expect_eq(send_under(&s, &d), -EPERM, "strong, and another peer");
	cr_expect_eq(send_under(&s, &c), 0);
	sender_end(&s);
}

/* The LARVAL latch may settle on peers of the set only. */
Test(gate_tags, a_larval_latch_settles_on_a_peer_of_the_set_only)
{
	struct sender s = sender_new();

	sender_connect(&s);
	put_sa_of(&s.flow, LATCH_SA_ORPHAN, 0);
	cr_assert_eq(udp_send(s.fd), 0);
	cr_assert_eq(latch_of(&s.flow).word.state, LATCH_STATE_LARVAL);
	require(WEB, 0);
	cr_expect_eq(send_under(&s, &d), -EPERM);
	cr_expect_eq(latch_of(&s.flow).word.state, LATCH_STATE_LARVAL);
	cr_expect_eq(send_under(&s, &c), 0);
	cr_expect_eq(latch_of(&s.flow).word.state, LATCH_STATE_ESTABLISHED);
	cr_expect_eq(latch_of(&s.flow).word.params, c.params);
	sender_end(&s);
}

Test(gate_tags, in_audit_mode_another_peer_passes_and_is_refused_later)
{
	struct sender s = sender_new();

	require(WEB, 0);
	cr_assert_eq(latch_mode_switch(&maps, true), 1);
	sender_connect(&s);
	cr_expect_eq(send_under(&s, &d), 0, "audited");
	cr_expect_eq(latch_of(&s.flow).word.reasons, LATCH_REASON_REFUSED);
	cr_expect_eq(udp_send(s.fd), 0, "it is still refused");
	cr_expect_eq(latch_of(&s.flow).word.reasons, LATCH_REASON_REFUSED);
	cr_expect_eq(send_under(&s, &c), 0);
	cr_expect_eq(latch_of(&s.flow).word.params, c.params, "enforcement admits it");
	cr_assert_eq(latch_mode_switch(&maps, false), 1);
	cr_expect_eq(udp_send(s.fd), 0);
	sender_end(&s);
}

/* ---- wishes: both count */

static void check_tag(const char *tag, const struct peer *admitted, const struct peer *other)
{
	struct sender s = sender_new();

	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_TAG, tag), 0);
	expect_text(s.fd, LATCH_OPT_EXPECT_TAG, tag);
	cr_expect_eq(get_int(s.fd, LATCH_OPT_REQUIRE), 1);
	sender_connect(&s);
	cr_expect_eq(send_under(&s, other), -EPERM);
	expect_refused(&s, LATCH_DROP_IDENTITY, LATCH_WHY_TAG);
	expect_state(s.fd, LATCH_APP_NOT_LATCHED, LATCH_WHY_TAG);
	cr_expect_eq(send_under(&s, admitted), 0);
	cr_expect_eq(latch_of(&s.flow).word.params, admitted->params);
	sender_end(&s);
}

Test(gate_tags, R_2_3_17_a_wished_tag_admits_only_its_peers)
{
	check_tag("web", &c, &d);
	check_tag("db", &d, &c);
}

Test(gate_tags, a_tag_without_a_section_has_no_peer)
{
	static const char *const tags[] = {"we", "webs", "other", "Web"};
	size_t i;

	for (i = 0; i < 4; i++) {
		struct sender s = sender_new();

		cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_TAG, tags[i]), 0);
		sender_connect(&s);
		cr_expect_eq(send_under(&s, &c), -EPERM, "%s", tags[i]);
		cr_expect_eq(send_under(&s, &d), -EPERM, "%s", tags[i]);
		sender_end(&s);
	}
}

Test(gate_tags, rule_and_wish_both_count)
{
	struct sender s = sender_new();

	require(DB, 0);
	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_TAG, "web"), 0);
	sender_connect(&s);
	cr_expect_eq(send_under(&s, &d), -EPERM);
	expect_refused(&s, LATCH_DROP_IDENTITY, LATCH_WHY_TAG);
	cr_expect_eq(send_under(&s, &c), -EPERM);
	expect_refused(&s, LATCH_DROP_IDENTITY, LATCH_WHY_NONE);
	put_facts(&c, 3, 3);
	cr_expect_eq(send_under(&s, &c), 0);
	sender_end(&s);
}

/* The tag counts at the beginning; another SA's peer is refused as ever. */
Test(gate_tags, a_connection_goes_on_when_its_peer_loses_the_tag)
{
	struct sender s = sender_new(), next = sender_new();

	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_TAG, "web"), 0);
	cr_assert_eq(set_text(next.fd, LATCH_OPT_EXPECT_TAG, "web"), 0);
	sender_connect(&s);
	cr_assert_eq(send_under(&s, &c), 0);
	put_facts(&c, 0, 0);
	require(0, 0);
	cr_expect_eq(udp_send(s.fd), 0);
	cr_expect_eq(drops_for(LATCH_DROP_IDENTITY).egress, 0);
	put_facts(&d, 1, 1);
	cr_expect_eq(send_under(&s, &d), 0, "lost");
	cr_expect_eq(drops_for(LATCH_DROP_IDENTITY).egress, 1);
	sender_connect(&next);
	cr_expect_eq(send_under(&next, &c), -EPERM);
	sender_end(&s);
	sender_end(&next);
}

/* No program at connect(): one that had begun before the disconnect found the socket connected. */
Test(gate_tags, a_latch_of_a_former_connection_does_without_no_other_tag)
{
	struct sender s = sender_new();

	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_TAG, "web"), 0);
	sender_connect(&s);
	cr_assert_eq(send_under(&s, &c), 0);
	udp_disconnect(s.fd);
	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_TAG, "db"), 0);
	cr_expect_not(has_latch(&s.flow));
	sender_connect(&s);
	cr_expect_eq(send_under(&s, &c), -EPERM);
	expect_state(s.fd, LATCH_APP_NOT_LATCHED, LATCH_WHY_TAG);
	cr_expect_eq(send_under(&s, &d), 0);
	cr_expect_eq(latch_of(&s.flow).word.params, d.params);
	sender_end(&s);
}

Test(gate_tags, a_wish_that_is_refused_ends_no_latch)
{
	struct sender s = sender_new();

	cr_assert_eq(set_text(s.fd, LATCH_OPT_EXPECT_TAG, "web"), 0);
	sender_connect(&s);
	cr_assert_eq(send_under(&s, &c), 0);
	udp_disconnect(s.fd);
	cr_expect_eq(set_int(s.fd, LATCH_OPT_EXPECT_CLASS, -1), -EINVAL);
	cr_expect(has_latch(&s.flow));
	cr_assert_eq(set_int(s.fd, LATCH_OPT_EXPECT_CLASS, LATCH_CLASS_ANY), 0);
	cr_expect_not(has_latch(&s.flow));
	sender_end(&s);
}

/* ---- connect() */

static void check_connect(const struct peer *under, bool ends)
{
	int listener = start_listener(IPV4, NULL), fd = bound_socket(IPV4, NULL);
	struct address there = name_of(listener, getsockname);
	struct latch_flow flow = flow_between(name_of(fd, getsockname), there);
	struct latch_event event = {0};

	put_sa_of(&flow, LATCH_SA_BOUND, under->params);
	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	cr_assert_eq(connect(fd, &there.any, there.length), -1);
	if (ends) {
		wait_for(events_of(LATCH_EVENT_REFUSED, &flow, &event));
		cr_expect_eq(refused_connect_end(&maps, &event), 0);
		cr_expect_eq(tcp_state_of(fd), TCP_CLOSE);
	} else {
		wait_for(has_latch(&flow));
	}
	close(fd);
	close(listener);
}

Test(gate_tags, R_2_3_18_a_connect_that_a_rule_refuses_for_its_peer_ends)
{
	require(WEB, 0);
	config.rules[0].rule.protocol = IPPROTO_TCP;
	cr_assert_eq(rules_load(&maps, &config, true, &(struct rules_change){0}), 0);
	check_connect(&d, true);
	check_connect(&c, false);
}

/* ---- the tags of the peer */

static void set_up_to_ask(void)
{
	api_set_up();
	put_all();
}

TestSuite(gate_tags_asked, .init = set_up_to_ask, .fini = gate_tear_down, .timeout = 60);

static int get_tags(int fd, char *text, socklen_t size)
{
	socklen_t length = size;
	int err = get(fd, LATCH_OPT_TAGS, text, &length);

	return err ? err : (int)length;
}

static void expect_tags(int fd, const char *tags)
{
	char text[1100] = "";
	int length = get_tags(fd, text, sizeof(text));

	cr_expect_eq(length, (int)strlen(tags), "%d", length);
	if (length > 0)
		cr_expect_eq(memcmp(text, tags, (size_t)length), 0, "%.*s", length, text);
}

Test(gate_tags_asked, the_tags_are_those_of_the_sockets_own_peer)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	char text[8];

	cr_expect_eq(get_tags(pair.client, text, sizeof(text)), -ENODATA, "no latch");
	latch_socket(pair.client, &c);
	latch_socket(pair.server, &d);
	expect_tags(pair.client, "web\n");
	expect_tags(pair.server, "db\n");
	put_facts(&c, 3, 3);
	expect_tags(pair.client, "web\ndb\n");
	cr_expect_eq(get_tags(pair.client, text, 6), -ERANGE, "never a part");
	cr_expect_eq(get_tags(pair.client, text, 7), 7);
	put_facts(&c, 0, 0);
	expect_tags(pair.client, "\n");
	close_pair(&pair);
}

Test(gate_tags_asked, the_longest_tags_fit)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_peer_sets sets = {.digest = 1};
	char expected[1100] = "";
	__u32 half, i;

	for (i = 0; i < LATCH_PEER_SETS_MAX; i++) {
		memset(sets.names[i], 'a' + (int)(i % 26), LATCH_TAG_MAX - 1);
		strcat(expected, sets.names[i]);
		strcat(expected, "\n");
	}
	for (half = 0; half < 2; half++)
		cr_assert_eq(bpf_map_update_elem(maps.peer_sets, &half, &sets, BPF_ANY), 0);
	put_facts(&c, 0xffffffff, 0xffffffff);
	latch_socket(pair.client, &c);
	cr_assert_eq(strlen(expected), 1024);
	expect_tags(pair.client, expected);
	close_pair(&pair);
}

/* Audit mode: nothing proves the peer. */
Test(gate_tags_asked, an_audited_latch_tells_no_tags)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	char text[64];

	latch_socket(pair.client, &c);
	cr_assert_eq(latch_mode_switch(&maps, true), 1);
	cr_expect_eq(get_tags(pair.client, text, sizeof(text)), -ENODATA);
	close_pair(&pair);
}
