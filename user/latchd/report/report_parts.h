/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Members that several documents and events share: times, addresses, flows, reasons, peers,
 * algorithms, replay protection. Each function writes into an open object.
 */
#ifndef LATCHD_REPORT_REPORT_PARTS_H
#define LATCHD_REPORT_REPORT_PARTS_H

#include "latchd/report/report.h"

/* Sets the error of the writer, unless there is one. */
void report_fail(struct json_writer *w, int err);

/* RFC 3339; null for 0: unknown. */
void report_time(struct json_writer *w, const char *key, uint64_t boot_ns);
void report_spi(struct json_writer *w, const char *key, uint32_t spi);
void report_address(struct json_writer *w, const char *key, uint8_t family,
		    const uint8_t address[16]);

/* "id" */
void report_latch_id(struct json_writer *w, uint64_t id);
/* "listener": the id of the LISTENER latch of the accepting socket; 0: null */
void report_listener(struct json_writer *w, uint64_t id);
/* "direction" */
void report_direction(struct json_writer *w, enum latch_direction direction);
/* "netns", "proto", "local", "remote" */
void report_flow(struct json_writer *w, const struct latch_flow *flow);
/* "netns_name": null if it has none */
void report_netns_name(struct json_writer *w, const struct report_source *source, uint64_t netns);
/* "reasons" */
void report_reasons(struct json_writer *w, uint8_t reasons);

/* "peer", and "local_id" */
void report_peer(struct json_writer *w, const struct report_source *source, uint16_t params);
/* The same under another key. */
void report_peer_as(struct json_writer *w, const struct report_source *source, const char *key,
		    uint16_t params);
/* "tags": the names of the sets that the peer is of, by the configuration in force. */
void report_tags(struct json_writer *w, const struct report_source *source, uint16_t params);

/* "sets": the names of all sets of the configuration in force. */
void report_sets(struct json_writer *w, const struct report_source *source);
void report_local_id(struct json_writer *w, const struct report_source *source, uint16_t params);
/* The key manager's name of the connection. */
void report_connection(struct json_writer *w, const struct report_source *source, uint16_t params);

/* "encr", "encr_bits", "integ", "integ_bits", "icv_bits", "esn", "replay_protection" */
void report_qop(struct json_writer *w, const struct latch_qop *qop);
/* null for "" */
void report_text(struct json_writer *w, const char *key, const char *text);

/* "rule": the name; null for none, and for a rule of a configuration that is not in force. */
void report_rule(struct json_writer *w, const struct report_source *source, uint16_t rule,
		 uint8_t set);

#endif
