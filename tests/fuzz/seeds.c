/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Writes the first inputs of the targets with binary input: the captured vici events of
 * tests/unit/fixtures/vici/, and messages as the kernel builds them. Texts are in seeds/.
 *
 *   seeds DIRECTORY: to DIRECTORY/TARGET/NAME, from the top of the tree
 */
#include <errno.h>
#include <glob.h>
#include <libmnl/libmnl.h>
#include <net/if.h>
#include <linux/if_link.h>
#include <linux/inet_diag.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>

#include "fake/vici_json.h"
#include "fuzz.h"
#include "latchd/feeds/vici/packet.h"

#define SEED_MAX 65536

static const char *directory;

struct seed {
	uint8_t bytes[SEED_MAX];
	size_t length;
};

static void add(struct seed *seed, const void *bytes, size_t length)
{
	if (length > sizeof(seed->bytes) - seed->length)
		abort();
	if (length)
		memcpy(seed->bytes + seed->length, bytes, length);
	seed->length += length;
}

static void add_byte(struct seed *seed, unsigned int byte)
{
	add(seed, &(uint8_t){(uint8_t)byte}, 1);
}

static void add_record(struct seed *seed, const void *bytes, size_t length)
{
	add_byte(seed, (unsigned int)(length >> 8));
	add_byte(seed, (unsigned int)length & 0xff);
	add(seed, bytes, length);
}

static void write_seed(const char *target, const char *name, const struct seed *seed)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, target);
	if (mkdir(path, 0777) && errno != EEXIST)
		abort();
	snprintf(path, sizeof(path), "%s/%s/%s", directory, target, name);
	file = fopen(path, "we");
	if (!file || fwrite(seed->bytes, 1, seed->length, file) != seed->length || fclose(file))
		abort();
}

/* ---- vici */

/* A number of the enum operation in fuzz_feed.c. */
static unsigned int operation_of(const char *event)
{
	static const char *const events[] = {
		"ike-updown", "child-updown", "child-rekey", "ike-rekey",
		"ike-update", "list-conn",    "list-sa",
	};
	unsigned int i;

	if (!strcmp(event, "alert"))
		return 16; /* SEND_ALERT */
	for (i = 0; i < ARRAY_SIZE(events) - 1; i++)
		if (!strcmp(events[i], event))
			break;
	return i;
}

static void write_packet(const char *name, const char *event, struct vici_span message)
{
	static uint8_t frame[SEED_MAX];
	static struct seed seed;

	seed.length = 0;
	vici_packet_write(frame, VICI_EVENT, event, message);
	add_byte(&seed, 7);
	add(&seed, frame, vici_packet_size(event, message.length));
	write_seed("fuzz_vici", name, &seed);
}

/* Each event is a seed of its own, as an event and in a list; the whole capture is another one. */
static void write_capture(const char *capture)
{
	static struct seed whole, one;
	struct vici_fixture fixture;
	struct vici_span message;
	unsigned int number = 0;
	char name[128];

	whole.length = 0;
	add_byte(&whole, 7);
	vici_fixture_open(&fixture, capture);
	while (vici_fixture_next(&fixture)) {
		message = vici_from_json(fixture.json);
		snprintf(name, sizeof(name), "%s-%u", capture, number++);
		write_packet(name, fixture.event, message);
		one.length = 0;
		add_byte(&one, 7);
		add_byte(&one, 7); /* SET_LISTED_SA */
		add_record(&one, message.at, message.length);
		add_byte(&one, operation_of(fixture.event));
		add_record(&one, message.at, message.length);
		add(&one, (const uint8_t[]){13, 14, 13}, 3); /* PASS_TIME, RESYNC, PASS_TIME */
		write_seed("fuzz_feed", name, &one);
		add_byte(&whole, operation_of(fixture.event));
		add_record(&whole, message.at, message.length);
		free((void *)message.at);
	}
	vici_fixture_close(&fixture);
	write_seed("fuzz_feed", capture, &whole);
}

/* In the answer to the first list-conns. */
static void write_listed_conn(const char *name, const char *json)
{
	static struct seed seed;
	struct vici_span message = vici_from_json(json);

	write_packet(name, "list-conn", message);
	seed.length = 0;
	add(&seed, (const uint8_t[]){7, 8}, 2); /* SET_LISTED_CONN */
	add_record(&seed, message.at, message.length);
	add(&seed, (const uint8_t[]){12, 0, 14, 13}, 4);
	write_seed("fuzz_feed", name, &seed);
	free((void *)message.at);
}

/* The events of the captures have no list-conn. */
static void write_configurations(void)
{
	static const char pinned[] =
		"{\"x509\":{\"local-1\":{\"class\":\"public key\",\"certs\":[\"CN=w\"]},"
		"\"remote-1\":{\"class\":\"public key\",\"certs\":[\"CN=c\"]}}}";
	static const char json[] =
		"{\"x509\":{\"version\":\"IKEv2\",\"local-1\":{\"class\":\"public key\"},"
		"\"remote-1\":{\"class\":\"public key\",\"id\":\"*.latch.test\",\"groups\":[]},"
		"\"children\":{\"trans\":{\"mode\":\"TRANSPORT\"}}},"
		"\"psk\":{\"remote-1\":{\"class\":\"pre-shared key\"},"
		"\"remote-2\":{\"class\":\"EAP\"}},\"x\":{\"remote-1\":{\"class\":\"XAuth\"}}}";

	write_listed_conn("list-conn", json);
	write_listed_conn("pinned", pinned);
}

static void write_feed_faults(void)
{
	static const uint8_t script[] = {
		7, 9, 14, 13, 9, 13, 12, 0, 13, 15, 1, 12, 1, 13, 10, 1, 0, 0, 11, 0, 0, 2, 0, 0,
	};
	static struct seed seed;

	seed.length = 0;
	add(&seed, script, sizeof(script));
	write_seed("fuzz_feed", "faults", &seed);
}

/* ---- the control socket */

static void write_control(void)
{
	static const char *const lines[] = {
		"status\n",	"list\n",     "sa\n",	   "monitor\n",	  "audit\n",
		"mode audit\n", "break 1f\n", "heal 22\n", "close 333\n", "other\n"};
	static struct seed all, seed;
	char name[16];
	unsigned int i;

	all.length = 0;
	for (i = 0; i < ARRAY_SIZE(lines); i++) {
		seed.length = 0;
		add_byte(&seed, i % 4 << 3);
		add_record(&seed, lines[i], 3);
		add_byte(&seed, i % 4 << 3);
		add_record(&seed, lines[i] + 3, strlen(lines[i] + 3));
		add(&seed, (const uint8_t[]){5, 9, 5, 255, 7, 6}, 6);
		add(&all, seed.bytes, seed.length);
		snprintf(name, sizeof(name), "line-%u", i);
		write_seed("fuzz_control", name, &seed);
	}
	write_seed("fuzz_control", "all", &all);
}

/* ---- netlink */

#define PARSERS 7 /* of one message, in fuzz_netlink.c; the whole requests follow */

static _Alignas(struct nlmsghdr) char message_buffer[8192];

static struct nlmsghdr *new_message(uint16_t type, void **payload, size_t size)
{
	struct nlmsghdr *message;

	memset(message_buffer, 0, sizeof(message_buffer));
	message = mnl_nlmsg_put_header(message_buffer);
	message->nlmsg_type = type;
	*payload = mnl_nlmsg_put_extra_header(message, size);
	return message;
}

static struct nlmsghdr *sa_message(void)
{
	char memory[sizeof(struct xfrm_algo_aead) + 20] = {0};
	struct xfrm_algo_aead *aead = (struct xfrm_algo_aead *)memory;
	struct xfrm_algo_auth mac = {.alg_name = "hmac(sha256)", .alg_trunc_len = 128};
	struct xfrm_replay_state_esn esn = {.bmp_len = 0, .replay_window = 32};
	struct xfrm_mark mark = {.v = 1, .m = 0xff};
	struct xfrm_usersa_info *info;
	struct nlmsghdr *message;
	void *payload;

	message = new_message(XFRM_MSG_NEWSA, &payload, sizeof(*info));
	info = payload;
	info->family = AF_INET;
	info->id.proto = IPPROTO_ESP;
	info->id.spi = htonl(0x1001);
	strcpy(aead->alg_name, "rfc4106(gcm(aes))");
	aead->alg_key_len = 160;
	aead->alg_icv_len = 128;
	mnl_attr_put(message, XFRMA_ALG_AEAD, sizeof(memory), memory);
	mnl_attr_put(message, XFRMA_ALG_AUTH_TRUNC, sizeof(mac), &mac);
	mnl_attr_put(message, XFRMA_REPLAY_ESN_VAL, sizeof(esn), &esn);
	mnl_attr_put(message, XFRMA_MARK, sizeof(mark), &mark);
	mnl_attr_put_u32(message, XFRMA_IF_ID, 7);
	return message;
}

static struct nlmsghdr *policy_message(void)
{
	struct xfrm_user_tmpl templates[2] = {
		{.id.proto = IPPROTO_ESP, .mode = XFRM_MODE_TUNNEL},
		{.id.proto = IPPROTO_AH, .optional = 1},
	};
	struct xfrm_userpolicy_type type = {.type = XFRM_POLICY_TYPE_MAIN};
	struct xfrm_userpolicy_info *info;
	struct nlmsghdr *message;
	void *payload;

	message = new_message(XFRM_MSG_NEWPOLICY, &payload, sizeof(*info));
	info = payload;
	info->sel.family = AF_INET;
	info->sel.prefixlen_s = info->sel.prefixlen_d = 32;
	info->dir = XFRM_POLICY_OUT;
	info->priority = 100;
	mnl_attr_put(message, XFRMA_TMPL, sizeof(templates), templates);
	mnl_attr_put(message, XFRMA_POLICY_TYPE, sizeof(type), &type);
	mnl_attr_put_u32(message, XFRMA_IF_ID, 7);
	return message;
}

/* An xfrm interface that is up. */
static struct nlmsghdr *device_message(void)
{
	struct nlattr *info, *data;
	struct nlmsghdr *message;
	struct ifinfomsg *link;
	void *payload;

	message = new_message(RTM_NEWLINK, &payload, sizeof(*link));
	link = payload;
	link->ifi_flags = IFF_UP;
	mnl_attr_put_strz(message, IFLA_IFNAME, "xfrm41");
	info = mnl_attr_nest_start(message, IFLA_LINKINFO);
	mnl_attr_put_strz(message, IFLA_INFO_KIND, "xfrm");
	data = mnl_attr_nest_start(message, IFLA_INFO_DATA);
	mnl_attr_put_u32(message, IFLA_XFRM_LINK, 2);
	mnl_attr_put_u32(message, IFLA_XFRM_IF_ID, 7);
	mnl_attr_nest_end(message, data);
	mnl_attr_nest_end(message, info);
	return message;
}

static struct nlmsghdr *default_message(void)
{
	struct xfrm_userpolicy_default *defaults;
	struct nlmsghdr *message;
	void *payload;

	message = new_message(XFRM_MSG_GETDEFAULT, &payload, sizeof(*defaults));
	defaults = payload;
	defaults->in = XFRM_USERPOLICY_BLOCK;
	return message;
}

/* A listener, or an association with the addresses of the paths in fuzz_netlink.c. */
static struct nlmsghdr *socket_message(uint8_t state)
{
	struct sockaddr_storage addresses[2] = {0};
	struct sockaddr_in *first = (struct sockaddr_in *)&addresses[0];
	struct inet_diag_msg *socket;
	struct nlmsghdr *message;
	void *payload;

	message = new_message(SOCK_DIAG_BY_FAMILY, &payload, sizeof(*socket));
	socket = payload;
	socket->idiag_family = AF_INET;
	socket->idiag_state = state;
	socket->id.idiag_sport = htons(7000);
	socket->id.idiag_dport = htons(state == TCP_LISTEN ? 0 : 7001);
	socket->id.idiag_src[0] = htonl(0x0a090001);
	socket->id.idiag_dst[0] = htonl(0x0a090002);
	first->sin_family = AF_INET;
	first->sin_addr.s_addr = htonl(0x0a090001);
	mnl_attr_put(message, INET_DIAG_LOCALS, sizeof(addresses), addresses);
	first->sin_addr.s_addr = htonl(0x0a090002);
	mnl_attr_put(message, INET_DIAG_PEERS, sizeof(addresses), addresses);
	return message;
}

static void write_message(unsigned int parser, const struct nlmsghdr *message)
{
	static struct seed seed;
	char name[32];

	seed.length = 0;
	add_byte(&seed, parser);
	add(&seed, mnl_nlmsg_get_payload(message), mnl_nlmsg_get_payload_len(message));
	snprintf(name, sizeof(name), "message-%u", parser);
	write_seed("fuzz_netlink", name, &seed);
}

static void add_end(struct seed *seed, uint16_t type, int32_t error)
{
	const struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} end = {{.nlmsg_len = sizeof(end), .nlmsg_type = type}, {.error = error}};

	add_record(seed, &end, sizeof(end));
}

/* Two datagrams: the messages, and the end of the answer. */
static void add_answer(struct seed *seed, const struct nlmsghdr *message)
{
	static struct seed datagram;

	datagram.length = 0;
	add(&datagram, message, message->nlmsg_len);
	add(&datagram, message, message->nlmsg_len);
	add_record(seed, datagram.bytes, datagram.length);
	add_end(seed, NLMSG_DONE, 0);
}

/* The lookup finds no socket, though the kernel has the module: a dump is searched. */
static void write_search(const char *name, unsigned int request, uint8_t state)
{
	static struct seed seed;

	seed.length = 0;
	add_byte(&seed, request);
	add_end(&seed, NLMSG_ERROR, -ENOENT);
	add_end(&seed, NLMSG_DONE, 0);
	add_answer(&seed, socket_message(state));
	add_end(&seed, NLMSG_ERROR, 0);
	write_seed("fuzz_netlink", name, &seed);
}

static void write_netlink(void)
{
	static struct seed seeds[5], choices;
	char name[32];
	unsigned int i;

	write_message(0, sa_message());
	write_message(1, policy_message());
	write_message(2, default_message());
	write_message(3, sa_message());
	write_message(4, socket_message(TCP_ESTABLISHED));
	write_message(5, policy_message());
	write_message(6, device_message());
	for (i = 0; i < ARRAY_SIZE(seeds); i++)
		add_byte(&seeds[i], PARSERS + i);
	add_answer(&seeds[0], sa_message());
	add_answer(&seeds[1], default_message());
	add_answer(&seeds[1], policy_message());
	add_answer(&seeds[2], socket_message(TCP_LISTEN));
	add_answer(&seeds[2], socket_message(TCP_LISTEN));
	add_answer(&seeds[3], socket_message(TCP_ESTABLISHED));
	add_answer(&seeds[4], socket_message(TCP_ESTABLISHED));
	add_answer(&seeds[4], socket_message(TCP_ESTABLISHED));
	for (i = 0; i < ARRAY_SIZE(seeds); i++) {
		snprintf(name, sizeof(name), "request-%u", i);
		write_seed("fuzz_netlink", name, &seeds[i]);
	}
	write_search("search", PARSERS + 3, TCP_ESTABLISHED);
	write_search("destroy", PARSERS + 5, TCP_SYN_SENT);
	add_byte(&choices, PARSERS + 6);
	add_answer(&choices, policy_message());
	add_answer(&choices, device_message());
	write_seed("fuzz_netlink", "choices", &choices);
}

/* ---- identities */

static void write_identities(void)
{
	static const uint8_t script[] = {
		1, 0,					       /* batches; no call fails */
		0, 1, 1,   'h', 1,   'x', 1,   'a', 1,	       /* identity 1 */
		0, 2, 1,   'h', 1,   'x', 1,   'b', 1,	       /* identity 2 */
		2, 1, 1,   2,	3,   'a', 'e', 's', 128, 0, 0, /* params 1 */
		4, 1, 1,				       /* an SA */
		5, 1, 1,   2,				       /* a latch */
		7,					       /* load */
		0, 1, 'h', 1,	'x', 1,	  'c', 1,	       /* intern an identity */
		3, 1, 3,   3,	'a', 'e', 's', 128, 0,	 0,    /* and params */
		6, 7, 0,   1,	'h', 1,	  'x', 1,   'd', 1,    /* no references; reset; intern */
	};
	static struct seed seed;

	add(&seed, script, sizeof(script));
	write_seed("fuzz_identities", "all", &seed);
	seed.bytes[0] = 2;
	write_seed("fuzz_identities", "small", &seed);
	seed.bytes[1] = 0x90;
	write_seed("fuzz_identities", "failure", &seed);
}

/* Every capture, so that none is forgotten. */
static void write_captures(void)
{
	char name[128];
	glob_t found;
	size_t i;

	if (glob("tests/unit/fixtures/vici/*.events", 0, NULL, &found))
		abort();
	for (i = 0; i < found.gl_pathc; i++) {
		snprintf(name, sizeof(name), "%s", strrchr(found.gl_pathv[i], '/') + 1);
		*strstr(name, ".events") = '\0';
		write_capture(name);
	}
	globfree(&found);
}

int main(int count, char **arguments)
{
	if (count != 2) {
		fprintf(stderr, "usage: seeds DIRECTORY\n");
		return 2;
	}
	directory = arguments[1];
	write_captures();
	write_configurations();
	write_feed_faults();
	write_control();
	write_netlink();
	write_identities();
	return 0;
}
