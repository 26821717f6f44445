/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * LATCH_OPT_NEWS: which socket is subscribed to which connection for news, and which events the
 * programs send for it. The connections themselves: tests/unit/latchd/subscribers/.
 */
#include "news_fixture.h"

#include <linux/filter.h>
#include <pthread.h>
#include <sys/wait.h>

TestSuite(api_news, .init = news_set_up, .fini = gate_tear_down, .timeout = 60);

/* ---- the option */

Test(api_news, a_socket_of_each_kind_is_subscribed_at_any_time)
{
	struct pair tcp = connect_pair(IPV4, IPV4, NULL), udp = udp_pair(IPV6, IPV6);
	int fds[] = {tcp_socket(IPV4), udp_bound(IPV4), tcp.listener, tcp.client,
		     tcp.server,       udp.client,	udp.server};
	size_t i;

	for (i = 0; i < 7; i++) {
		cr_expect_eq(get_int(fds[i], LATCH_OPT_NEWS), 0);
		cr_expect_eq(subscribe(fds[i], &token_one, i), 0, "%zu: %s", i, strerror(errno));
		cr_expect_eq(get_int(fds[i], LATCH_OPT_NEWS), 1);
		cr_expect(is_subscribed(cookie_of(fds[i]), &token_one, i));
		cr_expect_eq(sockets_of(&token_one), i + 1);
	}
	close(fds[0]);
	close(fds[1]);
	close_pair(&tcp);
	udp_close(&udp);
	cr_expect_eq(sockets_of(&token_one), 0);
}

/* A process that does not know the secret of another one's connection. */
Test(api_news, a_token_of_no_connection_is_refused_and_changes_nothing)
{
	struct latch_token guessed[4] = {token_one, token_one, token_two, {{1, 0}}};
	int fd = tcp_socket(IPV4), other = tcp_socket(IPV4);
	size_t i;

	guessed[0].words[0]++;
	guessed[1].words[1] ^= 1ull << 63;
	guessed[2].words[0] = token_one.words[0];
	cr_assert_eq(subscribe(fd, &token_one, 7), 0);
	for (i = 0; i < 4; i++) {
		cr_expect_eq(subscribe(fd, &guessed[i], 8), -ENOENT);
		cr_expect_eq(subscribe(other, &guessed[i], 8), -ENOENT);
	}
	cr_expect(is_subscribed(cookie_of(fd), &token_one, 7));
	cr_expect(has_no_subscription(cookie_of(other)));
	cr_expect_eq(get_int(other, LATCH_OPT_NEWS), 0);
	close(fd);
	close(other);
}

/* latchd was started again, or the connection has ended. */
Test(api_news, the_token_of_an_ended_connection_is_refused)
{
	int fd = tcp_socket(IPV4);

	cr_assert_eq(subscribe(fd, &token_one, 7), 0);
	end_token(&token_one);
	cr_expect_eq(get_int(fd, LATCH_OPT_NEWS), 0, "nothing is sent any more");
	cr_expect_eq(subscribe(fd, &token_one, 7), -ENOENT);
	cr_expect_eq(subscribe(fd, &token_two, 9), 0);
	cr_expect(is_subscribed(cookie_of(fd), &token_two, 9));
	close(fd);
	cr_expect_eq(sockets_of(&token_two), 0);
}

Test(api_news, the_next_subscription_replaces_the_first_one)
{
	int fd = tcp_socket(IPV4);

	cr_assert_eq(subscribe(fd, &token_one, 7), 0);
	cr_assert_eq(subscribe(fd, &token_one, 8), 0);
	cr_expect(is_subscribed(cookie_of(fd), &token_one, 8));
	cr_expect_eq(sockets_of(&token_one), 1);
	cr_assert_eq(subscribe(fd, &token_two, 9), 0);
	cr_expect(is_subscribed(cookie_of(fd), &token_two, 9));
	cr_expect_eq(sockets_of(&token_one), 0);
	cr_expect_eq(sockets_of(&token_two), 1);
	close(fd);
}

Test(api_news, a_token_of_zeros_takes_the_subscription_back)
{
	const struct latch_token none = {0};
	int fd = tcp_socket(IPV4);

	cr_expect_eq(subscribe(fd, &none, 0), 0);
	cr_assert_eq(subscribe(fd, &token_one, 7), 0);
	cr_expect_eq(subscribe(fd, &none, 7), 0);
	cr_expect(has_no_subscription(cookie_of(fd)));
	cr_expect_eq(get_int(fd, LATCH_OPT_NEWS), 0);
	cr_expect_eq(sockets_of(&token_one), 0);
	close(fd);
}

Test(api_news, a_socket_without_a_cookie_needs_one_first)
{
	struct latch_subscribe value = subscribe_to(&token_one, 7);
	int fd = tcp_socket(IPV4);

	cr_expect_eq(set_wish(fd, LATCH_OPT_NEWS, &value, sizeof(value)), -ENODATA);
	cookie_of(fd);
	cr_expect_eq(set_wish(fd, LATCH_OPT_NEWS, &value, sizeof(value)), 0);
	close(fd);
}

Test(api_news, another_size_or_value_is_refused)
{
	struct latch_subscribe value = subscribe_to(&token_one, 7), wrong;
	char buffer[4097] = {0};
	int fd = tcp_socket(IPV4);
	size_t i;

	cookie_of(fd);
	memcpy(buffer, &value, sizeof(value));
	for (i = 0; i < 100; i++)
		if (i != sizeof(value))
			cr_expect_eq(set_wish(fd, LATCH_OPT_NEWS, buffer, i), -EINVAL, "%zu", i);
	cr_expect_eq(set_wish(fd, LATCH_OPT_NEWS, buffer, sizeof(buffer)), -EINVAL);
	wrong = value;
	wrong.size++;
	cr_expect_eq(set_wish(fd, LATCH_OPT_NEWS, &wrong, sizeof(wrong)), -EINVAL);
	wrong = value;
	wrong.pad = 1;
	cr_expect_eq(set_wish(fd, LATCH_OPT_NEWS, &wrong, sizeof(wrong)), -EINVAL);
	cr_expect_eq(set_wish(fd, LATCH_OPT_NEWS, NULL, sizeof(value)), -EFAULT);
	cr_expect(has_no_subscription(cookie_of(fd)));
	close(fd);
}

/* Another holder of the socket learns no secret of the subscriber. */
Test(api_news, no_token_is_shown)
{
	char answer[64] = {0};
	socklen_t length = sizeof(answer);
	int fd = tcp_socket(IPV4), one = 1;

	cr_assert_eq(subscribe(fd, &token_one, 7), 0);
	cr_assert_eq(get(fd, LATCH_OPT_NEWS, answer, &length), 0);
	cr_expect_eq(length, sizeof(int));
	cr_expect_eq(memcmp(answer, &one, sizeof(one)), 0);
	close(fd);
}

Test(api_news, a_subscription_is_no_wish)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	int fd = tcp_socket(IPV4);

	cr_assert_eq(subscribe(fd, &token_one, 7), 0);
	cr_expect_eq(get_int(fd, LATCH_OPT_REQUIRE), 0);
	cr_assert_eq(subscribe(pair.client, &token_one, 7), 0);
	send_byte(pair.client);
	close(fd);
	close_pair(&pair);
}

Test(api_news, without_the_interface_nothing_is_subscribed)
{
	int fd = tcp_socket(IPV4), err;

	change_settings(false, 0, 0);
	err = subscribe(fd, &token_one, 7);
	cr_expect(err == -EOPNOTSUPP || err == -ENOPROTOOPT, "%d", err);
	change_settings(true, 0, 0);
	cr_expect(has_no_subscription(cookie_of(fd)));
	close(fd);
}

/* ---- shares */

Test(api_news, a_full_share_is_refused_and_is_no_other_connection_s)
{
	int fd = tcp_socket(IPV4), other = tcp_socket(IPV4), inside = tcp_socket(IPV4);

	put_token(&token_one, LATCH_NEWS_SOCKETS - 1);
	cr_expect_eq(subscribe(inside, &token_one, 1), 0);
	cr_expect_eq(subscribe(fd, &token_one, 2), -ENOSPC);
	cr_expect(has_no_subscription(cookie_of(fd)));
	cr_expect_eq(subscribe(inside, &token_one, 3), 0, "it has its place");
	cr_expect_eq(subscribe(other, &token_two, 4), 0);
	cr_expect_eq(subscribe(other, &token_one, 5), -ENOSPC);
	cr_expect(is_subscribed(cookie_of(other), &token_two, 4), "a refusal changes nothing");
	close(inside);
	cr_expect_eq(subscribe(fd, &token_one, 2), 0);
	cr_expect_eq(sockets_of(&token_one), LATCH_NEWS_SOCKETS);
	close(fd);
	close(other);
}

Test(api_news, the_shares_of_all_connections_fit_into_the_map)
{
	struct bpf_map_info info = {0};
	__u32 size = sizeof(info);

	cr_assert_eq(bpf_obj_get_info_by_fd(maps.news_sockets, &info, &size), 0);
	cr_expect_eq(info.max_entries, LATCH_SUBSCRIBERS_MAX * LATCH_NEWS_SOCKETS);
	size = sizeof(info);
	cr_assert_eq(bpf_obj_get_info_by_fd(maps.news_tokens, &info, &size), 0);
	cr_expect_eq(info.max_entries, LATCH_SUBSCRIBERS_MAX);
	cr_expect_eq(LATCH_SUBSCRIBER_SOCKETS, LATCH_NEWS_SOCKETS);
}

/* ---- the end of a socket */

Test(api_news, the_last_descriptor_ends_a_subscription_and_no_earlier_one)
{
	int fds[] = {tcp_socket(IPV4), udp_bound(IPV6), start_listener(IPV4, NULL)}, copy;
	uint64_t cookie;
	size_t i;

	for (i = 0; i < 3; i++) {
		cookie = cookie_of(fds[i]);
		cr_assert_eq(subscribe(fds[i], &token_one, 7), 0);
		copy = dup(fds[i]);
		close(fds[i]);
		cr_expect(is_subscribed(cookie, &token_one, 7));
		close(copy);
		cr_expect(has_no_subscription(cookie), "%zu", i);
		cr_expect_eq(sockets_of(&token_one), 0);
	}
}

Test(api_news, a_process_that_is_killed_leaves_no_subscription)
{
	uint64_t cookie[2];
	int report[2];
	pid_t pid;

	cr_assert_eq(pipe(report), 0);
	pid = fork();
	if (!pid) {
		int fd = tcp_socket(IPV4);

		cookie[0] = cookie_of(fd);
		cookie[1] = (uint64_t)subscribe(fd, &token_one, 7);
		if (write(report[1], cookie, sizeof(cookie)) < 0)
			_exit(1);
		pause();
	}
	cr_assert_eq(read(report[0], cookie, sizeof(cookie)), (ssize_t)sizeof(cookie));
	cr_assert_eq(cookie[1], 0);
	cr_expect(is_subscribed(cookie[0], &token_one, 7));
	kill_holder(pid);
	cr_expect(has_no_subscription(cookie[0]));
	cr_expect_eq(sockets_of(&token_one), 0);
}

/* ---- events */

static void reset(int fd)
{
	struct linger hard = {.l_onoff = 1};

	cr_assert_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
	close(fd);
}

Test(api_news, the_end_of_a_latch_is_reported_of_a_socket_that_is_there)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = latch_socket(pair.client, &c);
	uint64_t cookie = cookie_of(pair.client), id = latch_of(&flow).id;
	struct latch_event event;

	cr_assert_eq(subscribe(pair.client, &token_one, 7), 0);
	reset(pair.server);
	wait_for(tcp_state_of(pair.client) == TCP_CLOSE);
	cr_assert_eq(news_for(LATCH_EVENT_NEWS_CLOSED, cookie, &event), 1);
	cr_expect_eq(memcmp(&event.subscriber.subscription.token, &token_one, sizeof(token_one)),
		     0);
	cr_expect_eq(event.subscriber.subscription.data, 7);
	cr_expect_eq(event.latch_id, id);
	cr_expect_eq(memcmp(&event.flow, &flow, sizeof(flow)), 0);
	cr_expect(has_no_subscription(cookie), "its connection has ended");
	cr_expect_eq(sockets_of(&token_one), 0);
	close(pair.client);
	close(pair.listener);
}

Test(api_news, no_event_is_sent_of_a_socket_without_a_subscription)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = latch_socket(pair.client, &c);
	uint64_t cookie = cookie_of(pair.client);

	cr_assert_eq(subscribe(pair.server, &token_one, 7), 0);
	reset(pair.server);
	wait_for(tcp_state_of(pair.client) == TCP_CLOSE);
	cr_expect_eq(news_for(LATCH_EVENT_NEWS_CLOSED, cookie, NULL), 0);
	cr_expect_eq(events_of(LATCH_EVENT_LATCH_CLOSED, &flow, NULL), 1);
	close(pair.client);
	close(pair.listener);
}

Test(api_news, a_latch_that_latchd_closes_is_reported)
{
	struct pair tcp = connect_pair(IPV4, IPV4, NULL), udp = udp_pair(IPV4, IPV4);
	struct latch_flow one = latch_socket(tcp.client, &c);
	struct latch_flow other = latch_socket_as(udp.client, &d, udp_flow(udp.client));
	struct latch seen = latch_of(&other);

	cr_assert_eq(subscribe(tcp.client, &token_one, 7), 0);
	cr_assert_eq(subscribe(udp.client, &token_two, 8), 0);
	cr_assert_eq(latch_close(&maps, &one, latch_of(&one).id), LATCH_CONTROL_DONE);
	cr_assert_eq(latch_reap(&maps, &other, &seen), LATCH_CONTROL_DONE);
	cr_expect_eq(news_for(LATCH_EVENT_NEWS_CLOSED, cookie_of(tcp.client), NULL), 1);
	cr_expect_eq(news_for(LATCH_EVENT_NEWS_CLOSED, cookie_of(udp.client), NULL), 1);
	close_pair(&tcp);
	udp_close(&udp);
}

Test(api_news, a_socket_that_connects_again_is_subscribed_again)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct address there = name_of(pair.listener, getsockname);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	uint64_t cookie = cookie_of(pair.client);

	cr_assert_eq(subscribe(pair.client, &token_one, 7), 0);
	cr_assert_eq(connect(pair.client, &none, sizeof(none)), 0);
	cr_expect(has_no_subscription(cookie));
	cr_assert_eq(connect(pair.client, &there.any, there.length), 0);
	cr_expect(is_subscribed(cookie, &token_one, 7));
	cr_expect_eq(sockets_of(&token_one), 1);
	close_pair(&pair);
	cr_expect_eq(sockets_of(&token_one), 0);
}

/* Any user could fill the ring of events. */
Test(api_news, a_connect_without_room_sends_no_event)
{
	struct pair pair = connect_pair(IPV4, IPV4, NULL);
	struct address there = name_of(pair.listener, getsockname);
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	unsigned int before;
	int i;

	cr_assert_eq(subscribe(pair.client, &token_one, 7), 0);
	cr_assert_eq(connect(pair.client, &none, sizeof(none)), 0);
	put_token(&token_one, LATCH_NEWS_SOCKETS);
	cr_assert_geq(ring_buffer__consume(events_ring), 0);
	before = event_count;
	for (i = 0; i < 50; i++) {
		cr_assert_eq(connect(pair.client, &there.any, there.length), 0);
		cr_expect_eq(get_int(pair.client, LATCH_OPT_NEWS), 0);
		cr_assert_eq(connect(pair.client, &none, sizeof(none)), 0);
		close(accept4(pair.listener, NULL, NULL, SOCK_CLOEXEC));
	}
	cr_assert_geq(ring_buffer__consume(events_ring), 0);
	cr_expect_eq(event_count, before);
	close_pair(&pair);
}

/* ---- accepted sockets. The latch has to be there when the handshake ends. */

static int client_with_latch(int listener, struct latch_flow *ret_served)
{
	struct address there = name_of(listener, getsockname);
	int client = new_socket(&there, NULL);
	struct address here = address_of(IPV4, 0);

	cr_assert_eq(bind(client, &here.any, here.length), 0);
	*ret_served = flow_between(there, name_of(client, getsockname));
	put_latch(ret_served, LATCH_OWNER_HANDSHAKE);
	cr_assert_eq(connect(client, &there.any, there.length), 0);
	return client;
}

static int accept_from(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	cr_assert_geq(fd, 0);
	return fd;
}

Test(api_news, an_accepted_socket_has_the_subscription_of_its_listener)
{
	int listener = start_listener(IPV4, NULL), client, server;
	struct latch_event event;
	struct latch_flow flow;
	uint64_t cookie;

	cr_assert_eq(subscribe(listener, &token_one, 7), 0);
	client = client_with_latch(listener, &flow);
	server = accept_from(listener);
	cookie = cookie_of(server);
	cr_expect(is_subscribed(cookie, &token_one, 7));
	cr_expect_eq(get_int(server, LATCH_OPT_NEWS), 1);
	cr_expect(has_no_subscription(cookie_of(client)));
	cr_assert_eq(news_for(LATCH_EVENT_NEWS_SPAWNED, cookie, &event), 1);
	cr_expect_eq(event.latch_id, LATCH_ID);
	cr_expect_eq(event.subscriber.subscription.data, 7);
	cr_expect_eq(sockets_of(&token_one), 2);
	close(server);
	close(listener);
	close(client);
	cr_expect_eq(sockets_of(&token_one), 0);
}

/* Any host could fill the share. */
Test(api_news, an_accepted_socket_without_a_latch_takes_no_place)
{
	int listener = start_listener(IPV4, NULL), client, server;

	cr_assert_eq(subscribe(listener, &token_one, 7), 0);
	client = connect_to(IPV4, listener, NULL);
	server = accept_from(listener);
	cr_expect(has_no_subscription(cookie_of(server)));
	cr_expect_eq(news_for(LATCH_EVENT_NEWS_SPAWNED, cookie_of(server), NULL), 0);
	cr_expect_eq(sockets_of(&token_one), 1);
	close(server);
	close(client);
	close(listener);
}

Test(api_news, a_full_share_is_reported_when_a_connection_finds_no_place)
{
	int listener = start_listener(IPV4, NULL), client, server;
	struct latch_flow flow;

	cr_assert_eq(subscribe(listener, &token_one, 7), 0);
	put_token(&token_one, LATCH_NEWS_SOCKETS);
	client = client_with_latch(listener, &flow);
	server = accept_from(listener);
	cr_expect_eq(get_int(server, LATCH_OPT_NEWS), 0);
	cr_expect_eq(news_for(LATCH_EVENT_NEWS_SPAWNED, cookie_of(server), NULL), 0);
	cr_expect_eq(news_for(LATCH_EVENT_NEWS_LOST, cookie_of(server), NULL), 1);
	close(server);
	close(client);
	close(listener);
}

Test(api_news, a_connection_that_is_never_accepted_leaves_no_subscription)
{
	int listener = start_listener(IPV4, NULL), clients[3];
	struct latch_flow flow;
	size_t i;

	cr_assert_eq(subscribe(listener, &token_one, 7), 0);
	for (i = 0; i < 3; i++)
		clients[i] = client_with_latch(listener, &flow);
	wait_for(sockets_of(&token_one) == 4);
	reset(clients[0]);
	wait_for(sockets_of(&token_one) == 3);
	close(listener);
	wait_for(sockets_of(&token_one) == 0);
	close(clients[1]);
	close(clients[2]);
}

Test(api_news, a_listener_of_an_ended_connection_subscribes_nothing)
{
	int listener = start_listener(IPV4, NULL), client, server;
	struct latch_flow flow;

	cr_assert_eq(subscribe(listener, &token_one, 7), 0);
	end_token(&token_one);
	client = client_with_latch(listener, &flow);
	server = accept_from(listener);
	cr_expect(has_no_subscription(cookie_of(server)));
	cr_expect_eq(news_for(LATCH_EVENT_NEWS_SPAWNED, cookie_of(server), NULL), 0);
	cr_expect_eq(news_for(LATCH_EVENT_NEWS_LOST, cookie_of(server), NULL), 0);
	close(server);
	close(client);
	close(listener);
}

/* The listener had the token of the former latchd. */
Test(api_news, an_accepted_socket_that_came_while_latchd_was_away_is_subscribed_by_the_application)
{
	int listener = start_listener(IPV4, NULL), client, server;
	struct latch_flow flow;

	cr_assert_eq(subscribe(listener, &token_one, 7), 0);
	end_token(&token_one);
	client = client_with_latch(listener, &flow);
	cr_assert_eq(subscribe(listener, &token_two, 7), 0);
	server = accept_from(listener);
	cr_expect_eq(get_int(server, LATCH_OPT_NEWS), 0);
	cr_expect_eq(subscribe(server, &token_two, 8), 0);
	cr_expect_eq(get_int(server, LATCH_OPT_NEWS), 1);
	cr_expect(is_subscribed(cookie_of(server), &token_two, 8));
	cr_expect_eq(sockets_of(&token_two), 2);
	close(server);
	close(client);
	close(listener);
}

Test(api_news, an_accepted_socket_that_is_subscribed_again_takes_no_second_place)
{
	int listener = start_listener(IPV4, NULL), client, server;
	struct latch_flow flow;

	cr_assert_eq(subscribe(listener, &token_one, 7), 0);
	client = client_with_latch(listener, &flow);
	server = accept_from(listener);
	cr_expect_eq(subscribe(server, &token_one, 8), 0);
	cr_expect(is_subscribed(cookie_of(server), &token_one, 8));
	cr_expect_eq(sockets_of(&token_one), 2);
	close(server);
	close(client);
	close(listener);
}

/* ---- threads */

#define THREADS 4
#define ROUNDS	3000

static int shared_socket;

/* Own sockets that come and go, and one that all of them subscribe. */
static void *subscribe_again_and_again(void *context)
{
	const struct latch_token *tokens[] = {&token_one, &token_two};
	const struct latch_token none = {0};
	uintptr_t wrong = 0;
	int i;

	(void)context;
	for (i = 0; i < ROUNDS; i++) {
		int fd = socket(AF_INET, i % 3 ? SOCK_STREAM : SOCK_DGRAM, 0);

		wrong += subscribe(fd, tokens[i % 2], 1) != 0;
		wrong += subscribe(shared_socket, i % 5 ? tokens[i / 2 % 2] : &none, 1) != 0;
		wrong += subscribe(fd, tokens[i / 2 % 2], 2) != 0;
		wrong += get_int(fd, LATCH_OPT_NEWS) != 1;
		close(fd);
	}
	return (void *)wrong;
}

Test(api_news, threads_at_once_keep_the_shares)
{
	pthread_t threads[THREADS];
	struct latch_subscription unused;
	__u64 cookie;
	void *wrong;
	int i;

	shared_socket = tcp_socket(IPV4);
	for (i = 0; i < THREADS; i++)
		cr_assert_eq(pthread_create(&threads[i], NULL, subscribe_again_and_again, NULL), 0);
	for (i = 0; i < THREADS; i++) {
		cr_assert_eq(pthread_join(threads[i], &wrong), 0);
		cr_expect_eq(wrong, NULL, "%zu calls", (size_t)wrong);
	}
	cr_expect_leq(sockets_of(&token_one) + sockets_of(&token_two), 1);
	close(shared_socket);
	cr_expect_eq(sockets_of(&token_one), 0);
	cr_expect_eq(sockets_of(&token_two), 0);
	cr_expect_eq(bpf_map_get_next_key(maps.news_sockets, NULL, &cookie), -ENOENT, "%d",
		     bpf_map_lookup_elem(maps.news_sockets, &cookie, &unused));
}

/* ---- memory */

Test(api_news, a_full_memory_for_options_is_ENOMEM_and_takes_no_place)
{
	static struct sock_filter filter[BPF_MAXINSNS];
	struct sock_fprog program = {.filter = filter};
	int fd = tcp_socket(IPV4), err = -1;
	size_t i;

	run_in_namespace("sysctl -w net.core.optmem_max=20480");
	for (i = 0; i < BPF_MAXINSNS; i++)
		filter[i] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0xffff);
	for (i = BPF_MAXINSNS; err && i; i--) {
		program.len = (unsigned short)i;
		err = setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
	}
	cr_assert_eq(err, 0);
	cr_expect_eq(subscribe(fd, &token_one, 7), -ENOMEM);
	cr_expect(has_no_subscription(cookie_of(fd)));
	cr_expect_eq(sockets_of(&token_one), 0);
	close(fd);
}
