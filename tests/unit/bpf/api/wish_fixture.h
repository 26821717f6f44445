/* SPDX-License-Identifier: BSD-2-Clause */
/* Wishes of sockets, set and read back. Included behind api_fixture.h. */
#ifndef LATCHD_TESTS_WISH_FIXTURE_H
#define LATCHD_TESTS_WISH_FIXTURE_H

#include "api_fixture.h"
#include "udp.h"

static const int text_wishes[] = {LATCH_OPT_EXPECT_PEER, LATCH_OPT_EXPECT_CONNECTION,
				  LATCH_OPT_EXPECT_LOCAL};
static const int int_wishes[] = {LATCH_OPT_REQUIRE, LATCH_OPT_EXPECT_CLASS, LATCH_OPT_DISPOSITION};

/* The three return 0 or a negative errno. */
static inline int set_wish(int fd, int option, const void *value, size_t size)
{
	return setsockopt(fd, SOL_LATCH, option, value, (socklen_t)size) ? -errno : 0;
}

static inline int set_text(int fd, int option, const char *text)
{
	return set_wish(fd, option, text, strlen(text));
}

static inline int set_int(int fd, int option, int value)
{
	return set_wish(fd, option, &value, sizeof(value));
}

/* A negative errno if it fails. */
static inline int get_int(int fd, int option)
{
	int value = -1;
	socklen_t length = sizeof(value);
	int err = get(fd, option, &value, &length);

	if (!err)
		cr_assert_eq(length, sizeof(value));
	return err ? err : value;
}

static inline void expect_no_wish(int fd)
{
	struct latch_least least = {0}, none = {.size = sizeof(none)};
	socklen_t length = sizeof(least);
	char text[TEXT_SIZE];
	size_t i;

	cr_expect_eq(get(fd, LATCH_OPT_EXPECT_QUALITY, &least, &length), 0);
	cr_expect_eq(memcmp(&least, &none, sizeof(none)), 0, "a quality");
	cr_expect_eq(get_int(fd, LATCH_OPT_PROTECTION), LATCH_PROTECTION_BY_RULE);
	for (i = 0; i < 3; i++) {
		cr_expect_eq(get_int(fd, int_wishes[i]), 0, "%d", int_wishes[i]);
		cr_expect_eq(ask_text(fd, text_wishes[i], text), -ENODATA, "%d", text_wishes[i]);
	}
}

static inline int tcp_socket(const char *address)
{
	struct address here = address_of(address, 0);

	return new_socket(&here, NULL);
}

#endif
