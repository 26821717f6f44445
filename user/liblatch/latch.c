/* SPDX-License-Identifier: BSD-2-Clause */
#include "latch.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>

_Static_assert(LATCH_UNAVAILABLE == EOPNOTSUPP, "an error that getsockopt() has, too");

/* The length of the answer, or a negative errno. The caller's errno stays as it is. */
static int ask(int fd, int option, void *answer, size_t size)
{
	socklen_t length = size > INT_MAX ? INT_MAX : (socklen_t)size;
	int before = errno, err;

	err = getsockopt(fd, SOL_LATCH, option, answer, &length) ? -errno : (int)length;
	errno = before;
	/* IPv6 sockets have the second one. */
	return err == -EOPNOTSUPP || err == -ENOPROTOOPT ? -LATCH_UNAVAILABLE : err;
}

int latch_state(int fd)
{
	int state = 0;
	int length = ask(fd, LATCH_OPT_STATE, &state, sizeof(state));

	return length < 0 ? length : state;
}

int latch_info(int fd, struct latch_info *info, size_t size)
{
	int length = ask(fd, LATCH_OPT_INFO, info, size);

	if (length < 0)
		return length;
	memset((char *)info + length, 0, size - (size_t)length);
	return 0;
}

/* One byte is kept for the NUL. */
static int ask_text(int fd, int option, char *text, size_t size)
{
	int length;

	if (!size)
		return -ERANGE;
	length = ask(fd, option, text, size - 1);
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
