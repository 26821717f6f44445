/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/sa/unbound/sa_dump.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>

#include "common/cleanup.h"
#include "latchd/net/netlink.h"

struct attributes {
	const struct nlattr *by_type[XFRMA_MAX + 1];
};

/* ---- one message ---- */

/* The attribute's value of at least size bytes. NULL when missing, or too short (sets *err). */
static const void *attribute_value(const struct attributes *attributes, unsigned int type,
				   size_t size, int *err)
{
	const struct nlattr *attribute = attributes->by_type[type];

	if (!attribute)
		return NULL;
	if (mnl_attr_get_payload_len(attribute) < size) {
		*err = -EBADMSG;
		return NULL;
	}
	return mnl_attr_get_payload(attribute);
}

static void copy_name(char out[LATCH_ALG_NAME_MAX], const char *name)
{
	memcpy(out, name, strnlen(name, LATCH_ALG_NAME_MAX - 1));
}

static void read_encryption(const struct attributes *attributes, struct latch_qop *qop, int *err)
{
	const struct xfrm_algo_aead *aead =
		attribute_value(attributes, XFRMA_ALG_AEAD, sizeof(*aead), err);
	const struct xfrm_algo *cipher =
		attribute_value(attributes, XFRMA_ALG_CRYPT, sizeof(*cipher), err);

	if (aead) {
		copy_name(qop->encryption, aead->alg_name);
		qop->encryption_bits = (__u16)aead->alg_key_len;
		qop->icv_bits = (__u16)aead->alg_icv_len;
	} else if (cipher) {
		copy_name(qop->encryption, cipher->alg_name);
		qop->encryption_bits = (__u16)cipher->alg_key_len;
	}
}

static void read_integrity(const struct attributes *attributes, struct latch_qop *qop, int *err)
{
	const struct xfrm_algo_auth *mac =
		attribute_value(attributes, XFRMA_ALG_AUTH_TRUNC, sizeof(*mac), err);

	if (!mac)
		return;
	copy_name(qop->integrity, mac->alg_name);
	qop->integrity_bits = (__u16)mac->alg_key_len;
	qop->icv_bits = (__u16)mac->alg_trunc_len;
}

static void read_replay(const struct attributes *attributes, const struct xfrm_usersa_info *info,
			struct latch_qop *qop, int *err)
{
	const struct xfrm_replay_state_esn *esn =
		attribute_value(attributes, XFRMA_REPLAY_ESN_VAL, sizeof(*esn), err);

	qop->esn = !!(info->flags & XFRM_STATE_ESN);
	qop->replay_protection = esn ? esn->replay_window > 0 : info->replay_window > 0;
}

static void read_scope(const struct attributes *attributes, struct latch_sa *sa, int *err)
{
	const struct xfrm_mark *mark = attribute_value(attributes, XFRMA_MARK, sizeof(*mark), err);
	const __u32 *if_id = attribute_value(attributes, XFRMA_IF_ID, sizeof(*if_id), err);

	if (mark) {
		sa->mark = mark->v;
		sa->mark_mask = mark->m;
	}
	if (if_id)
		sa->if_id = *if_id;
}

static void read_encap(const struct attributes *attributes, struct latch_sa *sa, int *err)
{
	const struct xfrm_encap_tmpl *encap =
		attribute_value(attributes, XFRMA_ENCAP, sizeof(*encap), err);

	sa->encap = encap != NULL;
	sa->encap_ports.port = encap ? ntohs(encap->encap_dport) : 0;
}

static void read_addresses(const struct xfrm_usersa_info *info, struct latch_sa_key *key,
			   struct latch_sa *sa)
{
	size_t length =
		info->family == AF_INET ? sizeof(info->id.daddr.a4) : sizeof(info->id.daddr.a6);

	memcpy(key->daddr, &info->id.daddr, length);
	memcpy(sa->saddr, &info->saddr, length);
}

static int read_sa(const struct nlmsghdr *message, const struct xfrm_usersa_info *info,
		   struct latch_sa_key *key, struct latch_sa *sa)
{
	struct attributes attributes;
	int err = netlink_attributes(message, sizeof(struct xfrm_usersa_info), attributes.by_type,
				     XFRMA_MAX);

	if (err)
		return err;
	key->spi = ntohl(info->id.spi);
	key->protocol = info->id.proto;
	key->family = (__u8)info->family;
	read_addresses(info, key, sa);
	sa->reqid = info->reqid;
	sa->mode = info->mode;
	read_encap(&attributes, sa, &err);
	read_scope(&attributes, sa, &err);
	read_encryption(&attributes, &sa->qop, &err);
	read_integrity(&attributes, &sa->qop, &err);
	read_replay(&attributes, info, &sa->qop, &err);
	return err;
}

static bool is_larval(const struct latch_sa *sa)
{
	return !sa->qop.encryption[0] && !sa->qop.integrity[0];
}

int sa_dump_parse(const struct nlmsghdr *message, uint64_t netns_cookie,
		  struct latch_sa_key *ret_key, struct latch_sa *ret_sa)
{
	struct xfrm_usersa_info info;
	int err;

	*ret_key = (struct latch_sa_key){.netns = netns_cookie};
	*ret_sa = (struct latch_sa){0};
	if (message->nlmsg_type != XFRM_MSG_NEWSA ||
	    mnl_nlmsg_get_payload_len(message) < sizeof(info))
		return -EBADMSG;
	/* A copy, since within a dump it is aligned to four bytes only. */
	memcpy(&info, mnl_nlmsg_get_payload(message), sizeof(info));
	if (info.family != AF_INET && info.family != AF_INET6)
		return -EBADMSG;
	if (info.id.proto != IPPROTO_ESP && info.id.proto != IPPROTO_AH)
		return 0;
	err = read_sa(message, &info, ret_key, ret_sa);
	if (err)
		return err;
	return !is_larval(ret_sa);
}

/* ---- the dump ---- */

struct dump {
	uint64_t netns_cookie;
	sa_visit_fn visit;
	void *context;
};

static int on_message(void *context, const struct nlmsghdr *message)
{
	const struct dump *dump = context;
	struct latch_sa_key key;
	struct latch_sa sa;
	int found = sa_dump_parse(message, dump->netns_cookie, &key, &sa);

	return found > 0 ? dump->visit(dump->context, &key, &sa) : found;
}

int sa_dump(uint64_t netns_cookie, sa_visit_fn visit, void *context)
{
	auto_close int fd = netlink_open(netns_cookie, NETLINK_XFRM);
	struct dump dump = {netns_cookie, visit, context};
	_Alignas(struct nlmsghdr) char buffer[MNL_NLMSG_HDRLEN];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);

	if (fd < 0)
		return fd;
	request->nlmsg_type = XFRM_MSG_GETSA;
	request->nlmsg_flags = NLM_F_DUMP;
	return netlink_request(fd, request, on_message, &dump);
}
