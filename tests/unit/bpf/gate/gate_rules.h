/* SPDX-License-Identifier: BSD-2-Clause */
/* The cgroup gate of gate_fixture.h with rules, and connections before their handshake. */
#ifndef LATCHD_TESTS_GATE_RULES_H
#define LATCHD_TESTS_GATE_RULES_H

#include "gate_fixture.h"

#include "latchd/enforce/rules.h"

static struct config config;

/* Adds a rule behind the others; the rules are in force at once. */
static inline void put_rule_of(__u8 protocol, enum latch_action action,
			       enum latch_direction direction, const char *remote)
{
	struct latch_rule *rule = &config.rules[config.rule_count++].rule;
	struct rules_change change;

	*rule = (struct latch_rule){
		.action = action,
		.direction = direction,
		.protocol = protocol,
		.local_port_last = 65535,
		.remote_port_last = 65535,
	};
	if (remote) {
		rule->family = strchr(remote, ':') ? AF_INET6 : AF_INET;
		rule->remote_bits = rule->family == AF_INET ? 32 : 128;
		cr_assert_eq(inet_pton(rule->family, remote, rule->remote_addr), 1);
	}
	cr_assert_eq(rules_load(&maps, &config, true, &change), 0);
	cr_assert(change.made);
}

static inline void put_rule(enum latch_action action, enum latch_direction direction,
			    const char *remote)
{
	put_rule_of(IPPROTO_TCP, action, direction, remote);
}

static inline void clear_rules(void)
{
	struct rules_change change;

	config.rule_count = 0;
	cr_assert_eq(rules_load(&maps, &config, true, &change), 0);
}

static inline int start_connect(const char *to, int listener)
{
	struct address there = address_of(to, port_of(listener));
	int fd = new_socket(&there, NULL);

	begin_connect(fd, &there);
	return fd;
}

/* getpeername() fails in SYN_SENT: the listener's port makes the remote end. */
static inline struct latch_flow flow_to(int fd, const char *to, int listener)
{
	return flow_between(name_of(fd, getsockname), address_of(to, port_of(listener)));
}

#endif
