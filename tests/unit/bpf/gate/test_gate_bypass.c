/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LATCH_PROTECTION_BYPASS: a privileged application takes its connection out of what the rules
 * require. Its neighbours, and what is not privileged, get no less.
 */
#include "unit/bpf/api/wish_fixture.h"

#include "pretended_esp.h"

#include <sched.h>

static void set_up(void)
{
	api_set_up();
	set_drop_event_interval(1);
	attach_gates();
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_OUT, NULL);
	put_rule_of(IPPROTO_UDP, LATCH_ACTION_REQUIRE, LATCH_DIRECTION_NONE, NULL);
}

TestSuite(gate_bypass, .init = set_up, .fini = gate_tear_down, .timeout = 60);

#define UNPRIVILEGED 65534

static int bypass(int fd)
{
	return set_int(fd, LATCH_OPT_PROTECTION, LATCH_PROTECTION_BYPASS);
}

/* ---- the caller */

static bool become_unprivileged(void)
{
	return !setgid(UNPRIVILEGED) && !setuid(UNPRIVILEGED);
}

/* Root, with each capability, of a user namespace of its own. */
static bool become_root_elsewhere(void)
{
	return become_unprivileged() && !unshare(CLONE_NEWUSER);
}

static bool stay(void)
{
	return true;
}

/* What set_int() returns to a process that has changed itself so. */
static int bypass_as(int fd, bool (*become)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(become() ? -bypass(fd) : 255);
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	cr_assert(WIFEXITED(status));
	cr_assert_neq(WEXITSTATUS(status), 255);
	return -WEXITSTATUS(status);
}

Test(gate_bypass, R_2_11_L_3_1_1_S23_less_than_the_rules_say_needs_the_privilege_of_the_host)
{
	int fd = tcp_socket(IPV4);

	cr_expect_eq(bypass_as(fd, become_unprivileged), -EPERM);
	cr_expect_eq(bypass_as(fd, become_root_elsewhere), -EPERM);
	cr_expect_eq(get_int(fd, LATCH_OPT_PROTECTION), 0);
	cr_expect_eq(bypass_as(fd, stay), 0);
	cr_expect_eq(get_int(fd, LATCH_OPT_PROTECTION), LATCH_PROTECTION_BYPASS);
	cr_expect_eq(get_int(fd, LATCH_OPT_REQUIRE), 0);
	cr_expect_eq(set_int(fd, LATCH_OPT_PROTECTION, 2), -EINVAL);
	cr_expect_eq(set_int(fd, LATCH_OPT_PROTECTION, LATCH_PROTECTION_BY_RULE), 0);
	cr_expect_eq(get_int(fd, LATCH_OPT_PROTECTION), 0);
	close(fd);
}

/* ---- what it does */

Test(gate_bypass, a_connection_without_a_latch_works_and_its_neighbour_is_refused)
{
	int listener = start_listener(IPV4, NULL), fd = tcp_socket(IPV4), plain, server;
	struct address there = name_of(listener, getsockname);
	struct latch_flow flow;

	cr_assert_eq(bypass(fd), 0);
	cr_assert_eq(connect(fd, &there.any, there.length), 0, "%s", strerror(errno));
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(server, 0);
	flow = flow_of(fd);
	expect_alive(fd, server);
	expect_alive(server, fd);
	cr_expect_not(has_latch(&flow));
	cr_expect_eq(drops_in_all().egress, 0);
	expect_state(fd, LATCH_APP_NOT_LATCHED, LATCH_WHY_BYPASS);
	cr_expect_eq(bypass(fd), -EISCONN);
	plain = start_connect(IPV4, listener);
	wait_for(drops_for(LATCH_DROP_REQUIRED).egress);
	cr_expect_not(is_readable(listener));
	close(plain);
	close(fd);
	close(server);
	close(listener);
}

Test(gate_bypass, a_wish_is_stricter_than_a_bypass)
{
	int listener = start_listener(IPV4, NULL), fd = tcp_socket(IPV4);
	struct address there = name_of(listener, getsockname);

	cr_assert_eq(bypass(fd), 0);
	cr_assert_eq(set_text(fd, LATCH_OPT_EXPECT_PEER, c.id), 0);
	begin_connect(fd, &there);
	wait_for(drops_for(LATCH_DROP_REQUIRED).egress);
	cr_expect_not(is_readable(listener));
	close(fd);
	close(listener);
}

Test(gate_bypass, a_bypass_that_is_taken_back_bypasses_nothing)
{
	int listener = start_listener(IPV4, NULL), fd = tcp_socket(IPV4);
	struct address there = name_of(listener, getsockname);

	cr_assert_eq(bypass(fd), 0);
	cr_assert_eq(set_int(fd, LATCH_OPT_PROTECTION, 0), 0);
	begin_connect(fd, &there);
	wait_for(drops_for(LATCH_DROP_REQUIRED).egress);
	cr_expect_not(is_readable(listener));
	close(fd);
	close(listener);
}

Test(gate_bypass, what_a_listener_with_a_bypass_accepts_is_decided_by_the_rules)
{
	int listener = bound_socket(IPV4, NULL), fd;
	struct address there;

	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_IN, NULL);
	cr_assert_eq(bypass(listener), 0);
	cr_assert_eq(listen(listener, 8), 0);
	there = name_of(listener, getsockname);
	fd = bound_socket(IPV4, NULL);
	cr_assert_eq(bypass(fd), 0);
	begin_connect(fd, &there);
	wait_for(drops_for(LATCH_DROP_REQUIRED).ingress);
	cr_expect_eq(drops_in_all().egress, 0);
	cr_expect_not(is_readable(listener));
	close(fd);
	close(listener);
}

/* A worker without privileges may get the descriptor. */
static int accepted_by_bypassed(int *ret_client)
{
	int listener = bound_socket(IPV4, NULL), server;
	struct address there;

	cr_assert_eq(bypass(listener), 0);
	cr_assert_eq(listen(listener, 8), 0);
	there = name_of(listener, getsockname);
	*ret_client = tcp_socket(IPV4);
	cr_assert_eq(bypass(*ret_client), 0);
	cr_assert_eq(connect(*ret_client, &there.any, there.length), 0);
	server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(server, 0);
	close(listener);
	return server;
}

Test(gate_bypass, what_such_a_listener_has_accepted_is_decided_by_the_rules_that_come_later)
{
	int client, server = accepted_by_bypassed(&client);

	expect_alive(server, client);
	cr_expect_eq(get_int(server, LATCH_OPT_PROTECTION), LATCH_PROTECTION_BY_RULE);
	put_rule(LATCH_ACTION_REQUIRE, LATCH_DIRECTION_IN, NULL);
	cr_assert_eq(send(server, "x", 1, MSG_NOSIGNAL), 1);
	wait_for(drops_for(LATCH_DROP_REQUIRED).egress);
	cr_expect_not(is_readable(client));
	expect_state(server, LATCH_APP_NOT_LATCHED, LATCH_WHY_REQUIRED);
	close(client);
	close(server);
}

Test(gate_bypass, what_such_a_listener_has_accepted_opens_no_connection_without_a_latch)
{
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	int client, fd = accepted_by_bypassed(&client), listener = start_listener(IPV4, NULL);
	struct address there = name_of(listener, getsockname);

	cr_assert_eq(connect(fd, &none, sizeof(none)), 0);
	begin_connect(fd, &there);
	wait_for(drops_for(LATCH_DROP_REQUIRED).egress);
	cr_expect_not(is_readable(listener));
	close(client);
	close(fd);
	close(listener);
}

Test(gate_bypass, a_datagram_socket_sends_in_clear_and_gets_no_latch_under_an_sa)
{
	int there = udp_bound(IPV4), fd = udp_bound(IPV4), plain = udp_bound(IPV4);
	struct latch_flow flow;

	cr_assert_eq(bypass(fd), 0);
	udp_connect(fd, name_of(there, getsockname));
	udp_connect(plain, name_of(there, getsockname));
	cr_expect_eq(udp_send(fd), 0);
	wait_for(is_readable(there));
	cr_expect_eq(udp_send(plain), -EPERM);
	flow = udp_flow(fd);
	make_esp("ip", "udp", port_of(there));
	put_sa_of(&flow, LATCH_SA_BOUND, c.params);
	cr_expect_eq(udp_send(fd), 0);
	cr_expect_not(has_latch(&flow));
	close(fd);
	close(plain);
	close(there);
}

/* The latch of the flow is stricter: it may be another socket's. */
Test(gate_bypass, a_latch_of_the_flow_is_kept)
{
	int there = udp_bound(IPV4), fd = udp_bound(IPV4);

	cr_assert_eq(bypass(fd), 0);
	udp_connect(fd, name_of(there, getsockname));
	latch_socket_as(fd, &c, udp_flow(fd));
	forget_passes();
	cr_expect_eq(udp_send(fd), 0, "lost");
	cr_expect_eq(drops_for(LATCH_DROP_PLAINTEXT).egress, 1);
	close(fd);
	close(there);
}

/* Of another socket of the flow, which enforcement refuses. */
Test(gate_bypass, in_audit_mode_a_bypass_ends_the_mark_of_its_flow)
{
	int there = udp_bound(IPV4), plain = udp_socket(address_of(IPV4, 0), true), fd;
	struct latch_flow flow;

	fd = udp_socket(name_of(plain, getsockname), true);
	cr_assert_eq(bypass(fd), 0);
	udp_connect(plain, name_of(there, getsockname));
	udp_connect(fd, name_of(there, getsockname));
	flow = udp_flow(fd);
	cr_assert_eq(latch_mode_switch(&maps, true), 1);
	cr_assert_eq(udp_send(plain), 0);
	cr_assert_eq(latch_of(&flow).word.reasons, LATCH_REASON_REFUSED);
	cr_assert_eq(udp_send(fd), 0);
	cr_expect_not(has_latch(&flow));
	cr_assert_eq(latch_mode_switch(&maps, false), 1);
	cr_expect_eq(udp_send(fd), 0);
	close(plain);
	close(fd);
	close(there);
}
