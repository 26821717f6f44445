/* SPDX-License-Identifier: BSD-2-Clause */
/* The SPD and the SAs of a namespace, for the checks of its latches. */
#ifndef LATCHD_SPD_SPD_VIEW_H
#define LATCHD_SPD_SPD_VIEW_H

#include "latchd/identity/identities.h"
#include "latchd/maps/kernel_maps.h"
#include "latchd/spd/policy.h"

/* The part of an SA that selects policies. */
struct spd_scope {
	uint16_t params;
	uint32_t spi;
	uint32_t if_id;
	uint32_t reqid;
	uint8_t family; /* of the SA's addresses, which are the outer ones in tunnel mode */
	uint8_t source[16], destination[16];
};

struct spd_narrow;

struct spd_view {
	struct spd spd;
	struct spd_narrow *narrow; /* see spd_view_narrow() */
	size_t narrow_policies;
	struct spd_scope *scopes; /* sorted by params, then by SPI */
	size_t scope_count;
};

/* 0 and a view for spd_view_release(), or a negative errno as of policy_dump(). */
int spd_view_load(const struct kernel_maps *maps, uint64_t netns, struct spd_view *ret);
void spd_view_release(struct spd_view *view);

/*
 * The policies that may cover a flow between these two addresses. All flows of a pair of hosts
 * share them. The view owns the result, which is never NULL: without memory it is the whole SPD.
 */
const struct spd *spd_view_narrow(struct spd_view *view, const struct latch_flow *flow);

/* The query for a latch with these params. It keeps the pointer to flow. */
struct policy_query spd_view_query(const struct spd_view *view, const struct latch_flow *flow,
				   const struct latch *latch, const struct latch_params *params);

/* The SA with these params and this SPI, or NULL. */
const struct spd_scope *spd_view_find(const struct spd_view *view, uint16_t params, uint32_t spi);

#endif
