/* SPDX-License-Identifier: BSD-2-Clause */
/* Tables with known entries, and documents parsed with json-c. */
#ifndef LATCHD_TESTS_REPORT_FIXTURE_H
#define LATCHD_TESTS_REPORT_FIXTURE_H

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* json-c has a type of the name of one of our functions. */
#define json_bool json_c_bool
#include <json-c/json.h>
#undef json_bool

#include "common/clock.h"
#include "fake/kernel_maps.h"
#include "common/names.h"
#include "latchd/report/report.h"

#define SECOND	1000000000ULL
#define HOSTILE "\x1b[2J\"},{\"id\":\"c.example\n\xff\xe2\x80\xae"

static struct kernel_maps maps;
static struct identities *identities;
static struct json_writer w;
static struct json_object *document;
static uint16_t params_c, params_d, params_weak, params_hostile;

static struct report_source source = {
	.maps = &maps,
	.cgroup = "/sys/fs/cgroup",
	.config_path = "/etc/latchd/latchd.conf",
};

/* ---- the tables */

static inline uint32_t intern(const char *id, const char *config, enum feed_auth auth)
{
	struct latch_identity identity = {.auth = auth};
	uint32_t index = 0;

	strcpy(identity.authority, "charon");
	strcpy(identity.config, config);
	strcpy(identity.id, id);
	cr_assert_eq(identities_intern(identities, &identity, &index), 0);
	return index;
}

static inline struct latch_qop gcm(void)
{
	struct latch_qop qop = {.encryption_bits = 288, .icv_bits = 128, .replay_protection = 1};

	strcpy(qop.encryption, "rfc4106(gcm(aes))");
	return qop;
}

static inline struct latch_qop cbc(void)
{
	struct latch_qop qop = {
		.encryption_bits = 128, .integrity_bits = 160, .icv_bits = 96, .esn = 1};

	strcpy(qop.encryption, "cbc(aes)");
	strcpy(qop.integrity, "hmac(sha1)");
	return qop;
}

static inline uint16_t intern_params(const char *local, const char *peer, enum feed_auth auth,
				     struct latch_qop qop, __u8 mode)
{
	struct latch_params params = {
		.local_id = intern(local, "x509", FEED_AUTH_PUBKEY),
		.peer_id = intern(peer, "x509", auth),
		.qop = qop,
		.mode = mode,
		.protocol = IPPROTO_ESP,
	};
	uint16_t index = 0;

	cr_assert_eq(identities_intern_params(identities, &params, &index), 0);
	return index;
}

static inline void report_start(void)
{
	int err = fake_kernel_maps_make(&maps);

	if (err == -EPERM)
		cr_skip_test("no privilege to make BPF maps");
	cr_assert_eq(err, 0);
	cr_assert_eq(identities_load(&maps, &identities), 0);
	source.identities = identities;
	source.started_boot_ns = clock_boot_ns();
	params_c = intern_params("w.example", "c.example", FEED_AUTH_PUBKEY, gcm(),
				 XFRM_MODE_TRANSPORT);
	params_d =
		intern_params("w.example", "d.example", FEED_AUTH_PSK, gcm(), XFRM_MODE_TRANSPORT);
	params_weak =
		intern_params("w2.example", "c.example", FEED_AUTH_PUBKEY, cbc(), XFRM_MODE_TUNNEL);
	params_hostile =
		intern_params("w.example", HOSTILE, FEED_AUTH_EAP, gcm(), XFRM_MODE_TRANSPORT);
	json_init(&w);
}

static inline void report_finish(void)
{
	json_object_put(document);
	json_release(&w);
	identities_free(identities);
	fake_kernel_maps_close(&maps);
}

static inline struct latch_flow flow_of(int family, const char *local, const char *remote)
{
	struct latch_flow flow = {
		.netns = 4026531840,
		.local_port = 7000,
		.remote_port = 51514,
		.family = (__u8)family,
		.protocol = IPPROTO_TCP,
	};

	cr_assert_eq(inet_pton(family, local, flow.local_addr), 1);
	cr_assert_eq(inet_pton(family, remote, flow.remote_addr), 1);
	return flow;
}

static inline struct latch_flow w_to_c(void)
{
	return flow_of(AF_INET, "10.9.0.1", "10.9.0.2");
}

static inline struct latch_sa_key sa_key(void)
{
	struct latch_sa_key key = {
		.netns = 4026531840, .spi = 0xa1b2, .protocol = IPPROTO_ESP, .family = AF_INET};

	cr_assert_eq(inet_pton(AF_INET, "10.9.0.2", key.daddr), 1);
	return key;
}

static inline struct latch_sa sa_of(enum latch_sa_state state, uint16_t params, uint8_t flags)
{
	struct latch_sa sa = {
		.installed = clock_boot_ns(),
		.reqid = 4,
		.qop = cbc(),
		.mode = XFRM_MODE_TUNNEL,
		.encap = 1,
	};

	sa.word.state = state;
	sa.word.params = params;
	sa.word.flags = flags;
	cr_assert_eq(inet_pton(AF_INET, "10.9.0.1", sa.saddr), 1);
	return sa;
}

static inline struct latch latch_of(enum latch_state state, uint16_t params, uint8_t reasons)
{
	struct latch latch = {
		.id = 0x1f3,
		.created = clock_boot_ns(),
		.changed = clock_boot_ns(),
		.drops = 17,
		.spi_out = 0xc1a2f09e,
		.direction = LATCH_DIRECTION_OUT,
	};

	latch.word.state = state;
	latch.word.params = params;
	latch.word.reasons = reasons;
	return latch;
}

static inline void put_latch(const struct latch_flow *flow, const struct latch *latch)
{
	cr_assert_eq(bpf_map_update_elem(maps.latches, flow, latch, BPF_ANY), 0);
}

static inline void put_sa(const struct latch_sa_key *key, const struct latch_sa *sa)
{
	cr_assert_eq(bpf_map_update_elem(maps.sas, key, sa, BPF_ANY), 0);
}

/* ---- reading documents back */

static inline void parse(void)
{
	cr_assert_eq(json_finish(&w), 0);
	cr_assert_eq(strchr(w.text, '\n'), w.text + w.length - 1, "one line: %s", w.text);
	json_object_put(document);
	document = json_tokener_parse(w.text);
	cr_assert_not_null(document, "%s", w.text);
	json_release(&w);
}

static inline struct json_object *at(struct json_object *object, const char *path)
{
	char key[32];
	size_t length;

	for (; *path; path += length + (path[length] == '.')) {
		length = strcspn(path, ".");
		snprintf(key, sizeof(key), "%.*s", (int)length, path);
		if (json_object_is_type(object, json_type_array))
			object = json_object_array_get_idx(object, strtoul(key, NULL, 10));
		else
			cr_assert(json_object_object_get_ex(object, key, &object), "no %s in %s",
				  path, json_object_to_json_string(object));
	}
	return object;
}

/* The value at path as JSON text. */
static inline void expect_json(const char *path, const char *json)
{
	const char *is = json_object_to_json_string_ext(
		at(document, path), JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);

	cr_expect_str_eq(is, json, "%s is %s, not %s", path, is, json);
}

/* The names of all members of an object, in their order. */
static inline void expect_keys(const char *path, const char *keys)
{
	char is[512] = "";

	json_object_object_foreach(at(document, path), key, value)
	{
		(void)value;
		snprintf(is + strlen(is), sizeof(is) - strlen(is), "%s%s", is[0] ? " " : "", key);
	}
	cr_expect_str_eq(is, keys);
}

static inline void expect_now(const char *path)
{
	const char *time = json_object_get_string(at(document, path));
	char low[CLOCK_TEXT_SIZE], high[CLOCK_TEXT_SIZE];

	clock_format(low, clock_real_ns() - 60 * SECOND);
	clock_format(high, clock_real_ns() + SECOND);
	cr_assert_not_null(time);
	cr_expect_eq(strlen(time), CLOCK_TEXT_SIZE - 1);
	cr_expect_gt(strcmp(time, low), 0, "%s is before %s", time, low);
	cr_expect_leq(strcmp(time, high), 0, "%s is after %s", time, high);
}

static inline void expect_hostile(const char *path)
{
	/* The invalid byte comes back as the character of its number. */
	cr_expect_str_eq(json_object_get_string(at(document, path)),
			 "\x1b[2J\"},{\"id\":\"c.example\n\xc3\xbf\xe2\x80\xae");
}

static inline void report_whole_list(void)
{
	struct map_cursor cursor = {0};

	while (!report_list(&w, &source, &cursor))
		;
}

static inline void report_whole_sa(void)
{
	struct map_cursor cursor = {0};

	while (!report_sa(&w, &source, &cursor))
		;
}

#endif
