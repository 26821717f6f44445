/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Latched sockets of the caller, each with what it must tell: its own peer, or nothing. Peers
 * differ, so another socket's answer is a fault.
 */
#ifndef ASK_LATCHED_H
#define ASK_LATCHED_H

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "latch_sockopt.h"
#include "other_ways.h"
#include "places.h"

#define LATCHED_MAX 64

struct latched {
	int fd;
	bool mortal;	     /* a worker may abort the connection */
	const char *text[3]; /* peer, local, connection */
	uint32_t number[2];  /* peer, local */
};

static struct latched latched[LATCHED_MAX];
static unsigned int latched_count;

/* "FD|PEER|LOCAL|CONNECTION|NUMBER|NUMBER[|mortal]" */
static inline bool latched_add(char *words)
{
	struct latched *to = &latched[latched_count];
	char *word[7] = {NULL};
	int i;

	for (i = 0; i < 7; i++)
		word[i] = strsep(&words, "|");
	if (!word[5] || latched_count == LATCHED_MAX)
		return false;
	to->fd = atoi(word[0]);
	for (i = 0; i < 3; i++)
		to->text[i] = word[1 + i];
	for (i = 0; i < 2; i++)
		to->number[i] = (uint32_t)atoi(word[4 + i]);
	to->mortal = word[6];
	latched_count++;
	return true;
}

static inline bool is_text(int option)
{
	return option >= LATCH_OPT_PEER_ID && option <= LATCH_OPT_CONNECTION;
}

static inline bool is_party(int option)
{
	return option == LATCH_OPT_PEER || option == LATCH_OPT_LOCAL;
}

static inline bool is_known_option(int option)
{
	return (option >= LATCH_OPT_STATE && option <= LATCH_OPT_BINDING) ||
	       (option >= LATCH_OPT_REQUIRE && option <= LATCH_OPT_NEWS &&
		option != LATCH_OPT_NARROW);
}

/* Bytes of the answer; texts: if there is one. */
static inline int32_t answer_size(int option, const struct latched *of)
{
	if (is_text(option))
		return of ? (int32_t)strlen(of->text[option - LATCH_OPT_PEER_ID]) : 0;
	if (option == LATCH_OPT_INFO)
		return sizeof(struct latch_info);
	if (is_party(option))
		return sizeof(struct latch_party);
	if (option == LATCH_OPT_BINDING)
		return sizeof(struct latch_binding);
	if (option == LATCH_OPT_TAGS)
		return 1; /* a line feed: there are no sets */
	return option == LATCH_OPT_EXPECT_QUALITY ? (int32_t)sizeof(struct latch_least)
						  : (int32_t)sizeof(int);
}

static inline bool is_wish_text(int option)
{
	return (option >= LATCH_OPT_EXPECT_PEER && option <= LATCH_OPT_EXPECT_LOCAL) ||
	       option == LATCH_OPT_EXPECT_TAG;
}

/* No set is configured: a line feed alone. */
static inline bool is_tags(int option)
{
	return option == LATCH_OPT_TAGS;
}

/* May this error be, for what the question was? of: NULL for a socket without a latch. */
static inline bool is_right_error(const struct question *q, const struct latched *of)
{
	/* Linux 6.18 takes a length that it cannot read for 0. */
	if (q->length_fails)
		return true;
	switch (q->error) {
	case EFAULT:
		return q->place != PLACE_GOOD || q->size < 0;
	case ENOSYS:
		return !is_known_option(q->option);
	case EINVAL:
		return q->size < 0 || (!is_text(q->option) && q->option != LATCH_OPT_BINDING &&
				       !is_tags(q->option) && !is_wish_text(q->option) &&
				       q->size < answer_size(q->option, of));
	case ERANGE:
		return ((is_text(q->option) || is_tags(q->option)) && of &&
			q->size < answer_size(q->option, of)) ||
		       (q->option == LATCH_OPT_BINDING && q->size < answer_size(q->option, of)) ||
		       (q->option == LATCH_OPT_TAGS && q->size < answer_size(q->option, of)) ||
		       (is_wish_text(q->option) && q->size < LATCH_TEXT_MAX);
	case ENODATA:
		return is_wish_text(q->option) || q->option == LATCH_OPT_BINDING ||
		       ((is_party(q->option) || is_tags(q->option)) && (!of || of->mortal)) ||
		       (is_text(q->option) && (!of || of->mortal));
	}
	return false;
}

/* ---- answers */

static inline bool is_state_of(const struct latched *of, int state)
{
	if (!of)
		return state == LATCH_APP_NOT_LATCHED || state == LATCH_APP_LISTENER;
	return state == LATCH_APP_ESTABLISHED ||
	       (of->mortal && (state == LATCH_APP_CLOSED || state == LATCH_APP_NOT_LATCHED));
}

static inline void check_state(const struct question *q, const struct latched *of)
{
	int state;

	memcpy(&state, q->at, sizeof(state));
	if (!is_state_of(of, state))
		fault("a socket %s latch tells the state %d", of ? "with a" : "without a", state);
}

static inline void check_info(const struct question *q, const struct latched *of)
{
	struct latch_info info;
	bool none;

	memcpy(&info, q->at, sizeof(info));
	none = !info.peer_number && !info.local_number;
	if (info.size != sizeof(info) || info.abi != LATCH_OPTION_ABI ||
	    !is_state_of(of, info.state))
		fault("info of size %u, abi %u, state %u", info.size, info.abi, info.state);
	if (of ? !(info.peer_number == of->number[0] && info.local_number == of->number[1]) &&
			    !(of->mortal && none)
	       : !none)
		fault("info tells the numbers %u and %u", info.peer_number, info.local_number);
}

static inline void check_party(const struct question *q, const struct latched *of)
{
	int which = q->option == LATCH_OPT_LOCAL;
	struct latch_party party;

	memcpy(&party, q->at, sizeof(party));
	if (strcmp(party.id, of->text[which]) || party.size != sizeof(party) ||
	    (party.number != of->number[which] && !(of->mortal && !party.number)))
		fault("option %d: the socket of \"%s\" tells \"%s\", number %u", q->option,
		      of->text[0], party.id, party.number);
}

static inline void check_answer(const struct question *q, const struct latched *of)
{
	if (q->place == PLACE_NONE || q->place == PLACE_READ_ONLY)
		fault("option %d: an answer without a place for it", q->option);
	else if (!is_known_option(q->option))
		fault("option %d is answered", q->option);
	else if ((is_text(q->option) || is_party(q->option) || is_tags(q->option) ||
		  q->option == LATCH_OPT_BINDING) &&
		 !of)
		fault("option %d: a socket without a latch tells \"%.32s\"", q->option,
		      q->at ? (const char *)q->at : "");
	else if (!is_wish_text(q->option) && q->length != answer_size(q->option, of))
		fault("option %d: the answer has %d bytes", q->option, q->length);
	else if (!q->at)
		return;
	else if (is_text(q->option) &&
		 memcmp(q->at, of->text[q->option - LATCH_OPT_PEER_ID], (size_t)q->length) != 0)
		fault("option %d: the socket of \"%s\" tells \"%.*s\"", q->option, of->text[0],
		      q->length, q->at);
	else if (is_party(q->option))
		check_party(q, of);
	else if (q->option == LATCH_OPT_STATE)
		check_state(q, of);
	else if (q->option == LATCH_OPT_INFO)
		check_info(q, of);
}

static inline void check_outcome(const struct question *q, const struct latched *of)
{
	if (!q->error) {
		check_answer(q, of);
		count(of ? COUNTED_PEER_NAMED : COUNTED_SILENT);
	} else if (!is_right_error(q, of)) {
		fault("option %d size %d place %d of a socket %s latch: %s", q->option, q->size,
		      (int)q->place, of ? "with a" : "without a", strerror(q->error));
	} else {
		count(COUNTED_BAD_CALL);
	}
}

static inline struct question draw_question(struct random *random, const struct places *places)
{
	struct question q = {.level = SOL_LATCH, .option = (int)draw(random, 10)};

	if (!draw(random, 3))
		q.option = (int)draw(random, 28);
	if (!draw(random, 60))
		q.option = (int)draw(random, UINT32_MAX);
	draw_place(&q, random, places);
	return q;
}

static inline void ask_latched(struct random *random, const struct places *places)
{
	const struct latched *of = &latched[draw(random, latched_count)];
	struct question q = draw_question(random, places);
	int copy = draw(random, 4) ? -1 : dup(of->fd);

	put_question(&q, copy < 0 ? of->fd : copy, places);
	check_outcome(&q, of);
	if (copy >= 0)
		close(copy);
}

/* No other way answers, and a connection takes no wish. */
static inline void ask_by_other_way(enum way way, struct random *random,
				    const struct places *places, struct uring *uring)
{
	const struct latched *of = &latched[draw(random, latched_count)];
	socklen_t *length = (socklen_t *)places->area;
	int option = (int)draw(random, 28), err;

	*length = LATCH_TEXT_MAX;
	err = way == WAY_32_BIT ? get_32_bit(of->fd, option, places->area + PAGE, length)
				: uring_option(uring, URING_GET, of->fd, option,
					       places->area + PAGE, LATCH_TEXT_MAX);
	if (!err)
		fault("option %d is answered by way %d", option, (int)way);
}

/* The other threads ask it at the same time. */
static inline void abort_one(struct random *random)
{
	const struct latched *of = &latched[draw(random, latched_count)];
	struct sockaddr none = {.sa_family = AF_UNSPEC};

	if (of->mortal && !connect(of->fd, &none, sizeof(none)))
		count(COUNTED_ENDED);
}

#endif
