/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The layout of the structures that BPF programs and user space share. The test compares the
 * object's BTF with this compiler's offsets and sizes, and both with the fixture of LATCH_ABI.
 * A later latchd that finds the pins relies on that fixture.
 *
 * After a change: raise LATCH_ABI, and with it the pin path. Write the new fixture with
 * ABI_WRITE=tests/unit/fixtures/abi-N.txt.
 */
#include <criterion/criterion.h>

#include <bpf/btf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "latchd.skel.h"

#include "latch_abi.h"

#include "db/socket_wish.h"

struct row {
	const char *type, *member;
	size_t offset, size;
};

/* clang-format off */
#define IN(kind, type, member) \
	{#type, #member, offsetof(kind type, member), sizeof(((kind type *)0)->member)}
#define M(type, member) IN(struct, type, member)
#define U(type, member) IN(union, type, member)
#define S(type) {#type, sizeof(struct type)}
#define N(name) {#name, name}
/* clang-format on */

static const struct row rows[] = {
	M(latch_flow, netns),
	M(latch_flow, local_addr),
	M(latch_flow, remote_addr),
	M(latch_flow, local_port),
	M(latch_flow, remote_port),
	M(latch_flow, family),
	M(latch_flow, protocol),
	M(latch_flow, pad),
	U(latch_word, raw),
	U(latch_word, generation),
	U(latch_word, params),
	U(latch_word, reasons),
	U(latch_word, state),
	M(latch, word),
	M(latch, id),
	M(latch, created),
	M(latch, changed),
	M(latch, socket_cookie),
	M(latch, owner_since),
	M(latch, drops),
	M(latch, drop_event),
	M(latch, spi_out),
	M(latch, spi_in),
	M(latch, direction),
	M(latch, owner),
	M(latch, rule),
	M(latch, disposition),
	M(latch, rule_flags),
	M(latch, spd),
	M(latch, rule_set),
	M(latch, listener),
	M(latch, spawned),
	M(latch, refused),
	M(latch, association),
	M(latch, tag_seen),
	M(latch, foreign_larval),
	M(latch, decided),
	M(latch, audited),
	M(latch, audited_mode),
	M(latch, mark_share),
	M(latch, refused_params),
	M(latch, refusal),
	M(latch, unproven),
	M(latch_association, id),
	M(latch_association, changed),
	M(latch_association, params),
	M(latch_association, foreign),
	M(latch_association, pad),
	M(latch_association, mode),
	M(latch_sa_key, netns),
	M(latch_sa_key, daddr),
	M(latch_sa_key, spi),
	M(latch_sa_key, protocol),
	M(latch_sa_key, family),
	M(latch_sa_key, pad),
	U(latch_sa_word, raw),
	U(latch_sa_word, serial),
	U(latch_sa_word, params),
	U(latch_sa_word, flags),
	U(latch_sa_word, state),
	M(latch_qop, encryption),
	M(latch_qop, integrity),
	M(latch_qop, encryption_bits),
	M(latch_qop, integrity_bits),
	M(latch_qop, icv_bits),
	M(latch_qop, esn),
	M(latch_qop, replay_protection),
	M(latch_sa, word),
	M(latch_sa, instance),
	M(latch_sa, installed),
	M(latch_sa, saddr),
	M(latch_sa, reqid),
	M(latch_sa, mark),
	M(latch_sa, mark_mask),
	M(latch_sa, if_id),
	M(latch_sa, qop),
	M(latch_sa, mode),
	M(latch_sa, encap),
	M(latch_sa, pad),
	M(latch_sa, encap_ports),
	M(latch_sa, previous),
	M(latch_sa, pad_end),
	U(latch_encap_ports, raw),
	U(latch_encap_ports, port),
	U(latch_encap_ports, other),
	M(latch_pair, netns),
	M(latch_pair, local_addr),
	M(latch_pair, remote_addr),
	M(latch_pair, params),
	M(latch_pair, family),
	M(latch_pair, pad),
	M(latch_drop_count, egress),
	M(latch_drop_count, ingress),
	M(latch_settings, pending_limit),
	M(latch_settings, drop_event_interval),
	M(latch_settings, rule_count),
	M(latch_settings, rule_stamp),
	M(latch_settings, served),
	M(latch_settings, all_feeds_seen),
	M(latch_settings, answers),
	M(latch_settings, pad),
	M(latch_settings, mode),
	M(latch_settings, mode_since),
	M(latch_settings, reserved),
	M(latch_rule, local_addr),
	M(latch_rule, remote_addr),
	M(latch_rule, local_port_first),
	M(latch_rule, local_port_last),
	M(latch_rule, remote_port_first),
	M(latch_rule, remote_port_last),
	M(latch_rule, local_bits),
	M(latch_rule, remote_bits),
	M(latch_rule, family),
	M(latch_rule, protocol),
	M(latch_rule, direction),
	M(latch_rule, action),
	M(latch_rule, disposition),
	M(latch_rule, flags),
	M(latch_rule, peer_set),
	M(latch_rule, min_encryption),
	M(latch_rule, reserved),
	M(latch_peer_sets, digest),
	M(latch_peer_sets, names),
	M(latch_peer_facts, sets),
	M(latch_peer_facts, host),
	M(latch_peer_facts, pad),
	M(latch_clock, latch_id),
	M(latch_clock, generation),
	M(latch_clock, sa_serial),
	M(latch_clock, listeners),
	M(latch_clock, foreign_larvals),
	M(latch_clock, foreign_sas),
	M(latch_clock, foreign_marks),
	M(latch_clock, audit_unmarked),
	M(latch_clock, reserved),
	M(latch_audit_key, rule),
	M(latch_audit_key, rule_set),
	M(latch_audit_key, drop),
	M(latch_audit_key, reasons),
	M(latch_audit_key, others),
	M(latch_audit_key, params),
	M(latch_audit, packets),
	M(latch_audit, flows),
	M(latch_audit, first),
	M(latch_audit, last),
	M(latch_audit, flow),
	M(latch_audit, direction),
	M(latch_audit, pad),
	M(latch_audit, got),
	M(latch_audit, pad2),
	M(latch_params, local_id),
	M(latch_params, peer_id),
	M(latch_params, qop),
	M(latch_params, mode),
	M(latch_params, protocol),
	M(latch_params, pad),
	M(latch_params, checksum),
	M(latch_identity, authority),
	M(latch_identity, config),
	M(latch_identity, id),
	M(latch_identity, auth),
	M(latch_identity, key_kind),
	M(latch_identity, pad),
	M(latch_identity, key),
	M(latch_identity, checksum),
	M(latch_own_key, key),
	M(latch_token, words),
	M(latch_subscription, token),
	M(latch_subscription, data),
	M(latch_subscriber, subscription),
	M(latch_subscriber, socket),
	M(latch_event, time),
	M(latch_event, type),
	M(latch_event, drop),
	M(latch_event, flow),
	M(latch_event, latch_id),
	M(latch_event, word),
	M(latch_event, sa),
	M(latch_event, subscriber),
	M(latch_event, sa_word),
	M(latch_event, drops),
	M(latch_event, packet),
	M(latch_event, direction),
	M(latch_event, rule),
	M(latch_event, rule_set),
	M(latch_event, audited),
	M(latch_event, wish),
	M(latch_event, waits),
	M(latch_event, listener),
	M(latch_timed_out, flow),
	M(latch_timed_out, latch_id),
	M(latch_timed_out, error),
	M(latch_timed_out, pad),
	M(latch_control, op),
	M(latch_control, result),
	M(latch_control, flow),
	M(latch_control, latch_id),
	M(latch_control, owner_since),
	M(latch_control, word),
	M(latch_control, sa),
	M(latch_control, serial),
	M(latch_control, params),
	M(latch_control, reasons),
	M(latch_control, sa_state),
	M(latch_control, contested),
	M(latch_control, spd),
	M(latch_control, rule),
	M(latch_control, rule_count),
	M(latch_control, direction),
	M(latch_control, audit),
	M(latch_control, sa_value),
	M(latch_wish_search, cgroup),
	M(latch_wish_search, covered),
	M(latch_wish_search, is_deep),
	M(latch_least, size),
	M(latch_least, encryption_bits),
	M(latch_least, icv_bits),
	M(latch_least, confidential),
	M(latch_least, replay_protection),
	M(latch_least, esn),
	M(latch_least, pad),
	M(socket_wish, changes),
	M(socket_wish, terms),
	M(socket_wish, class),
	M(socket_wish, disposition),
	M(socket_wish, least),
	M(socket_wish, failed),
	M(socket_wish, pad),
	M(socket_wish, reserved),
	M(socket_wish, connection),
	M(socket_wish, peer),
	M(socket_wish, local),
	M(socket_wish, tag),
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

struct shape {
	const char *type;
	size_t size;
};

static const struct shape shapes[] = {
	S(latch_flow),
	{"latch_word", sizeof(union latch_word)},
	S(latch),
	S(latch_association),
	S(latch_sa_key),
	{"latch_sa_word", sizeof(union latch_sa_word)},
	S(latch_qop),
	S(latch_sa),
	S(latch_pair),
	S(latch_drop_count),
	S(latch_settings),
	S(latch_rule),
	S(latch_peer_sets),
	S(latch_peer_facts),
	S(latch_clock),
	S(latch_audit_key),
	S(latch_audit),
	S(latch_params),
	S(latch_identity),
	S(latch_own_key),
	S(latch_token),
	S(latch_subscription),
	S(latch_subscriber),
	S(latch_event),
	S(latch_timed_out),
	S(latch_control),
	S(latch_wish_search),
	S(latch_least),
	S(socket_wish),
};
#define SHAPES (sizeof(shapes) / sizeof(shapes[0]))

struct number {
	const char *name;
	int value;
};

static const struct number numbers[] = {
	N(LATCH_STATE_NONE),
	N(LATCH_STATE_LISTENER),
	N(LATCH_STATE_LARVAL),
	N(LATCH_STATE_ESTABLISHED),
	N(LATCH_STATE_BROKEN),
	N(LATCH_STATE_CLOSED),
	N(LATCH_REASON_SA_CONFLICT),
	N(LATCH_REASON_SPD_CHANGE),
	N(LATCH_REASON_PEER_DEAD),
	N(LATCH_REASON_PEER_REBOOTED),
	N(LATCH_REASON_ADMIN),
	N(LATCH_REASON_REFUSED),
	N(LATCH_DIRECTION_NONE),
	N(LATCH_DIRECTION_OUT),
	N(LATCH_DIRECTION_IN),
	N(LATCH_OWNER_HANDSHAKE),
	N(LATCH_OWNER_SOCKET),
	N(LATCH_OWNER_TIME_WAIT),
	N(LATCH_DISPOSITION_RESET),
	N(LATCH_DISPOSITION_WAIT),
	N(LATCH_DISPOSITION_UNREACHABLE),
	N(LATCH_ACTION_AUTO),
	N(LATCH_ACTION_OFF),
	N(LATCH_ACTION_REQUIRE),
	N(LATCH_RULE_REQUIRE),
	N(LATCH_RULE_KEEP_ON_DPD),
	N(LATCH_RULE_KEEP_ON_REBOOT),
	N(LATCH_RULE_PROTECT),
	N(LATCH_RULE_TIMEOUT),
	N(LATCH_RULE_SOCKETLESS),
	N(LATCH_RULE_WISHED),
	N(LATCH_SPD_OUT),
	N(LATCH_SPD_IN),
	N(LATCH_MARK_LOCAL_TAG),
	N(LATCH_MARK_REMOTE_TAG),
	N(LATCH_MARK_ADDRESS),
	N(LATCH_SA_NONE),
	N(LATCH_SA_PENDING),
	N(LATCH_SA_BOUND),
	N(LATCH_SA_ORPHAN),
	N(LATCH_SA_DYING),
	N(LATCH_SA_AMBIGUOUS),
	N(LATCH_SA_CONTESTED),
	N(LATCH_SA_FOREIGN),
	N(LATCH_SA_GONE),
	N(LATCH_SA_CLAIMED),
	N(LATCH_SA_UNPROVEN),
	N(LATCH_DROP_PLAINTEXT),
	N(LATCH_DROP_SA_PENDING),
	N(LATCH_DROP_SA_UNKNOWN),
	N(LATCH_DROP_IDENTITY),
	N(LATCH_DROP_QOP),
	N(LATCH_DROP_AMBIGUOUS),
	N(LATCH_DROP_NESTED),
	N(LATCH_DROP_BROKEN),
	N(LATCH_DROP_CLOSED),
	N(LATCH_DROP_CONFLICT),
	N(LATCH_DROP_LATCHES_FULL),
	N(LATCH_DROP_MALFORMED),
	N(LATCH_DROP_REQUIRED),
	N(LATCH_DROP_MERGED),
	N(LATCH_DROP_OTHER_MODE),
	N(LATCH_DROP_CONTESTED),
	N(LATCH_DROP_COUNT),
	N(LATCH_COUNTER_EVENTS_LOST),
	N(LATCH_COUNTER_LATCHES_FULL),
	N(LATCH_COUNTER_SAS_FULL),
	N(LATCH_COUNTER_UNLATCHED_PENDING),
	N(LATCH_COUNTER_UNLATCHED_OTHER),
	N(LATCH_COUNTER_LATCHES_CREATED),
	N(LATCH_COUNTER_SLOW_PATH),
	N(LATCH_COUNTER_XFRM_HOOKS),
	N(LATCH_COUNTER_SAS_ELSEWHERE),
	N(LATCH_COUNTER_DATAGRAMS_LOST),
	N(LATCH_COUNTER_UNLATCHED_UNSERVED),
	N(LATCH_COUNTER_UNLATCHED_FOREIGN),
	N(LATCH_COUNTER_AUDITED),
	N(LATCH_COUNTER_AUDIT_UNMARKED),
	N(LATCH_COUNTER_ELSEWHERE_FOREIGN),
	N(LATCH_COUNTER_UNLATCHED_TUNNEL),
	N(LATCH_COUNTER_COUNT),
	N(LATCH_EVENT_LATCH_ESTABLISHED),
	N(LATCH_EVENT_LATCH_BROKEN),
	N(LATCH_EVENT_LATCH_HEALED),
	N(LATCH_EVENT_LATCH_CLOSED),
	N(LATCH_EVENT_SA_PENDING),
	N(LATCH_EVENT_SA_GONE),
	N(LATCH_EVENT_DROP),
	N(LATCH_EVENT_REFUSED),
	N(LATCH_EVENT_POLICY_CHANGED),
	N(LATCH_EVENT_SAS_ELSEWHERE),
	N(LATCH_EVENT_NEWS_SPAWNED),
	N(LATCH_EVENT_NEWS_CLOSED),
	N(LATCH_EVENT_NEWS_LOST),
	N(LATCH_CONTROL_BREAK),
	N(LATCH_CONTROL_HEAL),
	N(LATCH_CONTROL_CLOSE),
	N(LATCH_CONTROL_REAP),
	N(LATCH_CONTROL_SA_SET),
	N(LATCH_CONTROL_SA_ADOPT),
	N(LATCH_CONTROL_SA_FORGET),
	N(LATCH_CONTROL_RESTAMP),
	N(LATCH_CONTROL_SPD_SEEN),
	N(LATCH_CONTROL_LISTEN),
	N(LATCH_CONTROL_RULES),
	N(LATCH_CONTROL_RULE_OF),
	N(LATCH_CONTROL_ASSOCIATION_FORGET),
	N(LATCH_CONTROL_SA_REFUSE),
	N(LATCH_CONTROL_MODE),
	N(LATCH_CONTROL_FORGET_PEER),
	N(LATCH_CONTROL_SA_UNPROVEN),
	N(LATCH_CONTROL_DONE),
	N(LATCH_CONTROL_UNCHANGED),
	N(LATCH_CONTROL_NOT_FOUND),
	N(LATCH_CONTROL_REFUSED),
	N(LATCH_CONTROL_AGAIN),
	N(LATCH_CONTROL_FULL),
	N(LATCH_CONTROL_OVER_SHARE),
	N(LATCH_AUTH_UNKNOWN),
	N(LATCH_AUTH_PUBKEY),
	N(LATCH_AUTH_PSK),
	N(LATCH_AUTH_EAP),
	N(LATCH_AUTH_XAUTH),
	N(LATCH_AUTH_NULL),
	N(LATCH_KEY_SIZE),
	N(LATCH_KEY_UNKNOWN),
	N(LATCH_KEY_SPKI),
	N(LATCH_ALG_NAME_MAX),
	N(LATCH_PARAMS_MAX),
	N(LATCH_IDENTITIES_MAX),
	N(LATCH_CGROUP_LEVELS),
	N(LATCH_WISH_COVERS),
	N(LATCH_SUBSCRIBERS_MAX),
	N(LATCH_SUBSCRIBER_SOCKETS),
	N(WISH_REQUIRE),
	N(WISH_PEER),
	N(WISH_CONNECTION),
	N(WISH_LOCAL),
	N(WISH_CLASS),
	N(WISH_QUALITY),
	N(WISH_DISPOSITION),
	N(WISH_BYPASS),
	N(WISH_TAG),
	N(WISH_DATAGRAMS),
	N(LATCH_PEER_SETS_MAX),
	N(LATCH_TAG_MAX),
	N(LATCH_PEER_HOST),
	N(LATCH_PEER_NO_HOST),
	N(LATCH_CLASS_PSK),
	N(LATCH_CLASS_PUBLIC_KEY),
	N(LATCH_CLASS_EAP),
	N(LATCH_DISPOSE_RESET),
	N(LATCH_DISPOSE_TIMEOUT),
	N(LATCH_DISPOSE_WAIT),
	N(LATCH_DISPOSE_UNREACHABLE),
};
#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static struct latchd_bpf *skeleton;
static const struct btf *btf;

static void open_object(void)
{
	skeleton = latchd_bpf__open();
	cr_assert_not_null(skeleton);
	btf = bpf_object__btf(skeleton->obj);
	cr_assert_not_null(btf);
}

static void close_object(void)
{
	latchd_bpf__destroy(skeleton);
}

TestSuite(abi, .init = open_object, .fini = close_object, .timeout = 60);

/* Negative: no object that BTF describes has this type. */
static int id_of(const char *name)
{
	int id = btf__find_by_name_kind(btf, name, BTF_KIND_STRUCT);

	return id < 0 ? btf__find_by_name_kind(btf, name, BTF_KIND_UNION) : id;
}

/* ---- all members in order; members of anonymous structures count as the outer structure's */

typedef void (*member_fn)(void *context, const char *type, const char *member, size_t offset,
			  size_t size);

static void each_member(int id, const char *type, size_t base, member_fn visit, void *context)
{
	const struct btf_type *outer = btf__type_by_id(btf, (__u32)id);
	__u32 i;

	for (i = 0; i < btf_vlen(outer); i++) {
		const struct btf_member *member = btf_members(outer) + i;
		const char *name = btf__name_by_offset(btf, member->name_off);
		size_t offset = base + btf_member_bit_offset(outer, i) / 8;

		cr_assert_eq(btf_member_bitfield_size(outer, i), 0);
		if (*name)
			visit(context, type, name, offset,
			      (size_t)btf__resolve_size(btf, member->type));
		else
			each_member((int)member->type, type, offset, visit, context);
	}
}

static void compare_member(void *context, const char *type, const char *member, size_t offset,
			   size_t size)
{
	size_t *seen = context, i;

	for (i = 0; i < ROWS; i++)
		if (!strcmp(rows[i].type, type) && !strcmp(rows[i].member, member))
			break;
	cr_assert_lt(i, ROWS, "%s.%s is missing in this test", type, member);
	cr_expect_eq(rows[i].offset, offset, "%s.%s at %zu here, at %zu in BPF", type, member,
		     rows[i].offset, offset);
	cr_expect_eq(rows[i].size, size, "%s.%s has %zu bytes here, %zu in BPF", type, member,
		     rows[i].size, size);
	(*seen)++;
}

static size_t members_of(const char *type)
{
	size_t i, count = 0;

	for (i = 0; i < ROWS; i++)
		count += !strcmp(rows[i].type, type);
	return count;
}

/* These types are on a program's stack or in the ring only. Their header asserts their sizes. */
static bool has_no_btf(const char *type)
{
	return !strcmp(type, "latch_event") || !strcmp(type, "latch_timed_out") ||
	       !strcmp(type, "latch_subscriber");
}

Test(abi, bpf_and_user_space_have_the_same_structure_layouts)
{
	size_t i;

	for (i = 0; i < SHAPES; i++) {
		const char *type = shapes[i].type;
		int id = id_of(type);
		size_t seen = 0;

		if (id < 0 && has_no_btf(type))
			continue;
		cr_assert_gt(id, 0, "%s is not in the object's BTF", type);
		cr_expect_eq(shapes[i].size, (size_t)btf__resolve_size(btf, (__u32)id), "%s", type);
		each_member(id, type, 0, compare_member, &seen);
		cr_expect_eq(seen, members_of(type), "%s", type);
	}
}

/* ---- the fixture */

static void write_types(FILE *out)
{
	size_t i;

	for (i = 0; i < SHAPES; i++)
		fprintf(out, "%s size %zu\n", shapes[i].type, shapes[i].size);
	for (i = 0; i < ROWS; i++)
		fprintf(out, "%s.%s at %zu size %zu\n", rows[i].type, rows[i].member,
			rows[i].offset, rows[i].size);
	for (i = 0; i < NUMBERS; i++)
		fprintf(out, "%s = %d\n", numbers[i].name, numbers[i].value);
}

/* The configuration sets the number of latches. */
static void write_maps(FILE *out)
{
	struct bpf_map *map;

	bpf_object__for_each_map (map, skeleton->obj)
		if (!bpf_map__is_internal(map))
			fprintf(out, "map %s type %d key %u value %u entries %u flags %u\n",
				bpf_map__name(map), bpf_map__type(map), bpf_map__key_size(map),
				bpf_map__value_size(map),
				map == skeleton->maps.latches ? 0 : bpf_map__max_entries(map),
				bpf_map__map_flags(map));
}

static void write_layout(FILE *out)
{
	cr_assert_not_null(out);
	write_types(out);
	write_maps(out);
	cr_assert_eq(fclose(out), 0);
}

/* Fails at the first line that differs. */
static void compare_lines(FILE *now, FILE *promised, const char *path)
{
	char is[256], was[256];
	bool more = true;

	while (more) {
		more = fgets(is, sizeof(is), now);
		if (!more)
			strcpy(is, "(end)\n");
		if (!fgets(was, sizeof(was), promised))
			strcpy(was, "(end)\n");
		cr_assert_str_eq(is, was, "%s has %sand not %sa new layout is a new LATCH_ABI",
				 path, was, is);
	}
}

Test(abi, the_layout_matches_the_fixture_of_its_abi_number)
{
	const char *write_to = getenv("ABI_WRITE");
	FILE *now, *promised;
	char path[64], *text;
	size_t length;

	if (write_to)
		write_layout(fopen(write_to, "we"));
	snprintf(path, sizeof(path), "tests/unit/fixtures/abi-%d.txt", LATCH_ABI);
	promised = fopen(path, "re");
	cr_assert_not_null(promised, "%s is missing: a new LATCH_ABI needs its fixture", path);
	write_layout(open_memstream(&text, &length));
	now = fmemopen(text, length, "r");
	cr_assert_not_null(now);
	compare_lines(now, promised, path);
	fclose(now);
	fclose(promised);
	free(text);
}

Test(abi, the_pin_path_contains_the_abi_number)
{
	char path[64];

	snprintf(path, sizeof(path), "%s/v%d", LATCH_PIN_ROOT, LATCH_ABI);
	cr_expect_str_eq(LATCH_PIN_DIR, path);
}
