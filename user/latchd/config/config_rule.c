/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/config/config_rule.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>

#include "common/text.h"
#include "latchd/config/config_peer.h"

#define PORT_MAX 65535

enum rule_key {
	KEY_ACTION = 1 << 0,
	KEY_PORT = 1 << 1,
	KEY_DISPOSITION = 1 << 2,
	KEY_ERRNO = 1 << 3,
	KEY_ON_DPD = 1 << 4,
	KEY_ON_REBOOT = 1 << 5,
	KEY_ON_POLICY_CHANGE = 1 << 6,
	KEY_PEER = 1 << 7,
	KEY_MIN_ENCRYPTION = 1 << 8,
};

struct word {
	const char *text;
	uint8_t value; /* the ABI's enums, packed, are of the same size */
};

/* words end with a NULL text. */
static bool parse_word(const struct word *words, const char *value, uint8_t *ret)
{
	for (; words->text; words++) {
		if (!strcmp(words->text, value)) {
			*ret = words->value;
			return true;
		}
	}
	return false;
}

bool config_rule_action(struct config_parser *parser, const char *value)
{
	static const struct word words[] = {
		{"off", LATCH_ACTION_OFF},
		{"auto", LATCH_ACTION_AUTO},
		{"require", LATCH_ACTION_REQUIRE},
		{NULL, 0},
	};
	struct latch_rule *rule = &parser->rule->rule;

	if (!parse_word(words, value, (uint8_t *)&rule->action))
		return false;
	parser->rule_keys |= KEY_ACTION;
	if (rule->action == LATCH_ACTION_REQUIRE)
		rule->flags |= LATCH_RULE_REQUIRE;
	return true;
}

bool config_rule_direction(struct config_parser *parser, const char *value)
{
	static const struct word words[] = {
		{"in", LATCH_DIRECTION_IN},
		{"out", LATCH_DIRECTION_OUT},
		{"any", LATCH_DIRECTION_NONE},
		{NULL, 0},
	};

	return parse_word(words, value, (uint8_t *)&parser->rule->rule.direction);
}

bool config_rule_protocol(struct config_parser *parser, const char *value)
{
	static const struct word words[] = {
		{"tcp", IPPROTO_TCP},
		{"udp", IPPROTO_UDP},
		{"sctp", IPPROTO_SCTP},
		{"any", 0},
		{NULL, 0},
	};

	return parse_word(words, value, &parser->rule->rule.protocol);
}

bool config_rule_disposition(struct config_parser *parser, const char *value)
{
	static const struct word words[] = {
		{"reset", LATCH_DISPOSITION_RESET},
		{"wait", LATCH_DISPOSITION_WAIT},
		{"unreachable", LATCH_DISPOSITION_UNREACHABLE},
		{NULL, 0},
	};

	parser->rule_keys |= KEY_DISPOSITION;
	return parse_word(words, value, (uint8_t *)&parser->rule->rule.disposition);
}

/* ---- keys that set a flag or leave it clear ---- */

static bool parse_flag(struct config_parser *parser, const char *value, const char *clear,
		       const char *set, enum latch_rule_flag flag, enum rule_key key)
{
	if (!strcmp(value, set))
		parser->rule->rule.flags |= flag;
	else if (strcmp(value, clear))
		return false;
	parser->rule_keys |= key;
	return true;
}

bool config_rule_errno(struct config_parser *parser, const char *value)
{
	return parse_flag(parser, value, "reset", "timeout", LATCH_RULE_TIMEOUT, KEY_ERRNO);
}

bool config_rule_on_dpd(struct config_parser *parser, const char *value)
{
	return parse_flag(parser, value, "break", "keep", LATCH_RULE_KEEP_ON_DPD, KEY_ON_DPD);
}

bool config_rule_on_reboot(struct config_parser *parser, const char *value)
{
	return parse_flag(parser, value, "break", "keep", LATCH_RULE_KEEP_ON_REBOOT, KEY_ON_REBOOT);
}

bool config_rule_on_policy_change(struct config_parser *parser, const char *value)
{
	return parse_flag(parser, value, "break", "protect", LATCH_RULE_PROTECT,
			  KEY_ON_POLICY_CHANGE);
}

/* ---- terms on the peer ---- */

bool config_rule_peer(struct config_parser *parser, const char *value)
{
	struct latch_rule *rule = &parser->rule->rule;

	rule->peer_set = config_peer_find(parser->config, value);
	parser->rule_keys |= KEY_PEER;
	return rule->peer_set;
}

#define BITS_MIN 56 /* DES */
#define BITS_MAX 512

bool config_rule_min_encryption(struct config_parser *parser, const char *value)
{
	unsigned long bits;
	const char *rest;

	if (!config_number(value, &bits, &rest) || *rest || bits < BITS_MIN || bits > BITS_MAX ||
	    bits % 8)
		return false;
	parser->rule->rule.min_encryption = (uint8_t)(bits / 8);
	parser->rule_keys |= KEY_MIN_ENCRYPTION;
	return true;
}

/* ---- networks and ports ---- */

static bool has_bits_beyond(const uint8_t address[16], unsigned int bits)
{
	unsigned int i;

	for (i = bits; i < 128; i++)
		if (address[i / 8] & 0x80 >> i % 8)
			return true;
	return false;
}

/* Flows of IPv4-mapped addresses are IPv4 flows. */
static bool is_mapped(const uint8_t address[16], unsigned int bits)
{
	return bits >= 96 && IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)address);
}

/* "any" has no family, so that it leaves *ret_family as it is. */
static bool parse_network(const char *value, uint8_t address[16], uint8_t *ret_bits,
			  uint8_t *ret_family)
{
	int family = strchr(value, ':') ? AF_INET6 : AF_INET;
	unsigned long bits = family == AF_INET ? 32 : 128, max_bits = bits;
	const char *slash = strchr(value, '/'), *rest = "";
	char text[INET6_ADDRSTRLEN];
	_Alignas(struct in6_addr) uint8_t parsed[16] = {0};
	size_t length = slash ? (size_t)(slash - value) : strlen(value);

	if (!strcmp(value, "any"))
		return true;
	if (length >= sizeof(text) || (slash && !config_number(slash + 1, &bits, &rest)) || *rest)
		return false;
	memcpy(text, value, length);
	text[length] = '\0';
	if (inet_pton(family, text, parsed) != 1 || bits > max_bits)
		return false;
	if (has_bits_beyond(parsed, (unsigned int)bits) || is_mapped(parsed, (unsigned int)bits))
		return false;
	memcpy(address, parsed, sizeof(parsed));
	*ret_bits = (uint8_t)bits;
	*ret_family = (uint8_t)family;
	return true;
}

/* 0.0.0.0 or ::. A socket may be bound to it, but no connection has it. */
static bool is_unspecified(int family, const uint8_t address[16], unsigned int bits)
{
	return bits == (family == AF_INET ? 32 : 128) &&
	       IN6_IS_ADDR_UNSPECIFIED((const struct in6_addr *)address);
}

/* Both networks of a rule have the same family, and the rule has that one. */
static bool set_network(struct config_parser *parser, const char *value, uint8_t address[16],
			uint8_t *bits)
{
	struct latch_rule *rule = &parser->rule->rule;
	uint8_t family = 0;

	if (!parse_network(value, address, bits, &family))
		return false;
	if (family && rule->family && family != rule->family)
		config_fail(parser, parser->line,
			    "[rule %s] has addresses of IPv4 and of IPv6 and can never match; "
			    "expected local and remote of one family",
			    parser->rule->name);
	if (family && is_unspecified(family, address, *bits))
		config_fail(parser, parser->line,
			    "[rule %s] has %s, which is no connection's address, and can never "
			    "match; expected any or %s/0",
			    parser->rule->name, value, family == AF_INET ? "0.0.0.0" : "::");
	if (family)
		rule->family = family;
	return true;
}

bool config_rule_local(struct config_parser *parser, const char *value)
{
	struct latch_rule *rule = &parser->rule->rule;

	return set_network(parser, value, rule->local_addr, &rule->local_bits);
}

bool config_rule_remote(struct config_parser *parser, const char *value)
{
	struct latch_rule *rule = &parser->rule->rule;

	return set_network(parser, value, rule->remote_addr, &rule->remote_bits);
}

static bool parse_ports(struct config_parser *parser, const char *value, __u16 *first, __u16 *last)
{
	unsigned long from, to;
	const char *rest;

	if (!config_number(value, &from, &rest))
		return false;
	to = from;
	if (*rest == '-' && !config_number(rest + 1, &to, &rest))
		return false;
	if (*rest || !from || from > to || to > PORT_MAX)
		return false;
	*first = (__u16)from;
	*last = (__u16)to;
	parser->rule_keys |= KEY_PORT;
	return true;
}

bool config_rule_local_port(struct config_parser *parser, const char *value)
{
	struct latch_rule *rule = &parser->rule->rule;

	return parse_ports(parser, value, &rule->local_port_first, &rule->local_port_last);
}

bool config_rule_remote_port(struct config_parser *parser, const char *value)
{
	struct latch_rule *rule = &parser->rule->rule;

	return parse_ports(parser, value, &rule->remote_port_first, &rule->remote_port_last);
}

/* ---- the rule ---- */

void config_rule_begin(struct config_parser *parser, const char *name)
{
	struct config *config = parser->config;
	size_t i;

	if (!config_check_name(parser, "rule", name))
		return;
	for (i = 0; i < config->rule_count; i++)
		if (!strcmp(config->rules[i].name, name))
			config_fail(parser, parser->line,
				    "[rule %s] appears twice; expected a name of its own", name);
	if (config->rule_count == LATCH_RULES_MAX)
		config_fail(parser, parser->line, "[rule %s] is one too many; expected at most %d",
			    name, LATCH_RULES_MAX);
	if (parser->failed_line)
		return;
	parser->rule = &config->rules[config->rule_count++];
	parser->rule_keys = 0;
	text_copy(parser->rule->name, sizeof(parser->rule->name), name);
	parser->rule->rule.local_port_last = PORT_MAX;
	parser->rule->rule.remote_port_last = PORT_MAX;
}

/* The rule's first key about what a latch does; NULL: it has none. */
static const char *latch_key(unsigned int rule_keys)
{
	static const struct {
		enum rule_key key;
		const char *name;
	} keys[] = {
		{KEY_DISPOSITION, "disposition"},
		{KEY_ERRNO, "errno"},
		{KEY_ON_DPD, "on-dpd"},
		{KEY_ON_REBOOT, "on-reboot"},
		{KEY_ON_POLICY_CHANGE, "on-policy-change"},
	};
	size_t i;

	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (rule_keys & keys[i].key)
			return keys[i].name;
	return NULL;
}

/* Terms on the peer would let a connection without one pass. */
static void check_terms(struct config_parser *parser)
{
	const struct latch_rule *rule = &parser->rule->rule;

	if (parser->rule_keys & (KEY_PEER | KEY_MIN_ENCRYPTION) &&
	    rule->action != LATCH_ACTION_REQUIRE)
		config_fail(parser, parser->heading_line,
			    "[rule %s] has %s, which needs a latch; expected action = require",
			    parser->rule->name,
			    parser->rule_keys & KEY_PEER ? "peer" : "min-encryption");
}

static void check_keys(struct config_parser *parser)
{
	const struct latch_rule *rule = &parser->rule->rule;
	const char *name = parser->rule->name, *key = latch_key(parser->rule_keys);
	unsigned int line = parser->heading_line;

	if (!(parser->rule_keys & KEY_ACTION))
		config_fail(
			parser, line,
			"[rule %s] has no action; expected a line action = off, auto or require",
			name);
	if (parser->rule_keys & KEY_PORT && !rule->protocol)
		config_fail(parser, line,
			    "[rule %s] has ports but no protocol with ports; expected a line "
			    "protocol = tcp, udp or sctp",
			    name);
	if (key && rule->action == LATCH_ACTION_OFF)
		config_fail(parser, line,
			    "[rule %s] has %s, but with action = off there is no latch; expected "
			    "one of the two",
			    name, key);
	if (parser->rule_keys & KEY_ERRNO && rule->disposition != LATCH_DISPOSITION_RESET)
		config_fail(parser, line,
			    "[rule %s] has errno, which only a reset has; expected no errno or "
			    "disposition = reset",
			    name);
}

static bool covers_network(const uint8_t wide[16], unsigned int wide_bits, const uint8_t narrow[16],
			   unsigned int narrow_bits)
{
	unsigned int i;

	if (wide_bits > narrow_bits)
		return false;
	for (i = 0; i < wide_bits; i++)
		if ((wide[i / 8] ^ narrow[i / 8]) & 0x80 >> i % 8)
			return false;
	return true;
}

static bool covers(const struct latch_rule *wide, const struct latch_rule *narrow)
{
	return (!wide->direction || wide->direction == narrow->direction) &&
	       (!wide->protocol || wide->protocol == narrow->protocol) &&
	       (!wide->family || wide->family == narrow->family) &&
	       wide->local_port_first <= narrow->local_port_first &&
	       wide->local_port_last >= narrow->local_port_last &&
	       wide->remote_port_first <= narrow->remote_port_first &&
	       wide->remote_port_last >= narrow->remote_port_last &&
	       covers_network(wide->local_addr, wide->local_bits, narrow->local_addr,
			      narrow->local_bits) &&
	       covers_network(wide->remote_addr, wide->remote_bits, narrow->remote_addr,
			      narrow->remote_bits);
}

static void check_earlier_rules(struct config_parser *parser)
{
	const struct config_rule *earlier;

	for (earlier = parser->config->rules; earlier != parser->rule; earlier++)
		if (covers(&earlier->rule, &parser->rule->rule))
			config_fail(
				parser, parser->heading_line,
				"[rule %s] can never match: [rule %s] before it covers all of its "
				"flows; expected the narrower rule first",
				parser->rule->name, earlier->name);
}

void config_rule_end(struct config_parser *parser)
{
	check_keys(parser);
	check_terms(parser);
	check_earlier_rules(parser);
}
