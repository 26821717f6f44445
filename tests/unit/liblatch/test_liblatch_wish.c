/* SPDX-License-Identifier: BSD-2-Clause */
/* Wishes by liblatch: to connect to a latched peer, or not at all. */
#include "unit/bpf/api/wish_fixture.h"
#include "unit/bpf/gate/pretended_esp.h"

#include <dlfcn.h>

#include "latchd/latch/refused_connect.h"
#include "liblatch/latch.h"

TestSuite(liblatch_wish, .init = api_set_up, .fini = gate_tear_down, .timeout = 60);

Test(liblatch_wish, each_wish_is_that_of_the_socket)
{
	const struct latch_least least = {.size = sizeof(least), .icv_bits = 96};
	int fd = tcp_socket(IPV4), other = tcp_socket(IPV4);
	struct latch_least read;
	socklen_t length = sizeof(read);

	cr_expect_eq(latch_require(fd), 0);
	cr_expect_eq(latch_expect_peer(fd, c.id), 0);
	cr_expect_eq(latch_expect_connection(fd, c.connection), 0);
	cr_expect_eq(latch_expect_local(fd, c.local_id), 0);
	cr_expect_eq(latch_expect_tag(fd, "web"), 0);
	expect_text(fd, LATCH_OPT_EXPECT_TAG, "web");
	cr_expect_eq(latch_expect_class(fd, LATCH_CLASS_PUBLIC_KEY), 0);
	cr_expect_eq(latch_expect_quality(fd, &least), 0);
	cr_expect_eq(latch_disposition(fd, LATCH_DISPOSE_TIMEOUT), 0);
	cr_expect_eq(get_int(fd, LATCH_OPT_REQUIRE), 1);
	expect_text(fd, LATCH_OPT_EXPECT_PEER, c.id);
	expect_text(fd, LATCH_OPT_EXPECT_CONNECTION, c.connection);
	expect_text(fd, LATCH_OPT_EXPECT_LOCAL, c.local_id);
	cr_expect_eq(get_int(fd, LATCH_OPT_EXPECT_CLASS), LATCH_CLASS_PUBLIC_KEY);
	cr_expect_eq(get(fd, LATCH_OPT_EXPECT_QUALITY, &read, &length), 0);
	cr_expect_eq(memcmp(&read, &least, sizeof(least)), 0);
	cr_expect_eq(get_int(fd, LATCH_OPT_DISPOSITION), LATCH_DISPOSE_TIMEOUT);
	expect_no_wish(other);
	cr_expect_eq(latch_datagrams(other), -EINVAL, "TCP");
	cr_expect_eq(latch_bypass(other), 0);
	cr_expect_eq(get_int(other, LATCH_OPT_PROTECTION), LATCH_PROTECTION_BYPASS);
	cr_expect_eq(get_int(fd, LATCH_OPT_PROTECTION), LATCH_PROTECTION_BY_RULE);
	close(fd);
	close(other);
}

Test(liblatch_wish, a_bad_wish_is_an_error_and_errno_stays)
{
	char text[LATCH_TEXT_MAX + 64];
	int fd = tcp_socket(IPV4);

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	errno = EXDEV;
	cr_expect_eq(latch_expect_peer(fd, text), -EINVAL);
	text[LATCH_TEXT_MAX] = '\0';
	cr_expect_eq(latch_expect_peer(fd, text), -EINVAL);
	text[LATCH_NAME_MAX] = '\0';
	cr_expect_eq(latch_expect_connection(fd, text), -EINVAL);
	cr_expect_eq(latch_expect_peer(fd, NULL), -EINVAL);
	cr_expect_eq(latch_expect_class(fd, (enum latch_app_class)99), -EINVAL);
	cr_expect_eq(latch_require(-1), -EBADF);
	cr_expect_eq(errno, EXDEV);
	expect_no_wish(fd);
	close(fd);
}

/* As of a value that a configuration lacks. */
Test(liblatch_wish, an_empty_text_takes_no_wish_back)
{
	int fd = tcp_socket(IPV4);

	cr_expect_eq(latch_expect_peer(fd, c.id), 0);
	cr_expect_eq(latch_expect_connection(fd, c.connection), 0);
	cr_expect_eq(latch_expect_local(fd, c.local_id), 0);
	cr_expect_eq(latch_expect_peer(fd, ""), -EINVAL);
	cr_expect_eq(latch_expect_connection(fd, ""), -EINVAL);
	cr_expect_eq(latch_expect_local(fd, ""), -EINVAL);
	cr_expect_eq(latch_expect_tag(fd, ""), -EINVAL);
	expect_text(fd, LATCH_OPT_EXPECT_PEER, c.id);
	expect_text(fd, LATCH_OPT_EXPECT_CONNECTION, c.connection);
	expect_text(fd, LATCH_OPT_EXPECT_LOCAL, c.local_id);
	close(fd);
}

/* Of a program that was built with a later header. */
struct later_least {
	struct latch_least least;
	uint32_t more;
};

Test(liblatch_wish, a_quality_has_the_size_of_the_callers_structure)
{
	struct later_least later = {.least = {.size = sizeof(later), .icv_bits = 96}};
	struct latch_least small = {.size = 8}, none = {.size = 0};
	struct latch_least read;
	socklen_t length = sizeof(read);
	int fd = tcp_socket(IPV4);

	cr_expect_eq(latch_expect_quality(fd, NULL), -EINVAL);
	cr_expect_eq(latch_expect_quality(fd, &small), -EINVAL);
	cr_expect_eq(latch_expect_quality(fd, &none), -EINVAL);
	later.more = 1;
	cr_expect_eq(latch_expect_quality(fd, &later.least), -EINVAL, "not known here");
	expect_no_wish(fd);
	later.more = 0;
	cr_expect_eq(latch_expect_quality(fd, &later.least), 0);
	cr_expect_eq(get(fd, LATCH_OPT_EXPECT_QUALITY, &read, &length), 0);
	cr_expect_eq(read.icv_bits, 96);
	close(fd);
}

/* ---- where nothing serves */

/* Never "accepted, and ignored". */
static void expect_unavailable(int fd)
{
	const struct latch_least least = {.size = sizeof(least), .icv_bits = 96};

	cr_expect_eq(latch_require(fd), -LATCH_UNAVAILABLE);
	cr_expect_eq(latch_expect_peer(fd, c.id), -LATCH_UNAVAILABLE);
	cr_expect_eq(latch_expect_connection(fd, c.connection), -LATCH_UNAVAILABLE);
	cr_expect_eq(latch_expect_local(fd, c.local_id), -LATCH_UNAVAILABLE);
	cr_expect_eq(latch_expect_tag(fd, "web"), -LATCH_UNAVAILABLE);
	cr_expect_eq(latch_tags(fd, (char[LATCH_TAGS_MAX]){""}, LATCH_TAGS_MAX),
		     -LATCH_UNAVAILABLE);
	cr_expect_eq(latch_expect_class(fd, LATCH_CLASS_PSK), -LATCH_UNAVAILABLE);
	cr_expect_eq(latch_expect_quality(fd, &least), -LATCH_UNAVAILABLE);
	cr_expect_eq(latch_disposition(fd, LATCH_DISPOSE_WAIT), -LATCH_UNAVAILABLE);
	cr_expect_eq(latch_bypass(fd), -LATCH_UNAVAILABLE);
	cr_expect_eq(latch_datagrams(fd), -LATCH_UNAVAILABLE);
}

Test(liblatch_wish, where_nothing_serves_each_wish_fails_and_nothing_is_connected)
{
	static const char *const addresses[] = {IPV4, IPV6};
	size_t i;

	change_settings(false, 0, 0);
	for (i = 0; i < 2; i++) {
		int listener = start_listener(addresses[i], NULL), fd = tcp_socket(addresses[i]);
		struct address there = name_of(listener, getsockname);

		expect_unavailable(fd);
		cr_expect_eq(latch_connect(fd, &there.any, there.length), -LATCH_UNAVAILABLE);
		cr_expect_eq(tcp_state_of(fd), TCP_CLOSE);
		cr_expect_not(is_readable(listener));
		close(fd);
		fd = connect_to(addresses[i], listener, NULL);
		wait_for(is_readable(listener));
		cr_expect_eq(latch_accept(listener, NULL, NULL, SOCK_CLOEXEC), -LATCH_UNAVAILABLE);
		cr_expect(is_readable(listener), "not accepted");
		close(fd);
		close(listener);
	}
}

/* ---- tags */

static void put_tags(const struct peer *peer, uint32_t sets)
{
	struct latch_peer_sets names = {.names = {"web", "db"}};
	struct latch_peer_facts facts = {.sets = {sets, sets}};
	uint32_t half;

	for (half = 0; half < 2; half++)
		cr_assert_eq(bpf_map_update_elem(maps.peer_sets, &half, &names, BPF_ANY), 0);
	cr_assert_eq(bpf_map_update_elem(maps.peer_facts, &peer->identity, &facts, BPF_ANY), 0);
}

static void expect_tags(int fd, const char *tags)
{
	char text[LATCH_TAGS_MAX] = "x";

	cr_expect_eq(latch_tags(fd, text, sizeof(text)), (int)strlen(tags));
	cr_expect_str_eq(text, tags);
}

Test(liblatch_wish, each_socket_has_the_tags_of_its_peer)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	char text[8];

	put_tags(&c, 3);
	put_tags(&d, 0);
	cr_expect_eq(latch_tags(pair.client, text, sizeof(text)), -ENODATA);
	latch_socket(pair.client, &c);
	latch_socket(pair.server, &d);
	expect_tags(pair.client, "web\ndb\n");
	expect_tags(pair.server, "");
	cr_expect_eq(latch_tags(pair.client, text, 7), -ERANGE);
	cr_expect_eq(latch_tags(pair.client, text, 8), 7);
	close_pair(&pair);
}

/* ---- latch_connect() */

/* Its latch is there before it connects: its flow and its cookie are known. */
static int latched_before(const struct peer *peer, const struct address *there)
{
	int fd = bound_socket(IPV4, NULL);

	latch_socket_as(fd, peer, flow_between(name_of(fd, getsockname), *there));
	return fd;
}

static int listener_that_requires(void)
{
	int fd = bound_socket(IPV4, NULL);

	cr_assert_eq(latch_require(fd), 0);
	cr_assert_eq(listen(fd, 8), 0);
	return fd;
}

Test(liblatch_wish, a_latched_connection_is_connected_and_accepted)
{
	int listener = listener_that_requires(), client, server;
	struct address there = name_of(listener, getsockname);
	struct latch_flow flow;
	struct latch latch;

	client = latched_before(&c, &there);
	flow = other_end(flow_between(name_of(client, getsockname), there));
	latch = latch_to(&d, 0);
	latch.owner = LATCH_OWNER_HANDSHAKE;
	store_latch(&flow, &latch);
	cr_assert_eq(latch_require(client), 0);
	cr_expect_eq(latch_connect(client, &there.any, there.length), 0);
	expect_peer(client, &c);
	server = latch_accept(listener, NULL, NULL, SOCK_CLOEXEC);
	cr_assert_geq(server, 0, "%s", strerror(-server));
	cr_expect(fcntl(server, F_GETFD) & FD_CLOEXEC);
	expect_peer(server, &d);
	close(client);
	close(server);
	close(listener);
}

/* ---- purge ends each wish, and the next latchd may latch the impostor */

static void end_wish(int fd)
{
	cr_assert_eq(bpf_map_delete_elem(maps.wishes, &fd), 0, "%s", strerror(errno));
}

Test(liblatch_wish, a_socket_whose_wish_has_ended_is_not_connected)
{
	int listener = start_listener(IPV4, NULL), fd = bound_socket(IPV4, NULL);
	struct address there = name_of(listener, getsockname);

	cr_assert_eq(latch_expect_peer(fd, c.id), 0);
	latch_socket_as(fd, &d, flow_between(name_of(fd, getsockname), there));
	end_wish(fd);
	cr_expect_eq(latch_connect(fd, &there.any, there.length), -ENOKEY);
	cr_expect_eq(tcp_state_of(fd), TCP_CLOSE, "not called");
	cr_expect_not(is_readable(listener));
	close(fd);
	close(listener);
}

static void connect_from_d(int listener, int client)
{
	struct address there = name_of(listener, getsockname);
	struct latch_flow flow = other_end(flow_between(name_of(client, getsockname), there));
	struct latch latch = latch_to(&d, 0);

	latch.owner = LATCH_OWNER_HANDSHAKE;
	store_latch(&flow, &latch);
	cr_assert_eq(connect(client, &there.any, there.length), 0);
	wait_for(is_readable(listener));
}

Test(liblatch_wish, a_listener_whose_wish_has_ended_accepts_nothing)
{
	int listener = listener_that_requires(), fd = bound_socket(IPV4, NULL);

	end_wish(listener);
	connect_from_d(listener, fd);
	cr_expect_eq(latch_accept(listener, NULL, NULL, 0), -ENOKEY);
	cr_expect(is_readable(listener), "not accepted");
	close(fd);
	close(listener);
}

/* As of a connection that began when the listener had no wish. */
Test(liblatch_wish, what_began_without_the_wish_of_the_listener_is_closed)
{
	int listener = listener_that_requires(), fd = bound_socket(IPV4, NULL);
	struct pollfd ended = {.fd = fd, .events = POLLIN};
	unsigned char wish[4096] = {0};

	cr_assert_eq(bpf_map_lookup_elem(maps.wishes, &listener, wish), 0);
	end_wish(listener);
	connect_from_d(listener, fd);
	cr_assert_eq(bpf_map_update_elem(maps.wishes, &listener, wish, BPF_ANY), 0);
	cr_expect_eq(latch_accept(listener, NULL, NULL, 0), -ENOKEY);
	cr_expect_not(is_readable(listener), "accepted, and closed");
	cr_assert_eq(poll(&ended, 1, LIMIT_MS), 1);
	close(fd);
	close(listener);
}

/* As where the gate has gone: what is connected in clear is an error all the same. */
Test(liblatch_wish, a_connection_without_a_latch_is_an_error_at_both_ends)
{
	int listener = listener_that_requires(), client = tcp_socket(IPV4);
	struct address there = name_of(listener, getsockname);
	char byte;

	cr_assert_eq(latch_require(client), 0);
	cr_expect_eq(latch_connect(client, &there.any, there.length), -ENOKEY);
	cr_expect_eq(latch_accept(listener, NULL, NULL, 0), -ENOKEY);
	cr_expect_eq(recv(client, &byte, 1, 0), 0, "closed");
	close(client);
	close(listener);
}

static void end_refused(int fd, const struct latch_flow *flow)
{
	struct pollfd failed = {.fd = fd, .events = POLLOUT};
	struct latch_event event = {0};
	int err;

	wait_for(events_of(LATCH_EVENT_REFUSED, flow, &event));
	err = refused_connect_end(&maps, &event);
	if (err == -EOPNOTSUPP)
		cr_skip_test("this kernel has no SOCK_DESTROY");
	cr_assert_eq(err, 0, "%s", strerror(-err));
	cr_assert_eq(poll(&failed, 1, LIMIT_MS), 1);
}

static void check_refused(int listener, const struct peer *under, int error)
{
	struct address there = name_of(listener, getsockname);
	int fd = bound_socket(IPV4, NULL);
	struct latch_flow flow = flow_between(name_of(fd, getsockname), there);

	if (under)
		put_sa_of(&flow, LATCH_SA_BOUND, under->params);
	cr_assert_eq(latch_expect_peer(fd, c.id), 0);
	cr_assert_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	cr_expect_eq(latch_connect(fd, &there.any, there.length), -EINPROGRESS);
	end_refused(fd, &flow);
	cr_expect_eq(latch_connect(fd, &there.any, there.length), error);
	close(fd);
}

Test(liblatch_wish, R_2_3_18_connect_says_whether_the_peer_or_the_latch_is_missing)
{
	int listener = start_listener(IPV4, NULL);

	attach_gates();
	set_drop_event_interval(1);
	check_refused(listener, NULL, -ENOKEY);
	make_esp("ip", "tcp", port_of(listener));
	check_refused(listener, &d, -EKEYREJECTED);
	close(listener);
}

/* Without latchd nothing ends it before. */
static void check_timed_out(int listener, const struct peer *under, int error, enum latch_why why,
			    const char *text)
{
	struct address there = name_of(listener, getsockname);
	int fd = bound_socket(IPV4, NULL), once = 1;
	struct latch_info info;

	cr_assert_eq(latch_expect_peer(fd, c.id), 0);
	cr_assert_eq(setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &once, sizeof(once)), 0);
	if (under) {
		struct latch_flow flow = flow_between(name_of(fd, getsockname), there);

		put_sa_of(&flow, LATCH_SA_BOUND, under->params);
	}
	cr_expect_eq(latch_connect(fd, &there.any, there.length), error);
	cr_assert_eq(latch_info(fd, &info, sizeof(info)), 0);
	cr_expect_eq(info.why, why, "%u", info.why);
	cr_expect_str_eq(latch_why_text(info.why), text);
	close(fd);
}

Test(liblatch_wish, a_connect_that_times_out_without_latchd_says_what_is_missing)
{
	int listener = start_listener(IPV4, NULL);

	attach_gates();
	check_timed_out(listener, NULL, -ENOKEY, LATCH_WHY_REQUIRED,
			"a latch is required, and there is none");
	make_esp("ip", "tcp", port_of(listener));
	check_timed_out(listener, &d, -EKEYREJECTED, LATCH_WHY_PEER,
			"the SA is of another peer than the expected one");
	check_timed_out(listener, &c, -ETIMEDOUT, LATCH_WHY_ENDED, "the connection has ended");
	close(listener);
}

/* Of no packet: the network cannot be reached. */
Test(liblatch_wish, a_connect_that_sends_nothing_does_not_have_the_reason_of_the_one_before)
{
	struct address nowhere = address_of("192.0.2.1", 9);
	int listener = start_listener(IPV4, NULL), fd = tcp_socket(IPV4), once = 1;
	struct address there = name_of(listener, getsockname);

	attach_gates();
	cr_assert_eq(setsockopt(fd, IPPROTO_TCP, TCP_SYNCNT, &once, sizeof(once)), 0);
	cr_assert_eq(latch_require(fd), 0);
	cr_expect_eq(latch_connect(fd, &there.any, there.length), -ENOKEY);
	cr_expect_eq(latch_connect(fd, &nowhere.any, nowhere.length), -ENETUNREACH);
	close(fd);
	close(listener);
}

Test(liblatch_wish, a_connect_that_fails_otherwise_has_its_own_error)
{
	int listener = start_listener(IPV4, NULL), fd = tcp_socket(IPV4);
	struct address there = name_of(listener, getsockname);

	close(listener);
	cr_assert_eq(latch_require(fd), 0);
	cr_expect_eq(latch_connect(fd, &there.any, there.length), -ECONNREFUSED);
	close(fd);
}

/* ---- errors that are no LATCH_UNAVAILABLE: the connection is open, or the call was made */

static int (*real_connect)(int, const struct sockaddr *, socklen_t);
static int connect_error; /* 0: connects, and the interface is switched off meanwhile */
static bool is_wrapped;

/* In place of the C library's, also for liblatch. */
int connect(int fd, const struct sockaddr *to, socklen_t length)
{
	int result;

	if (!real_connect)
		*(void **)&real_connect = dlsym(RTLD_NEXT, "connect");
	if (is_wrapped && connect_error) {
		errno = connect_error;
		return -1;
	}
	result = real_connect(fd, to, length);
	if (is_wrapped)
		change_settings(false, 0, 0);
	return result;
}

Test(liblatch_wish, a_connection_that_is_open_is_no_socket_without_latchd)
{
	int listener = start_listener(IPV4, NULL), fd = bound_socket(IPV4, NULL);
	struct address there = name_of(listener, getsockname);

	cr_assert_eq(latch_require(fd), 0);
	latch_socket_as(fd, &c, flow_between(name_of(fd, getsockname), there));
	is_wrapped = true;
	cr_expect_eq(latch_connect(fd, &there.any, there.length), -ENOKEY);
	is_wrapped = false;
	cr_expect_eq(tcp_state_of(fd), TCP_ESTABLISHED);
	close(fd);
	close(listener);
}

Test(liblatch_wish, an_error_of_connect_or_accept_is_not_unavailable)
{
	static const int errors[] = {EOPNOTSUPP, ENOPROTOOPT};
	int fd = tcp_socket(IPV4), udp = udp_bound(IPV4);
	struct address there = name_of(udp, getsockname);
	size_t i;

	cr_assert_eq(latch_require(fd), 0);
	is_wrapped = true;
	for (i = 0; i < 2; i++) {
		connect_error = errors[i];
		cr_expect_eq(latch_connect(fd, &there.any, there.length), -EPROTO);
	}
	is_wrapped = false;
	cr_assert_eq(latch_require(udp), 0);
	cr_expect_eq(latch_accept(udp, NULL, NULL, 0), -EPROTO, "no listener");
	close(fd);
	close(udp);
}

/* A UDP socket gets its latch later; until then nothing leaves. */
Test(liblatch_wish, a_datagram_socket_is_connected_before_it_has_a_latch)
{
	int there = udp_bound(IPV4), fd = udp_bound(IPV4);
	struct address address = name_of(there, getsockname);

	attach_gates();
	cr_assert_eq(latch_require(fd), 0);
	cr_expect_eq(latch_connect(fd, &address.any, address.length), 0);
	cr_expect_eq(udp_send(fd), -EPERM, "in clear");
	cr_expect_not(is_readable(there));
	close(fd);
	close(there);
}

/* The reason is of the connection before. */
Test(liblatch_wish, a_datagram_socket_that_was_refused_may_be_connected_to_the_wished_peer)
{
	int there = udp_bound(IPV4), other = udp_bound(IPV4), fd = udp_bound(IPV4);
	struct address address = name_of(other, getsockname);
	struct latch_flow flow;
	struct latch_info info;

	attach_gates();
	make_esp("ip", "udp", port_of(there));
	cr_assert_eq(latch_expect_peer(fd, c.id), 0);
	udp_connect(fd, name_of(there, getsockname));
	flow = udp_flow(fd);
	put_sa_of(&flow, LATCH_SA_BOUND, d.params);
	cr_expect_eq(udp_send(fd), -EPERM);
	cr_assert_eq(latch_info(fd, &info, sizeof(info)), 0);
	cr_expect_eq(info.why, LATCH_WHY_PEER);
	cr_expect_eq(latch_connect(fd, &address.any, address.length), 0);
	cr_assert_eq(latch_info(fd, &info, sizeof(info)), 0);
	cr_expect_eq(info.why, LATCH_WHY_REQUIRED);
	close(fd);
	close(there);
	close(other);
}

/* ---- words */

Test(liblatch_wish, each_reason_has_a_sentence_of_its_own)
{
	const char *unknown = latch_why_text(250);
	int why, other, known = 0;

	for (why = 0; why < 256; why++) {
		const char *text = latch_why_text(why);

		cr_assert_not_null(text);
		if (text == unknown)
			continue;
		known++;
		for (other = 0; other < why; other++)
			cr_expect_str_neq(latch_why_text(other), text, "%d %d", other, why);
	}
	cr_expect_eq(known, 27, "%d", known);
	cr_expect_str_eq(latch_why_text(-1), unknown);
}
