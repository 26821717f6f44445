/* SPDX-License-Identifier: BSD-2-Clause */
#include "common/flow_text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

#include "common/names.h"

#define ENDPOINT_SIZE (INET6_ADDRSTRLEN + sizeof("[]:65535"))

static void endpoint(char out[ENDPOINT_SIZE], uint8_t family, const uint8_t address[16],
		     uint16_t port)
{
	char text[INET6_ADDRSTRLEN] = "?";

	inet_ntop(family, address, text, sizeof(text));
	snprintf(out, ENDPOINT_SIZE, family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, port);
}

static const char *arrow(enum latch_direction direction)
{
	switch (direction) {
	case LATCH_DIRECTION_OUT:
		return "->";
	case LATCH_DIRECTION_IN:
		return "<-";
	case LATCH_DIRECTION_NONE:
		break;
	}
	return "<->";
}

void flow_text(char out[FLOW_TEXT_SIZE], const struct latch_flow *flow,
	       enum latch_direction direction)
{
	char local[ENDPOINT_SIZE], remote[ENDPOINT_SIZE];

	endpoint(local, flow->family, flow->local_addr, flow->local_port);
	endpoint(remote, flow->family, flow->remote_addr, flow->remote_port);
	snprintf(out, FLOW_TEXT_SIZE, "%s %s %s %s", ulp_name(flow->protocol), local,
		 arrow(direction), remote);
}
