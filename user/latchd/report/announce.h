/* SPDX-License-Identifier: BSD-2-Clause */
/* What happens is told to the monitors, and what an administrator must know to the log as well. */
#ifndef LATCHD_REPORT_ANNOUNCE_H
#define LATCHD_REPORT_ANNOUNCE_H

#include <stdbool.h>
#include <stdint.h>

#include "latch_abi.h"
#include "latchd/control/admin.h"
#include "latchd/control/control.h"
#include "latchd/report/report.h"

struct announcer {
	struct control *control;
	const struct report_source *source;
	uint64_t lost;		 /* kernel events known to be lost */
	uint64_t refused_due_ms; /* refusals are many: one line a second ... */
	unsigned int refused;	 /* ... and how many had none */
};

/* Events lost before now are nobody's. */
void announce_from_now(struct announcer *announcer);

void announce_kernel_event(struct announcer *announcer, const struct latch_event *event);
void announce_latch_broken(struct announcer *announcer, const struct latch_flow *flow,
			   const struct latch *latch, uint8_t reasons, uint16_t got);
void announce_spd_broken(struct announcer *announcer, const struct latch_flow *flow,
			 const struct latch *latch, enum policy_direction direction,
			 const struct policy_verdict *verdict);
void announce_latch_held(struct announcer *announcer, const struct latch_flow *flow,
			 const struct latch *latch, enum policy_direction direction,
			 const struct policy_verdict *verdict);
void announce_latch_released(struct announcer *announcer, const struct latch_flow *flow,
			     const struct latch *latch);
void announce_latch_healed(struct announcer *announcer, const struct latch_flow *flow,
			   const struct latch *latch, uint8_t reasons);
void announce_latch_reset(struct announcer *announcer, const struct latch_flow *flow,
			  const struct latch *latch, int error);
/* error: 0 when the socket that tried to connect was ended; -ENOENT: there is none to be ended. */
void announce_refused(struct announcer *announcer, const struct latch_event *event, int error);
/* What an administrator did. error: why its socket could not be ended. */
void announce_latch_requested(struct announcer *announcer, enum control_act act,
			      const struct latch_flow *flow, const struct latch *latch,
			      const struct admin_origin *who, int error);
void announce_sa_bound(struct announcer *announcer, const struct latch_sa_key *key,
		       const struct latch_sa *sa, uint16_t params, const char *feed,
		       const char *evidence);
/* Whether the kernel has lost events since the last call. */
bool announce_lost_events(struct announcer *announcer);

#endif
