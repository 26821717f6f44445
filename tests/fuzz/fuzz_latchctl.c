/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * latchctl's text output. The input is a byte that chooses the renderer and its options, then a
 * JSON document. Properties: the output is valid UTF-8 without control characters, direction
 * marks and unknown escape sequences. An event is one line; a table has one line a row. Without
 * a connection whois has no table, only a fixed error.
 */
#include <json-c/json.h>
#include <locale.h>
#include <wchar.h>

#include "fuzz.h"
#include "latchctl/client.h"
#include "latchctl/request.h"
#include "latchctl/view.h"

static enum ctl_exit render_event(FILE *out, const struct ctl_options *options,
				  struct json_object *event)
{
	ctl_render_event(out, options, event);
	return CTL_EXIT_OK;
}

#define RENDER_EVENT 3 /* in renderers */

static const struct {
	ctl_render_fn render;
	const char *rows; /* the member with one line for each element; NULL: none */
	size_t lines;	  /* besides the rows; 0: not known */
	bool needs_rows;  /* without a row it is an error */
} renderers[] = {
	{ctl_render_status, NULL, 0, false},	    {ctl_render_list, "latches", 1, false},
	{ctl_render_sa, "sas", 1, false},	    {render_event, NULL, 1, false},
	{ctl_render_request, NULL, 1, false},	    {ctl_render_explain, NULL, 0, false},
	{ctl_render_whois, "connections", 1, true}, {ctl_render_mode, NULL, 1, false},
	{ctl_render_audit, "rows", 0, false},
};

/* The sequences of style.c. Bytes to skip, or 0. */
static size_t style_length(const char *text)
{
	static const char *const styles[] = {"\033[0m", "\033[1m", "\033[32m", "\033[33m",
					     "\033[1;31m"};
	size_t i;

	for (i = 0; i < ARRAY_SIZE(styles); i++)
		if (!strncmp(text, styles[i], strlen(styles[i])))
			return strlen(styles[i]);
	return 0;
}

/* On purpose without common/text.h, whose escaping is checked here. */
static bool is_printable(wchar_t code)
{
	return code >= 0x20 && !(code >= 0x7f && code <= 0xa0) && code != 0xad && code != 0x61c &&
	       !(code >= 0x200b && code <= 0x200f) && !(code >= 0x2028 && code <= 0x202f) &&
	       !(code >= 0x2060 && code <= 0x206f) && code != 0xfeff &&
	       !(code >= 0xe0000 && code <= 0xe0fff);
}

/* The number of lines. */
static size_t check_text(const char *text, size_t length, bool colour)
{
	size_t at = 0, lines = 0, taken;
	mbstate_t state = {0};
	wchar_t code;

	while (at < length) {
		taken = colour ? style_length(text + at) : 0;
		if (!taken && text[at] == '\n') {
			lines++;
			taken = 1;
		} else if (!taken) {
			taken = mbrtowc(&code, text + at, length - at, &state);
			CHECK(taken && taken <= length - at);
			CHECK(is_printable(code));
		}
		at += taken;
	}
	CHECK(length && text[length - 1] == '\n');
	return lines;
}

static void check_render(size_t which, const struct ctl_options *options,
			 struct json_object *document)
{
	const char *member = renderers[which].rows;
	size_t rows = member ? view_count(document, member) : 0, length, lines;
	char *text;
	FILE *out;

	if (renderers[which].needs_rows && !rows)
		return;
	out = open_memstream(&text, &length);
	CHECK(out);
	renderers[which].render(out, options, document);
	fclose(out);
	lines = check_text(text, length, options->colour);
	if (renderers[which].lines)
		CHECK(lines == rows + renderers[which].lines);
	free(text);
}

__attribute__((constructor)) static void set_locale(void)
{
	CHECK(setlocale(LC_CTYPE, "C.UTF-8"));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct input input = {bytes, size};
	uint8_t choice = take_byte(&input);
	size_t which = choice % 16 % ARRAY_SIZE(renderers);
	const struct ctl_options options = {
		.colour = choice & 0x80,
		.width = choice & 0x40 ? choice & 0x20 ? 20 : 79 : 0,
	};
	char *text = text_of(input);
	struct json_object *document = json_tokener_parse(text);

	/* latchctl renders objects only, of show_line(); and any document of show(). */
	if (document && (which != RENDER_EVENT || json_object_is_type(document, json_type_object)))
		check_render(which, &options, document);
	json_object_put(document);
	free(text);
	return 0;
}
