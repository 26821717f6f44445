/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchctl/order.h"

enum ctl_exit ctl_heal(const struct ctl_options *options)
{
	return order_latch(options, "heal");
}
