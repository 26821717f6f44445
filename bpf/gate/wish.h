/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wishes of the application for its socket (R-2.3-16, R-2.3-17). The steady path does not come
 * here: wishes do not change while a socket has a connection, and a pass is remembered with its SA.
 * Each datagram of a socket without a connection does.
 */
#ifndef LATCH_BPF_GATE_WISH_H
#define LATCH_BPF_GATE_WISH_H

#include "gate/passage.h"

/*
 * Call it once the protection of the packet was read. Fills wish, admitted, wish_drop and wish_why
 * of p. With a wish the verdict counts in audit mode, too. A global function, as check_packet().
 * Returns 0.
 */
int wish_check(struct __sk_buff *skb, struct passage *p);

/*
 * A datagram of a socket that is not connected, which no latch checks. Drops it if the socket has a
 * wish. socket: its state, or NULL. Returns GATE_DROP or GATE_PASS; the verifier does not know the
 * range.
 */
int wish_check_loose(struct passage *p, const struct datagram_socket *socket);

/*
 * The same for a socket that wishes for each datagram. Passes the datagram if wish_check() has
 * admitted its SA. The identity of an SA that is contested is certain, too: no later datagram
 * depends on this one. As wish_check_loose().
 */
int wish_check_datagram(struct passage *p);

/*
 * The latch of the packet's flow passes it, and the socket has a wish that the latch does not know.
 * Notes that in the latch, if it is the socket's. A global function. Returns 0.
 */
int wish_keep(struct passage *p, struct latch *latch);

/*
 * A datagram has begun a flow: its socket notes the latch. If the socket has other wishes by now,
 * which do not admit the SA, the check began before that: drops the datagram, and closes a latch
 * that was not compared. As wish_check_loose().
 */
int wish_look_again(struct __sk_buff *skb, struct passage *p, struct datagram_socket *socket);

#endif
