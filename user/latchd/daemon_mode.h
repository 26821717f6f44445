/* SPDX-License-Identifier: BSD-2-Clause */
/* The mode: enforcement or audit (latch_mode.h). */
#ifndef LATCHD_DAEMON_MODE_H
#define LATCHD_DAEMON_MODE_H

#include "common/json_writer.h"
#include "latchd/control/control_request.h"

struct daemon;

/* control_handlers.mode: switches the mode for root, and answers. */
void daemon_take_mode(void *context, const struct control_mode_request *request,
		      struct json_writer *w);

/* After the start: publishes a switch by the configuration, or as daemon_log_mode(). */
void daemon_log_start(const struct daemon *d);

/* Logs a line if audit mode is in force, or if the configuration has audit mode. */
void daemon_log_mode(const struct daemon *d);

/* Call it after a reload. before: the mode word before the reload. */
void daemon_note_mode(const struct daemon *d, uint32_t before);

/* The status line for the service manager. */
const char *daemon_state_text(const struct daemon *d);

#endif
