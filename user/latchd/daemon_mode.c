/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/daemon_mode.h"

#include "common/log.h"
#include "common/notify.h"
#include "latch_mode.h"
#include "latchd/daemon_parts.h"
#include "latchd/maps/latch_control.h"
#include "latchd/maps/tables.h"

static bool is_audit(const struct daemon *d)
{
	return latch_mode_is_audit(mode_read(enforcement_maps(d->enforcement)));
}

const char *daemon_state_text(const struct daemon *d)
{
	if (!d->was_on)
		return "OFF";
	return is_audit(d) ? "in AUDIT mode: what it would drop passes" : "on";
}

static void publish(const struct daemon *d, const struct news_requester *requester)
{
	news_publish(&d->news, &(struct news){
				       .kind = NEWS_MODE_CHANGED,
				       .cause = {.reason = requester ? LATCH_REASON_ADMIN : 0,
						 .requester = requester},
				       .audited = is_audit(d),
			       });
	notify_send("STATUS=enforcement is %s", daemon_state_text(d));
}

void daemon_take_mode(void *context, const struct control_mode_request *request,
		      struct json_writer *w)
{
	const struct daemon *d = context;
	const struct news_requester requester = admin_requester(request->pid);
	int result = latch_mode_switch(enforcement_maps(d->enforcement), request->audit);

	if (result > 0)
		publish(d, &requester);
	report_mode(w, &d->source, result > 0, result < 0 ? result : 0);
}

/* A switch at the start is published, too: it may end audit mode, or begin it. */
void daemon_log_start(const struct daemon *d)
{
	bool was_audit;

	if (enforcement_mode_was(d->enforcement, &was_audit) && was_audit != is_audit(d))
		publish(d, NULL);
	else
		daemon_log_mode(d);
}

void daemon_log_mode(const struct daemon *d)
{
	if (is_audit(d))
		log_error("enforce", "mode audit in force: packets pass and sockets are not reset, "
				     "except those of latches that enforcement broke; to enforce: "
				     "latchctl mode enforce");
	else if (d->source.wants_audit)
		log_warn("enforce", "mode audit not set (enforcement is in force): no start "
				    "lowers it; run: latchctl mode audit");
}

void daemon_note_mode(const struct daemon *d, uint32_t before)
{
	if (mode_read(enforcement_maps(d->enforcement)) != before)
		publish(d, NULL);
	else
		daemon_log_mode(d);
}
