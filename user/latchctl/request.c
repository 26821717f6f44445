/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchctl/request.h"

#include <json-c/json.h>
#include <string.h>

#include "latchctl/client.h"
#include "latchctl/view.h"

#define LATCH_ID_DIGITS 16

enum ctl_exit ctl_render_request(FILE *out, const struct ctl_options *options,
				 struct json_object *document)
{
	char reasons[256];

	(void)options;
	view_joined(reasons, sizeof(reasons), document, "reasons", "");
	fputs("latch ", out);
	view_print(out, view_text_or(document, "id", "?"));
	fputs(" is ", out);
	view_print(out, view_text_or(document, "state", "?"));
	if (reasons[0]) {
		fputs(": ", out);
		view_print(out, reasons);
	}
	fputc('\n', out);
	return CTL_EXIT_OK;
}

enum ctl_exit request_latch(const struct ctl_options *options, const char *verb)
{
	char request[48];
	size_t length;

	if (!options->latch_id)
		return ctl_fail(CTL_EXIT_USAGE,
				"%s: no latch ID given; latchctl list shows the IDs", verb);
	length = strspn(options->latch_id, "0123456789abcdefABCDEF");
	if (!length || length > LATCH_ID_DIGITS || options->latch_id[length])
		return ctl_fail(CTL_EXIT_USAGE,
				"%s: \"%s\" is not a latch ID (1 to %d hexadecimal digits); "
				"latchctl list shows the IDs",
				verb, options->latch_id, LATCH_ID_DIGITS);
	snprintf(request, sizeof(request), "%s %s", verb, options->latch_id);
	return client_show(options, request, ctl_render_request);
}
