/* SPDX-License-Identifier: BSD-2-Clause */
/* Subscriptions of sockets, and the events that the programs send for them. Behind wish_fixture.h.
 */
#ifndef LATCHD_TESTS_NEWS_FIXTURE_H
#define LATCHD_TESTS_NEWS_FIXTURE_H

#include "wish_fixture.h"

/* Two connections for news, as latchd would have made them. */
static const struct latch_token token_one = {{0x1111, 0x2222}}, token_two = {{0x3333, 0x4444}};

static inline void put_token(const struct latch_token *token, uint64_t sockets)
{
	cr_assert_eq(bpf_map_update_elem(maps.news_tokens, token, &sockets, BPF_ANY), 0);
}

static inline void end_token(const struct latch_token *token)
{
	cr_assert_eq(bpf_map_delete_elem(maps.news_tokens, token), 0);
}

static inline uint64_t sockets_of(const struct latch_token *token)
{
	uint64_t sockets = 0;

	cr_assert_eq(bpf_map_lookup_elem(maps.news_tokens, token, &sockets), 0);
	return sockets;
}

static inline void news_set_up(void)
{
	api_set_up();
	put_token(&token_one, 0);
	put_token(&token_two, 0);
}

static inline struct latch_subscribe subscribe_to(const struct latch_token *token, uint64_t data)
{
	struct latch_subscribe value = {.size = sizeof(value), .data = data};

	memcpy(value.token, token, sizeof(*token));
	return value;
}

/* As the library: the socket has a cookie behind it. 0 or a negative errno. */
static inline int subscribe(int fd, const struct latch_token *token, uint64_t data)
{
	struct latch_subscribe value = subscribe_to(token, data);

	cookie_of(fd);
	return set_wish(fd, LATCH_OPT_NEWS, &value, sizeof(value));
}

/* True: latchd finds this subscription by the cookie. */
static inline bool is_subscribed(uint64_t cookie, const struct latch_token *token, uint64_t data)
{
	struct latch_subscription found;

	return !bpf_map_lookup_elem(maps.news_sockets, &cookie, &found) &&
	       !memcmp(&found.token, token, sizeof(*token)) && found.data == data;
}

static inline bool has_no_subscription(uint64_t cookie)
{
	struct latch_subscription found;

	return bpf_map_lookup_elem(maps.news_sockets, &cookie, &found) && errno == ENOENT;
}

/* Events for one socket so far; *ret_last is the newest. */
static inline unsigned int news_for(enum latch_event_type type, uint64_t cookie,
				    struct latch_event *ret_last)
{
	unsigned int i, found = 0;

	cr_assert_geq(ring_buffer__consume(events_ring), 0);
	for (i = 0; i < event_count; i++) {
		if (events_seen[i].type != type || events_seen[i].subscriber.socket != cookie)
			continue;
		found++;
		if (ret_last)
			*ret_last = events_seen[i];
	}
	return found;
}

#endif
