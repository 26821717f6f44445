/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchctl/request.h"

enum ctl_exit ctl_heal(const struct ctl_options *options)
{
	return request_latch(options, "heal");
}
