/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchctl/request.h"

enum ctl_exit ctl_close(const struct ctl_options *options)
{
	return request_latch(options, "close");
}
