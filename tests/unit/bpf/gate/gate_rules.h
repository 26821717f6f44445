/* SPDX-License-Identifier: BSD-2-Clause */
/* The cgroup gate with rules, and connections that have only just been asked for. */
#ifndef LATCHD_TESTS_GATE_RULES_H
#define LATCHD_TESTS_GATE_RULES_H

#include "gate_fixture.h"

#include "latchd/enforce/rules.h"

static struct config config;

/* In force at once: one rule for each of these actions. */
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

static inline void drop_rules(void)
{
	struct rules_change change;

	config.rule_count = 0;
	cr_assert_eq(rules_load(&maps, &config, true, &change), 0);
}

static inline int start_connect(const char *to, int listener)
{
	struct address there = name_of(listener, getsockname);
	struct address address = address_of(to, ntohs(there.v4.sin_port));
	int fd = new_socket(&address, NULL);

	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	cr_assert_neq(connect(fd, &address.any, address.length), 0);
	return fd;
}

/* A connecting socket has no peer's name yet. */
static inline struct latch_flow flow_to(int fd, const char *to, int listener)
{
	struct address there = address_of(to, ntohs(name_of(listener, getsockname).v4.sin_port));

	return flow_between(name_of(fd, getsockname), there);
}

#endif
