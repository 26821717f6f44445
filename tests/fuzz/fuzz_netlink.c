/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Answers of the kernel over netlink. The input is a byte that chooses the reader, then one
 * message for a parser, or the datagrams of an answer for a whole request. A parser gets memory of
 * the message's size. A request gets its datagrams from recv(), which the linker replaces (--wrap):
 * the bytes behind a datagram are poisoned. Properties: no read beyond a message, results within
 * the limits of their types, an attribute lies within its message.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <sanitizer/asan_interface.h>
#include <sys/socket.h>

#include "fuzz.h"
#include "latchd/choice/choice_load.h"
#include "latchd/net/netlink.h"
#include "latchd/net/sctp_paths.h"
#include "latchd/net/socket_diag.h"
#include "latchd/sa/unbound/sa_dump.h"
#include "latchd/spd/policy_dump.h"

#define NETNS 1

/* ---- the kernel's side of a request */

static struct {
	struct input datagrams;
	uint32_t sequence;
	char *poisoned;
	size_t poisoned_size;
} kernel;

int __wrap_netlink_open(uint64_t netns_cookie, int protocol);
ssize_t __wrap_send(int fd, const void *request, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *buffer, size_t size, int flags);
void __wrap_explicit_bzero(void *memory, size_t size);
void __real_explicit_bzero(void *memory, size_t size);

int __wrap_netlink_open(uint64_t netns_cookie, int protocol)
{
	CHECK(netns_cookie == NETNS);
	CHECK(protocol == NETLINK_XFRM || protocol == NETLINK_SOCK_DIAG ||
	      protocol == NETLINK_ROUTE);
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

ssize_t __wrap_send(int fd, const void *request, size_t size, int flags)
{
	const struct nlmsghdr *header = request;

	(void)fd;
	(void)flags;
	CHECK(size >= sizeof(*header) && header->nlmsg_len == size);
	CHECK(header->nlmsg_flags & NLM_F_REQUEST);
	kernel.sequence = header->nlmsg_seq;
	return (ssize_t)size;
}

static void unpoison(void)
{
	ASAN_UNPOISON_MEMORY_REGION(kernel.poisoned, kernel.poisoned_size);
	kernel.poisoned_size = 0;
}

/* The number of the request is unknown to the fuzzer. */
static void set_sequence(char *buffer, size_t size)
{
	struct nlmsghdr header;
	size_t at = 0;

	while (at < size && size - at >= sizeof(header)) {
		memcpy(&header, buffer + at, sizeof(header));
		header.nlmsg_seq ^= kernel.sequence;
		memcpy(buffer + at, &header, sizeof(header));
		/* A length that is not valid ends the answer: only the first number counts then. */
		if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > size - at)
			return;
		at += NLMSG_ALIGN(header.nlmsg_len);
	}
}

ssize_t __wrap_recv(int fd, void *buffer, size_t size, int flags)
{
	struct input datagram;
	size_t length;

	(void)fd;
	CHECK(flags & MSG_TRUNC);
	unpoison();
	if (!kernel.datagrams.left) {
		errno = EAGAIN;
		return -1;
	}
	datagram = take_record(&kernel.datagrams);
	length = datagram.left < size ? datagram.left : size;
	if (length)
		memcpy(buffer, datagram.at, length);
	set_sequence(buffer, length);
	kernel.poisoned = (char *)buffer + length;
	kernel.poisoned_size = size - length;
	ASAN_POISON_MEMORY_REGION(kernel.poisoned, kernel.poisoned_size);
	return (ssize_t)datagram.left;
}

void __wrap_explicit_bzero(void *memory, size_t size)
{
	unpoison();
	__real_explicit_bzero(memory, size);
}

/* ---- one message */

static void check_attributes(const struct nlmsghdr *message)
{
	const struct nlattr *by_type[XFRMA_MAX + 1];
	const char *end = (const char *)message + message->nlmsg_len, *at;
	size_t i;
	int err = netlink_attributes(message, sizeof(struct inet_diag_msg), by_type, XFRMA_MAX);

	CHECK(!err || err == -EBADMSG);
	for (i = 0; i <= XFRMA_MAX; i++) {
		at = (const char *)by_type[i];
		if (!at)
			continue;
		CHECK(at >= (const char *)message && end - at >= (ptrdiff_t)sizeof(struct nlattr));
		CHECK(by_type[i]->nla_len >= sizeof(struct nlattr));
		CHECK(by_type[i]->nla_len <= end - at);
		CHECK(mnl_attr_get_type(by_type[i]) == i);
	}
}

static void check_policy(const struct policy *policy)
{
	unsigned int bits = policy->family == AF_INET ? 32 : 128;

	CHECK(policy->family == AF_INET || policy->family == AF_INET6);
	CHECK(policy->source_bits <= bits && policy->destination_bits <= bits);
	CHECK(policy->template_count <= POLICY_TEMPLATES_MAX);
	CHECK(policy->direction == POLICY_IN || policy->direction == POLICY_OUT);
	CHECK(policy->template_count ? policy->action != POLICY_BYPASS
				     : policy->action != POLICY_PROTECT);
}

static void parse_policy(const struct nlmsghdr *message)
{
	enum policy_action actions[POLICY_DIRECTIONS];
	struct policy policy;
	int result = policy_dump_parse(message, &policy);

	CHECK(result == 1 || !result || result == -EBADMSG);
	if (result == 1)
		check_policy(&policy);
	result = policy_dump_parse_default(message, actions);
	CHECK(!result || result == -EBADMSG);
}

static int check_sa(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	(void)context;
	CHECK(key->netns == NETNS);
	CHECK(key->family == AF_INET || key->family == AF_INET6);
	CHECK(key->protocol == IPPROTO_ESP || key->protocol == IPPROTO_AH);
	CHECK(!sa->word.raw && !sa->instance && !sa->installed);
	CHECK(sa->qop.encryption[0] || sa->qop.integrity[0]);
	CHECK(!sa->qop.encryption[LATCH_ALG_NAME_MAX - 1]);
	CHECK(!sa->qop.integrity[LATCH_ALG_NAME_MAX - 1]);
	return 0;
}

static void parse_sa(const struct nlmsghdr *message)
{
	struct latch_sa_key key;
	struct latch_sa sa;
	int result = sa_dump_parse(message, NETNS, &key, &sa);

	CHECK(result == 1 || !result || result == -EBADMSG);
	if (result == 1)
		check_sa(NULL, &key, &sa);
}

static size_t make_paths(struct sctp_path paths[2])
{
	memset(paths, 0, 2 * sizeof(paths[0]));
	paths[0].flow = (struct latch_flow){
		.netns = NETNS,
		.local_port = 7000,
		.remote_port = 7001,
		.family = AF_INET,
		.protocol = IPPROTO_SCTP,
		.local_addr = {10, 9, 0, 1},
		.remote_addr = {10, 9, 0, 2},
	};
	paths[1] = paths[0];
	paths[1].flow.family = AF_INET6;
	sctp_paths_sort(paths, 2);
	return 2;
}

static void parse_association(const struct nlmsghdr *message)
{
	struct sctp_path paths[2];
	int err = sctp_paths_mark(message, paths, make_paths(paths));

	CHECK(!err || err == -EBADMSG);
}

/* A policy that is not usable at all leaves the table as it was. */
static void parse_choice_policy(const struct nlmsghdr *message)
{
	struct choice_table table = {0};
	int err = choice_load_policy(message, &table);

	CHECK(!err || (err == -EBADMSG && !table.count));
	CHECK(table.count <= 1 && !table.device_count);
	CHECK(!choice_table_build(&table));
	choice_table_release(&table);
}

static void parse_choice_device(const struct nlmsghdr *message)
{
	struct choice_table table = {0};
	int err = choice_load_device(message, &table);

	CHECK(!err || (err == -EBADMSG && !table.device_count));
	CHECK(table.device_count <= 1 && !table.count && !table.unreadable);
	choice_table_release(&table);
}

static const struct {
	void (*parse)(const struct nlmsghdr *message);
	uint16_t type;
} parsers[] = {
	{check_attributes, XFRM_MSG_NEWSA},	  {parse_policy, XFRM_MSG_NEWPOLICY},
	{parse_policy, XFRM_MSG_GETDEFAULT},	  {parse_sa, XFRM_MSG_NEWSA},
	{parse_association, SOCK_DIAG_BY_FAMILY}, {parse_choice_policy, XFRM_MSG_NEWPOLICY},
	{parse_choice_device, RTM_NEWLINK},
};

static void parse(size_t which, struct input payload)
{
	struct nlmsghdr header = {
		.nlmsg_len = (uint32_t)(sizeof(header) + payload.left),
		.nlmsg_type = parsers[which].type,
	};
	char *message = malloc(header.nlmsg_len);

	CHECK(message);
	memcpy(message, &header, sizeof(header));
	if (payload.left)
		memcpy(message + sizeof(header), payload.at, payload.left);
	parsers[which].parse((const struct nlmsghdr *)message);
	free(message);
}

/* ---- whole requests */

static void request_sas(void)
{
	CHECK(sa_dump(NETNS, check_sa, NULL) <= 0);
}

static void request_policies(void)
{
	struct spd spd;
	size_t i;

	if (policy_dump(NETNS, &spd))
		return;
	for (i = 0; i < spd.count; i++)
		check_policy(&spd.policies[i]);
	policy_dump_release(&spd);
}

static void request_choices(void)
{
	struct choice_table table;

	if (!choice_load(NETNS, &table))
		choice_table_release(&table);
}

static int check_listener(void *context, const struct latch_flow *flow)
{
	(void)context;
	CHECK(flow->netns == NETNS && flow->protocol == IPPROTO_TCP);
	CHECK(!flow->remote_port);
	return 0;
}

static void request_listeners(void)
{
	CHECK(socket_diag_listeners(NETNS, check_listener, NULL) <= 0);
}

static const struct latch_flow tcp_flow = {
	.netns = NETNS,
	.family = AF_INET,
	.protocol = IPPROTO_TCP,
	.local_port = 7000,
	.remote_port = 7001,
	.local_addr = {10, 9, 0, 1},
	.remote_addr = {10, 9, 0, 2},
};

static void request_socket(void)
{
	CHECK(socket_diag_search(&tcp_flow, 0) <= 0);
}

static void request_destroy(void)
{
	CHECK(socket_diag_destroy_connecting(&tcp_flow, 0) <= 0);
}

static void request_paths(void)
{
	struct sctp_path paths[2];

	CHECK(sctp_paths_ask(NETNS, paths, make_paths(paths)) <= 0);
}

static void (*const requests[])(void) = {
	request_sas,   request_policies, request_listeners, request_socket,
	request_paths, request_destroy,	 request_choices,
};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = {bytes, size};
	size_t which = take_byte(&input) % (ARRAY_SIZE(parsers) + ARRAY_SIZE(requests));

	if (which < ARRAY_SIZE(parsers)) {
		parse(which, input);
	} else {
		kernel.datagrams = input;
		requests[which - ARRAY_SIZE(parsers)]();
		unpoison();
	}
	return 0;
}
