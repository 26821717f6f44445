/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The layout and the numbers of latch_sockopt.h, as programs have been compiled with them: this
 * table only grows. The header and the BTF of the object are compared with it.
 */
#include <criterion/criterion.h>

#include <bpf/btf.h>
#include <stddef.h>
#include <string.h>

#include "latchd.skel.h"

#include "latch_sockopt.h"

struct member {
	const char *name;
	size_t offset, size; /* as published */
	size_t its_offset, its_size;
};

/* clang-format off */
#define M(name, offset, size) \
	{#name, offset, size, offsetof(struct latch_info, name), sizeof(((struct latch_info *)0)->name)}
#define L(name, offset, size) \
	{#name, offset, size, offsetof(struct latch_least, name), sizeof(((struct latch_least *)0)->name)}
#define P(name, offset, size) \
	{#name, offset, size, offsetof(struct latch_party, name), sizeof(((struct latch_party *)0)->name)}
#define B(name, offset, size) \
	{#name, offset, size, offsetof(struct latch_binding, name), sizeof(((struct latch_binding *)0)->name)}
#define G(name, offset, size) \
	{#name, offset, size, offsetof(struct latch_news_greeting, name), sizeof(((struct latch_news_greeting *)0)->name)}
#define U(name, offset, size) \
	{#name, offset, size, offsetof(struct latch_subscribe, name), sizeof(((struct latch_subscribe *)0)->name)}
#define E(name, offset, size) \
	{#name, offset, size, offsetof(struct latch_news, name), sizeof(((struct latch_news *)0)->name)}
#define N(name, value) {#name, value, name}
/* clang-format on */

static const struct member members[] = {
	M(size, 0, 4),
	M(abi, 4, 4),
	M(state, 8, 1),
	M(why, 9, 1),
	M(reasons, 10, 1),
	M(direction, 11, 1),
	M(mode, 12, 1),
	M(protocol, 13, 1),
	M(esn, 14, 1),
	M(replay_protection, 15, 1),
	M(flags, 16, 4),
	M(encryption_bits, 20, 2),
	M(integrity_bits, 22, 2),
	M(icv_bits, 24, 2),
	M(pad, 26, 2),
	M(peer_number, 28, 4),
	M(latch, 32, 8),
	M(age_ns, 40, 8),
	M(changed_ns, 48, 8),
	M(dropped, 56, 8),
	M(local_addr, 64, 16),
	M(remote_addr, 80, 16),
	M(outer_local_addr, 96, 16),
	M(outer_remote_addr, 112, 16),
	M(local_port, 128, 2),
	M(remote_port, 130, 2),
	M(outer_local_port, 132, 2),
	M(outer_remote_port, 134, 2),
	M(family, 136, 1),
	M(outer_family, 137, 1),
	M(pad2, 138, 2),
	M(local_number, 140, 4),
	M(encryption, 144, 32),
	M(integrity, 176, 32),
};
static const struct member party_members[] = {
	P(size, 0, 4), P(number, 4, 4), P(auth_class, 8, 1), P(key_kind, 9, 1),
	P(pad, 10, 6), P(key, 16, 32),	P(id, 48, 512),	     P(connection, 560, 64),
};

static const struct member binding_members[] = {
	B(type, 0, 16),
	B(lower, 16, 32),
	B(higher, 48, 32),
};

#define MEMBERS (sizeof(members) / sizeof(members[0]))

static const struct member least_members[] = {
	L(size, 0, 4),	       L(encryption_bits, 4, 2),   L(icv_bits, 6, 2),
	L(confidential, 8, 1), L(replay_protection, 9, 1), L(esn, 10, 1),
	L(pad, 11, 1),
};

static const struct member greeting_members[] = {
	G(size, 0, 4),
	G(error, 4, 4),
	G(token, 8, 16),
};

static const struct member subscribe_members[] = {
	U(size, 0, 4),
	U(pad, 4, 4),
	U(token, 8, 16),
	U(data, 24, 8),
};

static const struct member news_members[] = {
	E(size, 0, 4),	 E(event, 4, 1), E(why, 5, 1),	  E(reasons, 6, 1),  E(pad, 7, 1),
	E(socket, 8, 8), E(data, 16, 8), E(latch, 24, 8), E(time_ns, 32, 8),
};

static const struct {
	const char *name;
	int published, now;
} numbers[] = {
	N(SOL_LATCH, 0x4C41),
	N(LATCH_OPTION_ABI, 1),
	N(LATCH_TEXT_MAX, 512),
	N(LATCH_OPT_STATE, 1),
	N(LATCH_OPT_INFO, 2),
	N(LATCH_OPT_PEER_ID, 3),
	N(LATCH_OPT_LOCAL_ID, 4),
	N(LATCH_OPT_CONNECTION, 5),
	N(LATCH_OPT_PEER, 6),
	N(LATCH_OPT_LOCAL, 7),
	N(LATCH_OPT_BINDING, 8),
	N(LATCH_APP_KEY_UNKNOWN, 0),
	N(LATCH_APP_KEY_SPKI, 1),
	N(LATCH_APP_NOT_LATCHED, 0),
	N(LATCH_APP_LISTENER, 1),
	N(LATCH_APP_LARVAL, 2),
	N(LATCH_APP_ESTABLISHED, 3),
	N(LATCH_APP_BROKEN, 4),
	N(LATCH_APP_CLOSED, 5),
	N(LATCH_APP_AUDITED, 6),
	N(LATCH_WHY_NONE, 0),
	N(LATCH_WHY_NOT_CONNECTED, 1),
	N(LATCH_WHY_NOT_YET, 2),
	N(LATCH_WHY_CLEAR, 3),
	N(LATCH_WHY_OLDER, 4),
	N(LATCH_WHY_RULE_OFF, 5),
	N(LATCH_WHY_REQUIRED, 6),
	N(LATCH_WHY_REFUSED, 7),
	N(LATCH_WHY_OTHER_SOCKET, 8),
	N(LATCH_WHY_NO_ROOM, 9),
	N(LATCH_WHY_UNATTRIBUTED, 16),
	N(LATCH_WHY_AUDIT, 17),
	N(LATCH_WHY_SA_CONFLICT, 32),
	N(LATCH_WHY_SPD_CHANGE, 33),
	N(LATCH_WHY_PEER_DEAD, 34),
	N(LATCH_WHY_PEER_REBOOTED, 35),
	N(LATCH_WHY_ADMIN, 36),
	N(LATCH_WHY_REFUSED_LATER, 37),
	N(LATCH_WHY_ENDED, 64),
	N(LATCH_WHY_REMOVED, 65),
	N(LATCH_APP_SA_CONFLICT, 1),
	N(LATCH_APP_SPD_CHANGE, 2),
	N(LATCH_APP_PEER_DEAD, 4),
	N(LATCH_APP_PEER_REBOOTED, 8),
	N(LATCH_APP_ADMIN, 16),
	N(LATCH_APP_REFUSED, 32),
	N(LATCH_INFO_INDETERMINATE, 1),
	N(LATCH_INFO_AUDIT, 2),
	N(LATCH_INFO_ENCAPSULATED, 4),
	N(LATCH_INFO_GATEWAY, 8),
	N(LATCH_INFO_ABORTED, 16),
	N(LATCH_INFO_CHANGED, 32),
	N(LATCH_APP_UNPROVEN, 7),
	N(LATCH_WHY_EARLIER_DATA, 18),
	N(LATCH_INFO_UNPROVEN, 64),
	N(LATCH_INFO_PEER_ENDED, 128),
	N(LATCH_OPT_REQUIRE, 16),
	N(LATCH_OPT_EXPECT_PEER, 17),
	N(LATCH_OPT_EXPECT_CONNECTION, 18),
	N(LATCH_OPT_EXPECT_LOCAL, 19),
	N(LATCH_OPT_EXPECT_CLASS, 20),
	N(LATCH_OPT_EXPECT_QUALITY, 21),
	N(LATCH_OPT_DISPOSITION, 22),
	N(LATCH_OPT_NARROW, 23),
	N(LATCH_OPT_PROTECTION, 24),
	N(LATCH_OPT_EXPECT_TAG, 25),
	N(LATCH_OPT_TAGS, 26),
	N(LATCH_OPT_DATAGRAMS, 27),
	N(LATCH_PROTECTION_BY_RULE, 0),
	N(LATCH_PROTECTION_BYPASS, 1),
	N(LATCH_WHY_BYPASS, 14),
	N(LATCH_WHY_PEER, 10),
	N(LATCH_WHY_LOCAL, 11),
	N(LATCH_WHY_CLASS, 12),
	N(LATCH_WHY_QUALITY, 13),
	N(LATCH_WHY_TAG, 15),
	N(LATCH_CLASS_ANY, 0),
	N(LATCH_CLASS_PSK, 1),
	N(LATCH_CLASS_PUBLIC_KEY, 2),
	N(LATCH_CLASS_EAP, 3),
	N(LATCH_DISPOSE_BY_RULE, 0),
	N(LATCH_DISPOSE_RESET, 1),
	N(LATCH_DISPOSE_TIMEOUT, 2),
	N(LATCH_DISPOSE_WAIT, 3),
	N(LATCH_DISPOSE_UNREACHABLE, 4),
	N(LATCH_OPT_NEWS, 28),
	N(LATCH_NEWS_SOCKETS, 1024),
	N(LATCH_NEWS_CLIENTS, 16),
	N(LATCH_NEWS_BROKEN, 1),
	N(LATCH_NEWS_HEALED, 2),
	N(LATCH_NEWS_CLOSED, 3),
	N(LATCH_NEWS_SPAWNED, 4),
	N(LATCH_NEWS_LOST, 5),
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* No hole that the compiler fills, and no member that the table lacks. */
static void expect_published(const struct member *table, size_t count, size_t size)
{
	size_t end = 0, i;

	for (i = 0; i < count; i++) {
		cr_expect_eq(table[i].its_offset, table[i].offset, "%s", table[i].name);
		cr_expect_eq(table[i].its_size, table[i].size, "%s", table[i].name);
		cr_expect_eq(table[i].offset, end, "before %s", table[i].name);
		end = table[i].offset + table[i].size;
	}
	cr_expect_eq(end, size);
}

Test(sockopt_abi, the_header_is_as_published)
{
	size_t i;

	expect_published(members, MEMBERS, sizeof(struct latch_info));
	expect_published(least_members, COUNT(least_members), sizeof(struct latch_least));
	expect_published(party_members, COUNT(party_members), sizeof(struct latch_party));
	expect_published(binding_members, COUNT(binding_members), sizeof(struct latch_binding));
	expect_published(greeting_members, COUNT(greeting_members),
			 sizeof(struct latch_news_greeting));
	expect_published(subscribe_members, COUNT(subscribe_members),
			 sizeof(struct latch_subscribe));
	expect_published(news_members, COUNT(news_members), sizeof(struct latch_news));
	cr_expect_str_eq(LATCH_NEWS_PATH, "/run/latch/news");
	cr_expect_eq(sizeof(struct latch_least), 12);
	cr_expect_eq(sizeof(struct latch_party), 624);
	cr_expect_eq(sizeof(struct latch_binding), 80);
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		cr_expect_eq(numbers[i].now, numbers[i].published, "%s", numbers[i].name);
	cr_expect_eq(sizeof(struct latch_info), 208);
}

static void compare_members(const struct btf *btf, const char *name, const struct member *table,
			    size_t count)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);
	const struct btf_type *type;
	size_t i;

	cr_assert_gt(id, 0, "%s", name);
	type = btf__type_by_id(btf, (__u32)id);
	cr_assert_eq(btf_vlen(type), count);
	for (i = 0; i < count; i++) {
		const struct btf_member *member = btf_members(type) + i;

		cr_expect_str_eq(btf__name_by_offset(btf, member->name_off), table[i].name);
		cr_expect_eq(btf_member_bit_offset(type, (__u32)i) / 8, table[i].offset, "%s",
			     table[i].name);
		cr_expect_eq(btf__resolve_size(btf, member->type), (__s64)table[i].size, "%s",
			     table[i].name);
	}
}

Test(sockopt_abi, the_program_writes_the_structures_of_the_header)
{
	struct latchd_bpf *skeleton = latchd_bpf__open();
	const struct btf *btf;

	cr_assert_not_null(skeleton);
	btf = bpf_object__btf(skeleton->obj);
	compare_members(btf, "latch_info", members, MEMBERS);
	compare_members(btf, "latch_party", party_members, COUNT(party_members));
	compare_members(btf, "latch_binding", binding_members, COUNT(binding_members));
	latchd_bpf__destroy(skeleton);
}
