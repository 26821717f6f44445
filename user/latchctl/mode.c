/* SPDX-License-Identifier: BSD-2-Clause */
/* latchctl mode: asks latchd to switch between enforcement and audit. */
#include <json-c/json.h>
#include <string.h>

#include "latchctl/client.h"
#include "latchctl/style.h"
#include "latchctl/view.h"

enum ctl_exit ctl_render_mode(FILE *out, const struct ctl_options *options,
			      struct json_object *document)
{
	const char *mode = view_text_or(document, "mode", "?");
	enum style style = strcmp(mode, "audit") ? STYLE_PLAIN : STYLE_BAD;

	fputs("mode is ", out);
	fputs(style_begin(style, options->colour), out);
	view_print(out, mode);
	fputs(style_end(style, options->colour), out);
	if (!view_bool(document, "changed"))
		fputs(", as before", out);
	if (view_bool(document, "until_reboot"))
		fputs("; the configuration has mode = audit, which a reboot brings back", out);
	if (view_bool(document, "until_reload"))
		fputs("; the configuration has mode = enforce, which the next reload or restart of "
		      "latchd puts in force",
		      out);
	fputc('\n', out);
	return CTL_EXIT_OK;
}

enum ctl_exit ctl_mode(const struct ctl_options *options)
{
	const char *word = options->word_count ? options->words[0] : "";
	char request[16];

	if (strcmp(word, "audit") && strcmp(word, "enforce"))
		return ctl_fail(
			CTL_EXIT_USAGE,
			"mode: \"%s\" is not a mode; give audit or enforce (latchctl status "
			"shows the mode)",
			word);
	snprintf(request, sizeof(request), "mode %s", word);
	return client_show(options, request, ctl_render_mode);
}
