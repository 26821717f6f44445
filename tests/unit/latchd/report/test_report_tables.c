/* SPDX-License-Identifier: BSD-2-Clause */
/* The documents list and sa: exactly these keys, exactly these values. */
#include "report_fixture.h"

TestSuite(report_tables, .init = report_start, .fini = report_finish, .timeout = 60);

/* ---- list */

#define LATCH_KEYS                                                                                 \
	"id state direction netns proto local remote netns_name peer local_id connection tags "    \
	"params "                                                                                  \
	"sa reasons audited rule "                                                                 \
	"disposition created since drops listener listens answer"
#define QOP_KEYS "encr encr_bits integ integ_bits icv_bits esn replay_protection"

Test(report_tables, list_has_every_value_of_an_established_latch)
{
	struct latch latch = latch_of(LATCH_STATE_ESTABLISHED, params_c, 0);
	struct latch_flow flow = w_to_c();

	put_latch(&flow, &latch);
	report_whole_list();
	parse();
	expect_keys("", "schema sets latches");
	expect_json("sets", "[]");
	expect_json("schema", "1");
	expect_keys("latches.0", LATCH_KEYS);
	expect_json("latches.0.id", "\"1f3\"");
	expect_json("latches.0.state", "\"established\"");
	expect_json("latches.0.direction", "\"out\"");
	expect_json("latches.0.netns", "4026531840");
	expect_json("latches.0.proto", "\"tcp\"");
	expect_json("latches.0.local", "{\"addr\":\"10.9.0.1\",\"port\":7000}");
	expect_json("latches.0.remote", "{\"addr\":\"10.9.0.2\",\"port\":51514}");
	expect_json("latches.0.peer", "{\"id\":\"c.example\",\"auth\":\"pubkey\"}");
	expect_json("latches.0.local_id", "\"w.example\"");
	expect_json("latches.0.connection", "\"x509\"");
	expect_json("latches.0.tags", "[]");
	expect_json("latches.0.params",
		    "{\"ipsec\":\"esp\",\"mode\":\"transport\",\"encr\":\"rfc4106(gcm(aes))\","
		    "\"encr_bits\":288,\"integ\":null,\"integ_bits\":0,\"icv_bits\":128,"
		    "\"esn\":false,\"replay_protection\":true}");
	expect_json("latches.0.sa", "{\"out\":\"0xc1a2f09e\",\"in\":null}");
	expect_json("latches.0.reasons", "[]");
	expect_json("latches.0.rule", "null");
	expect_json("latches.0.disposition", "\"reset\"");
	expect_now("latches.0.created");
	expect_now("latches.0.since");
	expect_json("latches.0.drops", "17");
	expect_json("latches.0.listener", "null");
	expect_json("latches.0.listens", "null");
}

Test(report_tables, R_2_7_a_peer_with_a_pinned_key_has_it_in_list)
{
	struct latch latch = latch_of(LATCH_STATE_ESTABLISHED, params_c, 0);
	struct latch_params params = *identities_get_params(identities, params_c);
	struct latch_identity identity = *identities_get(identities, params.peer_id);
	struct latch_flow flow = w_to_c();
	uint16_t index = 0;

	identity.key_kind = LATCH_KEY_SPKI;
	identity.key[0] = 0xc9;
	identity.key[LATCH_KEY_SIZE - 1] = 1;
	cr_assert_eq(identities_intern(identities, &identity, &params.peer_id), 0);
	cr_assert_eq(identities_intern_params(identities, &params, &index), 0);
	latch.word.params = index;
	put_latch(&flow, &latch);
	report_whole_list();
	parse();
	expect_json("latches.0.peer.key",
		    "\"c90000000000000000000000000000000000000000000000000000000"
		    "0000001\"");
}

Test(report_tables, list_names_the_rule_of_a_latch_while_its_rule_set_is_in_force)
{
	static const struct config_rule rules[] = {{.name = "first"}, {.name = "second"}};
	struct latch latch = latch_of(LATCH_STATE_ESTABLISHED, params_c, 0);
	struct latch_flow flow = w_to_c();

	source.rules = rules;
	source.rule_count = 2;
	source.rule_set = 9;
	latch.rule = 1;
	latch.rule_set = 9;
	latch.disposition = LATCH_DISPOSITION_UNREACHABLE;
	put_latch(&flow, &latch);
	report_whole_list();
	parse();
	expect_json("latches.0.rule", "\"second\"");
	expect_json("latches.0.disposition", "\"unreachable\"");
}

Test(report_tables, list_names_no_rule_of_another_rule_set_with_the_same_index)
{
	static const struct config_rule rules[] = {{.name = "first"}, {.name = "second"}};
	struct latch latch = latch_of(LATCH_STATE_ESTABLISHED, params_c, 0);
	struct latch_flow flow = w_to_c();

	source.rules = rules;
	source.rule_count = 2;
	source.rule_set = 10;
	latch.rule = 1;
	latch.rule_set = 9;
	put_latch(&flow, &latch);
	report_whole_list();
	parse();
	expect_json("latches.0.rule", "null");
	expect_json("latches.0.disposition", "\"reset\"");
}

Test(report_tables, list_shows_a_broken_latch_over_ipv6_with_all_its_reasons)
{
	struct latch latch = latch_of(LATCH_STATE_BROKEN, params_weak, LATCH_REASONS_ALL);
	struct latch_flow flow = flow_of(AF_INET6, "fd00::1", "::ffff:10.9.0.2");

	latch.direction = LATCH_DIRECTION_IN;
	latch.spi_in = 0x1f;
	put_latch(&flow, &latch);
	report_whole_list();
	parse();
	expect_json("latches.0.state", "\"broken\"");
	expect_json("latches.0.direction", "\"in\"");
	expect_json("latches.0.local", "{\"addr\":\"fd00::1\",\"port\":7000}");
	expect_json("latches.0.remote.addr", "\"::ffff:10.9.0.2\"");
	expect_json("latches.0.params.mode", "\"tunnel\"");
	expect_json("latches.0.params.integ", "\"hmac(sha1)\"");
	expect_json("latches.0.params.esn", "true");
	expect_json("latches.0.sa.in", "\"0x0000001f\"");
	expect_json("latches.0.reasons", "[\"sa-conflict\",\"spd-change\",\"peer-dead\","
					 "\"peer-rebooted\",\"admin\",\"refused\"]");
}

/* The params of a LISTENER are its number of sockets, not the index of a peer. */
Test(report_tables, list_shows_a_listener_with_its_sockets_and_without_a_peer)
{
	struct latch latch = latch_of(LATCH_STATE_LISTENER, params_c, 0);
	struct latch_flow flow = w_to_c();
	char expected[64];

	memset(flow.remote_addr, 0, sizeof(flow.remote_addr));
	flow.remote_port = 0;
	latch.spawned = 12;
	latch.refused = 3;
	put_latch(&flow, &latch);
	report_whole_list();
	parse();
	expect_keys("latches.0", LATCH_KEYS);
	expect_json("latches.0.state", "\"listener\"");
	expect_json("latches.0.local", "{\"addr\":\"10.9.0.1\",\"port\":7000}");
	expect_json("latches.0.remote", "null");
	expect_json("latches.0.peer", "null");
	expect_json("latches.0.local_id", "null");
	expect_json("latches.0.params", "null");
	expect_json("latches.0.listener", "null");
	snprintf(expected, sizeof(expected), "{\"sockets\":%u,\"spawned\":12,\"refused\":3}",
		 params_c);
	expect_json("latches.0.listens", expected);
}

Test(report_tables, list_without_latches_is_an_empty_array)
{
	report_whole_list();
	parse();
	expect_json("", "{\"schema\":1,\"sets\":[],\"latches\":[]}");
}

Test(report_tables, unknown_values_are_null)
{
	struct latch latch = latch_of(LATCH_STATE_LARVAL, 60000, 0);
	struct latch_flow flow = w_to_c();

	latch.direction = LATCH_DIRECTION_NONE;
	latch.changed = 0;
	latch.spi_out = 0;
	flow.family = 99;
	flow.protocol = 99;
	put_latch(&flow, &latch);
	report_whole_list();
	parse();
	expect_keys("latches.0", LATCH_KEYS);
	expect_json("latches.0.peer", "null");
	expect_json("latches.0.local_id", "null");
	expect_json("latches.0.params", "null");
	expect_json("latches.0.direction", "null");
	expect_json("latches.0.since", "null");
	expect_json("latches.0.local.addr", "null");
	expect_json("latches.0.proto", "\"unknown\"");
	expect_json("latches.0.sa", "{\"out\":null,\"in\":null}");
}

Test(report_tables, list_has_every_latch_of_a_full_map)
{
	struct latch latch = latch_of(LATCH_STATE_ESTABLISHED, params_hostile, 0);
	struct latch_flow flow = w_to_c();
	int i;

	for (i = 0; i < FAKE_LATCHES_MAX; i++) {
		flow.local_port = (__u16)i;
		put_latch(&flow, &latch);
	}
	report_whole_list();
	parse();
	cr_expect_eq(json_object_array_length(at(document, "latches")), FAKE_LATCHES_MAX);
	expect_keys("latches.255", LATCH_KEYS);
	expect_hostile("latches.255.peer.id");
}

Test(report_tables, an_unreadable_table_fails_the_document)
{
	int right = maps.latches;

	maps.latches = -1;
	report_whole_list();
	cr_expect_lt(json_finish(&w), 0);
	maps.latches = right;
}

/* ---- sa */

#define SA_KEYS                                                                                    \
	"spi src dst proto netns netns_name state peer refused reqid mode " QOP_KEYS               \
	" encap contested contested_by ambiguous unproven since"

Test(report_tables, sa_has_every_value_of_a_bound_sa)
{
	struct latch_sa sa = sa_of(LATCH_SA_BOUND, params_d, LATCH_SA_CONTESTED);
	struct latch_sa_key key = sa_key();

	put_sa(&key, &sa);
	report_whole_sa();
	parse();
	expect_keys("", "schema sas");
	expect_json("schema", "1");
	expect_keys("sas.0", SA_KEYS);
	expect_json("sas.0.spi", "\"0x0000a1b2\"");
	expect_json("sas.0.src", "\"10.9.0.1\"");
	expect_json("sas.0.dst", "\"10.9.0.2\"");
	expect_json("sas.0.proto", "\"esp\"");
	expect_json("sas.0.netns", "4026531840");
	expect_json("sas.0.state", "\"bound\"");
	expect_json("sas.0.peer", "{\"id\":\"d.example\",\"auth\":\"psk\"}");
	expect_json("sas.0.reqid", "4");
	expect_json("sas.0.mode", "\"tunnel\"");
	expect_json("sas.0.encr", "\"cbc(aes)\"");
	expect_json("sas.0.encr_bits", "128");
	expect_json("sas.0.integ", "\"hmac(sha1)\"");
	expect_json("sas.0.integ_bits", "160");
	expect_json("sas.0.esn", "true");
	expect_json("sas.0.replay_protection", "false");
	expect_json("sas.0.encap", "true");
	expect_json("sas.0.contested", "true");
	expect_json("sas.0.ambiguous", "false");
	expect_json("sas.0.unproven", "false");
	expect_now("sas.0.since");
}

static bool rival_of(const void *context, const struct latch_sa_key *key, struct news_rival *ret)
{
	(void)context;
	*ret = (struct news_rival){params_d, params_d, 0xc1a4bd09, "10.8.0.1", "10.2.0.0/16"};
	return key->spi == sa_key().spi;
}

Test(report_tables, sa_shows_which_sa_of_which_peer_contests_it)
{
	struct latch_sa contested = sa_of(LATCH_SA_BOUND, params_d, LATCH_SA_CONTESTED);
	struct latch_sa bound = sa_of(LATCH_SA_BOUND, params_d, 0);
	struct latch_sa_key key = sa_key();

	source.rival = rival_of;
	put_sa(&key, &contested);
	report_whole_sa();
	parse();
	expect_json("sas.0.contested_by",
		    "{\"spi\":\"0xc1a4bd09\",\"peer\":{\"id\":\"d.example\",\"auth\":\"psk\"},"
		    "\"local\":\"10.8.0.1\",\"remote\":\"10.2.0.0/16\"}");
	put_sa(&key, &bound);
	report_whole_sa();
	parse();
	expect_json("sas.0.contested_by", "null");
}

static const char *refused_for(const void *context, const struct latch_sa_key *key)
{
	return key->spi == sa_key().spi ? context : NULL;
}

Test(report_tables, sa_shows_why_a_pending_sa_has_no_peer)
{
	struct latch_sa pending = sa_of(LATCH_SA_PENDING, 0, 0);
	struct latch_sa bound = sa_of(LATCH_SA_BOUND, params_d, 0);
	struct latch_sa_key key = sa_key();

	source.refusal = refused_for;
	source.refusal_context = "configure it";
	put_sa(&key, &pending);
	report_whole_sa();
	parse();
	expect_json("sas.0.refused", "\"configure it\"");
	put_sa(&key, &bound);
	report_whole_sa();
	parse();
	expect_json("sas.0.refused", "null");
}

Test(report_tables, sa_shows_a_pending_ah_sa_over_ipv6_without_a_peer)
{
	struct latch_sa sa = sa_of(LATCH_SA_PENDING, 0, LATCH_SA_AMBIGUOUS);
	struct latch_sa_key key = sa_key();

	key.family = AF_INET6;
	key.protocol = IPPROTO_AH;
	cr_assert_eq(inet_pton(AF_INET6, "fd00::2", key.daddr), 1);
	cr_assert_eq(inet_pton(AF_INET6, "fd00::1", sa.saddr), 1);
	sa.installed = 0;
	memset(&sa.qop, 0, sizeof(sa.qop));
	put_sa(&key, &sa);
	report_whole_sa();
	parse();
	expect_keys("sas.0", SA_KEYS);
	expect_json("sas.0.src", "\"fd00::1\"");
	expect_json("sas.0.dst", "\"fd00::2\"");
	expect_json("sas.0.proto", "\"ah\"");
	expect_json("sas.0.state", "\"pending\"");
	expect_json("sas.0.peer", "null");
	expect_json("sas.0.encr", "null");
	expect_json("sas.0.contested", "false");
	expect_json("sas.0.ambiguous", "true");
	expect_json("sas.0.since", "null");
}

Test(report_tables, sa_shows_that_the_peer_of_a_pending_sa_is_decided_to_be_unproven)
{
	struct latch_sa sa = sa_of(LATCH_SA_PENDING, 0, LATCH_SA_UNPROVEN);
	struct latch_sa_key key = sa_key();

	put_sa(&key, &sa);
	report_whole_sa();
	parse();
	expect_json("sas.0.state", "\"pending\"");
	expect_json("sas.0.unproven", "true");
	expect_json("sas.0.ambiguous", "false");
}

/* As the gates: they wait for the owner of the other SA. */
Test(report_tables, sa_shows_no_decision_for_an_entry_of_two_sas)
{
	struct latch_sa sa = sa_of(LATCH_SA_PENDING, 0, LATCH_SA_UNPROVEN | LATCH_SA_AMBIGUOUS);
	struct latch_sa_key key = sa_key();

	put_sa(&key, &sa);
	report_whole_sa();
	parse();
	expect_json("sas.0.unproven", "false");
	expect_json("sas.0.ambiguous", "true");
}

Test(report_tables, a_long_list_is_written_in_parts_and_misses_no_latch)
{
	struct latch latch = latch_of(LATCH_STATE_ESTABLISHED, params_c, 0);
	struct latch_flow flow = w_to_c();
	struct map_cursor cursor = {0};
	unsigned int i, parts = 1;
	size_t longest = 0, before = 0;

	for (i = 0; i < FAKE_LATCHES_MAX; i++) {
		flow.local_port = (uint16_t)i;
		put_latch(&flow, &latch);
	}
	for (; !report_list(&w, &source, &cursor); parts++, before = w.length)
		longest = w.length - before > longest ? w.length - before : longest;
	cr_expect_geq(parts, 2);
	cr_expect_lt(longest, FAKE_LATCHES_MAX * sizeof(struct latch) * 6, "not the whole");
	parse();
	cr_expect_eq(json_object_array_length(at(document, "latches")), FAKE_LATCHES_MAX);
}

/* ---- audit */

static void set_mode(uint32_t mode)
{
	struct latch_settings settings = {.mode = mode, .mode_since = clock_boot_ns()};
	__u32 key = 0;

	cr_assert_eq(bpf_map_update_elem(maps.settings, &key, &settings, BPF_ANY), 0);
}

/* ---- what the socket of a latch answers */

#define PEER_C                                                                                           \
	"\"peer\":{\"id\":\"c.example\",\"auth\":\"pubkey\"},\"local_id\":\"w.example\",\"connection\":" \
	"\"x509\",\"tags\":[]}"
#define NO_PEER "\"peer\":null,\"local_id\":null,\"connection\":null,\"tags\":[]}"

static void expect_answer(const struct latch_flow *flow, const struct latch *latch,
			  const char *answer)
{
	put_latch(flow, latch);
	report_whole_list();
	parse();
	expect_json("latches.0.answer", answer);
	expect_json("latches.0.peer.id", "\"c.example\"");
}

/* c is of the sets web and roads; the configuration has another one between them. */
static struct config three_sets(void)
{
	static struct config config = {
		.peer_count = 3,
		.peers = {{.name = "web", .class = LATCH_CLASS_PUBLIC_KEY, .has_terms = true},
			  {.name = "db", .class = LATCH_CLASS_PUBLIC_KEY, .has_terms = true},
			  {.name = "roads", .class = LATCH_CLASS_PSK, .connection = "x509"}},
		.peer_term_count = 2,
		.peer_terms = {{.peer = 0, .text = 0}, {.peer = 1, .text = 10}},
		.peer_texts = "c.example\0d.example",
	};

	return config;
}

static struct config sets;

Test(report_tables, list_has_the_tags_of_the_peer)
{
	struct latch latch = latch_of(LATCH_STATE_ESTABLISHED, params_c, 0);
	struct latch_flow flow = w_to_c();

	sets = three_sets();
	identities_use_sets(identities, &sets);
	latch.owner = LATCH_OWNER_SOCKET;
	put_latch(&flow, &latch);
	report_whole_list();
	parse();
	expect_json("latches.0.tags", "[\"web\",\"roads\"]");
	expect_json("latches.0.answer.tags", "[\"web\",\"roads\"]");
	expect_json("sets", "[\"web\",\"db\",\"roads\"]");
}

/* A LISTENER has a number of sockets in place of params. */
Test(report_tables, what_has_no_proven_peer_has_no_tags)
{
	struct latch latch = latch_of(LATCH_STATE_LISTENER, params_c, 0);
	struct latch_flow flow = w_to_c();

	sets = three_sets();
	identities_use_sets(identities, &sets);
	put_latch(&flow, &latch);
	report_whole_list();
	parse();
	expect_json("latches.0.tags", "[]");
	expect_json("latches.0.answer.tags", "[]");
}

static struct latch owned_latch(enum latch_state state, uint8_t reasons)
{
	struct latch latch = latch_of(state, params_c, reasons);

	latch.owner = LATCH_OWNER_SOCKET;
	return latch;
}

Test(report_tables, the_answer_of_a_latch_that_proves_its_peer_names_it)
{
	struct latch latch = owned_latch(LATCH_STATE_ESTABLISHED, 0);
	struct latch_flow flow = w_to_c();

	expect_answer(&flow, &latch, "{\"state\":\"established\",\"why\":\"none\"," PEER_C);
	latch = owned_latch(LATCH_STATE_BROKEN, LATCH_REASON_SPD_CHANGE);
	expect_answer(&flow, &latch, "{\"state\":\"broken\",\"why\":\"spd-change\"," PEER_C);
}

Test(report_tables, the_answer_of_a_latch_without_proof_names_no_peer)
{
	struct latch latch = owned_latch(LATCH_STATE_LARVAL, 0);
	struct latch_flow flow = w_to_c();

	expect_answer(&flow, &latch, "{\"state\":\"larval\",\"why\":\"unattributed\"," NO_PEER);
	latch = owned_latch(LATCH_STATE_ESTABLISHED, 0);
	latch.unproven = LATCH_UNPROVEN_EARLIER;
	expect_answer(&flow, &latch, "{\"state\":\"unproven\",\"why\":\"earlier-data\"," NO_PEER);
	latch.unproven = LATCH_UNPROVEN_AUDITED;
	expect_answer(&flow, &latch, "{\"state\":\"audited\",\"why\":\"audit\"," NO_PEER);
}

Test(report_tables, the_answer_of_a_latch_that_has_no_socket_names_no_peer)
{
	struct latch latch = owned_latch(LATCH_STATE_ESTABLISHED, 0);
	struct latch_flow flow = w_to_c();

	latch.owner = LATCH_OWNER_TIME_WAIT;
	expect_answer(&flow, &latch, "{\"state\":\"closed\",\"why\":\"ended\"," NO_PEER);
	latch.owner = LATCH_OWNER_HANDSHAKE;
	expect_answer(&flow, &latch, "{\"state\":\"not-latched\",\"why\":\"not-yet\"," NO_PEER);
}

Test(report_tables, the_answer_of_a_latch_that_breaks_in_time_wait_tells_why_and_names_no_peer)
{
	struct latch latch = owned_latch(LATCH_STATE_BROKEN, LATCH_REASON_SA_CONFLICT);
	struct latch_flow flow = w_to_c();

	latch.owner = LATCH_OWNER_TIME_WAIT;
	latch.created = clock_boot_ns();
	expect_answer(&flow, &latch, "{\"state\":\"broken\",\"why\":\"sa-conflict\"," NO_PEER);
}

Test(report_tables, audit_mode_names_no_peer_in_answers_now_or_later)
{
	struct latch latch = owned_latch(LATCH_STATE_ESTABLISHED, 0);
	struct latch_flow flow = w_to_c();

	set_mode(3);
	expect_answer(&flow, &latch, "{\"state\":\"audited\",\"why\":\"audit\"," NO_PEER);
	set_mode(4);
	expect_answer(&flow, &latch, "{\"state\":\"audited\",\"why\":\"audit\"," NO_PEER);
	latch.word.state = LATCH_STATE_BROKEN;
	latch.word.reasons = LATCH_REASON_ADMIN;
	expect_answer(&flow, &latch, "{\"state\":\"broken\",\"why\":\"admin\"," NO_PEER);
	latch.created = clock_boot_ns();
	expect_answer(&flow, &latch, "{\"state\":\"broken\",\"why\":\"admin\"," PEER_C);
	latch.unproven = LATCH_UNPROVEN_EARLIER;
	expect_answer(&flow, &latch, "{\"state\":\"broken\",\"why\":\"admin\"," NO_PEER);
}

Test(report_tables, sockets_of_other_protocols_have_no_answer)
{
	struct latch latch = owned_latch(LATCH_STATE_ESTABLISHED, 0);
	struct latch_flow flow = w_to_c();

	flow.protocol = IPPROTO_SCTP;
	expect_answer(&flow, &latch, "null");
}

/* ---- audit mode */

Test(report_tables, list_shows_which_broken_latches_pass_in_audit_mode)
{
	struct latch latch = latch_of(LATCH_STATE_BROKEN, params_c, LATCH_REASON_SA_CONFLICT);
	struct latch_flow flow = w_to_c();

	latch.decided = 3;
	put_latch(&flow, &latch);
	set_mode(3);
	report_whole_list();
	parse();
	expect_json("latches.0.audited", "true");
	set_mode(5);
	report_whole_list();
	parse();
	expect_json("latches.0.audited", "false");
	set_mode(4);
	report_whole_list();
	parse();
	expect_json("latches.0.audited", "false");
}

static void report_whole_audit(void)
{
	struct map_cursor cursor = {0};

	while (!report_audit(&w, &source, &cursor))
		;
	parse();
}

Test(report_tables, audit_names_rule_peer_and_reason_of_what_enforcement_would_have_dropped)
{
	const struct latch_audit_key key = {
		.rule = LATCH_RULE_NONE,
		.drop = LATCH_DROP_BROKEN,
		.reasons = LATCH_REASON_SA_CONFLICT,
		.params = params_c,
	};
	const struct latch_audit row = {
		.packets = 9,
		.flows = 2,
		.first = clock_boot_ns(),
		.last = clock_boot_ns(),
		.flow = w_to_c(),
		.direction = LATCH_DIRECTION_OUT,
		.got = params_d,
	};

	cr_assert_eq(bpf_map_update_elem(maps.audits, &key, &row, BPF_ANY), 0);
	set_mode(1);
	report_whole_audit();
	expect_keys("", "schema mode mode_since unmarked rows");
	expect_json("mode", "\"audit\"");
	expect_now("mode_since");
	expect_json("unmarked", "0");
	expect_keys("rows.0",
		    "rule peer reason reasons sa_peer others flows packets first last example");
	expect_json("rows.0.rule", "null");
	expect_json("rows.0.peer.id", "\"c.example\"");
	expect_json("rows.0.reason", "\"broken\"");
	expect_json("rows.0.reasons", "[\"sa-conflict\"]");
	expect_json("rows.0.sa_peer.id", "\"d.example\"");
	expect_json("rows.0.others", "false");
	expect_json("rows.0.flows", "2");
	expect_json("rows.0.packets", "9");
	expect_now("rows.0.last");
	expect_json("rows.0.example.direction", "\"out\"");
	expect_json("rows.0.example.remote", "{\"addr\":\"10.9.0.2\",\"port\":51514}");
}

Test(report_tables, audit_without_rows_is_an_empty_array)
{
	report_whole_audit();
	expect_json("mode", "\"enforce\"");
	expect_json("mode_since", "null");
	expect_json("rows", "[]");
}

Test(report_tables, the_answer_to_a_switch_of_the_mode_warns_of_a_file_that_wants_audit)
{
	source.wants_audit = true;
	set_mode(2);
	report_mode(&w, &source, true, 0);
	parse();
	expect_json("mode", "\"enforce\"");
	expect_json("changed", "true");
	expect_json("until_reboot", "true");
	set_mode(3);
	report_mode(&w, &source, false, 0);
	parse();
	expect_json("mode", "\"audit\"");
	expect_json("changed", "false");
	expect_json("until_reboot", "false");
	expect_json("until_reload", "false");
	source.wants_audit = false;
	source.wants_enforce = true;
	report_mode(&w, &source, true, 0);
	parse();
	expect_json("until_reload", "true");
	report_mode(&w, &source, false, -EPERM);
	parse();
	expect_json("code", "\"failed\"");
}
