/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef LATCHCTL_PURGE_H
#define LATCHCTL_PURGE_H

#include "latchctl/latchctl.h"

/* Where things are; unit tests point it at places of their own. */
struct purge_place {
	const char *root; /* of all our pins */
	const char *lock;
	long filesystem; /* f_type that root must be of */
};

enum ctl_exit purge_at(const struct ctl_options *options, const struct purge_place *place);

#endif
