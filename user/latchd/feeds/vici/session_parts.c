/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/session_parts.h"

#include <stdarg.h>
#include <stdio.h>

void vici_session_fail(struct vici_session *session, const char *format, ...)
{
	char detail[sizeof(session->feed->detail)];
	va_list args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	session->owner->failed(session->context, detail);
}

void vici_session_await(struct vici_session *session, const char *awaited)
{
	vici_session_await_for(session, awaited, session->answer_limit_ms);
}

void vici_session_await_for(struct vici_session *session, const char *awaited, unsigned int ms)
{
	session->awaited = awaited;
	session->awaited_ms = ms;
	loop_timer_arm(&session->answer_limit, ms);
}
