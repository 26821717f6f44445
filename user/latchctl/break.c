/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchctl/request.h"

enum ctl_exit ctl_break(const struct ctl_options *options)
{
	return request_latch(options, "break");
}
