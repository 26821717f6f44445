/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Loads random lists of rules and compares the programs' matcher with a second matcher below,
 * which is written for clarity instead of speed.
 */
#include "loaded_gates.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>

#include <bpf/bpf.h>

#include "latchd/maps/latch_control.h"
#include "latchd/config/config_peer.h"
#include "latchd/enforce/rules.h"

#define LISTS 60
#define FLOWS 200 /* of each list */

static struct config config;
static struct rules_change change;

TestSuite(rules, .init = gates_set_up, .fini = gates_tear_down, .timeout = 120);

/* ---- the second matcher: bit by bit */

static int bit_of(const __u8 address[16], unsigned int bit)
{
	return address[bit / 8] >> (7 - bit % 8) & 1;
}

static bool within(const __u8 address[16], const __u8 network[16], unsigned int bits)
{
	while (bits--)
		if (bit_of(address, bits) != bit_of(network, bits))
			return false;
	return true;
}

static bool is_among(unsigned int port, unsigned int first, unsigned int last)
{
	unsigned int each;

	for (each = first; each <= last; each++)
		if (each == port)
			return true;
	return false;
}

static bool applies(const struct latch_rule *rule, const struct latch_flow *flow,
		    enum latch_direction direction)
{
	bool family = rule->family == 0 || flow->family == rule->family;
	bool protocol = rule->protocol == 0 || flow->protocol == rule->protocol;
	bool way = rule->direction == LATCH_DIRECTION_NONE || rule->direction == direction;

	return within(flow->local_addr, rule->local_addr, rule->local_bits) &&
	       within(flow->remote_addr, rule->remote_addr, rule->remote_bits) &&
	       is_among(flow->local_port, rule->local_port_first, rule->local_port_last) &&
	       is_among(flow->remote_port, rule->remote_port_first, rule->remote_port_last) &&
	       family && protocol && way;
}

static unsigned int first_of(const struct latch_flow *flow, enum latch_direction direction)
{
	unsigned int i;

	for (i = 0; i < config.rule_count; i++)
		if (applies(&config.rules[i].rule, flow, direction))
			return i;
	return LATCH_RULE_NONE;
}

/*
 * Without a known opener of the flow, a require rule of the direction out decides, else the rule
 * for incoming flows.
 */
static unsigned int expected(const struct latch_flow *flow, enum latch_direction direction)
{
	unsigned int out;

	if (direction != LATCH_DIRECTION_NONE)
		return first_of(flow, direction);
	out = first_of(flow, LATCH_DIRECTION_OUT);
	if (out != LATCH_RULE_NONE && config.rules[out].rule.action == LATCH_ACTION_REQUIRE)
		return out;
	return first_of(flow, LATCH_DIRECTION_IN);
}

/* ---- random rules and flows, close to each other */

static unsigned int below(unsigned int limit)
{
	return (unsigned int)random() % limit;
}

/* Sets bits only where prefixes and words end. */
static void random_address(__u8 address[16], __u8 family)
{
	static const unsigned int edges[] = {0, 7, 8, 15, 30, 31, 32, 33, 63, 64, 65, 95, 96, 127};
	unsigned int width = family == AF_INET ? 32 : 128, i;

	memset(address, 0, 16);
	for (i = 0; i < sizeof(edges) / sizeof(edges[0]); i++)
		if (edges[i] < width && !below(3))
			address[edges[i] / 8] |= (__u8)(0x80 >> edges[i] % 8);
}

static __u8 random_network(__u8 address[16], __u8 family)
{
	static const __u8 lengths[] = {0, 0, 1, 7, 8, 9, 16, 31, 32, 33, 64, 65, 96, 127, 128};
	__u8 bits = lengths[below(sizeof(lengths))];
	unsigned int i;

	if (!family)
		bits = 0;
	if (family == AF_INET && bits > 32)
		bits = 32;
	random_address(address, family);
	for (i = bits; i < 128; i++)
		address[i / 8] &= (__u8) ~(0x80 >> i % 8);
	return bits;
}

static __u16 random_port(void)
{
	static const __u16 ports[] = {1, 79, 80, 81, 443, 1023, 1024, 32768, 65534, 65535};

	return ports[below(sizeof(ports) / sizeof(ports[0]))];
}

static void random_ports(__u16 *first, __u16 *last)
{
	__u16 a = random_port(), b = random_port();

	*first = below(2) ? 0 : a < b ? a : b;
	*last = *first ? (a < b ? b : a) : 65535;
}

static __u8 random_family(void)
{
	return below(2) ? AF_INET : AF_INET6;
}

static __u8 random_protocol(void)
{
	static const __u8 protocols[] = {IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP};

	return protocols[below(3)];
}

static struct latch_rule random_rule(void)
{
	struct latch_rule rule = {.action = below(3), .direction = below(3)};

	rule.family = below(3) ? random_family() : 0;
	rule.protocol = below(2) ? random_protocol() : 0;
	rule.local_bits = random_network(rule.local_addr, rule.family);
	rule.remote_bits = random_network(rule.remote_addr, rule.family);
	random_ports(&rule.local_port_first, &rule.local_port_last);
	random_ports(&rule.remote_port_first, &rule.remote_port_last);
	return rule;
}

static struct latch_flow random_flow(void)
{
	struct latch_flow flow = {.netns = 5, .family = random_family()};

	flow.protocol = random_protocol();
	random_address(flow.local_addr, flow.family);
	random_address(flow.remote_addr, flow.family);
	flow.local_port = random_port();
	flow.remote_port = random_port();
	return flow;
}

static unsigned int decided_by(const struct latch_flow *flow, enum latch_direction direction)
{
	__u16 rule = 12345;

	cr_assert_eq(latch_rule_of(&maps, flow, direction, &rule), LATCH_CONTROL_DONE);
	return rule;
}

static void put_rules(void)
{
	cr_assert_eq(rules_load(&maps, &config, false, &change), 0);
}

Test(rules, the_first_rule_that_matches_decides)
{
	unsigned int seed = (unsigned int)getpid(), list, i, hits = 0;

	srandom(seed);
	for (list = 0; list < LISTS; list++) {
		config.rule_count = list == 1 ? LATCH_RULES_MAX : below(LATCH_RULES_MAX + 1);
		for (i = 0; i < config.rule_count; i++)
			config.rules[i].rule = random_rule();
		put_rules();
		for (i = 0; i < FLOWS; i++) {
			enum latch_direction direction = below(3);
			struct latch_flow flow = random_flow();
			unsigned int want = expected(&flow, direction);

			cr_assert_eq(decided_by(&flow, direction), want,
				     "seed %u, list %u, flow %u", seed, list, i);
			hits += want != LATCH_RULE_NONE && want > 0;
		}
	}
	cr_expect_gt(hits, LISTS * FLOWS / 10, "too few flows meet a later rule: %u", hits);
}

/* ---- changes */

static struct latch_settings settings_now(void)
{
	struct latch_settings settings;
	__u32 key = 0;

	cr_assert_eq(bpf_map_lookup_elem(maps.settings, &key, &settings), 0);
	return settings;
}

static void set_rule(size_t i, enum latch_action action, __u16 port)
{
	config.rules[i].rule = (struct latch_rule){
		.action = action,
		.local_port_first = port,
		.local_port_last = port,
		.remote_port_last = 65535,
	};
}

Test(rules, loading_the_same_rules_changes_nothing)
{
	__u32 stamp;

	config.rule_count = 2;
	set_rule(0, LATCH_ACTION_OFF, 1);
	set_rule(1, LATCH_ACTION_REQUIRE, 2);
	put_rules();
	cr_expect(change.made);
	stamp = settings_now().rule_stamp;
	cr_expect_gt(stamp, 0);
	put_rules();
	cr_expect_not(change.made);
	cr_expect_eq(settings_now().rule_stamp, stamp);
	config.rules[1].rule.flags = LATCH_RULE_PROTECT;
	put_rules();
	cr_expect(change.made);
	cr_expect_eq(settings_now().rule_stamp, stamp + 1);
}

static void put_sets(__u32 half)
{
	struct latch_peer_sets sets = {.digest = config_peers_digest(&config)};

	cr_assert_eq(bpf_map_update_elem(maps.peer_sets, &half, &sets, BPF_ANY), 0);
}

/* identities_prepare_sets() has written them. */
Test(rules, other_sets_come_into_force_with_equal_rules)
{
	__u32 stamp;

	config.rule_count = 1;
	set_rule(0, LATCH_ACTION_OFF, 1);
	put_rules();
	stamp = settings_now().rule_stamp;
	strcpy(config.peers[0].name, "web");
	config.peer_count = 1;
	put_sets((stamp + 1) & 1);
	put_rules();
	cr_expect(change.made);
	cr_expect_eq(settings_now().rule_stamp, stamp + 1);
	put_rules();
	cr_expect_not(change.made);
	strcpy(config.peers[0].name, "db");
	put_sets(stamp & 1);
	put_rules();
	cr_expect(change.made);
	cr_assert_eq(rules_undo(&maps, &change), 0);
	cr_expect_eq(settings_now().rule_stamp, stamp + 3);
}

/* The old list stays in force while a new one is written, and after a failed start. */
Test(rules, an_undone_change_puts_the_old_rules_in_force_again)
{
	struct latch_flow one = {.local_port = 1}, two = {.local_port = 2};

	config.rule_count = 2;
	set_rule(0, LATCH_ACTION_OFF, 7);
	set_rule(1, LATCH_ACTION_REQUIRE, 1);
	put_rules();
	config.rule_count = 1;
	set_rule(0, LATCH_ACTION_OFF, 2);
	put_rules();
	cr_expect_eq(decided_by(&one, LATCH_DIRECTION_IN), LATCH_RULE_NONE);
	cr_expect_eq(decided_by(&two, LATCH_DIRECTION_IN), 0);
	cr_assert_eq(rules_undo(&maps, &change), 0);
	cr_expect_eq(decided_by(&one, LATCH_DIRECTION_IN), 1);
	cr_expect_eq(decided_by(&two, LATCH_DIRECTION_IN), LATCH_RULE_NONE);
	cr_expect_eq(settings_now().rule_count, 2);
}

/* A latchd that is killed before the switch leaves the map like this. */
Test(rules, a_list_that_is_half_written_is_not_in_force)
{
	struct latch_flow one = {.local_port = 1};
	struct latch_rule open = {
		.action = LATCH_ACTION_OFF, .local_port_last = 65535, .remote_port_last = 65535};
	__u32 key, half;

	config.rule_count = 1;
	set_rule(0, LATCH_ACTION_REQUIRE, 1);
	put_rules();
	half = settings_now().rule_stamp & 1 ? 0 : LATCH_RULES_MAX;
	for (key = half; key < half + LATCH_RULES_MAX; key++)
		cr_assert_eq(bpf_map_update_elem(maps.rules, &key, &open, BPF_ANY), 0);
	cr_expect_eq(decided_by(&one, LATCH_DIRECTION_IN), 0);
	one.local_port = 2;
	cr_expect_eq(decided_by(&one, LATCH_DIRECTION_IN), LATCH_RULE_NONE);
}

Test(rules, more_rules_than_the_map_holds_are_refused)
{
	cr_expect_eq(latch_rules_switch(&maps, LATCH_RULES_MAX + 1), -EINVAL);
	cr_expect_eq(settings_now().rule_stamp, 0);
}
