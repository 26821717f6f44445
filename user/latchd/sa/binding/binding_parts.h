/* SPDX-License-Identifier: BSD-2-Clause */
/* The tables, timers and log limits that the files of this room share. */
#ifndef LATCHD_SA_BINDING_BINDING_PARTS_H
#define LATCHD_SA_BINDING_BINDING_PARTS_H

#include "common/log_limit.h"
#include "common/loop.h"
#include "common/walk_pace.h"
#include "latchd/identity/identities.h"
#include "latchd/sa/child/child_sas.h"
#include "latchd/sa/conflict/conflict.h"
#include "latchd/sa/conflict/pair_decisions.h"

struct binding {
	struct conflict_view view;
	struct child_sas *child_sas;
	struct pair_decisions *pairs;
	struct choice *choice; /* NULL: any overlap is a conflict */
	struct identities *identities;
	struct walk_pace *walks;   /* pace of walks over all latches */
	struct walk_pace *marking; /* of the SAs of a group */
	struct loop_timer *later;  /* its handler calls binding_bind_waiting() */
	struct loop_timer *clear;  /* its handler calls marks_clear() */
	struct log_limit *marks_log, *share_log, *breaks_log;
};

#endif
