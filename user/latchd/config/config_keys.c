/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/config/config_keys.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/text.h"
#include "latchd/config/config_peer.h"
#include "latchd/config/config_rule.h"

struct config_key {
	enum config_section section;
	const char *name;
	bool (*parse)(struct config_parser *parser, const char *value);
	const char *expected;
};

/* ---- values ---- */

static bool parse_path(char *out, size_t size, const char *value)
{
	return value[0] == '/' && text_copy(out, size, value) > 0;
}

/* Without needless slashes, so that equal directories have equal texts. */
static bool copy_directory(char *out, size_t size, const char *value)
{
	size_t used = 0;

	if (value[0] != '/')
		return false;
	while (*value && used + 1 < size) {
		size_t length = strcspn(value, "/");

		if ((length == 1 && value[0] == '.') || (length == 2 && !strncmp(value, "..", 2)))
			return false;
		if (length && used + 1 + length < size)
			used += (size_t)snprintf(out + used, size - used, "/%.*s", (int)length,
						 value);
		else if (length)
			return false;
		value += length + (value[length] == '/');
	}
	return used > 0 && !*value;
}

static bool is_within(const char *path, const char *above)
{
	size_t length = strlen(above);

	return !strncmp(path, above, length) && (!path[length] || path[length] == '/');
}

/* A packet of the lower cgroup would pass the programs of both. */
static bool check_cgroup(struct config_parser *parser, const char *path)
{
	const struct config *config = parser->config;
	size_t i;

	for (i = 0; i < config->cgroup_count; i++) {
		const char *other = config->cgroups[i];

		if (is_within(path, other) || is_within(other, path)) {
			config_fail(parser, parser->line,
				    "cgroup %s is %s cgroup %s of another line; expected cgroups "
				    "of which none is below another",
				    path, strcmp(path, other) ? "above or below" : "equal to",
				    other);
			return false;
		}
	}
	if (i == CONFIG_MAX_CGROUPS)
		config_fail(parser, parser->line, "cgroup %s is one too many; expected at most %d",
			    path, CONFIG_MAX_CGROUPS);
	return i < CONFIG_MAX_CGROUPS;
}

static bool parse_cgroup(struct config_parser *parser, const char *value)
{
	struct config *config = parser->config;
	char path[CONFIG_CGROUP_MAX];

	if (!copy_directory(path, sizeof(path), value) || !check_cgroup(parser, path))
		return false;
	strcpy(config->cgroups[config->cgroup_count++], path);
	return true;
}

static bool parse_time(unsigned int *ret_ms, unsigned int least_ms, unsigned int most_ms,
		       const char *value)
{
	unsigned long number, ms_per_unit;
	const char *unit;

	if (!config_number(value, &number, &unit))
		return false;
	if (!strcmp(unit, "ms"))
		ms_per_unit = 1;
	else if (!strcmp(unit, "s"))
		ms_per_unit = 1000;
	else
		return false;
	if (number > most_ms / ms_per_unit || number * ms_per_unit < least_ms)
		return false;
	*ret_ms = (unsigned int)(number * ms_per_unit);
	return true;
}

static bool parse_mode(struct config_parser *parser, const char *value)
{
	bool audit = !strcmp(value, "audit");

	parser->config->mode = audit ? CONFIG_MODE_AUDIT : CONFIG_MODE_ENFORCE;
	return audit || !strcmp(value, "enforce");
}

static bool parse_pending_limit(struct config_parser *parser, const char *value)
{
	return parse_time(&parser->config->pending_ms, 100, 60000, value);
}

static bool parse_policy_grace(struct config_parser *parser, const char *value)
{
	return parse_time(&parser->config->policy_grace_ms, 1000, 600000, value);
}

static bool parse_latches(struct config_parser *parser, const char *value)
{
	unsigned long number;
	const char *rest;

	if (!config_number(value, &number, &rest) || *rest || number < 64 || number > 4194304)
		return false;
	parser->config->latch_capacity = (unsigned int)number;
	return true;
}

static bool parse_control_socket(struct config_parser *parser, const char *value)
{
	return parse_path(parser->config->control_socket, sizeof(parser->config->control_socket),
			  value);
}

static bool parse_control_group(struct config_parser *parser, const char *value)
{
	if (!config_is_name(value, sizeof(parser->config->control_group)))
		return false;
	strcpy(parser->config->control_group, value);
	return true;
}

static bool parse_api_enabled(struct config_parser *parser, const char *value)
{
	parser->config->answers = !strcmp(value, "on");
	return parser->config->answers || !strcmp(value, "off");
}

static bool parse_news_socket(struct config_parser *parser, const char *value)
{
	return parse_path(parser->config->news_socket, sizeof(parser->config->news_socket), value);
}

static bool parse_feed_type(struct config_parser *parser, const char *value)
{
	if (strcmp(value, "vici"))
		return false;
	parser->feed->type = CONFIG_FEED_VICI;
	parser->feed_has_type = true;
	return true;
}

static bool parse_feed_socket(struct config_parser *parser, const char *value)
{
	return parse_path(parser->feed->socket, sizeof(parser->feed->socket), value);
}

static bool parse_rdn_matching(struct config_parser *parser, const char *value)
{
	static const char *const words[] = {
		[CONFIG_RDN_STRICT] = "strict",
		[CONFIG_RDN_REORDERED] = "reordered",
		[CONFIG_RDN_RELAXED] = "relaxed",
	};
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (!strcmp(value, words[i])) {
			parser->feed->rdn_matching = (enum config_rdn_matching)i;
			return true;
		}
	}
	return false;
}

/* A pattern would apply to connections that do not exist yet. */
static bool parse_connections(char out[CONFIG_LIST_MAX], const char *value)
{
	return *value && !strpbrk(value, "*?,\"'") && text_copy(out, CONFIG_LIST_MAX, value) > 0;
}

static bool parse_unambiguous_names(struct config_parser *parser, const char *value)
{
	return parse_connections(parser->feed->unambiguous_names, value);
}

static bool parse_eap_identities(struct config_parser *parser, const char *value)
{
	return parse_connections(parser->feed->eap_identities, value);
}

static bool parse_alerts(struct config_parser *parser, const char *value)
{
	parser->feed->without_alerts = !strcmp(value, "off");
	return parser->feed->without_alerts || !strcmp(value, "on");
}

#define EXPECTED_CONNECTIONS "names of connections, separated by blanks, without wildcards"
#define EXPECTED_SOCKET	     "an absolute path of at most 107 bytes"
#define EXPECTED_NETWORK     "any, an address, or a network ADDRESS/BITS with no bit set beyond BITS"
#define EXPECTED_PORTS	     "a port from 1 to 65535, or a range N-M of them, N not above M"

static const struct config_key config_keys[] = {
	{CONFIG_SECTION_ENFORCE, "cgroup", parse_cgroup,
	 "the absolute path of a cgroup v2 directory, without . and .."},
	{CONFIG_SECTION_ENFORCE, "mode", parse_mode, "enforce or audit"},
	{CONFIG_SECTION_ENFORCE, "pending-limit", parse_pending_limit,
	 "a time from 100ms to 60s, such as 5s"},
	{CONFIG_SECTION_ENFORCE, "policy-grace", parse_policy_grace,
	 "a time from 1s to 600s, such as 30s"},
	{CONFIG_SECTION_ENFORCE, "latches", parse_latches, "a number from 64 to 4194304"},
	{CONFIG_SECTION_CONTROL, "socket", parse_control_socket, EXPECTED_SOCKET},
	{CONFIG_SECTION_CONTROL, "group", parse_control_group,
	 "a group's name of at most 31 bytes"},
	{CONFIG_SECTION_API, "enabled", parse_api_enabled, "on or off"},
	{CONFIG_SECTION_API, "news-socket", parse_news_socket, EXPECTED_SOCKET},
	{CONFIG_SECTION_FEED, "type", parse_feed_type, "vici"},
	{CONFIG_SECTION_FEED, "socket", parse_feed_socket, EXPECTED_SOCKET},
	{CONFIG_SECTION_FEED, "rdn-matching", parse_rdn_matching, "strict, reordered or relaxed"},
	{CONFIG_SECTION_FEED, "unambiguous-names", parse_unambiguous_names, EXPECTED_CONNECTIONS},
	{CONFIG_SECTION_FEED, "eap-identities", parse_eap_identities, EXPECTED_CONNECTIONS},
	{CONFIG_SECTION_FEED, "alerts", parse_alerts, "on or off"},
	{CONFIG_SECTION_PEER, "id", config_peer_id, "the text of an identity of at most 511 bytes"},
	{CONFIG_SECTION_PEER, "host", config_peer_host,
	 "a host name, in which a label may be *, such as *.example"},
	{CONFIG_SECTION_PEER, "connection", config_peer_connection,
	 "a connection's name of at most 63 bytes"},
	{CONFIG_SECTION_PEER, "class", config_peer_class, "public-key, psk or eap"},
	{CONFIG_SECTION_RULE, "action", config_rule_action, "off, auto or require"},
	{CONFIG_SECTION_RULE, "direction", config_rule_direction, "in, out or any"},
	{CONFIG_SECTION_RULE, "protocol", config_rule_protocol, "tcp, udp, sctp or any"},
	{CONFIG_SECTION_RULE, "local", config_rule_local, EXPECTED_NETWORK},
	{CONFIG_SECTION_RULE, "remote", config_rule_remote, EXPECTED_NETWORK},
	{CONFIG_SECTION_RULE, "local-port", config_rule_local_port, EXPECTED_PORTS},
	{CONFIG_SECTION_RULE, "remote-port", config_rule_remote_port, EXPECTED_PORTS},
	{CONFIG_SECTION_RULE, "peer", config_rule_peer, "the NAME of a section [peer NAME] above"},
	{CONFIG_SECTION_RULE, "min-encryption", config_rule_min_encryption,
	 "a number of bits from 56 to 512 that is a multiple of 8, such as 128"},
	{CONFIG_SECTION_RULE, "disposition", config_rule_disposition, "reset, wait or unreachable"},
	{CONFIG_SECTION_RULE, "errno", config_rule_errno, "reset or timeout"},
	{CONFIG_SECTION_RULE, "on-dpd", config_rule_on_dpd, "break or keep"},
	{CONFIG_SECTION_RULE, "on-reboot", config_rule_on_reboot, "break or keep"},
	{CONFIG_SECTION_RULE, "on-policy-change", config_rule_on_policy_change, "break or protect"},
};

#define CONFIG_KEY_COUNT (sizeof(config_keys) / sizeof(config_keys[0]))

_Static_assert(CONFIG_KEY_COUNT <= 64, "each key has a bit of keys_seen");

/* A section may have several lines of it. */
static bool is_list(const struct config_key *key)
{
	return key->parse == parse_cgroup || key->parse == config_peer_id ||
	       key->parse == config_peer_host;
}

/* ---- a key's line ---- */

static void fail_unknown_key(struct config_parser *parser, const char *name)
{
	char expected[256] = "";
	size_t i;

	for (i = 0; i < CONFIG_KEY_COUNT; i++) {
		size_t used = strlen(expected);

		if (config_keys[i].section == parser->section)
			snprintf(expected + used, sizeof(expected) - used, "%s%s", used ? ", " : "",
				 config_keys[i].name);
	}
	config_fail(parser, parser->line, "unknown key \"%s\" in this section; expected one of: %s",
		    name, expected);
}

static const struct config_key *find_key(enum config_section section, const char *name)
{
	size_t i;

	for (i = 0; i < CONFIG_KEY_COUNT; i++)
		if (config_keys[i].section == section && !strcmp(config_keys[i].name, name))
			return &config_keys[i];
	return NULL;
}

void config_key_read(struct config_parser *parser, const char *name, const char *value)
{
	const struct config_key *key = find_key(parser->section, name);
	unsigned long long bit;

	if (!key) {
		fail_unknown_key(parser, name);
		return;
	}
	bit = 1ULL << (key - config_keys);
	if (parser->keys_seen & bit && !is_list(key))
		config_fail(parser, parser->line,
			    "key \"%s\" appears twice in this section; expected it once", name);
	else if (!key->parse(parser, value))
		config_fail(parser, parser->line, "bad value \"%s\" for %s; expected %s", value,
			    name, key->expected);
	parser->keys_seen |= bit;
}
