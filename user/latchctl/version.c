/* SPDX-License-Identifier: BSD-2-Clause */
#include "latch_abi.h"
#include "latchctl/latchctl.h"

enum ctl_exit ctl_version(const struct ctl_options *options)
{
	if (options->json)
		printf("{\"schema\":%d,\"version\":\"%s\",\"abi\":%d}\n", CTL_SCHEMA,
		       LATCHD_VERSION, LATCH_ABI);
	else
		printf("latchctl %s (abi %d)\n", LATCHD_VERSION, LATCH_ABI);
	return CTL_EXIT_OK;
}
