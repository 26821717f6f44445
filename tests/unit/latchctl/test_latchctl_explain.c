/* SPDX-License-Identifier: BSD-2-Clause */
/* The text of explain: its parts, and that it fits the terminal. */
#include "rendered.h"

#include <locale.h>
#include <string.h>
#include <wchar.h>

#include "latchctl/paragraph.h"

static void begin(void)
{
	cr_assert_not_null(setlocale(LC_CTYPE, "C.UTF-8"));
	options = (struct ctl_options){.width = 80};
}

TestSuite(latchctl_explain, .init = begin);

#define FLOW                                                                                       \
	"\"flow\":{\"netns\":7,\"netns_name\":\"blue\",\"proto\":\"tcp\","                         \
	"\"local\":{\"addr\":\"10.9.0.1\",\"port\":7000},"                                         \
	"\"remote\":{\"addr\":\"10.9.0.2\",\"port\":40494},\"direction\":\"in\"}"

static const char broken[] =
	"{\"schema\":1,\"found\":\"latch\"," FLOW ","
	"\"rule\":{\"name\":\"patient\",\"text\":\"action auto, disposition wait\","
	"\"at_start\":\"patient\"},"
	"\"latch\":{\"id\":\"2\",\"state\":\"broken\",\"reasons\":[\"sa-conflict\"],\"drops\":4,"
	"\"peer\":{\"id\":\"c.example\",\"auth\":\"pubkey\"},\"local_id\":\"w.example\"},"
	"\"packet\":{\"verdict\":\"dropped\",\"packet\":\"ingress\",\"reason\":\"identity\","
	"\"sa\":{\"spi\":\"0x0000a1b2\",\"dst\":\"10.9.0.1\",\"state\":\"bound\","
	"\"peer\":{\"id\":\"d.example\"}}},"
	"\"mismatch\":[{\"field\":\"peer\",\"expected\":\"c.example\",\"actual\":\"d.example\"},"
	"{\"field\":\"mode\",\"expected\":\"transport\",\"actual\":\"tunnel\"}],"
	"\"cause\":{\"code\":\"sa-conflict\",\"text\":\"it is latched to \\\"c.example\\\", and an "
	"SA of \\\"d.example\\\" could carry it\"},\"next\":\"latchctl sa\","
	"\"now\":{\"code\":\"contested\",\"text\":\"refused (conflict)\","
	"\"policies\":[{\"direction\":\"out\",\"action\":\"protect\",\"default\":false,"
	"\"priority\":3,\"src\":\"10.9.0.1/32\",\"dst\":\"10.9.0.2/32\"},"
	"{\"direction\":\"in\",\"action\":\"bypass\",\"default\":true}],"
	"\"sas\":[{\"spi\":\"0x0000a1b2\",\"dst\":\"10.9.0.2\",\"direction\":\"out\","
	"\"state\":\"bound\",\"peer\":{\"id\":\"d.example\"},\"contested\":true}],"
	"\"sa_count\":3},"
	"\"history\":{\"since\":\"2026-11-30T09:00:00.000Z\",\"events_lost\":2,"
	"\"lost\":\"2026-11-30T09:01:00.000Z\",\"replaced\":5}}";

static const char broken_text[] =
	"flow       tcp 10.9.0.1:7000 <- 10.9.0.2:40494, network namespace blue (cookie\n"
	"           7)\n"
	"rule       patient: action auto, disposition wait\n"
	"latch      2, broken (sa-conflict), 4 packets dropped\n"
	"peer       \"c.example\" (pubkey), this host as \"w.example\"\n"
	"packet     dropped (identity, ingress); SA 0x0000a1b2 to 10.9.0.1, bound, of\n"
	"           \"d.example\"\n"
	"mismatch   peer: latched \"c.example\", found \"d.example\"\n"
	"mismatch   mode: latched \"transport\", found \"tunnel\"\n"
	"cause      sa-conflict: it is latched to \"c.example\", and an SA of \"d.example\"\n"
	"           could carry it\n"
	"next       latchctl sa\n"
	"now        a new connection: refused (conflict)\n"
	"policy     out: protect, 10.9.0.1/32 === 10.9.0.2/32, priority 3\n"
	"policy     in: bypass (the default, no policy matches)\n"
	"SA         out: SA 0x0000a1b2 to 10.9.0.2, bound, of \"d.example\", contested\n"
	"SA         and 2 older ones\n"
	"history    records since 2026-11-30T09:00:00.000Z; 5 were replaced by others; 2\n"
	"           kernel events were lost, the last ones noticed\n"
	"           2026-11-30T09:01:00.000Z\n";

Test(latchctl_explain, a_broken_latch_is_explained_in_80_columns)
{
	const char *text = rendered(ctl_render_explain, broken, CTL_EXIT_OK);

	cr_expect_str_eq(text, broken_text, "shown:\n%s", text);
}

Test(latchctl_explain, without_a_terminal_each_part_is_one_line)
{
	const char *text;

	options.width = 0;
	text = rendered(ctl_render_explain, broken, CTL_EXIT_OK);
	cr_expect(strstr(text, "\nnext       latchctl sa\n"), "%s", text);
	cr_expect(strstr(text, "network namespace blue (cookie 7)\n"), "%s", text);
}

static void expect_to_fit(const char *text, size_t columns)
{
	const char *line = text, *end;
	wchar_t wide[256];
	char one[1024];
	size_t count;

	for (; *line; line = end + 1) {
		end = strchr(line, '\n');
		cr_assert_not_null(end);
		snprintf(one, sizeof(one), "%.*s", (int)(end - line), line);
		count = mbstowcs(wide, one, 256);
		cr_assert_neq(count, (size_t)-1);
		cr_expect_leq((size_t)wcswidth(wide, count), columns, "%s", one);
	}
}

Test(latchctl_explain, a_name_of_any_length_fits_the_terminal)
{
	char json[4096], name[600] = "";
	const char *text;
	size_t i;

	for (i = 0; i < 100; i++)
		strcat(name, i % 2 ? "\xe4\xb8\xad" : "ab");
	snprintf(json, sizeof(json),
		 "{" FLOW ",\"latch\":{\"id\":\"2\",\"state\":\"broken\",\"peer\":{\"id\":\"%s\"}},"
		 "\"cause\":{\"code\":\"x\",\"text\":\"%s and %s\"}}",
		 name, name, name);
	text = rendered(ctl_render_explain, json, CTL_EXIT_OK);
	expect_to_fit(text, 80);
	options.width = 20;
	expect_to_fit(rendered(ctl_render_explain, json, CTL_EXIT_OK), PARAGRAPH_INDENT + 20);
}

Test(latchctl_explain, a_name_cannot_begin_a_line_of_its_own)
{
	const char *text = rendered(
		ctl_render_explain,
		"{\"cause\":{\"code\":\"x\",\"text\":\"a\\nnext rm -r\\u001b[2J\\u202e\"}}",
		CTL_EXIT_OK);

	cr_expect(strstr(text, "cause      x: a\\x0anext rm -r\\x1b[2J\\xe2\\x80\\xae\n"), "%s",
		  text);
}

Test(latchctl_explain, a_name_with_blanks_looks_like_no_row)
{
	const char *text = rendered(
		ctl_render_explain,
		"{\"mismatch\":[{\"field\":\"peer\",\"expected\":\"c\",\"actual\":\"d                        "
		"                      mode: latched a, found b\\\" x\"},"
		"{\"field\":\"mode\",\"expected\":\"a\",\"actual\":\"b\"}]}",
		CTL_EXIT_OK);

	cr_expect_null(strstr(text, "           mode:"), "%s", text);
	cr_expect(strstr(text, "\"d\\x20\\x20"), "%s", text);
	cr_expect(strstr(text, "found b\\\" x\"\n"), "%s", text);
}

Test(latchctl_explain, several_latches_of_the_same_ends_are_counted)
{
	const char *text = rendered(ctl_render_explain, "{\"flow\":{\"latches\":3}}", CTL_EXIT_OK);

	cr_expect(strstr(text, "; 3 latches have these ends"), "%s", text);
	text = rendered(ctl_render_explain, "{\"flow\":{\"latches\":1}}", CTL_EXIT_OK);
	cr_expect_null(strstr(text, "have these ends"), "%s", text);
}

Test(latchctl_explain, any_member_may_be_missing)
{
	const char *text = rendered(ctl_render_explain, "{}", CTL_EXIT_OK);

	cr_expect(strstr(text, "latch      none\n"), "%s", text);
	cr_expect_null(strstr(text, "next"));
	cr_expect_null(strstr(text, "now"));
}
