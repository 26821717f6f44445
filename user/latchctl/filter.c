/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchctl/filter.h"

#include <arpa/inet.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "common/text.h"
#include "latchctl/view.h"

enum filter_kind {
	FILTER_TEXT,
	FILTER_MEMBER, /* of an array of texts */
	FILTER_PORT,
	FILTER_ADDRESS,
	FILTER_NETNS, /* name or cookie */
};

struct filter_field {
	const char *name;
	const char *path; /* in the document */
	enum filter_kind kind;
	const char *choices; /* the only values, with blanks between them; NULL: any */
};

static const struct filter_field fields[] = {
	{"state", "state", FILTER_TEXT, "established broken closed larval listener"},
	{"peer", "peer.id", FILTER_TEXT, NULL},
	{"tag", "tags", FILTER_MEMBER, NULL},
	{"proto", "proto", FILTER_TEXT, "tcp udp sctp"},
	{"dir", "direction", FILTER_TEXT, "in out"},
	{"src", "local.addr", FILTER_ADDRESS, NULL},
	{"dst", "remote.addr", FILTER_ADDRESS, NULL},
	{"sport", "local.port", FILTER_PORT, NULL},
	{"dport", "remote.port", FILTER_PORT, NULL},
	{"netns", "netns", FILTER_NETNS, NULL},
	{"rule", "rule", FILTER_TEXT, NULL},
	{"disposition", "disposition", FILTER_TEXT, "reset wait unreachable"},
	{"reason", "reasons", FILTER_MEMBER,
	 "sa-conflict spd-change peer-dead peer-rebooted admin refused"},
};

#define FIELD_COUNT (sizeof(fields) / sizeof(fields[0]))
#define FIELD_NAMES                                                                                \
	"state, peer, tag, proto, dir, src, dst, sport, dport, netns, rule, disposition, reason"
#define ADDRESS_BITS(family) ((family) == AF_INET ? 32U : 128U)

static const struct filter_field *find_field(const char *name)
{
	size_t i;

	for (i = 0; i < FIELD_COUNT; i++)
		if (!strcmp(fields[i].name, name))
			return &fields[i];
	return NULL;
}

static bool is_choice(const char *choices, const char *value)
{
	size_t length = strlen(value), word;

	for (; length && *choices; choices += word + (choices[word] == ' ')) {
		word = strcspn(choices, " ");
		if (word == length && !memcmp(choices, value, word))
			return true;
	}
	return false;
}

/* Digits only, from 0 to max. */
static bool parse_number(const char *text, unsigned long max, unsigned int *ret)
{
	size_t digits = strspn(text, "0123456789");
	unsigned long number;

	if (!digits || digits > 6 || text[digits])
		return false;
	number = strtoul(text, NULL, 10);
	if (number > max)
		return false;
	*ret = (unsigned int)number;
	return true;
}

/* ADDRESS or ADDRESS/BITS. */
static bool parse_address(const char *text, struct filter_condition *ret)
{
	char address[INET6_ADDRSTRLEN + 8];
	char *slash;

	if (text_copy(address, sizeof(address), text) < 0)
		return false;
	slash = strchr(address, '/');
	if (slash)
		*slash++ = '\0';
	ret->family = strchr(address, ':') ? AF_INET6 : AF_INET;
	ret->prefix = ADDRESS_BITS(ret->family);
	return inet_pton(ret->family, address, ret->address) == 1 &&
	       (!slash || parse_number(slash, ret->prefix, &ret->prefix));
}

/* NULL, or the words that are allowed as value. */
static const char *expected_value(struct filter_condition *condition)
{
	const struct filter_field *field = condition->field;
	unsigned int port;

	switch (field->kind) {
	case FILTER_TEXT:
	case FILTER_MEMBER:
	case FILTER_NETNS:
		return !field->choices || is_choice(field->choices, condition->value)
			       ? NULL
			       : field->choices;
	case FILTER_PORT:
		return parse_number(condition->value, 65535, &port) ? NULL : "a number up to 65535";
	case FILTER_ADDRESS:
		return parse_address(condition->value, condition) ? NULL
								  : "ADDRESS or ADDRESS/BITS";
	}
	return NULL;
}

static enum ctl_exit parse_condition(struct filter_condition *condition, const char *name,
				     const char *value)
{
	const char *expected;

	condition->field = find_field(name);
	if (!condition->field)
		return ctl_fail(CTL_EXIT_USAGE, "list: unknown field \"%s\"; use " FIELD_NAMES,
				name);
	if (!value)
		return ctl_fail(CTL_EXIT_USAGE,
				"list: no value after field \"%s\"; see latchctl(8)", name);
	condition->value = value;
	expected = expected_value(condition);
	return expected ? ctl_fail(CTL_EXIT_USAGE, "list: field %s cannot be \"%s\"; expected: %s",
				   name, value, expected)
			: CTL_EXIT_OK;
}

enum ctl_exit filter_parse(struct filter *filter, char *const *words, size_t count)
{
	enum ctl_exit code = CTL_EXIT_OK;
	size_t i;

	for (i = 0; i < count && code == CTL_EXIT_OK; i += 2) {
		if (filter->count == FILTER_CONDITIONS_MAX)
			return ctl_fail(CTL_EXIT_USAGE,
					"list: more than %d conditions; use --json and a filter of "
					"your own",
					FILTER_CONDITIONS_MAX);
		code = parse_condition(&filter->conditions[filter->count], words[i],
				       i + 1 < count ? words[i + 1] : NULL);
		filter->count += code == CTL_EXIT_OK;
	}
	return code;
}

static bool address_matches(const struct filter_condition *condition, const char *text)
{
	unsigned int whole = condition->prefix / 8, rest = condition->prefix % 8;
	uint8_t address[16];

	if (inet_pton(condition->family, text, address) != 1 ||
	    memcmp(address, condition->address, whole) != 0)
		return false;
	return !rest || !((address[whole] ^ condition->address[whole]) >> (8 - rest));
}

static bool has_member(struct json_object *latch, const char *path, const char *value)
{
	size_t i, count = view_count(latch, path);
	const char *text;

	for (i = 0; i < count; i++) {
		text = json_object_get_string(view_element(latch, path, i));
		if (text && !strcmp(text, value))
			return true;
	}
	return false;
}

void filter_tell_unknown(const struct filter *filter, struct json_object *document)
{
	const struct filter_condition *condition;
	size_t i;

	/* An earlier latchd does not tell its sets. */
	for (i = 0; view_member(document, "sets") && i < filter->count; i++) {
		condition = &filter->conditions[i];
		if (!strcmp(condition->field->name, "tag") &&
		    !has_member(document, "sets", condition->value))
			ctl_fail(
				CTL_EXIT_OK,
				"list: no set of peers has the name \"%s\"; latchd.conf(5) has the "
				"sections [peer NAME]",
				condition->value);
	}
}

static bool holds(const struct filter_condition *condition, struct json_object *latch)
{
	const struct filter_field *field = condition->field;
	const char *text = view_text(latch, field->path);

	switch (field->kind) {
	case FILTER_TEXT:
		return text && !strcmp(text, condition->value);
	case FILTER_MEMBER:
		return has_member(latch, field->path, condition->value);
	case FILTER_PORT:
		/* Compares numbers: 053 equals 53. */
		return text && strtoul(text, NULL, 10) == strtoul(condition->value, NULL, 10);
	case FILTER_ADDRESS:
		return text && address_matches(condition, text);
	case FILTER_NETNS:
		return (text && !strcmp(text, condition->value)) ||
		       !strcmp(view_text_or(latch, "netns_name", ""), condition->value);
	}
	return false;
}

bool filter_matches(const struct filter *filter, struct json_object *latch)
{
	bool wanted[FIELD_COUNT] = {false}, found[FIELD_COUNT] = {false};
	size_t i, field;

	for (i = 0; i < filter->count; i++) {
		field = (size_t)(filter->conditions[i].field - fields);
		wanted[field] = true;
		found[field] |= holds(&filter->conditions[i], latch);
	}
	return !memcmp(wanted, found, sizeof(wanted));
}
