/* SPDX-License-Identifier: BSD-2-Clause */
/* RFC 5660 section 2.6: a damaged identity table closes every latch. */
#include "latch_fixture.h"

#include "latch_mode.h"
#include "latchd/feeds/feed.h"
#include "latchd/latch/recovery.h"

#define LATCHES 40
#define SAS	10

static struct identities *identities;
static uint16_t params;

static uint16_t intern_peer(const char *id)
{
	struct latch_identity identity = {.auth = FEED_AUTH_PUBKEY};
	struct latch_params value = {.protocol = 50};
	uint16_t index = 0;

	strcpy(identity.authority, "charon");
	strcpy(identity.id, id);
	cr_assert_eq(identities_intern(identities, &identity, &value.peer_id), 0);
	value.local_id = value.peer_id;
	cr_assert_eq(identities_intern_params(identities, &value, &index), 0);
	return index;
}

static struct latch_sa_key sa_key(uint32_t spi)
{
	return (struct latch_sa_key){.netns = ns.cookie, .spi = spi, .protocol = 50, .family = 2};
}

static void put_sas(void)
{
	struct latch_sa sa = {0};
	uint32_t spi;

	for (spi = 1; spi <= SAS; spi++) {
		struct latch_sa_key key = sa_key(spi);

		cr_assert_eq(sa_adopt(&maps, &key, &sa, false), LATCH_CONTROL_DONE);
		cr_assert_eq(sa_get(&maps, &key, &sa), 0);
		cr_assert_eq(sa_set(&maps, &key, sa.word.serial, LATCH_SA_BOUND, params, 1),
			     LATCH_CONTROL_DONE);
	}
}

static void set_up(void)
{
	uint16_t port;

	latches_start();
	cr_assert_eq(identities_load(&maps, &identities), 0);
	params = intern_peer("c.example");
	cr_assert_eq(params, 1, "the params of put_latch()");
	put_sas();
	for (port = 1; port <= LATCHES; port++) {
		struct latch_flow flow = flow_without_socket(port);

		put_latch(&flow, port % 2 ? LATCH_STATE_ESTABLISHED : LATCH_STATE_BROKEN,
			  LATCH_OWNER_SOCKET, 1);
	}
	identities_free(identities);
	identities = NULL;
}

static void tear_down(void)
{
	identities_free(identities);
	latches_finish();
}

TestSuite(recovery, .init = set_up, .fini = tear_down, .timeout = 120);

static void damage(void)
{
	struct latch_identity identity;
	__u32 index = 1;

	cr_assert_eq(bpf_map_lookup_elem(maps.identities, &index, &identity), 0);
	identity.id[0] ^= 1;
	cr_assert_eq(bpf_map_update_elem(maps.identities, &index, &identity, BPF_ANY), 0);
}

static int count_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	unsigned int *count = context;

	(void)flow;
	(void)latch;
	++*count;
	return 0;
}

static unsigned int latch_count(void)
{
	unsigned int count = 0;

	cr_assert_eq(latches_walk(&maps, count_latch, &count), 0);
	return count;
}

static void expect_sas(enum latch_sa_state state, uint16_t index, __u8 flags)
{
	struct latch_sa sa;
	uint32_t spi;

	for (spi = 1; spi <= SAS; spi++) {
		struct latch_sa_key key = sa_key(spi);

		cr_assert_eq(sa_get(&maps, &key, &sa), 0);
		cr_expect_eq(sa.word.state, state);
		cr_expect_eq(sa.word.params, index);
		cr_expect_eq(sa.word.flags, flags);
	}
}

/* As a start of latchd. */
static int start_with(const struct kernel_maps *tables)
{
	bool damaged;
	int err = recovery_load_identities(tables, &identities, &damaged);

	return !err && damaged ? recovery_repair_identities(tables, identities) : err;
}

Test(recovery, a_start_that_fails_after_it_has_read_a_damaged_table_closes_no_latch)
{
	bool damaged = false;

	damage();
	cr_assert_eq(recovery_load_identities(&maps, &identities, &damaged), 0);
	cr_expect(damaged);
	cr_expect_eq(latch_count(), LATCHES);
	expect_sas(LATCH_SA_BOUND, params, LATCH_SA_CONTESTED);
	identities_free(identities);
	cr_assert_eq(recovery_load_identities(&maps, &identities, &damaged), 0);
	cr_expect(damaged, "the first look has hidden the damage");
}

Test(recovery, an_intact_identity_table_keeps_all_latches_and_sas)
{
	cr_assert_eq(start_with(&maps), 0);
	cr_expect_eq(latch_count(), LATCHES);
	expect_sas(LATCH_SA_BOUND, params, LATCH_SA_CONTESTED);
	cr_expect_not_null(identities_get_params(identities, params));
	cr_expect_eq(intern_peer("c.example"), params);
}

Test(recovery, R_2_6_1_one_wrong_byte_closes_every_latch_and_unbinds_every_sa)
{
	damage();
	cr_assert_eq(start_with(&maps), 0);
	cr_expect_eq(latch_count(), 0);
	expect_sas(LATCH_SA_PENDING, 0, 0);
	cr_expect_null(identities_get_params(identities, params));
	/* The table is empty and intact, also after the next start. */
	params = intern_peer("d.example");
	identities_free(identities);
	identities = NULL;
	cr_assert_eq(identities_load(&maps, &identities), 0);
	cr_expect_str_eq(
		identities_get(identities, identities_get_params(identities, params)->peer_id)->id,
		"d.example");
}

Test(recovery, R_2_6_1_S21_a_damaged_table_resets_latched_connections)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL),
		    bystander = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.client);

	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	damage();
	cr_assert_eq(start_with(&maps), 0);
	cr_expect_not(has_latch(&flow));
	cr_expect_eq(pending_error(pair.client), ECONNABORTED);
	expect_alive(bystander.client, bystander.server);
	close_pair(&pair);
	close_pair(&bystander);
}

/* latchd must not start with latches whose peers are unknown. */
Test(recovery, recovery_fails_without_the_control_program_and_closes_no_latch)
{
	struct kernel_maps none = maps;

	none.control = -1;
	damage();
	cr_expect_eq(start_with(&none), -EBADF);
	identities_free(identities);
	cr_expect_eq(latch_count(), LATCHES);
	cr_assert_eq(start_with(&maps), 0);
	cr_expect_eq(latch_count(), 0);
}

/* A LISTENER latch has no peer: its socket continues, and so does the latch. */
Test(recovery, R_2_6_1_a_listener_latch_and_its_socket_stay)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	struct latch_flow flow = flow_without_socket(0);
	union latch_word none = {0};
	socklen_t length = sizeof(address), size = sizeof(int);
	int accepts = 0, fd = namespace_socket(&ns, AF_INET, SOCK_STREAM);

	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 1), 0);
	cr_assert_eq(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	memset(flow.remote_addr, 0, sizeof(flow.remote_addr));
	flow.remote_port = 0;
	flow.local_port = ntohs(address.sin_port);
	cr_assert_eq(latch_listen(&maps, &flow, none, 1), LATCH_CONTROL_DONE);
	damage();
	cr_assert_eq(start_with(&maps), 0);
	cr_expect_eq(latch_count(), 1);
	cr_expect(has_latch(&flow));
	cr_assert_eq(getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepts, &size), 0);
	cr_expect(accepts, "the socket does not listen any more");
	close(fd);
}

/* ---- damage while latchd runs */

static bool unfinished;

static void run(void)
{
	cr_assert_eq(start_with(&maps), 0);
}

Test(recovery, a_check_of_an_intact_table_keeps_all_latches_and_sas)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.client);

	run();
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	cr_assert_eq(recovery_check_identities(&maps, identities, &unfinished), 0);
	cr_expect_eq(latch_count(), LATCHES + 1);
	expect_sas(LATCH_SA_BOUND, params, LATCH_SA_CONTESTED);
	expect_alive(pair.client, pair.server);
	close_pair(&pair);
}

Test(recovery, R_2_6_1_S21_damage_while_latchd_runs_ends_every_latched_connection)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL),
		    bystander = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.client);

	run();
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	damage();
	cr_assert_eq(recovery_check_identities(&maps, identities, &unfinished), RECOVERY_DAMAGED);
	cr_expect_eq(latch_count(), 0);
	expect_sas(LATCH_SA_PENDING, 0, 0);
	cr_expect_eq(pending_error(pair.client), ECONNABORTED);
	expect_alive(bystander.client, bystander.server);
	/* The table is empty and intact. */
	cr_expect_null(identities_get_params(identities, params));
	cr_expect_eq(recovery_check_identities(&maps, identities, &unfinished), 0);
	close_pair(&pair);
	close_pair(&bystander);
}

/* The table must not be emptied while latches and SAs name its params. */
Test(recovery, a_check_without_the_control_program_fails_and_is_repeated)
{
	struct kernel_maps none = maps;

	run();
	none.control = -1;
	damage();
	cr_expect_eq(recovery_check_identities(&none, identities, &unfinished), -EBADF);
	cr_expect(unfinished);
	cr_expect_eq(latch_count(), LATCHES);
	cr_expect_not_null(identities_get_params(identities, params));
	cr_assert_eq(recovery_check_identities(&maps, identities, &unfinished), RECOVERY_DAMAGED);
	cr_expect_eq(latch_count(), 0);
}

/* The next check finds an intact table, but the SAs were bound to the earlier one. */
Test(recovery, a_recovery_that_failed_is_completed_though_the_table_looks_intact)
{
	run();
	unfinished = true;
	cr_assert_eq(recovery_check_identities(&maps, identities, &unfinished), RECOVERY_DAMAGED);
	cr_expect_not(unfinished);
	expect_sas(LATCH_SA_PENDING, 0, 0);
	cr_expect_eq(latch_count(), 0);
}

/* Another socket has the addresses and ports of the latch now. */
Test(recovery, R_2_6_1_a_socket_that_reuses_the_flow_is_not_reset)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.client);
	struct latch latch;

	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	cr_assert_eq(latch_get(&maps, &flow, &latch), 0);
	latch.socket_cookie = 1;
	cr_assert_eq(bpf_map_update_elem(maps.latches, &flow, &latch, BPF_EXIST), 0);
	damage();
	cr_assert_eq(start_with(&maps), 0);
	cr_expect_not(has_latch(&flow));
	expect_alive(pair.client, pair.server);
	close_pair(&pair);
}

static struct latch latch_at(const struct latch_flow *at)
{
	struct latch latch;

	cr_assert_eq(latch_get(&maps, at, &latch), 0);
	return latch;
}

/* Without its latch the socket would be blocked at once. */
Test(recovery, in_audit_mode_a_damaged_table_breaks_the_latches_for_good_and_ends_no_socket)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL), broken = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.client), other = flow_of(broken.client);
	struct latch_flow larval = flow_without_socket(LATCHES + 1);
	struct latch latch;

	damage();
	put_latch(&flow, LATCH_STATE_ESTABLISHED, LATCH_OWNER_SOCKET, 1);
	put_latch(&other, LATCH_STATE_BROKEN, LATCH_OWNER_SOCKET, 1);
	put_latch(&larval, LATCH_STATE_LARVAL, LATCH_OWNER_SOCKET, 1);
	cr_assert_eq(latch_mode_switch(&maps, true), 1);
	cr_assert_eq(start_with(&maps), 0);
	cr_expect_eq(latch_count(), LATCHES / 2 + 2,
		     "those that enforcement had broken are closed");
	latch = latch_at(&flow);
	cr_expect_eq(latch.word.state, LATCH_STATE_BROKEN);
	cr_expect_eq(latch.word.reasons, LATCH_REASON_ADMIN | LATCH_REASON_REFUSED);
	cr_expect_eq(latch.word.params, 0);
	cr_expect(latch_mode_passes(mode_read(&maps), latch.decided));
	cr_expect_eq(latch_at(&larval).word.state, LATCH_STATE_BROKEN);
	cr_expect_eq(latch_heal(&maps, &flow, latch.id, LATCH_REASON_ADMIN, NULL),
		     LATCH_CONTROL_DONE);
	cr_expect_eq(latch_at(&flow).word.state, LATCH_STATE_BROKEN, "its peer is not known");
	expect_alive(pair.client, pair.server);
	cr_expect_eq(pending_error(broken.client), ECONNABORTED, "enforcement had broken it");
	close_pair(&pair);
	close_pair(&broken);
}

static void put_audit_row(uint16_t of)
{
	struct latch_audit_key key = {.drop = LATCH_DROP_IDENTITY, .params = of};
	struct latch_audit row = {.flows = 1, .got = of};

	cr_assert_eq(bpf_map_update_elem(maps.audits, &key, &row, BPF_NOEXIST), 0);
}

static int count_row(void *context, const struct latch_audit_key *key,
		     const struct latch_audit *row)
{
	(void)key, (void)row;
	++*(unsigned int *)context;
	return 0;
}

Test(recovery, the_audit_table_names_no_peer_of_a_damaged_table)
{
	unsigned int rows = 0;

	put_audit_row(params);
	damage();
	cr_assert_eq(start_with(&maps), 0);
	cr_assert_eq(audits_walk(&maps, count_row, &rows), 0);
	cr_expect_eq(rows, 0);
}
