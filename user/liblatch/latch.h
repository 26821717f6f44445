/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * liblatch: which authenticated peer is at the other end of a socket, and which one has to be
 * (RFC 5660). liblatch(3) is the manual, latch(7) the system calls beneath it.
 *
 * Each call takes a descriptor, which the caller keeps. The kernel answers, without a daemon. No
 * call allocates or keeps data, and only latch_connect() and latch_accept() may block. Threads and
 * signal handlers may use all calls. Buffers belong to the caller.
 *
 * Results are 0 or positive, or a negative errno; errno itself is not kept. Errors of each call:
 *   -LATCH_UNAVAILABLE  no latchd serves this socket, or not this kind of socket: nothing is known
 *   -ENOSYS             the latchd of this host does not know the question
 *   -EBADF, -ENOTSOCK   fd
 *   -EFAULT             NULL for a buffer
 */
#ifndef LATCH_H
#define LATCH_H

#include <stddef.h>
#include <sys/socket.h>

#include "latch_sockopt.h"

#ifdef __cplusplus
extern "C" {
#endif

#define LATCH_UNAVAILABLE 95 /* EOPNOTSUPP */

/*
 * INQUIRE_LATCH (section 2.3) in brief. An enum latch_app_state; one system call. UDP data is the
 * peer's only if it is read after LATCH_APP_ESTABLISHED.
 */
int latch_state(int fd);

/*
 * INQUIRE_LATCH. size: sizeof(*info) of the caller, which may be larger than what this host fills:
 * the rest is 0. 0, or -EINVAL: smaller than the first version. One system call.
 */
int latch_info(int fd, struct latch_info *info, size_t size);

/*
 * Peer identity, local identity (section 2), and the key manager's name of the connection, with a
 * NUL behind. size: of text; LATCH_TEXT_MAX is always enough. The length without the NUL; -ERANGE:
 * text is too small, and is "" (never a part); -ENODATA: no latch, or its peer is not proven. The
 * texts are chosen by others: escape them before a terminal or a log gets them. One system call.
 */
int latch_peer(int fd, char *text, size_t size);
int latch_local(int fd, char *text, size_t size);
int latch_connection(int fd, char *text, size_t size);

/*
 * The same identities with class and key: how the peer was authenticated (R-2-7). size:
 * sizeof(*party) of the caller, as of latch_info(). A member is 0 where it is not known. 0;
 * -ENODATA as latch_peer(); -EINVAL: smaller than the first version. One system call.
 */
int latch_peer_party(int fd, struct latch_party *party, size_t size);
int latch_local_party(int fd, struct latch_party *party, size_t size);

/*
 * Channel binding of the end-point type (RFC 5056): 80 octets that are equal at both ends, and
 * differ if one end has another key. They are equal for all connections of a pair of keys, and no
 * secret: an application puts them into its own authentication. 0; -ENODATA: the connection is not
 * LATCH_APP_ESTABLISHED, or a key is not known. One system call.
 */
int latch_binding(int fd, struct latch_binding *binding);

/*
 * The tags of the peer: names of the sections [peer NAME] of latchd.conf that it is of, each with a
 * line feed behind it. Results and errors as latch_peer(); 0 and "": it has none. LATCH_TAGS_MAX is
 * always enough. -EAGAIN: the sets are being changed; ask again. One system call.
 */
#define LATCH_TAGS_MAX 1025
int latch_tags(int fd, char *text, size_t size);

/*
 * Call it when read() has returned 0. An end of file alone does not show that the peer has ended
 * the connection (section 2.2): another call may have taken the error. 0: the latched peer has
 * ended it in order. -EKEYREVOKED: the latch was broken, also by `latchctl close`, or latchd has
 * removed it. -ECONNRESET: ended by a reset, a timeout or an abort. -ENOKEY: no latch has proven a
 * peer for the whole connection. -EAGAIN: the peer has not ended it (a UDP peer never does). One
 * system call.
 */
int latch_end(int fd);

/*
 * Have both connections the same peer, and the same local identity (section 6.3)? 1 or 0. -ENOKEY:
 * one of the connections is not LATCH_APP_ESTABLISHED. Three system calls.
 */
int latch_same_peer(int fd, int other);

/*
 * The sentence of an enum latch_why, as "the SA is of another peer". Never NULL; not to be freed.
 * Of -ENOKEY, -EKEYREJECTED and -EKEYREVOKED show this, with why of latch_info(): strerror() speaks
 * of keys.
 */
const char *latch_why_text(int why);

/*
 * Wishes (sections 2.3 and 6): before connect() or listen(). Each one requires a latch: the socket
 * then sends and receives nothing in clear, or under the SA of another peer, whatever the rules of
 * latchd say. A socket that a listener accepts has the listener's. 0, or:
 *   -LATCH_UNAVAILABLE  nothing is wished: stop here, nothing would keep it
 *   -EISCONN            the socket has a connection, listens, or has datagrams to read: a UDP
 *                       socket wishes before bind()
 *   -EINVAL             a value that is not known, or a text that is too long
 *   -ENOMEM             the socket's memory for options is full
 * One system call each.
 */
int latch_require(int fd);

/*
 * As latch_peer(), latch_connection() and latch_local() tell them; all of the text counts. A name
 * of a connection counts for each key manager. -EINVAL: "", which would take the wish back.
 */
int latch_expect_peer(int fd, const char *text);
int latch_expect_connection(int fd, const char *text);
int latch_expect_local(int fd, const char *text);

/*
 * The name of one set: as latch_tags() tells it, without the line feed, of at most 31 bytes. It
 * counts when the connection begins. A set that does not exist is no error: it has no peer until a
 * reload brings it. -EINVAL: no set can have this name, as with a line feed or a blank.
 */
int latch_expect_tag(int fd, const char *name);

int latch_expect_class(int fd, enum latch_app_class wished);
/*
 * least->size is sizeof(*least) of the caller (R-2.1-3). -EINVAL: a smaller size than that of the
 * first version, or a member that this host does not know and that is not 0.
 */
int latch_expect_quality(int fd, const struct latch_least *least);
/* Section 5.5: what a break does to the socket. */
int latch_disposition(int fd, enum latch_app_disposition wished);

/*
 * Section 5.3: a UDP socket that is not connected sends and receives each datagram for itself, if
 * its SA fulfils all wishes of the socket; without this one it is silent. Set this one last, and
 * all before bind(). -EINVAL: no UDP socket.
 */
int latch_datagrams(int fd);

/*
 * Less than the rules say (section 3.1): the connection that this socket opens is not latched.
 * -EPERM: that needs CAP_NET_ADMIN in the first user namespace. Where the kernel's policies
 * protect, set IP_XFRM_POLICY, too. One system call.
 */
int latch_bypass(int fd);

/*
 * connect() of a socket with a wish, to a latched peer or not at all. 0: connected. UDP: its
 * datagrams then go to a wished peer or nowhere; what was received before the wish is still in the
 * queue. -EKEYREJECTED: the SA does not fulfil a wish. -ENOKEY: no latch, or nothing serves the
 * socket any more; or the socket has no wish (any more: `latchctl purge` ends it), and then
 * connect() was not called. -LATCH_UNAVAILABLE: connect() was not called. -EINPROGRESS: ask
 * latch_state() when the socket is writable; with TCP_FASTOPEN_CONNECT, after the first write.
 * Another negative errno: that of connect(), -EPROTO in place of 95 and 92. After an error close
 * the socket. Up to five system calls.
 */
int latch_connect(int fd, const struct sockaddr *to, socklen_t length);

/*
 * accept4() of a latched peer, by a listener with a wish. The new descriptor, which is the
 * caller's. -ENOKEY: the connection has no latch, or not the wish of the listener, and was closed;
 * or the listener has no wish (any more: `latchctl purge` ends it), and nothing was accepted.
 * -LATCH_UNAVAILABLE: nothing was accepted. Another negative errno: that of accept4(), -EPROTO in
 * place of 95 and 92. Up to five system calls.
 */
int latch_accept(int fd, struct sockaddr *from, socklen_t *length, int flags);

/*
 * News of sockets, on a descriptor for poll(2) and epoll(7). They come from latchd, and are hints:
 * ask latch_state() for what holds. liblatch keeps nothing: the structure is the caller's, and the
 * caller closes fd.
 */
struct latch_news_channel {
	int fd;		/* readable: latch_news_read(); non-blocking for it */
	__u8 token[16]; /* a secret: sockets that show it send their news here */
};

/*
 * Connects to latchd. path: NULL is LATCH_NEWS_PATH. 0; -ENOENT, -ECONNREFUSED: no latchd gives
 * news there; -EUSERS: too many connections of this uid; -ETIMEDOUT: no greeting within five
 * seconds; -EPROTO: no latchd; another negative errno of socket() or connect(). Five system calls.
 */
int latch_news_open(struct latch_news_channel *channel, const char *path);

/*
 * News of fd from now on, in place of an earlier channel's; of a listener also those of the sockets
 * that it accepts from now on. Add what accept() returns, too: a connection that came while latchd
 * was away has no news before. data comes back in each item. 0; -ENOENT: latchd has ended this
 * channel, open another one; -ENOSPC: it has LATCH_NEWS_SOCKETS sockets; -ENOMEM: the memory of the
 * socket for options is full; -LATCH_UNAVAILABLE. Two system calls. Ask latch_state() behind it:
 * what was before is not reported.
 */
int latch_news_add(const struct latch_news_channel *channel, int fd, __u64 data);

/*
 * The next item. size: sizeof(*item) of the caller. 0; -EAGAIN: none now; -EPIPE: latchd is away,
 * so close fd, open and add again, and ask each socket. One system call.
 */
int latch_news_read(const struct latch_news_channel *channel, struct latch_news *item, size_t size);

#ifdef __cplusplus
}
#endif

#endif
