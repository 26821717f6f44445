/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The requests of the clients of control.h: each line is read and answered. Decides which requests
 * need root.
 */
#ifndef LATCHD_CONTROL_CONTROL_SERVE_H
#define LATCHD_CONTROL_CONTROL_SERVE_H

#include <stdint.h>

/* Events of a client's socket. context: its struct client, which may be freed. */
void control_serve(void *context, uint32_t events);

#endif
