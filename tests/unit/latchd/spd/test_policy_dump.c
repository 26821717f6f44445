/* SPDX-License-Identifier: BSD-2-Clause */
/* Parses messages that the test writes, malformed ones too; then dumps the SPD of a namespace. */
#include "policy_message.h"

#include <stdlib.h>

#include "latchd/spd/policy_dump.h"
#include "latchd/spd/policy_routes.h"

static struct policy found;

/* The copy has exactly the size of the message, so that a sanitizer finds every read beyond it. */
static int parse(const struct nlmsghdr *message)
{
	auto_free struct nlmsghdr *copy = malloc(message->nlmsg_len);

	cr_assert_not_null(copy);
	memcpy(copy, message, message->nlmsg_len);
	memset(&found, 0xa5, sizeof(found));
	return policy_dump_parse(copy, &found);
}

static struct xfrm_userpolicy_info *info_of(struct nlmsghdr *message)
{
	return mnl_nlmsg_get_payload(message);
}

static struct policy everything(void)
{
	struct policy p = policy_protecting(POLICY_IN);

	p.source_bits = 24;
	p.source_port = 1000;
	p.source_port_mask = 0xffff;
	p.destination_port = 0x1200;
	p.destination_port_mask = 0xff00;
	p.protocol = IPPROTO_TCP;
	p.priority = 4711;
	p.if_id = 42;
	p.template_count = 2;
	p.templates[1] = (struct policy_template){IPPROTO_COMP, XFRM_MODE_TUNNEL, true};
	return p;
}

/* ---- well-formed ---- */

Test(policy_dump, every_field_of_a_policy_is_read)
{
	struct policy p = everything();

	cr_expect_eq(parse(policy_message(&p)), 1);
	cr_expect_arr_eq(&found, &p, sizeof(p));
}

Test(policy_dump, an_ipv6_policy_is_read)
{
	struct policy p = policy_protecting(POLICY_OUT);

	p.family = AF_INET6;
	p.source[15] = 7;
	p.source_bits = p.destination_bits = 128;
	cr_expect_eq(parse(policy_message(&p)), 1);
	cr_expect_arr_eq(&found, &p, sizeof(p));
}

Test(policy_dump, only_four_bytes_of_an_ipv4_address_are_read)
{
	struct policy p = policy_protecting(POLICY_OUT);
	struct nlmsghdr *message = policy_message(&p);

	memset((char *)&info_of(message)->sel.saddr + 4, 0xee, 12);
	cr_expect_eq(parse(message), 1);
	cr_expect_arr_eq(&found, &p, sizeof(p));
}

Test(policy_dump, an_allow_policy_without_a_template_is_a_bypass)
{
	struct policy p = policy_above(POLICY_OUT, POLICY_BYPASS);

	cr_expect_eq(parse(policy_message(&p)), 1);
	cr_expect_eq(found.action, POLICY_BYPASS);
	p.action = POLICY_BLOCK;
	cr_expect_eq(parse(policy_message(&p)), 1);
	cr_expect_eq(found.action, POLICY_BLOCK);
}

Test(policy_dump, a_mark_an_interface_or_a_security_context_limits_a_policy)
{
	const struct xfrm_mark mark = {.v = 1, .m = 0xff};
	struct policy p = policy_protecting(POLICY_OUT);
	struct nlmsghdr *message = policy_message(&p);

	mnl_attr_put(message, XFRMA_MARK, sizeof(mark), &mark);
	cr_expect_eq(parse(message), 1);
	cr_expect(found.limited);
	message = policy_message(&p);
	info_of(message)->sel.ifindex = 3;
	cr_expect_eq(parse(message), 1);
	cr_expect(found.limited);
	message = policy_message(&p);
	mnl_attr_put(message, XFRMA_SEC_CTX, sizeof(struct xfrm_user_sec_ctx), "________");
	cr_expect_eq(parse(message), 1);
	cr_expect(found.limited);
}

/* ---- ignored ---- */

Test(policy_dump, policies_of_other_directions_and_types_are_skipped)
{
	const struct xfrm_userpolicy_type sub = {.type = XFRM_POLICY_TYPE_SUB};
	struct policy p = policy_protecting(POLICY_OUT);
	struct nlmsghdr *message = policy_message(&p);
	unsigned int dir;

	for (dir = XFRM_POLICY_FWD; dir <= 0xff; dir++) {
		info_of(message)->dir = (uint8_t)dir;
		cr_expect_eq(parse(message), 0, "direction %u", dir);
	}
	message = policy_message(&p);
	mnl_attr_put(message, XFRMA_POLICY_TYPE, sizeof(sub), &sub);
	cr_expect_eq(parse(message), 0);
}

/* ---- malformed ---- */

Test(policy_dump, a_message_that_no_kernel_sends_is_refused)
{
	struct policy p = policy_protecting(POLICY_OUT);
	struct nlmsghdr *message = policy_message(&p);

	message->nlmsg_type = XFRM_MSG_NEWSA;
	cr_expect_eq(parse(message), -EBADMSG);
	message = policy_message(&p);
	info_of(message)->sel.family = 0x100 | AF_INET;
	cr_expect_eq(parse(message), -EBADMSG);
	message = policy_message(&p);
	info_of(message)->sel.prefixlen_s = 33;
	cr_expect_eq(parse(message), -EBADMSG);
	message = policy_message(&p);
	info_of(message)->sel.prefixlen_d = 33;
	cr_expect_eq(parse(message), -EBADMSG);
}

Test(policy_dump, too_many_or_truncated_templates_are_refused)
{
	struct xfrm_user_tmpl templates[POLICY_TEMPLATES_MAX + 1] = {0};
	struct policy p = policy_above(POLICY_OUT, POLICY_BYPASS);
	struct nlmsghdr *message = policy_message(&p);

	mnl_attr_put(message, XFRMA_TMPL, sizeof(templates), templates);
	cr_expect_eq(parse(message), -EBADMSG);
	message = policy_message(&p);
	mnl_attr_put(message, XFRMA_TMPL, sizeof(templates[0]) - 1, templates);
	cr_expect_eq(parse(message), -EBADMSG);
	message = policy_message(&p);
	mnl_attr_put(message, XFRMA_TMPL, POLICY_TEMPLATES_MAX * sizeof(templates[0]), templates);
	cr_expect_eq(parse(message), 1);
}

Test(policy_dump, an_attribute_one_byte_short_is_refused)
{
	static const struct {
		uint16_t type;
		size_t size;
	} attributes[] = {
		{XFRMA_MARK, sizeof(struct xfrm_mark)},
		{XFRMA_IF_ID, sizeof(__u32)},
		{XFRMA_POLICY_TYPE, sizeof(struct xfrm_userpolicy_type)},
	};
	struct policy p = policy_protecting(POLICY_OUT);
	const char value[64] = "";
	struct nlmsghdr *message;
	size_t i;

	for (i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		message = policy_message(&p);
		mnl_attr_put(message, attributes[i].type, attributes[i].size, value);
		cr_expect_eq(parse(message), 1, "%zu whole", i);
		message = policy_message(&p);
		mnl_attr_put(message, attributes[i].type, attributes[i].size - 1, value);
		cr_expect_eq(parse(message), -EBADMSG, "%zu short", i);
	}
}

Test(policy_dump, a_message_truncated_within_an_attribute_is_refused)
{
	struct policy p = everything();
	struct nlmsghdr *message = policy_message(&p);
	uint32_t whole = message->nlmsg_len, length, ends[2];

	ends[0] = MNL_NLMSG_HDRLEN + MNL_ALIGN(sizeof(struct xfrm_userpolicy_info));
	ends[1] = ends[0] + MNL_ATTR_HDRLEN + 2 * sizeof(struct xfrm_user_tmpl);
	for (length = MNL_NLMSG_HDRLEN; length <= whole; length++) {
		bool ends_there = length == ends[0] || length == ends[1] || length == whole;

		message->nlmsg_len = length;
		cr_expect_eq(parse(message), ends_there ? 1 : -EBADMSG, "%u of %u", length, whole);
	}
}

Test(policy_dump, random_bytes_cause_no_read_beyond_the_message)
{
	unsigned int round, i, accepted = 0;
	struct policy p = everything();

	srandom(5660);
	for (round = 0; round < 20000; round++) {
		struct nlmsghdr *message = policy_message(&p);

		for (i = 0; i < 8; i++)
			policy_buffer[MNL_NLMSG_HDRLEN +
				      random() % (message->nlmsg_len - MNL_NLMSG_HDRLEN)] =
				(char)random();
		if (parse(message) != 1)
			continue;
		accepted++;
		cr_assert_leq(found.template_count, POLICY_TEMPLATES_MAX);
		cr_assert_leq(found.source_bits, found.family == AF_INET ? 32 : 128);
	}
	cr_expect_gt(accepted, 0);
	cr_expect_lt(accepted, round);
}

Test(policy_dump, default_actions_are_read_and_malformed_ones_refused)
{
	enum policy_action actions[POLICY_DIRECTIONS];
	struct xfrm_userpolicy_default *defaults;
	struct nlmsghdr *message;

	memset(policy_buffer, 0, sizeof(policy_buffer));
	message = mnl_nlmsg_put_header(policy_buffer);
	message->nlmsg_type = XFRM_MSG_GETDEFAULT;
	defaults = mnl_nlmsg_put_extra_header(message, sizeof(*defaults));
	defaults->out = XFRM_USERPOLICY_BLOCK;
	cr_expect_eq(policy_dump_parse_default(message, actions), 0);
	cr_expect_eq(actions[POLICY_OUT], POLICY_BLOCK);
	cr_expect_eq(actions[POLICY_IN], POLICY_BYPASS);
	message->nlmsg_len = MNL_NLMSG_HDRLEN + sizeof(*defaults) - 1;
	cr_expect_eq(policy_dump_parse_default(message, actions), -EBADMSG);
	message->nlmsg_len = MNL_NLMSG_HDRLEN + sizeof(*defaults);
	message->nlmsg_type = XFRM_MSG_SETDEFAULT;
	cr_expect_eq(policy_dump_parse_default(message, actions), -EBADMSG);
}

/* ---- a real kernel ---- */

static const struct policy *find(const struct spd *spd, uint32_t priority)
{
	size_t i;

	for (i = 0; i < spd->count; i++)
		if (spd->policies[i].priority == priority)
			return &spd->policies[i];
	return NULL;
}

/* Equal but for index and time, which the kernel sets. */
static void expect_same(const struct policy *dumped, const struct policy *expected)
{
	struct policy p;

	cr_assert_not_null(dumped);
	p = *dumped;
	cr_expect_neq(p.index, 0);
	cr_expect_neq(p.added, 0);
	p.index = 0;
	p.added = 0;
	cr_expect_arr_eq(&p, expected, sizeof(p));
}

Test(policy_dump, the_dump_has_the_spd_of_a_namespace, .timeout = 60)
{
	struct policy all = everything(), out = policy_protecting(POLICY_OUT);
	struct namespace ns;
	struct spd spd;

	namespace_need_root();
	namespace_start(&ns);
	cr_assert_eq(policy_dump(ns.cookie, &spd), 0);
	cr_expect_eq(spd.count, 0);
	cr_expect_eq(spd.default_action[POLICY_IN], POLICY_BYPASS);
	policy_dump_release(&spd);
	policy_add(&ns, &all);
	policy_add(&ns, &out);
	policy_default(&ns, XFRM_USERPOLICY_BLOCK, XFRM_USERPOLICY_ACCEPT);
	cr_assert_eq(policy_dump(ns.cookie, &spd), 0);
	cr_assert_eq(spd.count, 2);
	expect_same(find(&spd, all.priority), &all);
	expect_same(find(&spd, out.priority), &out);
	cr_expect_eq(spd.default_action[POLICY_IN], POLICY_BLOCK);
	cr_expect_eq(spd.default_action[POLICY_OUT], POLICY_BYPASS);
	policy_dump_release(&spd);
	namespace_end(&ns);
}

Test(policy_dump, forgetting_the_routes_edits_no_policy_and_no_default, .timeout = 60)
{
	struct policy out = policy_protecting(POLICY_OUT);
	struct namespace ns;
	struct spd spd;

	namespace_need_root();
	namespace_start(&ns);
	policy_add(&ns, &out);
	policy_default(&ns, XFRM_USERPOLICY_BLOCK, XFRM_USERPOLICY_ACCEPT);
	cr_expect_eq(policy_routes_forget(ns.cookie), 0);
	cr_assert_eq(policy_dump(ns.cookie, &spd), 0);
	cr_expect_eq(spd.count, 1);
	cr_expect_eq(spd.default_action[POLICY_IN], POLICY_BLOCK);
	cr_expect_eq(spd.default_action[POLICY_OUT], POLICY_BYPASS);
	policy_dump_release(&spd);
	namespace_end(&ns);
}

Test(policy_dump, the_dump_has_all_of_500_policies, .timeout = 60)
{
	struct policy p = policy_protecting(POLICY_OUT);
	struct namespace ns;
	struct spd spd;
	unsigned int i;

	namespace_need_root();
	namespace_start(&ns);
	for (i = 0; i < 500; i++) {
		p.priority = i;
		p.source_port = (uint16_t)i;
		p.source_port_mask = 0xffff;
		policy_add(&ns, &p);
	}
	cr_assert_eq(policy_dump(ns.cookie, &spd), 0);
	cr_expect_eq(spd.count, 500);
	for (i = 0; i < 500; i++)
		cr_expect_not_null(find(&spd, i), "priority %u", i);
	policy_dump_release(&spd);
	namespace_end(&ns);
}

Test(policy_dump, the_dump_of_a_namespace_that_is_gone_fails, .timeout = 60)
{
	struct namespace ns;
	struct spd spd;

	namespace_need_root();
	namespace_start(&ns);
	namespace_end(&ns);
	cr_expect_eq(policy_dump(ns.cookie, &spd), namespace_gone_error());
	cr_expect_null(spd.policies);
}
