/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The text output of status, list and sa: the renderers write JSON documents of the test into
 * memory. Any member of a document may be missing.
 */
#include "rendered.h"

#include <locale.h>
#include <string.h>
#include <wchar.h>

static void begin(void)
{
	cr_assert_not_null(setlocale(LC_CTYPE, "C.UTF-8"));
}

TestSuite(latchctl_render, .init = begin);

static void expect_shown(ctl_render_fn render, const char *json, enum ctl_exit code,
			 const char *expected)
{
	const char *text = rendered(render, json, code);

	cr_expect_str_eq(text, expected, "shown:\n%s", text);
}

#define STATUS_REST                                                                                \
	"\"cgroup\":\"/sys/fs/cgroup\",\"programs\":["                                             \
	"{\"name\":\"gate_egress\",\"hook\":\"cgroup_skb/egress\",\"attached\":true},"             \
	"{\"name\":\"sa_migrate\",\"hook\":\"fexit/xfrm_state_migrate\",\"attached\":false}]},"    \
	"\"feeds\":[{\"name\":\"here\",\"type\":\"vici\",\"state\":\"synced\","                    \
	"\"socket\":\"/run/charon.vici\",\"version\":\"charon 5.9.8\",\"resyncs\":2,"              \
	"\"detail\":\"charon 5.9.8, process 7\"}],"                                                \
	"\"api\":{\"on\":true},"                                                                   \
	"\"rules\":2,\"latches\":{\"used\":3,\"capacity\":65536,\"established\":2,\"broken\":1},"  \
	"\"sas\":{\"bound\":4,\"pending\":1},"                                                     \
	"\"drops\":[{\"reason\":\"sa-conflict\",\"egress\":5,\"ingress\":0},"                      \
	"{\"reason\":\"plaintext\",\"egress\":0,\"ingress\":0},"                                   \
	"{\"reason\":\"broken\",\"egress\":0,\"ingress\":2}],"                                     \
	"\"events_lost\":0,\"kernel\":\"6.12.1\"}"

#define STATUS(on)                                                                                 \
	"{\"schema\":1,\"daemon\":{\"pid\":12,\"uptime_s\":7500,\"version\":\"0.1.0\","            \
	"\"abi\":1,\"config\":\"/etc/latchd/latchd.conf\"},"                                       \
	"\"enforcement\":{\"on\":" on "," STATUS_REST

static const char status_text[] =
	"latchd       running   pid 12, up 2h5m, version 0.1.0, abi 1, config "
	"/etc/latchd/latchd.conf\n"
	"enforcement  ON        1 of 2 programs attached, cgroup /sys/fs/cgroup\n"
	"             missing   sa_migrate (fexit/xfrm_state_migrate)\n"
	"feed here    synced    vici /run/charon.vici, version charon 5.9.8, resyncs 2: "
	"charon 5.9.8, process 7\n"
	"api          on        applications ask their sockets for the peer, see: latchctl whois\n"
	"rules        2\n"
	"latches      3 of 65536: established 2, broken 1, listener 0, larval 0, closed 0\n"
	"SAs          bound 4, pending 1, orphan 0, dying 0\n"
	"drops        sa-conflict: 5 egress, 0 ingress\n"
	"             broken: 0 egress, 2 ingress\n"
	"events       0 lost\n"
	"kernel       6.12.1\n";

Test(latchctl_render, status_shows_what_needs_attention_and_has_an_exit_status_for_it)
{
	const char *text =
		rendered(ctl_render_status,
			 "{\"enforcement\":{\"on\":true},\"attention\":[{\"code\":"
			 "\"table-full\",\"object\":\"latches\",\"detail\":\"64 of 64\"}]}",
			 CTL_EXIT_ATTENTION);

	cr_expect(strstr(text, "attention    table-full latches: 64 of 64\n"), "%s", text);
	rendered(ctl_render_status, "{\"enforcement\":{\"on\":true},\"attention\":[]}",
		 CTL_EXIT_OK);
	rendered(ctl_render_status,
		 "{\"enforcement\":{\"on\":false},\"attention\":[{\"code\":\"unlatched\"}]}",
		 CTL_EXIT_FAILED);
}

Test(latchctl_render, a_notice_is_shown_and_has_no_exit_status)
{
	const char *text =
		rendered(ctl_render_status,
			 "{\"enforcement\":{\"on\":true},\"attention\":[],\"notices\":[{\"code\":"
			 "\"gate-missing\",\"object\":\"77\",\"detail\":\"none\"}]}",
			 CTL_EXIT_OK);

	cr_expect(strstr(text, "notices      gate-missing 77: none\n"), "%s", text);
}

Test(latchctl_render, status_shows_each_of_several_cgroups_and_one_that_is_absent)
{
	const char *text = rendered(
		ctl_render_status,
		"{\"enforcement\":{\"on\":true,\"cgroups\":[{\"path\":\"/c/a\",\"id\":5,"
		"\"state\":\"attached\"},{\"path\":\"/c/b\",\"id\":0,\"state\":\"absent\"}]}}",
		CTL_EXIT_OK);

	cr_expect(strstr(text, "cgroups      attached  /c/a (id 5)\n"
			       "             absent    /c/b (id 0)\n"),
		  "%s", text);
	text = rendered(ctl_render_status,
			"{\"enforcement\":{\"on\":true,\"cgroups\":[{\"path\":\"/c/a\",\"id\":5,"
			"\"state\":\"attached\"}]}}",
			CTL_EXIT_OK);
	cr_expect_null(strstr(text, "cgroups"), "%s", text);
}

Test(latchctl_render, status_prints_every_section)
{
	expect_shown(ctl_render_status, STATUS("true"), CTL_EXIT_OK, status_text);
}

Test(latchctl_render, status_tells_whether_sockets_answer_applications)
{
	const char *text =
		rendered(ctl_render_status,
			 "{\"enforcement\":{\"on\":true},\"api\":{\"on\":false}}", CTL_EXIT_OK);

	cr_expect(strstr(text, "\napi          off       sockets do not answer applications"), "%s",
		  text);
	text = rendered(ctl_render_status, "{\"enforcement\":{\"on\":true}}", CTL_EXIT_OK);
	cr_expect_null(strstr(text, "\napi "), "%s", text);
}

Test(latchctl_render, enforcement_is_on_only_if_the_member_is_boolean_true)
{
	const char *text;

	text = rendered(ctl_render_status, STATUS("false"), CTL_EXIT_FAILED);
	cr_expect_not_null(strstr(text, "\nenforcement  OFF       1 of 2 programs"), "%s", text);
	text = rendered(ctl_render_status, STATUS("\"off\""), CTL_EXIT_FAILED);
	cr_expect_not_null(strstr(text, "\nenforcement  OFF "), "%s", text);
	text = rendered(ctl_render_status, STATUS("null"), CTL_EXIT_FAILED);
	cr_expect_not_null(strstr(text, "\nenforcement  OFF "), "%s", text);
}

/* Red, and with an exit status of its own, so that no monitoring takes it for enforcement. */
Test(latchctl_render, audit_mode_is_shown_in_red_and_has_an_exit_status_of_its_own)
{
	const char *text;

	options.colour = true;
	text = rendered(ctl_render_status, STATUS("true,\"mode\":\"audit\""), CTL_EXIT_AUDIT);
	cr_expect_not_null(strstr(text,
				  "enforcement  \033[1;31mAUDIT    \033[0m passes what enforcement "
				  "would drop, see: latchctl audit; 1 of 2 programs attached"),
			   "%s", text);
	options.colour = false;
	rendered(ctl_render_status, STATUS("false,\"mode\":\"audit\""), CTL_EXIT_FAILED);
	text = rendered(ctl_render_status, STATUS("true,\"mode\":\"enforce\""), CTL_EXIT_OK);
	cr_expect_not_null(strstr(text, "enforcement  ON "), "%s", text);
}

Test(latchctl_render, audit_prints_the_rows_with_most_flows_first)
{
	expect_shown(
		ctl_render_audit,
		"{\"mode\":\"audit\",\"mode_since\":\"2026-11-30T10:00:00.000Z\",\"unmarked\":2,"
		"\"rows\":[{\"rule\":null,\"peer\":null,\"reason\":\"required\",\"reasons\":[],"
		"\"flows\":1,\"packets\":50,\"last\":\"?\",\"example\":{\"proto\":\"udp\","
		"\"local\":{\"addr\":\"10.9.0.1\",\"port\":1},\"direction\":null,"
		"\"remote\":{\"addr\":\"10.9.0.3\",\"port\":2}}},"
		"{\"rule\":\"db\",\"peer\":{\"id\":\"c.example\"},\"reason\":\"broken\","
		"\"reasons\":[\"sa-conflict\"],\"sa_peer\":{\"id\":\"d.example\"},\"flows\":3,"
		"\"packets\":7,\"last\":\"?\",\"example\":{\"proto\":\"tcp\",\"local\":"
		"{\"addr\":\"10.9.0.1\",\"port\":7000},\"direction\":\"in\",\"remote\":"
		"{\"addr\":\"10.9.0.2\",\"port\":9}}}]}",
		CTL_EXIT_OK,
		"mode is audit since 2026-11-30T10:00:00.000Z; enforcement would have dropped:\n"
		"RULE  PEER       REASON                FLOWS  PACKETS  LAST  SA OF      FOR EXAMPLE\n"
		"db    c.example  broken (sa-conflict)  3      7        ?     d.example  tcp "
		"10.9.0.1:7000 <- 10.9.0.2:9\n"
		"-     -          required              1      50       ?     -          udp "
		"10.9.0.1:1 <-> 10.9.0.3:2\n"
		"2 flows began without room for their mark: enforcement will not refuse all of "
		"them\n");
	expect_shown(ctl_render_audit, "{}", CTL_EXIT_OK,
		     "mode is ? since the first start; the last audit found:\nnothing\n");
}

Test(latchctl_render, mode_warns_of_a_configuration_that_brings_audit_back)
{
	expect_shown(ctl_render_mode, "{\"mode\":\"audit\",\"changed\":true}", CTL_EXIT_OK,
		     "mode is audit\n");
	expect_shown(ctl_render_mode,
		     "{\"mode\":\"enforce\",\"changed\":false,\"until_reboot\":true}", CTL_EXIT_OK,
		     "mode is enforce, as before; the configuration has mode = audit, which a "
		     "reboot brings back\n");
	expect_shown(ctl_render_mode, "{\"mode\":\"audit\",\"changed\":true,\"until_reload\":true}",
		     CTL_EXIT_OK,
		     "mode is audit; the configuration has mode = enforce, which the next reload "
		     "or restart of latchd puts in force\n");
}

Test(latchctl_render, status_of_an_empty_document_is_off_with_defaults)
{
	static const char expected[] =
		"latchd       running   pid ?, up 0s, version ?, abi ?, config ?\n"
		"enforcement  OFF       0 of 0 programs attached, cgroup ?\n"
		"feeds        none      no SA can be attributed\n"
		"rules        ?\n"
		"latches      ? of ?: established 0, broken 0, listener 0, larval 0, closed 0\n"
		"SAs          bound 0, pending 0, orphan 0, dying 0\n"
		"drops        none\n"
		"events       0 lost\n"
		"kernel       ?\n";

	expect_shown(ctl_render_status, "{}", CTL_EXIT_FAILED, expected);
	expect_shown(ctl_render_status, "[]", CTL_EXIT_FAILED, expected);
	expect_shown(ctl_render_status,
		     "{\"daemon\":7,\"enforcement\":[],\"feeds\":{},\"latches\":\"x\",\"sas\":null,"
		     "\"drops\":\"none\",\"kernel\":\"\"}",
		     CTL_EXIT_FAILED, expected);
}

Test(latchctl_render, status_prints_lost_events_and_incomplete_feeds)
{
	const char *text =
		rendered(ctl_render_status,
			 "{\"events_lost\":9,\"feeds\":[{\"state\":\"lost\"},7]}", CTL_EXIT_FAILED);

	cr_expect_not_null(strstr(text, "events       9 lost; state is not affected"), "%s", text);
	cr_expect_not_null(strstr(text, "feed ?       lost      ? ?, version ?, resyncs 0\n"), "%s",
			   text);
	cr_expect_not_null(strstr(text, "feed ?       ?         ? ?, version ?, resyncs 0\n"), "%s",
			   text);
}

Test(latchctl_render, texts_of_latchd_cannot_forge_status_lines)
{
	const char *text = rendered(
		ctl_render_status,
		"{\"feeds\":[{\"name\":\"x\\nenforcement  ON\",\"state\":\"lost\\u001b[2J\","
		"\"version\":\"5.9\\r\\nkernel\",\"detail\":\"a\\u009b2Jb\"}]}",
		CTL_EXIT_FAILED);

	cr_expect_null(strstr(text, "\nenforcement  ON"), "%s", text);
	cr_expect_null(strpbrk(text, "\r\033"), "%s", text);
	cr_expect_null(strstr(text, "\xc2\x9b"), "%s", text);
	cr_expect_not_null(strstr(text, "feed x\\x0aenforcement  ON"), "%s", text);
}

static const char latches[] =
	"{\"schema\":1,\"latches\":["
	"{\"id\":\"1\",\"state\":\"established\",\"direction\":\"out\",\"proto\":\"tcp\","
	"\"local\":{\"addr\":\"10.9.0.1\",\"port\":40000},"
	"\"remote\":{\"addr\":\"10.9.0.2\",\"port\":443},"
	"\"peer\":{\"id\":\"c.example\",\"auth\":\"pubkey\"},"
	"\"sa\":{\"out\":\"b6ce45ac\",\"in\":\"d3f0d477\"},\"since\":\"2999-01-01T00:00:00Z\","
	"\"drops\":0,\"netns\":\"4026531840\",\"rule\":\"web\",\"disposition\":\"wait\",\"reasons\":[]},"
	"{\"id\":\"2\",\"state\":\"broken\",\"drops\":12,"
	"\"reasons\":[\"sa-conflict\",\"peer-dead\"]},"
	"{},7]}";

Test(latchctl_render, list_prints_one_row_per_latch)
{
	expect_shown(
		ctl_render_list, latches, CTL_EXIT_OK,
		"ID  STATE        DIR  LOCAL           REMOTE        PROTO  PEER       "
		"SA OUT/IN          SINCE  DROPS  NETNS       RULE  DISPOSITION  REASONS\n"
		"1   established  out  10.9.0.1:40000  10.9.0.2:443  tcp    c.example  "
		"b6ce45ac/d3f0d477  0s     0      4026531840  web   wait         -\n"
		"2   broken       -    -               -             -      -          "
		"-/-                -      12     -           -     -            sa-conflict,peer-dead\n"
		"?   ?            -    -               -             -      -          "
		"-/-                -      -      -           -     -            -\n"
		"?   ?            -    -               -             -      -          "
		"-/-                -      -      -           -     -            -\n");
}

Test(latchctl_render, list_without_latches_prints_the_titles_only)
{
	static const char titles[] =
		"ID  STATE  DIR  LOCAL  REMOTE  PROTO  PEER  SA OUT/IN  SINCE  "
		"DROPS  NETNS  RULE  DISPOSITION  REASONS\n";

	expect_shown(ctl_render_list, "{\"latches\":[]}", CTL_EXIT_OK, titles);
	expect_shown(ctl_render_list, "{}", CTL_EXIT_OK, titles);
	expect_shown(ctl_render_list, "{\"latches\":{}}", CTL_EXIT_OK, titles);
}

Test(latchctl_render, list_in_a_narrow_terminal_leaves_out_minor_columns)
{
	const char *text;

	options.width = 70;
	text = rendered(ctl_render_list, latches, CTL_EXIT_OK);
	cr_expect_eq(strncmp(text, "ID  STATE        LOCAL           REMOTE        ", 45), 0, "%s",
		     text);
	cr_expect_not_null(strstr(text, "c.example"), "%s", text);
	cr_expect_null(strstr(text, "NETNS"), "%s", text);
}

Test(latchctl_render, list_colours_state_and_drops)
{
	const char *text;

	options.colour = true;
	text = rendered(ctl_render_list, latches, CTL_EXIT_OK);
	cr_expect_not_null(strstr(text, "\033[32mestablished\033[0m"), "%s", text);
	cr_expect_not_null(strstr(text, "\033[1;31mbroken\033[0m"), "%s", text);
	cr_expect_not_null(strstr(text, "\033[33m12\033[0m"), "%s", text);
}

Test(latchctl_render, sa_prints_the_reason_of_each_refused_sa_below_the_table)
{
	expect_shown(
		ctl_render_sa,
		"{\"sas\":[{\"spi\":\"0x1\",\"state\":\"pending\",\"refused\":\"configure\\u001b\"},"
		"{\"spi\":\"0x2\",\"state\":\"bound\",\"refused\":null}]}",
		CTL_EXIT_OK,
		"SPI  STATE    SRC  DST  PROTO  MODE  PEER  REQID  NETNS\n"
		"0x1  pending  -    -    -      -     -     -      -\n"
		"0x2  bound    -    -    -      -     -     -      -\n"
		"0x1 refused: configure\\x1b\n");
}

Test(latchctl_render, sa_prints_one_row_per_sa)
{
	expect_shown(
		ctl_render_sa,
		"{\"schema\":1,\"sas\":["
		"{\"spi\":\"b6ce45ac\",\"state\":\"bound\",\"src\":\"10.9.0.1\",\"dst\":\"10.9.0.2\","
		"\"proto\":\"esp\",\"mode\":\"transport\",\"peer\":{\"id\":\"c.example\"},"
		"\"reqid\":1,\"netns\":\"4026531840\"},"
		"{\"spi\":\"00000001\",\"state\":\"pending\",\"peer\":\"d.example\"},"
		"{\"peer\":{\"id\":\"\"}},{\"peer\":{}},{\"peer\":null}]}",
		CTL_EXIT_OK,
		"SPI       STATE    SRC       DST       PROTO  MODE       PEER       REQID  NETNS\n"
		"b6ce45ac  bound    10.9.0.1  10.9.0.2  esp    transport  c.example  1      "
		"4026531840\n"
		"00000001  pending  -         -         -      -          d.example  -      -\n"
		"?         ?        -         -         -      -          -          -      -\n"
		"?         ?        -         -         -      -          -          -      -\n"
		"?         ?        -         -         -      -          -          -      -\n");
}

Test(latchctl_render, a_listener_prints_its_remote_as_a_star)
{
	const char *text =
		rendered(ctl_render_list,
			 "{\"schema\":1,\"latches\":[{\"id\":\"7\",\"state\":\"listener\","
			 "\"direction\":\"in\",\"netns\":1,\"proto\":\"tcp\",\"local\":"
			 "{\"addr\":\"::\",\"port\":80},\"remote\":null,\"drops\":0}]}",
			 CTL_EXIT_OK);

	cr_expect_not_null(strstr(text, "\n7   listener  in   [::]:80  *       tcp    -"), "%s",
			   text);
}

Test(latchctl_render, eighty_columns_show_a_latch_between_two_long_ipv6_addresses)
{
	const char *text, *line;

	options.width = 80;
	text = rendered(
		ctl_render_list,
		"{\"latches\":[{\"id\":\"123456789abcdef0\",\"state\":\"established\","
		"\"local\":{\"addr\":\"2001:db8:1111:2222:3333:4444:5555:6666\",\"port\":43159},"
		"\"remote\":{\"addr\":\"2001:db8:7777:8888:9999:aaaa:bbbb:cccc\",\"port\":5432},"
		"\"peer\":{\"id\":\"a-rather-long-name.of-a-host.example\"},\"drops\":0}]}",
		CTL_EXIT_OK);
	options.width = 0;
	for (line = text; *line; line += strcspn(line, "\n") + 1)
		cr_expect_leq(mbsnrtowcs(NULL, &(const char *){line}, strcspn(line, "\n"), 0, NULL),
			      80, "%s", text);
	cr_expect(strstr(text, ":43159 "), "%s", text);
	cr_expect(strstr(text, ":5432 "), "%s", text);
}
