/* SPDX-License-Identifier: BSD-2-Clause */
/* Loads files with [rule NAME] sections: the rules they give, and their faults. */
#include "config_file.h"

#include <arpa/inet.h>
#include <netinet/in.h>

TestSuite(config_rule, .init = scratch_make, .fini = scratch_remove);

static void expect_address(const __u8 address[16], int family, const char *text)
{
	__u8 wanted[16] = {0};

	cr_assert_eq(inet_pton(family, text, wanted), 1);
	cr_expect_eq(memcmp(address, wanted, sizeof(wanted)), 0, "%s", text);
}

Test(config_rule, a_file_without_rules_gives_none)
{
	cr_assert_eq(load("[enforce]\n"), 0, "%s", failure.text);
	cr_expect_eq(config.rule_count, 0);
}

Test(config_rule, a_rule_needs_only_an_action)
{
	const struct latch_rule *rule = &config.rules[0].rule;

	cr_assert_eq(load("[rule all]\naction = auto\n"), 0, "%s", failure.text);
	cr_assert_eq(config.rule_count, 1);
	cr_expect_str_eq(config.rules[0].name, "all");
	cr_expect_eq(rule->action, LATCH_ACTION_AUTO);
	cr_expect_eq(rule->direction, LATCH_DIRECTION_NONE);
	cr_expect_eq(rule->protocol, 0);
	cr_expect_eq(rule->family, 0);
	cr_expect_eq(rule->local_bits, 0);
	cr_expect_eq(rule->remote_bits, 0);
	cr_expect_eq(rule->local_port_first, 0);
	cr_expect_eq(rule->local_port_last, 65535);
	cr_expect_eq(rule->remote_port_first, 0);
	cr_expect_eq(rule->remote_port_last, 65535);
	cr_expect_eq(rule->disposition, LATCH_DISPOSITION_RESET);
	cr_expect_eq(rule->flags, 0);
}

Test(config_rule, every_key_is_read_into_its_field)
{
	const struct latch_rule *rule = &config.rules[0].rule;

	cr_assert_eq(load("[rule web.1]\n"
			  "action = require\n"
			  "direction = out\n"
			  "protocol = sctp\n"
			  "local = 10.1.0.0/16\n"
			  "remote = 10.9.0.2\n"
			  "local-port = 1-65535\n"
			  "remote-port = 443\n"
			  "disposition = reset\n"
			  "errno = timeout\n"
			  "on-dpd = keep\n"
			  "on-reboot = keep\n"
			  "on-policy-change = protect\n"),
		     0, "%s", failure.text);
	cr_expect_eq(rule->action, LATCH_ACTION_REQUIRE);
	cr_expect_eq(rule->direction, LATCH_DIRECTION_OUT);
	cr_expect_eq(rule->protocol, IPPROTO_SCTP);
	cr_expect_eq(rule->family, AF_INET);
	expect_address(rule->local_addr, AF_INET, "10.1.0.0");
	cr_expect_eq(rule->local_bits, 16);
	expect_address(rule->remote_addr, AF_INET, "10.9.0.2");
	cr_expect_eq(rule->remote_bits, 32);
	cr_expect_eq(rule->local_port_first, 1);
	cr_expect_eq(rule->local_port_last, 65535);
	cr_expect_eq(rule->remote_port_first, 443);
	cr_expect_eq(rule->remote_port_last, 443);
	cr_expect_eq(rule->disposition, LATCH_DISPOSITION_RESET);
	cr_expect_eq(rule->flags, LATCH_RULE_REQUIRE | LATCH_RULE_TIMEOUT | LATCH_RULE_KEEP_ON_DPD |
					  LATCH_RULE_KEEP_ON_REBOOT | LATCH_RULE_PROTECT);
}

Test(config_rule, each_word_of_a_key_gives_its_value)
{
	cr_assert_eq(load("[rule a]\naction = off\ndirection = in\nprotocol = udp\n"
			  "local = any\nremote = fd00::/8\n"
			  "[rule   b]\naction = auto\nprotocol = tcp\ndisposition = wait\n"
			  "on-dpd = break\non-reboot = break\non-policy-change = break\n"
			  "[rule c]\naction = require\ndirection = any\nprotocol = any\n"
			  "disposition = unreachable\nlocal = 0.0.0.0/0\n"),
		     0, "%s", failure.text);
	cr_assert_eq(config.rule_count, 3);
	cr_expect_eq(config.rules[0].rule.action, LATCH_ACTION_OFF);
	cr_expect_eq(config.rules[0].rule.direction, LATCH_DIRECTION_IN);
	cr_expect_eq(config.rules[0].rule.protocol, IPPROTO_UDP);
	cr_expect_eq(config.rules[0].rule.family, AF_INET6);
	expect_address(config.rules[0].rule.remote_addr, AF_INET6, "fd00::");
	cr_expect_eq(config.rules[0].rule.remote_bits, 8);
	cr_expect_str_eq(config.rules[1].name, "b");
	cr_expect_eq(config.rules[1].rule.disposition, LATCH_DISPOSITION_WAIT);
	cr_expect_eq(config.rules[1].rule.flags, 0);
	cr_expect_eq(config.rules[2].rule.disposition, LATCH_DISPOSITION_UNREACHABLE);
	cr_expect_eq(config.rules[2].rule.family, AF_INET);
	cr_expect_eq(config.rules[2].rule.local_bits, 0);
}

#define AUTO(x) "[rule " x "]\naction = auto\n"

static const struct refused refused[] = {
	{"[rule]\n", 1, "unknown section [rule]"},
	{"[rule ]\naction = off\n", 1, "bad name in [rule ]"},
	{"[rule a b]\naction = off\n", 1, "bad name"},
	{"[rule -a]\naction = off\n", 1, "bad name"},
	{"[rule " A10 A10 A10 "aa]\n", 1, "expected 1 to 31 letters"},
	{"[rule a]\n", 1, "[rule a] has no action"},
	{"[rule a]\nprotocol = tcp\n[enforce]\n", 1, "[rule a] has no action"},
	{"[rule a]\naction = on\n", 2, "expected off, auto or require"},
	{"[rule a]\naction =\n", 2, "expected off, auto or require"},
	{"[rule a]\naction = auto\naction = auto\n", 3, "appears twice in this section"},
	{"[rule a]\nlatches = 100\n", 2, "expected one of: action, direction, protocol, local, "},
	{AUTO("a") "direction = both\n", 3, "expected in, out or any"},
	{AUTO("a") "protocol = icmp\n", 3, "expected tcp, udp, sctp or any"},
	{AUTO("a") "protocol = 6\n", 3, "expected tcp, udp, sctp or any"},
	{AUTO("a") "local = 10.0.0.1/8\n", 3, "no bit set beyond BITS"},
	{AUTO("a") "local = 10.0.0.0/33\n", 3, "an address, or a network"},
	{AUTO("a") "local = 10.0.0.0/\n", 3, "an address, or a network"},
	{AUTO("a") "local = 10.0.0.0/-1\n", 3, "an address, or a network"},
	{AUTO("a") "local = 10.0.0.0/8/8\n", 3, "an address, or a network"},
	{AUTO("a") "local = 10.0.0\n", 3, "an address, or a network"},
	{AUTO("a") "local = c.example\n", 3, "an address, or a network"},
	{AUTO("a") "remote = fd00::1/64\n", 3, "no bit set beyond BITS"},
	{AUTO("a") "remote = fd00::/129\n", 3, "an address, or a network"},
	{AUTO("a") "remote = fe80::1%eth0\n", 3, "an address, or a network"},
	{AUTO("a") "remote = ::ffff:10.0.0.1\n", 3, "an address, or a network"},
	{AUTO("a") "remote = fd00:" A10 A10 A10 A10 A10 "\n", 3, "an address, or a network"},
	{AUTO("a") "local = 10.0.0.0/8\nremote = fd00::/8\n", 4,
	 "[rule a] has addresses of IPv4 and of IPv6 and can never match"},
	{AUTO("a") "remote = ::/0\nlocal = 0.0.0.0/0\n", 4, "of one family"},
	{AUTO("a") "local = 0.0.0.0\n", 3,
	 "[rule a] has 0.0.0.0, which is no connection's address"},
	{AUTO("a") "remote = 0.0.0.0/32\n", 3, "can never match; expected any or 0.0.0.0/0"},
	{AUTO("a") "local = ::\n", 3, "can never match; expected any or ::/0"},
	{AUTO("a") "remote = ::/128\n", 3, "can never match; expected any or ::/0"},
	{AUTO("a") "remote = 10.0.0.0/4294967304\n", 3, "an address, or a network"},
	{AUTO("a") "local-port = 4294967376\n", 3, "a port from 1 to 65535"},
	{AUTO("a") "local-port = 18446744073709551696\n", 3, "a port from 1 to 65535"},
	{AUTO("a") "local-port = 0\n", 3, "a port from 1 to 65535"},
	{AUTO("a") "local-port = 65536\n", 3, "a port from 1 to 65535"},
	{AUTO("a") "local-port = http\n", 3, "a port from 1 to 65535"},
	{AUTO("a") "local-port = 1-\n", 3, "a range N-M of them"},
	{AUTO("a") "local-port = 1-2-3\n", 3, "a range N-M of them"},
	{AUTO("a") "remote-port = 5000-4999\n", 3, "N not above M"},
	{AUTO("a") "remote-port = 1-65536\n", 3, "a port from 1 to 65535"},
	{AUTO("a") "remote-port = 80\n", 1, "[rule a] has ports but no protocol with ports"},
	{AUTO("a") "local-port = 80\nprotocol = any\n", 1, "expected a line protocol = tcp, udp"},
	{AUTO("a") "disposition = drop\n", 3, "expected reset, wait or unreachable"},
	{AUTO("a") "errno = ECONNRESET\n", 3, "expected reset or timeout"},
	{AUTO("a") "on-dpd = protect\n", 3, "expected break or keep"},
	{AUTO("a") "on-reboot = yes\n", 3, "expected break or keep"},
	{AUTO("a") "on-policy-change = keep\n", 3, "expected break or protect"},
	{"[rule a]\naction = off\ndisposition = reset\n", 1, "[rule a] has disposition, but"},
	{"[rule a]\nerrno = reset\naction = off\n", 1, "[rule a] has errno, but"},
	{"[rule a]\naction = off\non-dpd = break\n", 1, "[rule a] has on-dpd, but"},
	{"[rule a]\naction = off\non-reboot = keep\n", 1, "[rule a] has on-reboot, but"},
	{"[rule a]\naction = off\non-policy-change = break\n", 1, "has on-policy-change, but"},
	{AUTO("a") "disposition = wait\nerrno = timeout\n", 1, "has errno, which only a reset has"},
	{AUTO("a") "errno = reset\ndisposition = unreachable\n", 1, "which only a reset has"},
	{AUTO("a") "protocol = tcp\n[rule a]\naction = auto\n", 4, "[rule a] appears twice"},
	{AUTO("a") AUTO("b"), 3, "[rule b] can never match: [rule a] before it covers all"},
	{AUTO("a") "[rule b]\naction = off\nprotocol = tcp\nlocal-port = 22\n", 3,
	 "[rule a] before it covers"},
	{AUTO("a") "remote = 10.0.0.0/8\n" AUTO("b") "remote = 10.1.0.0/16\n", 4,
	 "[rule a] before it covers"},
	{AUTO("a") "remote = fd00::/9\n" AUTO("b") "remote = fd7f::1\n", 4,
	 "[rule a] before it covers"},
	{AUTO("a") "protocol = tcp\nlocal-port = 10-20\n" AUTO(
		 "b") "protocol = tcp\n"
		      "local-port = 20\n"
		      "local = 10.0.0.1\ndirection = in\n",
	 5, "[rule a] before it covers"},
};

Test(config_rule, bad_rules_are_refused_with_file_and_line)
{
	size_t i;

	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		expect_refused(&refused[i]);
}

/* In each pair the second rule matches a flow that the first does not. */
static const char *const beside[] = {
	AUTO("a") "protocol = tcp\n" AUTO("b"),
	AUTO("a") "direction = in\n" AUTO("b") "direction = out\n",
	AUTO("a") "direction = in\n" AUTO("b"),
	AUTO("a") "remote = 10.1.0.0/16\n" AUTO("b") "remote = 10.0.0.0/8\n",
	AUTO("a") "remote = 10.0.0.0/9\n" AUTO("b") "remote = 10.128.0.0/9\n",
	AUTO("a") "remote = 0.0.0.0/0\n" AUTO("b"),
	AUTO("a") "remote = 0.0.0.0/0\n" AUTO("b") "remote = ::/0\n",
	AUTO("a") "local = 10.0.0.0/8\n" AUTO("b") "remote = 10.0.0.0/8\n",
	AUTO("a") "protocol = tcp\nlocal-port = 10-20\n" AUTO(
		"b") "protocol = tcp\nlocal-port = 10-21\n",
	AUTO("a") "protocol = tcp\nlocal-port = 10-20\n" AUTO(
		"b") "protocol = tcp\nlocal-port = 9-20\n",
	AUTO("a") "protocol = tcp\nlocal-port = 10\n" AUTO(
		"b") "protocol = tcp\nremote-port = 10\n",
	AUTO("a") "protocol = tcp\nlocal-port = 10\n" AUTO("b") "protocol = udp\nlocal-port = 10\n",
};

Test(config_rule, a_rule_that_an_earlier_one_covers_only_in_part_is_accepted)
{
	size_t i;

	for (i = 0; i < sizeof(beside) / sizeof(beside[0]); i++)
		cr_expect_eq(load(beside[i]), 0, "%s: %s", beside[i], failure.text);
}

Test(config_rule, a_file_has_at_most_64_rules)
{
	char text[(LATCH_RULES_MAX + 1) * 64] = "";
	int i;

	for (i = 0; i <= LATCH_RULES_MAX; i++) {
		if (i == LATCH_RULES_MAX) {
			cr_expect_eq(load(text), 0, "%s", failure.text);
			cr_expect_eq(config.rule_count, LATCH_RULES_MAX);
		}
		sprintf(text + strlen(text), "[rule r%d]\naction = auto\nremote = 10.0.0.%d\n", i,
			i);
	}
	cr_expect_eq(load(text), -EINVAL);
	cr_expect(strstr(failure.text, "[rule r64] is one too many; expected at most 64"), "%s",
		  failure.text);
}
