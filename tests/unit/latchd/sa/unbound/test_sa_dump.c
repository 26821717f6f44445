/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * XFRM_MSG_NEWSA messages, well-formed and damaged, of one SA from 10.9.0.1 to
 * 10.9.0.2; then dumps of a real kernel, in a namespace of the test's own.
 */
#include "namespace.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "common/cleanup.h"
#include "latchd/net/netlink.h"
#include "latchd/sa/unbound/sa_dump.h"

#define NETNS 0x1122334455667788ull

static _Alignas(struct nlmsghdr) char buffer[4096];
static struct nlmsghdr *message;
static struct xfrm_usersa_info *info;
static struct latch_sa_key key;
static struct latch_sa sa;

static void begin(uint16_t family, uint8_t protocol)
{
	memset(buffer, 0, sizeof(buffer));
	message = mnl_nlmsg_put_header(buffer);
	message->nlmsg_type = XFRM_MSG_NEWSA;
	info = mnl_nlmsg_put_extra_header(message, sizeof(*info));
	info->family = family;
	info->id.proto = protocol;
	info->id.spi = htonl(0xc0ffee01);
	info->reqid = 42;
	inet_pton(family, family == AF_INET ? "10.9.0.2" : "2001:db8::2", &info->id.daddr);
	inet_pton(family, family == AF_INET ? "10.9.0.1" : "2001:db8::1", &info->saddr);
}

/* A name that fills the field has no NUL. */
static void put_name(char out[64], const char *name)
{
	memcpy(out, name, strnlen(name, 64));
}

static void put_aead(const char *name, unsigned int key_bits, unsigned int icv_bits)
{
	struct {
		struct xfrm_algo_aead alg;
		char key[64];
	} aead = {.alg = {.alg_key_len = key_bits, .alg_icv_len = icv_bits}};

	put_name(aead.alg.alg_name, name);
	mnl_attr_put(message, XFRMA_ALG_AEAD, sizeof(aead.alg) + key_bits / 8, &aead);
}

static void put_cipher(const char *name, unsigned int key_bits)
{
	struct {
		struct xfrm_algo alg;
		char key[64];
	} cipher = {.alg = {.alg_key_len = key_bits}};

	put_name(cipher.alg.alg_name, name);
	mnl_attr_put(message, XFRMA_ALG_CRYPT, sizeof(cipher.alg) + key_bits / 8, &cipher);
}

/* The kernel sends both attributes. */
static void put_mac(const char *name, unsigned int key_bits, unsigned int icv_bits)
{
	struct {
		struct xfrm_algo alg;
		char key[64];
	} old = {.alg = {.alg_key_len = key_bits}};
	struct {
		struct xfrm_algo_auth alg;
		char key[64];
	} mac = {.alg = {.alg_key_len = key_bits, .alg_trunc_len = icv_bits}};

	put_name(old.alg.alg_name, name);
	put_name(mac.alg.alg_name, name);
	mnl_attr_put(message, XFRMA_ALG_AUTH, sizeof(old.alg) + key_bits / 8, &old);
	mnl_attr_put(message, XFRMA_ALG_AUTH_TRUNC, sizeof(mac.alg) + key_bits / 8, &mac);
}

static void put_esn(unsigned int window)
{
	struct {
		struct xfrm_replay_state_esn state;
		__u32 bitmap[4];
	} esn = {.state = {.bmp_len = 4, .replay_window = window}};

	mnl_attr_put(message, XFRMA_REPLAY_ESN_VAL, sizeof(esn.state) + sizeof(esn.bitmap), &esn);
}

/* Parses a copy in a block of exactly its size: a sanitizer finds every read beyond it. */
static int parse(void)
{
	auto_free struct nlmsghdr *copy = malloc(message->nlmsg_len);

	cr_assert_not_null(copy);
	memcpy(copy, message, message->nlmsg_len);
	memset(&key, 0xa5, sizeof(key));
	memset(&sa, 0xa5, sizeof(sa));
	return sa_dump_parse(copy, NETNS, &key, &sa);
}

/* ---- well-formed ---- */

Test(sa_dump, an_aead_sa_is_read_whole)
{
	const struct latch_sa_key expected_key = {
		.netns = NETNS,
		.daddr = {10, 9, 0, 2},
		.spi = 0xc0ffee01,
		.protocol = IPPROTO_ESP,
		.family = AF_INET,
	};
	const struct latch_sa expected = {
		.saddr = {10, 9, 0, 1},
		.reqid = 42,
		.qop = {.encryption = "rfc4106(gcm(aes))",
			.encryption_bits = 288,
			.icv_bits = 128,
			.replay_protection = 1},
	};

	begin(AF_INET, IPPROTO_ESP);
	info->replay_window = 32;
	put_aead("rfc4106(gcm(aes))", 288, 128);
	cr_expect_eq(parse(), 1);
	cr_expect_arr_eq(&key, &expected_key, sizeof(key));
	cr_expect_arr_eq(&sa, &expected, sizeof(sa));
}

Test(sa_dump, an_ipv6_tunnel_sa_with_encap_esn_mark_and_if_id_is_read_whole)
{
	const struct xfrm_mark mark = {.v = 0x17, .m = 0xff};
	const struct xfrm_encap_tmpl encap = {.encap_type = 2, .encap_dport = htons(4500)};
	const __u32 if_id = 99;
	struct latch_sa expected = {
		.reqid = 42,
		.mark = 0x17,
		.mark_mask = 0xff,
		.if_id = 99,
		.qop = {.encryption = "cbc(aes)",
			.encryption_bits = 256,
			.integrity = "hmac(sha256)",
			.integrity_bits = 256,
			.icv_bits = 128,
			.esn = 1,
			.replay_protection = 1},
		.mode = XFRM_MODE_TUNNEL,
		.encap = 1,
		.encap_ports.port = 4500,
	};

	begin(AF_INET6, IPPROTO_ESP);
	info->mode = XFRM_MODE_TUNNEL;
	info->flags = XFRM_STATE_ESN | XFRM_STATE_AF_UNSPEC;
	put_mac("hmac(sha256)", 256, 128);
	put_cipher("cbc(aes)", 256);
	mnl_attr_put(message, XFRMA_ENCAP, sizeof(encap), &encap);
	put_esn(128);
	mnl_attr_put(message, XFRMA_MARK, sizeof(mark), &mark);
	mnl_attr_put_u32(message, XFRMA_IF_ID, if_id);
	inet_pton(AF_INET6, "2001:db8::1", expected.saddr);
	cr_expect_eq(parse(), 1);
	cr_expect_arr_eq(&sa, &expected, sizeof(sa));
	cr_expect_eq(key.family, AF_INET6);
	cr_expect_arr_eq(key.daddr, &info->id.daddr, 16);
}

Test(sa_dump, an_ah_sa_is_read)
{
	begin(AF_INET, IPPROTO_AH);
	put_mac("hmac(sha1)", 160, 96);
	cr_expect_eq(parse(), 1);
	cr_expect_eq(key.protocol, IPPROTO_AH);
	cr_expect_str_eq(sa.qop.integrity, "hmac(sha1)");
	cr_expect_str_eq(sa.qop.encryption, "");
	cr_expect_eq(sa.qop.integrity_bits, 160);
	cr_expect_eq(sa.qop.icv_bits, 96);
}

Test(sa_dump, an_sa_with_null_encryption_is_not_larval)
{
	begin(AF_INET, IPPROTO_ESP);
	put_cipher("ecb(cipher_null)", 0);
	cr_expect_eq(parse(), 1);
	cr_expect_str_eq(sa.qop.encryption, "ecb(cipher_null)");
	cr_expect_eq(sa.qop.encryption_bits, 0);
}

Test(sa_dump, the_esn_replay_window_overrides_the_legacy_window)
{
	begin(AF_INET, IPPROTO_ESP);
	info->replay_window = 32;
	put_aead("rfc4106(gcm(aes))", 160, 64);
	put_esn(0);
	cr_expect_eq(parse(), 1);
	cr_expect_eq(sa.qop.replay_protection, 0);
	cr_expect_eq(sa.qop.esn, 0);
}

Test(sa_dump, bytes_after_an_ipv4_address_are_zeroed)
{
	begin(AF_INET, IPPROTO_ESP);
	memset((char *)&info->id.daddr + 4, 0xee, 12);
	memset((char *)&info->saddr + 4, 0xee, 12);
	put_cipher("cbc(aes)", 128);
	cr_expect_eq(parse(), 1);
	cr_expect_arr_eq(key.daddr, ((const char[16]){10, 9, 0, 2}), 16);
	cr_expect_arr_eq(sa.saddr, ((const char[16]){10, 9, 0, 1}), 16);
}

Test(sa_dump, unknown_attributes_are_skipped)
{
	begin(AF_INET, IPPROTO_ESP);
	mnl_attr_put_u32(message, XFRMA_MAX + 1, 1);
	mnl_attr_put_u32(message, (uint16_t)NLA_TYPE_MASK, 1);
	put_cipher("cbc(aes)", 128);
	cr_expect_eq(parse(), 1);
	cr_expect_str_eq(sa.qop.encryption, "cbc(aes)");
}

/* ---- skipped ---- */

Test(sa_dump, a_larval_sa_is_skipped)
{
	begin(AF_INET, IPPROTO_ESP);
	mnl_attr_put_u32(message, XFRMA_IF_ID, 1);
	cr_expect_eq(parse(), 0);
}

Test(sa_dump, an_ipcomp_sa_is_skipped)
{
	begin(AF_INET, IPPROTO_COMP);
	put_cipher("deflate", 0);
	cr_expect_eq(parse(), 0);
}

/* ---- malformed ---- */

Test(sa_dump, an_unterminated_algorithm_name_is_truncated)
{
	char name[65];

	memset(name, 'x', 64);
	name[64] = '\0';
	begin(AF_INET, IPPROTO_ESP);
	put_cipher(name, 128);
	put_mac(name, 128, 96);
	cr_expect_eq(parse(), 1);
	cr_expect_eq(strlen(sa.qop.encryption), LATCH_ALG_NAME_MAX - 1);
	cr_expect_eq(strlen(sa.qop.integrity), LATCH_ALG_NAME_MAX - 1);
}

Test(sa_dump, a_message_of_another_type_is_refused)
{
	begin(AF_INET, IPPROTO_ESP);
	put_cipher("cbc(aes)", 128);
	message->nlmsg_type = XFRM_MSG_NEWPOLICY;
	cr_expect_eq(parse(), -EBADMSG);
}

Test(sa_dump, a_message_of_another_address_family_is_refused)
{
	begin(AF_INET, IPPROTO_ESP);
	put_cipher("cbc(aes)", 128);
	info->family = AF_UNSPEC;
	cr_expect_eq(parse(), -EBADMSG);
	/* Its low byte is AF_INET. */
	info->family = 0x100 | AF_INET;
	cr_expect_eq(parse(), -EBADMSG);
}

Test(sa_dump, a_short_or_empty_attribute_is_refused)
{
	static const struct {
		uint16_t type;
		size_t size;
	} attributes[] = {
		{XFRMA_ALG_AEAD, sizeof(struct xfrm_algo_aead)},
		{XFRMA_ALG_CRYPT, sizeof(struct xfrm_algo)},
		{XFRMA_ALG_AUTH_TRUNC, sizeof(struct xfrm_algo_auth)},
		{XFRMA_REPLAY_ESN_VAL, sizeof(struct xfrm_replay_state_esn)},
		{XFRMA_MARK, sizeof(struct xfrm_mark)},
		{XFRMA_IF_ID, sizeof(__u32)},
	};
	char value[128];
	size_t i;

	memset(value, 'x', sizeof(value));
	for (i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
		begin(AF_INET, IPPROTO_ESP);
		put_cipher("cbc(aes)", 128);
		mnl_attr_put(message, attributes[i].type, attributes[i].size, value);
		cr_expect_eq(parse(), 1, "%zu whole", i);
		begin(AF_INET, IPPROTO_ESP);
		put_cipher("cbc(aes)", 128);
		mnl_attr_put(message, attributes[i].type, attributes[i].size - 1, value);
		cr_expect_eq(parse(), -EBADMSG, "%zu short", i);
		begin(AF_INET, IPPROTO_ESP);
		put_cipher("cbc(aes)", 128);
		mnl_attr_put(message, attributes[i].type, 0, value);
		cr_expect_eq(parse(), -EBADMSG, "%zu empty", i);
	}
}

/* A message may be truncated only between two attributes. */
Test(sa_dump, a_message_truncated_within_an_attribute_is_refused)
{
	uint32_t whole, ends[3], length;

	begin(AF_INET, IPPROTO_ESP);
	ends[0] = message->nlmsg_len;
	put_cipher("cbc(aes)", 128);
	ends[1] = message->nlmsg_len;
	put_esn(32);
	ends[2] = whole = message->nlmsg_len;
	for (length = MNL_NLMSG_HDRLEN; length <= whole; length++) {
		int expected = length == ends[0] ? 0 : -EBADMSG;

		if (length == ends[1] || length == ends[2])
			expected = 1;
		message->nlmsg_len = length;
		cr_expect_eq(parse(), expected, "%u of %u bytes", length, whole);
	}
}

Test(sa_dump, an_attribute_with_a_wrong_length_is_refused)
{
	struct nlattr *attribute;

	begin(AF_INET, IPPROTO_ESP);
	attribute = mnl_nlmsg_get_payload_tail(message);
	put_cipher("cbc(aes)", 128);
	attribute->nla_len++;
	cr_expect_eq(parse(), -EBADMSG);
	attribute->nla_len = 0xffff;
	cr_expect_eq(parse(), -EBADMSG);
	attribute->nla_len = 3;
	cr_expect_eq(parse(), -EBADMSG);
	attribute->nla_len = 0;
	cr_expect_eq(parse(), -EBADMSG);
}

Test(sa_dump, random_bytes_cause_no_read_beyond_the_message)
{
	unsigned int round, i, accepted = 0;

	srandom(5660);
	for (round = 0; round < 20000; round++) {
		begin(AF_INET, IPPROTO_ESP);
		put_cipher("cbc(aes)", 128);
		put_mac("hmac(sha1)", 160, 96);
		put_esn(32);
		for (i = 0; i < 8; i++)
			buffer[MNL_NLMSG_HDRLEN +
			       random() % (message->nlmsg_len - MNL_NLMSG_HDRLEN)] = (char)random();
		accepted += parse() == 1;
	}
	cr_expect_gt(accepted, 0);
	cr_expect_lt(accepted, round);
}

/* ---- a real kernel ---- */

struct visits {
	unsigned int count;
	int result;
	struct latch_sa_key key;
	struct latch_sa sa;
};

static int on_sa(void *context, const struct latch_sa_key *found_key, const struct latch_sa *found)
{
	struct visits *visits = context;

	visits->count++;
	visits->key = *found_key;
	visits->sa = *found;
	return visits->result;
}

static int ignore(void *context, const struct nlmsghdr *answer)
{
	(void)context;
	(void)answer;
	return 0;
}

static int send_request(const struct namespace *ns)
{
	auto_close int fd = netlink_open(ns->cookie, NETLINK_XFRM);

	cr_assert_geq(fd, 0, "%s", strerror(-fd));
	return netlink_request(fd, message, ignore, NULL);
}

static void begin_install(uint32_t spi)
{
	begin(AF_INET, IPPROTO_ESP);
	info->id.spi = htonl(spi);
	info->mode = XFRM_MODE_TRANSPORT;
	info->replay_window = 32;
	info->lft.soft_byte_limit = info->lft.hard_byte_limit = XFRM_INF;
	info->lft.soft_packet_limit = info->lft.hard_packet_limit = XFRM_INF;
}

/* -EPROTONOSUPPORT: this kernel has no ESP. */
static int install(const struct namespace *ns, uint32_t spi)
{
	const struct xfrm_mark mark = {.v = spi, .m = 0xffffffff};

	begin_install(spi);
	put_cipher("cbc(aes)", 128);
	put_mac("hmac(sha256)", 256, 128);
	mnl_attr_put(message, XFRMA_MARK, sizeof(mark), &mark);
	mnl_attr_put_u32(message, XFRMA_IF_ID, 7);
	return send_request(ns);
}

static void allocate_larval(const struct namespace *ns)
{
	struct xfrm_userspi_info *spi;

	message = mnl_nlmsg_put_header(memset(buffer, 0, sizeof(buffer)));
	message->nlmsg_type = XFRM_MSG_ALLOCSPI;
	spi = mnl_nlmsg_put_extra_header(message, sizeof(*spi));
	spi->info.family = AF_INET;
	spi->info.id.proto = IPPROTO_ESP;
	inet_pton(AF_INET, "10.9.0.2", &spi->info.id.daddr);
	inet_pton(AF_INET, "10.9.0.1", &spi->info.saddr);
	spi->min = spi->max = 0x1000;
	cr_assert_eq(send_request(ns), 0);
}

static struct namespace ns;

static void set_up(void)
{
	namespace_need_root();
	namespace_start(&ns);
	allocate_larval(&ns);
}

static void tear_down(void)
{
	namespace_end(&ns);
}

/* The kernel has the larval SA: its SPI cannot be allocated again. */
Test(sa_dump, a_larval_sa_of_a_real_kernel_is_skipped, .init = set_up, .fini = tear_down)
{
	struct visits visits = {0};

	cr_expect_eq(sa_dump(ns.cookie, on_sa, &visits), 0);
	cr_expect_eq(visits.count, 0);
	cr_expect_eq(send_request(&ns), -ENOENT);
}

Test(sa_dump, a_dump_of_a_deleted_namespace_fails, .init = set_up)
{
	struct visits visits = {0};

	namespace_leave(&ns);
	cr_expect_eq(sa_dump(ns.cookie, on_sa, &visits), namespace_gone_error());
	cr_expect_eq(visits.count, 0);
	close(ns.fd);
}

Test(sa_dump, a_dump_of_a_real_kernel_visits_every_sa, .init = set_up, .fini = tear_down)
{
	struct visits visits = {0};
	uint32_t spi;

	if (install(&ns, 0x2000) == -EPROTONOSUPPORT)
		cr_skip_test("kernel without ESP (CONFIG_INET_ESP): no SA can be installed");
	cr_expect_eq(sa_dump(ns.cookie, on_sa, &visits), 0);
	cr_expect_eq(visits.count, 1);
	cr_expect_eq(parse(), 1);
	key.netns = ns.cookie;
	cr_expect_arr_eq(&visits.key, &key, sizeof(key));
	cr_expect_arr_eq(&visits.sa, &sa, sizeof(sa));
	for (spi = 0x2001; spi < 0x2000 + 500; spi++)
		cr_assert_eq(install(&ns, spi), 0);
	visits.count = 0;
	cr_expect_eq(sa_dump(ns.cookie, on_sa, &visits), 0);
	cr_expect_eq(visits.count, 500);
	visits.count = 0;
	visits.result = 17;
	cr_expect_eq(sa_dump(ns.cookie, on_sa, &visits), 17);
	cr_expect_eq(visits.count, 1);
}
