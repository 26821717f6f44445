/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Answers what an application has wished for its socket: the options of wish_option.bpf.c. */
#ifndef LATCH_BPF_API_ANSWER_WISH_H
#define LATCH_BPF_API_ANSWER_WISH_H

#include "api/answer_text.h"

static __always_inline int put_wish_number(void *to, const void *end, __s32 value)
{
	__s32 *number = to;

	if ((const void *)(number + 1) > end)
		return -EINVAL;
	*number = value;
	return sizeof(*number);
}

static __always_inline int put_least(void *to, const void *end, const struct socket_wish *wish)
{
	struct latch_least *least = to;

	if ((const void *)(least + 1) > end)
		return -EINVAL;
	__builtin_memset(least, 0, sizeof(*least));
	if (wish)
		*least = wish->least;
	least->size = sizeof(*least);
	return sizeof(*least);
}

static __always_inline int put_wish_text(void *to, const void *end, int option,
					 const struct socket_wish *wish)
{
	if (!wish)
		return -ENODATA;
	if (option == LATCH_OPT_EXPECT_CONNECTION)
		return put_text(to, end, wish->connection, sizeof(wish->connection));
	if (option == LATCH_OPT_EXPECT_TAG)
		return put_text(to, end, wish->tag, sizeof(wish->tag));
	return put_text(to, end, option == LATCH_OPT_EXPECT_LOCAL ? wish->local : wish->peer,
			sizeof(wish->peer));
}

/* wish: of the socket, or NULL. Returns the length of the answer, or a negative errno. */
static OWN_FRAME int answer_wish(void *to, const void *end, int option,
				 const struct socket_wish *wish)
{
	switch (option) {
	case LATCH_OPT_REQUIRE:
		return put_wish_number(to, end, wish && wish->terms & WISH_MORE);
	case LATCH_OPT_EXPECT_CLASS:
		return put_wish_number(to, end, wish ? wish->class : 0);
	case LATCH_OPT_DISPOSITION:
		return put_wish_number(to, end, wish ? wish->disposition : 0);
	case LATCH_OPT_DATAGRAMS:
		return put_wish_number(to, end, wish && wish->terms & WISH_DATAGRAMS);
	case LATCH_OPT_PROTECTION:
		return put_wish_number(to, end, wish && wish->terms & WISH_BYPASS);
	case LATCH_OPT_EXPECT_QUALITY:
		return put_least(to, end, wish);
	}
	return put_wish_text(to, end, option, wish);
}

#endif
