/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/report/rule_text.h"

#include <arpa/inet.h>

#include "common/names.h"
#include "common/text.h"

#define ADD(...) text_add(out, RULE_TEXT_SIZE, __VA_ARGS__)

static const char *action_name(enum latch_action action)
{
	switch (action) {
	case LATCH_ACTION_AUTO:
		return "auto";
	case LATCH_ACTION_OFF:
		return "off";
	case LATCH_ACTION_REQUIRE:
		return "require";
	}
	return "unknown";
}

static void add_prefix(char *out, const char *key, uint8_t family, const uint8_t address[16],
		       unsigned int bits)
{
	char printed[INET6_ADDRSTRLEN];

	if (family && bits && inet_ntop(family, address, printed, sizeof(printed)))
		ADD(", %s %s/%u", key, printed, bits);
}

static void add_ports(char *out, const char *key, unsigned int first, unsigned int last)
{
	if (first == 0 && last == 65535)
		return;
	if (first == last)
		ADD(", %s %u", key, first);
	else
		ADD(", %s %u-%u", key, first, last);
}

void rule_text(char out[RULE_TEXT_SIZE], const struct latch_rule *rule, const char *peer)
{
	out[0] = '\0';
	if (!rule) {
		ADD("action auto (no rule matches)");
		return;
	}
	ADD("action %s", action_name(rule->action));
	if (rule->direction != LATCH_DIRECTION_NONE)
		ADD(", direction %s", latch_direction_name(rule->direction));
	if (rule->protocol)
		ADD(", protocol %s", ulp_name(rule->protocol));
	add_prefix(out, "local", rule->family, rule->local_addr, rule->local_bits);
	add_ports(out, "local-port", rule->local_port_first, rule->local_port_last);
	add_prefix(out, "remote", rule->family, rule->remote_addr, rule->remote_bits);
	add_ports(out, "remote-port", rule->remote_port_first, rule->remote_port_last);
	if (peer)
		ADD(", peer %s", peer);
	if (rule->min_encryption)
		ADD(", min-encryption %u", rule->min_encryption * 8U);
	if (rule->disposition != LATCH_DISPOSITION_RESET)
		ADD(", disposition %s", latch_disposition_name(rule->disposition));
	if (rule->flags & LATCH_RULE_TIMEOUT)
		ADD(", errno timeout");
	if (rule->flags & LATCH_RULE_KEEP_ON_DPD)
		ADD(", on-dpd keep");
	if (rule->flags & LATCH_RULE_KEEP_ON_REBOOT)
		ADD(", on-reboot keep");
	if (rule->flags & LATCH_RULE_PROTECT)
		ADD(", on-policy-change protect");
}
