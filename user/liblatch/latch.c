/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* accept4() */
#endif
#include "latch.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

_Static_assert(LATCH_UNAVAILABLE == EOPNOTSUPP, "an error that getsockopt() has, too");

/* IPv6 sockets have the second one. */
static int known_error(int err)
{
	return err == -EOPNOTSUPP || err == -ENOPROTOOPT ? -LATCH_UNAVAILABLE : err;
}

/* The length of the answer, or a negative errno. The caller's errno stays as it is. */
static int ask(int fd, int option, void *answer, size_t size)
{
	socklen_t length = size > INT_MAX ? INT_MAX : (socklen_t)size;
	int before = errno, err;

	/* The kernel would tell a length only. */
	if (!answer)
		return -EFAULT;
	err = getsockopt(fd, SOL_LATCH, option, answer, &length) ? -errno : (int)length;
	errno = before;
	return known_error(err);
}

int latch_state(int fd)
{
	int state = 0;
	int length = ask(fd, LATCH_OPT_STATE, &state, sizeof(state));

	return length < 0 ? length : state;
}

/* A later version of the caller's structure is filled up with zeros. */
static int ask_structure(int fd, int option, void *structure, size_t size)
{
	int length = ask(fd, option, structure, size);

	if (length < 0)
		return length;
	memset((char *)structure + length, 0, size - (size_t)length);
	return 0;
}

int latch_info(int fd, struct latch_info *info, size_t size)
{
	return ask_structure(fd, LATCH_OPT_INFO, info, size);
}

int latch_peer_party(int fd, struct latch_party *party, size_t size)
{
	return ask_structure(fd, LATCH_OPT_PEER, party, size);
}

int latch_local_party(int fd, struct latch_party *party, size_t size)
{
	return ask_structure(fd, LATCH_OPT_LOCAL, party, size);
}

int latch_binding(int fd, struct latch_binding *binding)
{
	return ask_structure(fd, LATCH_OPT_BINDING, binding, sizeof(*binding));
}

/* One byte is kept for the NUL. */
static int ask_text(int fd, int option, char *text, size_t size)
{
	int length;

	if (!size)
		return -ERANGE;
	length = ask(fd, option, text, size - 1);
	if (text)
		text[length < 0 ? 0 : length] = '\0';
	return length;
}

int latch_peer(int fd, char *text, size_t size)
{
	return ask_text(fd, LATCH_OPT_PEER_ID, text, size);
}

int latch_local(int fd, char *text, size_t size)
{
	return ask_text(fd, LATCH_OPT_LOCAL_ID, text, size);
}

int latch_connection(int fd, char *text, size_t size)
{
	return ask_text(fd, LATCH_OPT_CONNECTION, text, size);
}

int latch_tags(int fd, char *text, size_t size)
{
	int length = ask_text(fd, LATCH_OPT_TAGS, text, size);

	if (length != 1) /* "\n": none */
		return length;
	text[0] = '\0';
	return 0;
}

static int end_of_closed(const struct latch_info *info)
{
	if (info->why != LATCH_WHY_ENDED)
		return -EKEYREVOKED;
	if (info->flags & LATCH_INFO_ABORTED)
		return -ECONNRESET;
	/* A latch without quality of protection was LARVAL to its end, or is not known any more. */
	return info->latch && !(info->flags & LATCH_INFO_INDETERMINATE) ? 0 : -ENOKEY;
}

int latch_end(int fd)
{
	struct latch_info info;
	int err = latch_info(fd, &info, sizeof(info));

	if (err)
		return err;
	if (info.state == LATCH_APP_BROKEN)
		return -EKEYREVOKED;
	if (info.flags & (LATCH_INFO_AUDIT | LATCH_INFO_UNPROVEN))
		return -ENOKEY;
	if (info.state == LATCH_APP_CLOSED)
		return end_of_closed(&info);
	if (info.state != LATCH_APP_ESTABLISHED)
		return -ENOKEY;
	return info.flags & LATCH_INFO_PEER_ENDED ? 0 : -EAGAIN;
}

static int ask_established(int fd, struct latch_info *info)
{
	int err = latch_info(fd, info, sizeof(*info));

	if (err)
		return err;
	return info->state == LATCH_APP_ESTABLISHED && info->peer_number ? 0 : -ENOKEY;
}

/*
 * A number is reused only after its last latch. The first latch is ESTABLISHED at both queries, so
 * its numbers stay valid.
 */
int latch_same_peer(int fd, int other)
{
	struct latch_info one, two, again;
	int err = ask_established(fd, &one);

	if (!err)
		err = ask_established(other, &two);
	if (!err)
		err = ask_established(fd, &again);
	if (err)
		return err;
	if (one.latch != again.latch)
		return -ENOKEY;
	return one.peer_number == two.peer_number && one.local_number == two.local_number;
}

/* ---- wishes */

#define LEAST_FIRST 12 /* the size of the first struct latch_least */

static int wish(int fd, int option, const void *value, size_t size)
{
	int before = errno, err;

	if (size > LATCH_TEXT_MAX)
		return -EINVAL;
	err = setsockopt(fd, SOL_LATCH, option, value, (socklen_t)size) ? -errno : 0;
	errno = before;
	return known_error(err);
}

static int wish_number(int fd, int option, int value)
{
	return wish(fd, option, &value, sizeof(value));
}

/* An empty text would take the wish back: an empty value of a configuration expects no peer. */
static int wish_text(int fd, int option, const char *text)
{
	return text && *text ? wish(fd, option, text, strlen(text)) : -EINVAL;
}

int latch_require(int fd)
{
	return wish_number(fd, LATCH_OPT_REQUIRE, 1);
}

int latch_expect_peer(int fd, const char *text)
{
	return wish_text(fd, LATCH_OPT_EXPECT_PEER, text);
}

int latch_expect_connection(int fd, const char *text)
{
	return wish_text(fd, LATCH_OPT_EXPECT_CONNECTION, text);
}

int latch_expect_local(int fd, const char *text)
{
	return wish_text(fd, LATCH_OPT_EXPECT_LOCAL, text);
}

int latch_expect_tag(int fd, const char *name)
{
	return wish_text(fd, LATCH_OPT_EXPECT_TAG, name);
}

int latch_expect_class(int fd, enum latch_app_class wished)
{
	return wish_number(fd, LATCH_OPT_EXPECT_CLASS, (int)wished);
}

int latch_expect_quality(int fd, const struct latch_least *least)
{
	/* The structure of the caller, which may be older or younger than this library. */
	if (!least || least->size < LEAST_FIRST)
		return -EINVAL;
	return wish(fd, LATCH_OPT_EXPECT_QUALITY, least, least->size);
}

int latch_disposition(int fd, enum latch_app_disposition wished)
{
	return wish_number(fd, LATCH_OPT_DISPOSITION, (int)wished);
}

int latch_datagrams(int fd)
{
	return wish_number(fd, LATCH_OPT_DATAGRAMS, 1);
}

int latch_bypass(int fd)
{
	return wish_number(fd, LATCH_OPT_PROTECTION, LATCH_PROTECTION_BYPASS);
}

/* ---- connections */

/* An error of connect() or accept4() is not LATCH_UNAVAILABLE, which has the same number. */
static int error_of_call(int err)
{
	return err == EOPNOTSUPP || err == ENOPROTOOPT ? -EPROTO : -err;
}

/*
 * 0: the socket has a wish. Else a negative errno. This library sets none in its place: it would
 * not know the peer that was expected, if `latchctl purge` has ended the wish since.
 */
static int has_wish(int fd)
{
	int required = 0, length = ask(fd, LATCH_OPT_REQUIRE, &required, sizeof(required));

	if (length < 0)
		return length;
	return required ? 0 : -ENOKEY;
}

/*
 * The error of a connect() that latchd has ended, or that has timed out without latchd. Before its
 * first packet the reason is that of a former connect().
 */
static int why_failed(int fd, int err)
{
	struct latch_info info;

	if ((err != -ECONNABORTED && err != -ETIMEDOUT) || latch_info(fd, &info, sizeof(info)))
		return err;
	switch (info.why) {
	case LATCH_WHY_PEER:
	case LATCH_WHY_LOCAL:
	case LATCH_WHY_CLASS:
	case LATCH_WHY_QUALITY:
	case LATCH_WHY_TAG:
		return -EKEYREJECTED;
	case LATCH_WHY_REQUIRED:
	case LATCH_WHY_REFUSED:
		return -ENOKEY;
	}
	return err;
}

/* A UDP socket gets its latch with its first datagram, and TCP_FASTOPEN_CONNECT sends later. */
static int check_connected(int fd)
{
	struct latch_info info;
	int err = latch_info(fd, &info, sizeof(info)), type = 0;
	socklen_t length = sizeof(type);

	/* -LATCH_UNAVAILABLE would say that connect() was not called. */
	if (err)
		return -ENOKEY;
	if (info.state == LATCH_APP_ESTABLISHED)
		return 0;
	if (info.state == LATCH_APP_NOT_LATCHED && info.why == LATCH_WHY_NOT_YET)
		return -EINPROGRESS;
	if (info.state == LATCH_APP_NOT_LATCHED && info.why == LATCH_WHY_REQUIRED &&
	    !getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) && type == SOCK_DGRAM)
		return 0;
	return -ENOKEY;
}

int latch_connect(int fd, const struct sockaddr *to, socklen_t length)
{
	int before = errno, err = has_wish(fd);

	if (err)
		return err;
	err = connect(fd, to, length) ? error_of_call(errno) : 0;
	err = err ? why_failed(fd, err) : check_connected(fd);
	/* The wish may have ended before the connection began. */
	if ((!err || err == -EINPROGRESS) && has_wish(fd))
		err = -ENOKEY;
	errno = before;
	return err;
}

int latch_accept(int fd, struct sockaddr *from, socklen_t *length, int flags)
{
	int before = errno, err = has_wish(fd), accepted;

	if (err)
		return err;
	accepted = accept4(fd, from, length, flags);
	accepted = accepted < 0 ? error_of_call(errno) : accepted;
	/* It has a copy of the wish that the listener had during the handshake. */
	if (accepted >= 0 &&
	    (has_wish(accepted) || latch_state(accepted) != LATCH_APP_ESTABLISHED)) {
		close(accepted);
		accepted = -ENOKEY;
	}
	errno = before;
	return accepted;
}

/* ---- words */

const char *latch_why_text(int why)
{
	switch ((enum latch_why)why) {
	case LATCH_WHY_NONE:
		return "no reason";
	case LATCH_WHY_NOT_CONNECTED:
		return "the socket has no connection";
	case LATCH_WHY_NOT_YET:
		return "connect() is under way";
	case LATCH_WHY_CLEAR:
		return "the connection is not under IPsec";
	case LATCH_WHY_OLDER:
		return "the connection is older than latchd";
	case LATCH_WHY_RULE_OFF:
		return "a rule says that the connection is not latched";
	case LATCH_WHY_REQUIRED:
		return "a latch is required, and there is none";
	case LATCH_WHY_REFUSED:
		return "connect() was refused: its SA is contested";
	case LATCH_WHY_OTHER_SOCKET:
		return "another socket has the latch of these addresses and ports";
	case LATCH_WHY_NO_ROOM:
		return "no room for the latch of the listener";
	case LATCH_WHY_PEER:
		return "the SA is of another peer than the expected one";
	case LATCH_WHY_LOCAL:
		return "the SA names this host otherwise than expected";
	case LATCH_WHY_CLASS:
		return "the peer is authenticated otherwise than expected";
	case LATCH_WHY_QUALITY:
		return "the SA protects less than expected";
	case LATCH_WHY_BYPASS:
		return "the application wishes no latch";
	case LATCH_WHY_TAG:
		return "the peer does not have the expected tag";
	case LATCH_WHY_UNATTRIBUTED:
		return "the peer of the SA is not known yet";
	case LATCH_WHY_AUDIT:
		return "audit mode: the latch is not enforced";
	case LATCH_WHY_EARLIER_DATA:
		return "the socket may have data from before its latch";
	case LATCH_WHY_SA_CONFLICT:
		return "an SA of another peer, or of another kind, took its place";
	case LATCH_WHY_SPD_CHANGE:
		return "the policy no longer protects the connection";
	case LATCH_WHY_PEER_DEAD:
		return "the peer does not answer";
	case LATCH_WHY_PEER_REBOOTED:
		return "the peer has rebooted";
	case LATCH_WHY_ADMIN:
		return "an administrator broke or closed the latch";
	case LATCH_WHY_REFUSED_LATER:
		return "enforcement refuses the connection, which began in audit mode";
	case LATCH_WHY_ENDED:
		return "the connection has ended";
	case LATCH_WHY_REMOVED:
		return "latchd has removed the latch";
	}
	return "a reason that this liblatch does not know";
}
