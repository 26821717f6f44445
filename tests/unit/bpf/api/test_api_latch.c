/* SPDX-License-Identifier: BSD-2-Clause */
/* What a socket answers while its connection has a latch, or none. */
#include "api_fixture.h"
#include "udp.h"

#include <pthread.h>

TestSuite(api_latch, .init = api_set_up, .fini = gate_tear_down, .timeout = 60);

/* ---- its own latch */

Test(api_latch, each_socket_answers_for_the_peer_of_its_own_latch)
{
	size_t i;

	for (i = 0; i < TCP_WAYS; i++) {
		struct pair one = connect_pair(tcp_ways[i][0], tcp_ways[i][1], NULL);
		struct pair other = connect_pair(tcp_ways[i][0], tcp_ways[i][1], NULL);

		latch_socket(one.client, &c);
		latch_socket(one.server, &d);
		latch_socket(other.client, &d);
		latch_socket(other.server, &c);
		expect_state(one.client, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
		expect_peer(one.client, &c);
		expect_peer(one.server, &d);
		expect_peer(other.client, &d);
		expect_peer(other.server, &c);
		close_pair(&one);
		close_pair(&other);
	}
}

Test(api_latch, a_copy_of_the_descriptor_answers_the_same)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	int copy = dup(pair.client);

	latch_socket(pair.client, &c);
	latch_socket(pair.server, &d);
	expect_peer(copy, &c);
	close(copy);
	close_pair(&pair);
}

/* The exit status is the state that a process without privileges sees in c's socket. */
static int state_without_privileges(int fd)
{
	pid_t pid = fork();
	int status;

	cr_assert_geq(pid, 0);
	if (!pid) {
		if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
		    setresuid(65534, 65534, 65534))
			_exit(99);
		_exit(ask_state(fd) & 0x7f);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

Test(api_latch, the_descriptor_is_privilege_enough)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	latch_socket(pair.client, &c);
	cr_expect_eq(state_without_privileges(pair.client), LATCH_APP_ESTABLISHED);
	cr_expect_eq(state_without_privileges(pair.server), LATCH_APP_NOT_LATCHED);
	close_pair(&pair);
}

Test(api_latch, the_flow_of_another_network_namespace_is_another_flow)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.client);

	flow.netns++;
	latch_socket_as(pair.client, &d, flow);
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_CLEAR);
	flow.netns--;
	latch_socket_as(pair.client, &c, flow);
	expect_peer(pair.client, &c);
	close_pair(&pair);
}

Test(api_latch, a_latch_of_another_socket_with_these_ends_is_not_shown)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.client);

	cr_assert_neq(cookie_of(pair.client), 0);
	latch_socket_as(pair.server, &d, flow);
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_OTHER_SOCKET);
	expect_no_text(pair.client, -ENODATA);
	close_pair(&pair);
}

Test(api_latch, a_latch_without_a_socket_is_not_shown)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.client);
	struct latch latch = latch_to(&d, 0);

	/* The first question is before the socket has a cookie. */
	store_latch(&flow, &latch);
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_OTHER_SOCKET);
	expect_no_text(pair.client, -ENODATA);
	cr_assert_neq(cookie_of(pair.client), 0);
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_OTHER_SOCKET);
	close_pair(&pair);
}

struct asker {
	int fd;
	const struct peer *peer;
	unsigned int wrong;
};

#define QUESTIONS 20000

static void *ask_often(void *context)
{
	struct asker *asker = context;
	char text[TEXT_SIZE];
	int i;

	for (i = 0; i < QUESTIONS; i++)
		asker->wrong += ask_text(asker->fd, LATCH_OPT_PEER_ID, text) ||
				strcmp(text, asker->peer->id);
	return NULL;
}

Test(api_latch, threads_that_ask_at_once_get_the_answers_of_their_own_sockets)
{
	struct pair one = connect_pair(IPV4, IPV4, NULL), other = connect_pair(IPV6, IPV6, NULL);
	struct asker askers[] = {{one.client, &c, 0},
				 {other.client, &d, 0},
				 {one.server, &d, 0},
				 {other.server, &c, 0}};
	pthread_t threads[4];
	size_t i;

	for (i = 0; i < 4; i++)
		latch_socket(askers[i].fd, askers[i].peer);
	for (i = 0; i < 4; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, ask_often, &askers[i]), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
		cr_expect_eq(askers[i].wrong, 0);
	}
	close_pair(&one);
	close_pair(&other);
}

/* ---- the structure */

Test(api_latch, R_2_6_the_answer_has_the_latched_parameters)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_info info;

	latch_socket(pair.server, &c);
	latch_socket(pair.client, &d);
	info = ask_info(pair.client);
	cr_expect_eq(info.mode, 1);
	cr_expect_eq(info.protocol, IPPROTO_ESP);
	cr_expect_str_eq(info.encryption, "cbc(aes)");
	cr_expect_str_eq(info.integrity, "");
	cr_expect_eq(info.encryption_bits, 128);
	cr_expect_eq(info.icv_bits, 96);
	cr_expect_eq(info.replay_protection, 1);
	cr_expect_eq(info.flags, LATCH_INFO_GATEWAY);
	info = ask_info(pair.server);
	cr_expect_eq(info.mode, 0);
	cr_expect_str_eq(info.encryption, "rfc4106(gcm(aes))");
	cr_expect_eq(info.encryption_bits, 288);
	cr_expect_eq(info.flags, 0);
	close_pair(&pair);
}

Test(api_latch, the_answer_has_the_id_and_the_age_of_the_latch)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = latch_socket(pair.client, &c);
	struct latch latch = latch_of(&flow);
	struct latch_info info;

	latch.created -= HOUR_NS;
	latch.changed = latch.created;
	latch.drops = 7;
	store_latch(&flow, &latch);
	info = ask_info(pair.client);
	cr_expect_eq(info.latch, latch.id);
	cr_expect(info.age_ns >= HOUR_NS && info.age_ns < HOUR_NS + HOUR_NS / 10);
	cr_expect_geq(info.changed_ns, HOUR_NS);
	cr_expect_eq(info.dropped, 7);
	cr_expect_eq(info.direction, LATCH_DIRECTION_OUT);
	latch.changed = clock_boot_ns();
	store_latch(&flow, &latch);
	info = ask_info(pair.client);
	cr_expect_lt(info.changed_ns, HOUR_NS);
	cr_expect_eq(info.flags, LATCH_INFO_CHANGED);
	close_pair(&pair);
}

Test(api_latch, R_2_9_the_answer_has_the_ends_of_the_connection_as_the_socket_has_them)
{
	size_t i;

	for (i = 0; i < TCP_WAYS; i++) {
		struct pair pair = connect_pair(tcp_ways[i][0], tcp_ways[i][1], NULL);
		struct latch_flow flow = flow_of(pair.server);
		struct latch_info info;

		latch_socket(pair.server, &c);
		info = ask_info(pair.server);
		cr_expect_eq(info.family, flow.family);
		cr_expect_eq(info.local_port, flow.local_port);
		cr_expect_eq(info.remote_port, flow.remote_port);
		cr_expect_arr_eq(info.local_addr, flow.local_addr, 16);
		cr_expect_arr_eq(info.remote_addr, flow.remote_addr, 16);
		cr_expect_eq(info.outer_family, 0, "no SA carries it");
		close_pair(&pair);
	}
}

/* ---- its states */

Test(api_latch, R_2_1_3_a_larval_latch_has_no_peer_and_an_indeterminate_quality)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = latch_socket(pair.client, &c);
	struct latch latch = latch_of(&flow);
	struct latch_info info;

	latch.word.state = LATCH_STATE_LARVAL;
	store_latch(&flow, &latch);
	expect_state(pair.client, LATCH_APP_LARVAL, LATCH_WHY_UNATTRIBUTED);
	expect_no_text(pair.client, -ENODATA);
	info = ask_info(pair.client);
	cr_expect_eq(info.flags, LATCH_INFO_INDETERMINATE);
	cr_expect_str_eq(info.encryption, "");
	cr_expect_eq(info.latch, latch.id);
	close_pair(&pair);
}

Test(api_latch, a_broken_latch_tells_each_reason_and_the_peer_that_it_had)
{
	static const struct {
		uint8_t reason;
		enum latch_why why;
	} causes[] = {
		{LATCH_REASON_SA_CONFLICT, LATCH_WHY_SA_CONFLICT},
		{LATCH_REASON_SPD_CHANGE, LATCH_WHY_SPD_CHANGE},
		{LATCH_REASON_PEER_DEAD, LATCH_WHY_PEER_DEAD},
		{LATCH_REASON_PEER_REBOOTED, LATCH_WHY_PEER_REBOOTED},
		{LATCH_REASON_ADMIN, LATCH_WHY_ADMIN},
		{LATCH_REASON_REFUSED, LATCH_WHY_REFUSED_LATER},
		{LATCH_REASON_ADMIN | LATCH_REASON_SPD_CHANGE, LATCH_WHY_SPD_CHANGE},
	};
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	size_t i;

	latch_socket(pair.server, &d);
	for (i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
		struct latch_flow flow = latch_socket(pair.client, &c);

		break_latch(&flow, causes[i].reason);
		expect_state(pair.client, LATCH_APP_BROKEN, causes[i].why);
		cr_expect_eq(ask_info(pair.client).reasons, causes[i].reason);
		expect_peer(pair.client, &c);
	}
	expect_state(pair.server, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
	close_pair(&pair);
}

Test(api_latch, a_latch_that_latchd_has_closed_leaves_a_blocked_socket_without_a_peer)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow;

	attach_gates();
	set_no_delay(pair.client);
	flow = latch_socket(pair.client, &c);
	forget_passes();
	send_byte(pair.client);
	wait_for(drops_for(LATCH_DROP_PLAINTEXT).egress);
	cr_assert_eq(latch_close(&maps, &flow, latch_of(&flow).id), LATCH_CONTROL_DONE);
	expect_state(pair.client, LATCH_APP_CLOSED, LATCH_WHY_REMOVED);
	expect_no_text(pair.client, -ENODATA);
	close_pair(&pair);
}

/* A latch names its peer by numbers. Without its entries there is no answer instead of a wrong one.
 */
Test(api_latch, a_peer_whose_entry_is_gone_is_not_shown)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	uint32_t index = c.identity;

	latch_socket(pair.client, &c);
	cr_assert_eq(bpf_map_delete_elem(maps.identities, &index), 0);
	cr_expect_eq(ask_text(pair.client, LATCH_OPT_PEER_ID, (char[TEXT_SIZE]){0}), -ENODATA);
	expect_text(pair.client, LATCH_OPT_LOCAL_ID, c.local_id);
	index = c.params;
	cr_assert_eq(bpf_map_delete_elem(maps.params, &index), 0);
	expect_no_text(pair.client, -ENODATA);
	cr_expect_eq(ask_info(pair.client).flags, LATCH_INFO_INDETERMINATE);
	close_pair(&pair);
}

/* ---- audit mode */

Test(api_latch, audit_mode_answers_not_enforced_and_tells_no_peer)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = latch_socket(pair.client, &c);

	change_settings(true, 1, clock_boot_ns());
	expect_state(pair.client, LATCH_APP_AUDITED, LATCH_WHY_AUDIT);
	cr_expect_eq(ask_info(pair.client).flags, LATCH_INFO_AUDIT);
	expect_no_text(pair.client, -ENODATA);
	break_latch(&flow, LATCH_REASON_SA_CONFLICT);
	expect_state(pair.client, LATCH_APP_BROKEN, LATCH_WHY_SA_CONFLICT);
	cr_expect(ask_info(pair.client).flags & LATCH_INFO_AUDIT);
	expect_no_text(pair.client, -ENODATA);
	close_pair(&pair);
}

Test(api_latch, a_latch_from_before_the_last_switch_was_not_enforced_all_its_life)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	latch_socket(pair.client, &c);
	change_settings(true, 2, clock_boot_ns());
	latch_socket(pair.server, &d);
	expect_state(pair.client, LATCH_APP_AUDITED, LATCH_WHY_AUDIT);
	expect_no_text(pair.client, -ENODATA);
	expect_state(pair.server, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
	expect_peer(pair.server, &d);
	close_pair(&pair);
}

/* ---- no latch, and why */

Test(api_latch, a_connection_in_clear_is_not_latched)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL), other = connect_pair(IPV4, IPV4, NULL);

	latch_socket(other.client, &c);
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_CLEAR);
	expect_state(pair.server, LATCH_APP_NOT_LATCHED, LATCH_WHY_CLEAR);
	expect_no_text(pair.client, -ENODATA);
	cr_expect_eq(ask_info(pair.client).flags, LATCH_INFO_INDETERMINATE);
	cr_expect_eq(ask_info(pair.client).local_port, port_of(pair.client));
	close_pair(&pair);
	close_pair(&other);
}

Test(api_latch, the_rule_that_decided_is_the_reason)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL), other = connect_pair(IPV6, IPV6, NULL);

	put_rule(LATCH_ACTION_OFF, LATCH_DIRECTION_IN, IPV4);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	expect_state(pair.server, LATCH_APP_NOT_LATCHED, LATCH_WHY_RULE_OFF);
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_REQUIRED);
	expect_state(other.server, LATCH_APP_NOT_LATCHED, LATCH_WHY_CLEAR);
	close_pair(&pair);
	close_pair(&other);
}

Test(api_latch, a_socket_without_a_connection_says_so)
{
	int tcp = namespace_socket(&ns, AF_INET, SOCK_STREAM);
	int udp = namespace_socket(&ns, AF_INET6, SOCK_DGRAM);

	expect_state(tcp, LATCH_APP_NOT_LATCHED, LATCH_WHY_NOT_CONNECTED);
	expect_state(udp, LATCH_APP_NOT_LATCHED, LATCH_WHY_NOT_CONNECTED);
	cr_expect_eq(ask_info(tcp).family, 0);
	expect_no_text(udp, -ENODATA);
	close(tcp);
	close(udp);
}

/* A listener whose queue is full drops each SYN. */
Test(api_latch, a_connect_under_way_says_so)
{
	int listener = bound_socket(IPV4, NULL), first, second;
	struct address there = name_of(listener, getsockname);

	cr_assert_eq(listen(listener, 0), 0);
	first = connect_to(IPV4, listener, NULL);
	second = new_socket(&there, NULL);
	begin_connect(second, &there);
	expect_state(second, LATCH_APP_NOT_LATCHED, LATCH_WHY_NOT_YET);
	close(first);
	close(second);
	close(listener);
}

TestSuite(api_older, .init = gate_set_up, .fini = gate_tear_down, .timeout = 60);

Test(api_older, a_connection_that_is_older_than_the_programs_says_so)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);

	change_settings(true, 0, 0);
	attach(GATES_OPTION);
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_OLDER);
	close_pair(&pair);
}

/* ---- listeners */

Test(api_latch, a_listener_answers_for_itself_and_its_connections_for_themselves)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_info info;

	latch_socket(pair.server, &c);
	expect_state(pair.listener, LATCH_APP_LISTENER, LATCH_WHY_NONE);
	expect_no_text(pair.listener, -ENODATA);
	info = ask_info(pair.listener);
	cr_expect_neq(info.latch, 0);
	cr_expect_neq(info.latch, ask_info(pair.server).latch);
	cr_expect_eq(info.local_port, port_of(pair.listener));
	expect_peer(pair.server, &c);
	close_pair(&pair);
}

/* ---- UDP */

Test(api_latch, a_connected_udp_socket_answers_for_the_latch_of_its_connection)
{
	struct pair pair = udp_pair(IPV4, IPV4), other = udp_pair(IPV6, IPV6);

	latch_socket_as(pair.client, &c, udp_flow(pair.client));
	latch_socket_as(other.client, &d, udp_flow(other.client));
	expect_state(pair.client, LATCH_APP_ESTABLISHED, LATCH_WHY_NONE);
	expect_peer(pair.client, &c);
	expect_peer(other.client, &d);
	expect_state(pair.server, LATCH_APP_NOT_LATCHED, LATCH_WHY_CLEAR);
	udp_close(&pair);
	udp_close(&other);
}

Test(api_latch, a_udp_socket_that_connects_to_another_peer_does_not_answer_for_the_former_one)
{
	struct pair pair = udp_pair(IPV4, IPV4);
	int third = udp_bound(IPV4);

	latch_socket_as(pair.client, &c, udp_flow(pair.client));
	udp_connect(pair.client, name_of(third, getsockname));
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_CLEAR);
	expect_no_text(pair.client, -ENODATA);
	latch_socket_as(pair.client, &d, udp_flow(pair.client));
	expect_peer(pair.client, &d);
	udp_disconnect(pair.client);
	expect_state(pair.client, LATCH_APP_NOT_LATCHED, LATCH_WHY_NOT_CONNECTED);
	expect_no_text(pair.client, -ENODATA);
	close(third);
	udp_close(&pair);
}

Test(api_latch, the_other_udp_socket_of_a_flow_does_not_answer_for_its_owner)
{
	int one = udp_socket(address_of(IPV4, 0), true), peer = udp_bound(IPV4), other;
	struct address here = name_of(one, getsockname), there = name_of(peer, getsockname);

	other = udp_socket(here, true);
	udp_connect(one, there);
	udp_connect(other, there);
	latch_socket_as(one, &c, udp_flow(one));
	expect_peer(one, &c);
	expect_state(other, LATCH_APP_NOT_LATCHED, LATCH_WHY_OTHER_SOCKET);
	expect_no_text(other, -ENODATA);
	close(one);
	close(other);
	close(peer);
}
