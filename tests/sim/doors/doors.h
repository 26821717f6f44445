/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What stands in place of latchd's doors to the machine. The linker replaces functions of libc and
 * libbpf (--wrap). It takes these files in place of the rooms net/ and enforce/ and of the control
 * socket.
 */
#ifndef LATCHD_SIM_DOORS_H
#define LATCHD_SIM_DOORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "latch_abi.h"
#include "common/loop.h"
#include "latchd/config/config.h"
#include "latchd/control/control_request.h"
#include "latchd/maps/kernel_maps.h"

#define SIM_NETNS      1u   /* the cookie of the only network namespace */
#define SIM_CHARON_PID 4242 /* in every process, as the trace needs it */

/* ---- memory.c: the memory of latchd */
size_t memory_blocks(void);
void memory_release(void);

/* ---- calls.c: the tables by descriptor, and the ring */
extern const struct kernel_maps sim_maps;
void calls_release(void);

/* ---- parts.c: enforcement, control socket, service manager */
/* latchd's files are in a folder of this process, which is empty when a seed begins. */
int parts_make_folder(void);
void parts_empty_folder(void);
void parts_remove_folder(void);
const struct config *parts_config(void);
void parts_choose_config(bool wait);
/* A request of the administrator; latchd must run. */
void parts_request(enum control_act act, uint64_t latch_id);
void parts_release(void);

/* ---- clock.c: virtual time, and the loop of latchd */
void clock_stop_latchd(void);
void clock_release(void);

static inline void doors_release(void)
{
	void charon_disconnect(void);

	calls_release();
	parts_release();
	clock_release();
	charon_disconnect();
}

#endif
