/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the scripted charon says. A message is built in memory of this file and holds until the next
 * one is built. charon.h declares the reports.
 */
#ifndef LATCHD_SIM_CHARON_MESSAGES_H
#define LATCHD_SIM_CHARON_MESSAGES_H

#include "latchd/feeds/vici/packet.h"
#include "world.h"

#define CHARON_MESSAGE_MAX 6000

struct vici_builder charon_version(void);
struct vici_builder charon_listed_conn(void);
struct vici_builder charon_listed_ike_sa(const struct world_ike_sa *ike_sa);

/* charon.c: the message for each connection that has registered for events. The time at which it
 * has arrived is written to *noted, unless NULL. */
void charon_event(const char *name, const struct vici_builder *builder, uint64_t *noted);

#endif
