/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the ends of a connection were authenticated, by which keys, and the octets that bind an
 * application to both keys.
 */
#include "api_fixture.h"
#include "udp.h"

TestSuite(api_party, .init = api_set_up, .fini = gate_tear_down, .timeout = 60);

struct key {
	uint8_t bytes[LATCH_KEY_SIZE];
};

/* As numbers of eight bytes in this host's order a is above b; as bytes it is below. */
static const struct key a = {{0x01, [7] = 0xff, [31] = 0xa}}, b = {{0x02, [31] = 0xb}},
			w = {{0x02, [16] = 1, [31] = 0x77}};

static void put_key(const struct peer *peer, enum latch_auth auth, const struct key *key)
{
	struct latch_identity identity;

	cr_assert_eq(bpf_map_lookup_elem(maps.identities, &peer->identity, &identity), 0);
	identity.auth = auth;
	identity.key_kind = key ? LATCH_KEY_SPKI : LATCH_KEY_UNKNOWN;
	memset(identity.key, 0, sizeof(identity.key));
	if (key)
		memcpy(identity.key, key->bytes, sizeof(identity.key));
	cr_assert_eq(bpf_map_update_elem(maps.identities, &peer->identity, &identity, BPF_ANY), 0);
}

static void put_own_key(const struct peer *peer, const struct key *key)
{
	uint32_t params = peer->params;

	cr_assert_eq(bpf_map_update_elem(maps.own_keys, &params, key, BPF_ANY), 0);
}

static struct latch_party ask_party(int fd, int option)
{
	struct latch_party party;
	socklen_t length = sizeof(party);
	int err;

	memset(&party, 0xa5, sizeof(party));
	err = get(fd, option, &party, &length);
	cr_assert_eq(err, 0, "option %d: %s", option, strerror(-err));
	cr_assert_eq(length, sizeof(party));
	cr_assert_eq(party.size, sizeof(party));
	return party;
}

#define expect_key(party, kind, expected)                                                          \
	do {                                                                                       \
		cr_expect_eq((party).key_kind, kind);                                              \
		cr_expect_eq(memcmp((party).key, (expected)->bytes, LATCH_KEY_SIZE), 0);           \
	} while (0)

#define expect_no_party(fd, error)                                                                 \
	do {                                                                                       \
		struct latch_party party_;                                                         \
		socklen_t length_ = sizeof(party_);                                                \
                                                                                                   \
		cr_expect_eq(get(fd, LATCH_OPT_PEER, &party_, &length_), error);                   \
		cr_expect_eq(get(fd, LATCH_OPT_LOCAL, &party_, &length_), error);                  \
	} while (0)

static int ask_binding(int fd, struct latch_binding *ret)
{
	socklen_t length = sizeof(*ret);
	int err = get(fd, LATCH_OPT_BINDING, ret, &length);

	if (!err)
		cr_assert_eq(length, sizeof(*ret));
	return err;
}

#define expect_no_binding(fd, error)                                                               \
	do {                                                                                       \
		struct latch_binding binding_;                                                     \
                                                                                                   \
		cr_expect_eq(ask_binding(fd, &binding_), error);                                   \
	} while (0)

static const struct key zero = {{0}};

/* ---- the parties */

Test(api_party, R_2_7_each_socket_tells_the_class_and_the_key_of_its_own_peer)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_party party;

	put_key(&c, LATCH_AUTH_PUBKEY, &a);
	put_key(&d, LATCH_AUTH_PSK, NULL);
	put_own_key(&c, &w);
	latch_socket(pair.client, &c);
	latch_socket(pair.server, &d);
	party = ask_party(pair.client, LATCH_OPT_PEER);
	cr_expect_str_eq(party.id, c.id);
	cr_expect_str_eq(party.connection, c.connection);
	cr_expect_eq(party.number, c.identity);
	cr_expect_eq(party.auth_class, LATCH_CLASS_PUBLIC_KEY);
	expect_key(party, LATCH_APP_KEY_SPKI, &a);
	party = ask_party(pair.client, LATCH_OPT_LOCAL);
	cr_expect_str_eq(party.id, c.local_id);
	cr_expect_str_eq(party.connection, "");
	cr_expect_eq(party.number, c.local);
	cr_expect_eq(party.auth_class, LATCH_CLASS_ANY);
	expect_key(party, LATCH_APP_KEY_SPKI, &w);
	party = ask_party(pair.server, LATCH_OPT_PEER);
	cr_expect_str_eq(party.id, d.id);
	cr_expect_eq(party.auth_class, LATCH_CLASS_PSK);
	expect_key(party, LATCH_APP_KEY_UNKNOWN, &zero);
	party = ask_party(pair.server, LATCH_OPT_LOCAL);
	cr_expect_str_eq(party.id, d.local_id);
	expect_key(party, LATCH_APP_KEY_UNKNOWN, &zero);
	close_pair(&pair);
}

Test(api_party, R_2_7_each_class_of_authentication_has_its_number)
{
	static const struct {
		enum latch_auth auth;
		enum latch_app_class auth_class;
	} classes[] = {
		{LATCH_AUTH_UNKNOWN, LATCH_CLASS_ANY}, {LATCH_AUTH_PUBKEY, LATCH_CLASS_PUBLIC_KEY},
		{LATCH_AUTH_PSK, LATCH_CLASS_PSK},     {LATCH_AUTH_EAP, LATCH_CLASS_EAP},
		{LATCH_AUTH_XAUTH, LATCH_CLASS_ANY},   {LATCH_AUTH_NULL, LATCH_CLASS_ANY}};
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	size_t i;

	latch_socket(pair.client, &c);
	for (i = 0; i < sizeof(classes) / sizeof(classes[0]); i++) {
		put_key(&c, classes[i].auth, NULL);
		cr_expect_eq(ask_party(pair.client, LATCH_OPT_PEER).auth_class,
			     classes[i].auth_class, "%d", classes[i].auth);
	}
	close_pair(&pair);
}

Test(api_party, a_longest_identity_goes_out_whole)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	char id[LATCH_TEXT_MAX] = "";

	memset(id, 'x', sizeof(id) - 1);
	latch_socket(pair.client, &c);
	put_identity(c.identity, id, c.connection);
	cr_expect_str_eq(ask_party(pair.client, LATCH_OPT_PEER).id, id);
	close_pair(&pair);
}

Test(api_party, a_datagram_socket_tells_its_peer_too)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	struct latch_flow flow = flow_of(pair.client);

	flow.protocol = IPPROTO_UDP;
	put_key(&d, LATCH_AUTH_PUBKEY, &b);
	latch_socket_as(pair.client, &d, flow);
	expect_key(ask_party(pair.client, LATCH_OPT_PEER), LATCH_APP_KEY_SPKI, &b);
	udp_close(&pair);
}

Test(api_party, a_buffer_that_is_too_small_gets_nothing)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	uint8_t buffer[sizeof(struct latch_party)];
	socklen_t length;

	put_key(&c, LATCH_AUTH_PUBKEY, &a);
	put_own_key(&c, &w);
	latch_socket(pair.client, &c);
	memset(buffer, 0xa5, sizeof(buffer));
	length = sizeof(struct latch_party) - 1;
	cr_expect_eq(get(pair.client, LATCH_OPT_PEER, buffer, &length), -EINVAL);
	cr_expect_eq(get(pair.client, LATCH_OPT_LOCAL, buffer, &length), -EINVAL);
	length = sizeof(struct latch_binding) - 1;
	cr_expect_eq(get(pair.client, LATCH_OPT_BINDING, buffer, &length), -ERANGE);
	cr_expect_eq(buffer[0], 0xa5);
	close_pair(&pair);
}

/* ---- the binding */

/* The octets of RFC 5056's end-point type, written down by hand. */
static void expect_octets(const struct latch_binding *binding, const struct key *lower,
			  const struct key *higher)
{
	uint8_t expected[80] = "latch-end-point:";

	memcpy(expected + 16, lower->bytes, LATCH_KEY_SIZE);
	memcpy(expected + 48, higher->bytes, LATCH_KEY_SIZE);
	cr_expect_eq(memcmp(binding, expected, sizeof(expected)), 0);
}

/* c is the peer of the client, whose own key is d's: the server has them the other way round. */
static struct pair bound_pair(const struct key *of_client, const struct key *of_server)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	put_key(&c, LATCH_AUTH_PUBKEY, of_server);
	put_own_key(&c, of_client);
	put_key(&d, LATCH_AUTH_PUBKEY, of_client);
	put_own_key(&d, of_server);
	latch_socket(pair.client, &c);
	latch_socket(pair.server, &d);
	return pair;
}

Test(api_party, R_2_7_the_binding_is_equal_at_both_ends_and_differs_with_another_key)
{
	static const struct {
		const struct key *client, *server, *lower, *higher;
	} pairs[] = {{&a, &b, &a, &b}, {&b, &a, &a, &b}, {&w, &b, &b, &w}, {&a, &w, &a, &w}};
	struct latch_binding one, other;
	size_t i;

	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		struct pair pair = bound_pair(pairs[i].client, pairs[i].server);

		cr_assert_eq(ask_binding(pair.client, &one), 0);
		cr_assert_eq(ask_binding(pair.server, &other), 0);
		cr_expect_eq(memcmp(&one, &other, sizeof(one)), 0);
		expect_octets(&one, pairs[i].lower, pairs[i].higher);
		close_pair(&pair);
	}
}

Test(api_party, without_a_key_of_either_end_there_is_no_binding)
{
	struct pair pair = bound_pair(&a, &b);
	uint32_t params = c.params;

	put_key(&d, LATCH_AUTH_PUBKEY, NULL);
	expect_no_binding(pair.server, -ENODATA);
	cr_assert_eq(bpf_map_delete_elem(maps.own_keys, &params), 0);
	expect_no_binding(pair.client, -ENODATA);
	close_pair(&pair);
}

Test(api_party, only_an_established_connection_has_a_binding)
{
	struct pair pair = bound_pair(&a, &b), clear = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.client);
	struct latch latch = latch_of(&flow);

	expect_no_binding(clear.client, -ENODATA);
	expect_no_party(clear.client, -ENODATA);
	latch.word.state = LATCH_STATE_LARVAL;
	store_latch(&flow, &latch);
	expect_no_binding(pair.client, -ENODATA);
	expect_no_party(pair.client, -ENODATA);
	latch.word.state = LATCH_STATE_ESTABLISHED;
	latch.unproven = LATCH_UNPROVEN_EARLIER;
	store_latch(&flow, &latch);
	expect_no_binding(pair.client, -ENODATA);
	expect_no_party(pair.client, -ENODATA);
	latch.unproven = 0;
	store_latch(&flow, &latch);
	break_latch(&flow, LATCH_REASON_ADMIN);
	expect_no_binding(pair.client, -ENODATA);
	expect_key(ask_party(pair.client, LATCH_OPT_PEER), LATCH_APP_KEY_SPKI, &b);
	change_settings(true, 1, 0);
	expect_no_binding(pair.server, -ENODATA);
	expect_no_party(pair.server, -ENODATA);
	close_pair(&pair);
	close_pair(&clear);
}

/* ---- the past */

Test(api_party, after_the_end_the_socket_tells_the_key_that_the_peer_had)
{
	struct pair pair = bound_pair(&a, &b);
	struct latch_party party;
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	cr_assert_eq(connect(pair.client, &none, sizeof(none)), 0);
	put_key(&c, LATCH_AUTH_PSK, &w);
	put_identity(c.identity, "mallory.example", "to-mallory");
	put_own_key(&c, &w);
	party = ask_party(pair.client, LATCH_OPT_PEER);
	cr_expect_str_eq(party.id, c.id);
	cr_expect_str_eq(party.connection, c.connection);
	cr_expect_eq(party.number, 0);
	cr_expect_eq(party.auth_class, LATCH_CLASS_PUBLIC_KEY);
	expect_key(party, LATCH_APP_KEY_SPKI, &b);
	party = ask_party(pair.client, LATCH_OPT_LOCAL);
	cr_expect_str_eq(party.id, c.local_id);
	expect_key(party, LATCH_APP_KEY_SPKI, &a);
	expect_no_binding(pair.client, -ENODATA);
	close_pair(&pair);
}
