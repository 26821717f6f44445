/* SPDX-License-Identifier: BSD-2-Clause */
/* "latchctl list" with conditions, on documents of the test. */
#include "capture.h"
#include "scratch.h"

#include <json-c/json.h>
#include <netinet/in.h>
#include <string.h>

#include "common/names.h"
#include "latchctl/filter.h"

#define ROW(id, state, peer, local, remote, reasons)                                               \
	"{\"id\":\"" id "\",\"state\":\"" state "\",\"peer\":{\"id\":\"" peer                      \
	"\",\"auth\":\"public-key\"},\"proto\":\"tcp\",\"direction\":\"in\",\"netns\":7,"          \
	"\"local\":{\"addr\":\"" local "\",\"port\":5432},\"remote\":{\"addr\":\"" remote          \
	"\",\"port\":43159},\"rule\":\"db\",\"disposition\":\"reset\",\"reasons\":[" reasons "]}"

static bool matches(const char *row, char *const *words)
{
	struct json_object *latch = json_tokener_parse(row);
	struct filter filter = {.count = 0};
	size_t count = 0;
	bool result;

	while (words[count])
		count++;
	cr_assert_not_null(latch, "%s", row);
	cr_assert_eq(filter_parse(&filter, words, count), CTL_EXIT_OK);
	result = filter_matches(&filter, latch);
	json_object_put(latch);
	return result;
}

#define MATCHES(row, ...) matches(row, (char *[]){__VA_ARGS__, NULL})

static const char row[] =
	ROW("2", "broken", "CN=c, O=x", "10.9.0.1", "10.9.3.2", "\"admin\",\"sa-conflict\"");

Test(latchctl_filter, a_row_matches_its_own_values_and_no_others)
{
	cr_expect(
		MATCHES(row, "state", "broken", "peer", "CN=c, O=x", "proto", "tcp", "dir", "in"));
	cr_expect(MATCHES(row, "netns", "7", "rule", "db", "disposition", "reset"));
	cr_expect_not(MATCHES(row, "state", "established"));
	cr_expect_not(MATCHES(row, "peer", "CN=c"), "a part of a name is another name");
	cr_expect_not(MATCHES(row, "netns", "70"));
	cr_expect_not(MATCHES(row, "rule", "d"));
}

Test(latchctl_filter, conditions_on_one_field_are_alternatives_and_on_others_all_hold)
{
	cr_expect(MATCHES(row, "state", "established", "state", "broken"));
	cr_expect(MATCHES(row, "state", "broken", "dport", "1", "dport", "43159"));
	cr_expect_not(MATCHES(row, "state", "broken", "state", "larval", "dport", "1"));
}

Test(latchctl_filter, a_tag_is_one_of_the_peers)
{
	static const char tagged[] = "{\"tags\":[\"web\",\"db-1\"]}", none[] = "{\"tags\":[]}";

	cr_expect(MATCHES(tagged, "tag", "web"));
	cr_expect(MATCHES(tagged, "tag", "db-1"));
	cr_expect(MATCHES(tagged, "tag", "other", "tag", "db-1"));
	cr_expect_not(MATCHES(tagged, "tag", "db"));
	cr_expect_not(MATCHES(tagged, "tag", ""));
	cr_expect_not(MATCHES(none, "tag", "web"));
}

static const char *message_of(const char *text, char *const *words, size_t count)
{
	struct json_object *document = json_tokener_parse(text);
	struct capture err = capture_begin(stderr);
	struct filter filter = {.count = 0};

	cr_assert_not_null(document, "%s", text);
	cr_assert_eq(filter_parse(&filter, words, count), CTL_EXIT_OK);
	filter_tell_unknown(&filter, document);
	json_object_put(document);
	return capture_end(&err);
}

Test(latchctl_filter, a_tag_that_is_no_set_is_shown_on_stderr_and_is_no_error)
{
	static const char with_sets[] = "{\"sets\":[\"web\",\"db\"],\"latches\":[]}";
	char *unknown[] = {"tag", "wbe"}, *known[] = {"tag", "db", "peer", "wbe"};
	char *both[] = {"tag", "web", "tag", "a\nb"};

	cr_expect_str_eq(message_of(with_sets, unknown, 2),
			 "latchctl: list: no set of peers has the name \"wbe\"; latchd.conf(5) has "
			 "the sections [peer NAME]\n");
	cr_expect_str_eq(message_of("{\"sets\":[],\"latches\":[]}", unknown, 2),
			 message_of(with_sets, unknown, 2));
	cr_expect_str_eq(message_of(with_sets, known, 4), "");
	cr_expect_null(strstr(message_of(with_sets, both, 4), "a\nb"), "it is escaped");
	cr_expect_str_eq(message_of("{\"latches\":[]}", unknown, 2), "", "an earlier latchd");
}

Test(latchctl_filter, a_network_namespace_is_found_by_its_name_and_by_its_cookie)
{
	static const char named[] = "{\"netns\":7,\"netns_name\":\"blue\"}";

	cr_expect(MATCHES(named, "netns", "blue"));
	cr_expect(MATCHES(named, "netns", "7"));
	cr_expect_not(MATCHES(named, "netns", "blu"));
	cr_expect_not(MATCHES("{\"netns\":7,\"netns_name\":null}", "netns", "blue"));
}

Test(latchctl_filter, each_reason_of_a_set_is_found)
{
	cr_expect(MATCHES(row, "reason", "admin"));
	cr_expect(MATCHES(row, "reason", "sa-conflict"));
	cr_expect_not(MATCHES(row, "reason", "peer-dead"));
}

Test(latchctl_filter, ports_are_compared_as_numbers)
{
	cr_expect(MATCHES(row, "sport", "05432", "dport", "43159"));
	cr_expect_not(MATCHES(row, "sport", "43159"));
	cr_expect_not(MATCHES(row, "dport", "4315"));
}

Test(latchctl_filter, an_address_stands_for_itself_and_a_prefix_for_its_network)
{
	static const char v6[] = ROW("3", "established", "c", "fd00::1", "fd00:0:0:8000::2", "");

	cr_expect(MATCHES(row, "src", "10.9.0.1", "dst", "10.9.2.0/23"));
	cr_expect(MATCHES(row, "dst", "0.0.0.0/0"));
	cr_expect_not(MATCHES(row, "dst", "10.9.2.0/24"));
	cr_expect_not(MATCHES(row, "src", "10.9.3.2"));
	cr_expect_not(MATCHES(row, "src", "::/0"), "another family");
	cr_expect(MATCHES(v6, "src", "fd00:0000::0:1", "dst", "fd00:0:0:8000::/49"));
	cr_expect_not(MATCHES(v6, "dst", "fd00::/49"));
}

Test(latchctl_filter, a_row_without_the_member_does_not_match)
{
	cr_expect_not(MATCHES("{}", "peer", "c"));
	cr_expect_not(MATCHES("{\"peer\":null,\"reasons\":null,\"local\":{}}", "peer", "null"));
	cr_expect_not(MATCHES("{\"local\":{\"port\":null}}", "sport", "0"));
	cr_expect_not(MATCHES("{\"local\":{\"addr\":\"x\"}}", "src", "::/0"));
	cr_expect_not(MATCHES("{\"reasons\":[null,1]}", "reason", "admin"));
}

/* One error line that has these words. */
static void expect_refused(const char *expected, const char *field, const char *value)
{
	char *const words[] = {(char *)field, (char *)value};
	struct capture errs = capture_begin(stderr);
	struct filter filter = {.count = 0};
	enum ctl_exit code = filter_parse(&filter, words, value ? 2 : 1);
	const char *err = capture_end(&errs);

	cr_expect_eq(code, CTL_EXIT_USAGE, "%s %s", field, value);
	cr_expect(strstr(err, expected), "%s", err);
}

Test(latchctl_filter, a_wrong_condition_is_one_error_that_has_the_next_step)
{
	expect_refused("unknown field \"sate\"; use state, peer, tag, proto,", "sate", "broken");
	expect_refused("no value after field \"state\"", "state", NULL);
	expect_refused("field state cannot be \"brken\"; expected: established broken", "state",
		       "brken");
	expect_refused("field state cannot be \"\"", "state", "");
	expect_refused("field state cannot be \"established broken\"", "state",
		       "established broken");
	expect_refused("field dport cannot be \"http\"; expected: a number", "dport", "http");
	expect_refused("field dport cannot be \"65536\"", "dport", "65536");
	expect_refused("field dport cannot be \"-1\"", "dport", "-1");
	expect_refused("field dst cannot be \"10.0.0.0/33\"; expected: ADDRESS", "dst",
		       "10.0.0.0/33");
	expect_refused("field dst cannot be \"10.0.0\"", "dst", "10.0.0");
	expect_refused("field dst cannot be \"10.0.0.0/\"", "dst", "10.0.0.0/");
	expect_refused("unknown field \"\\x1b[2J\"", "\033[2J", "x");
}

Test(latchctl_filter, more_conditions_than_there_is_room_for_are_refused)
{
	struct capture errs = capture_begin(stderr);
	char *words[2 * FILTER_CONDITIONS_MAX + 2];
	struct filter filter = {.count = 0};
	enum ctl_exit most, more;
	size_t i;

	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		words[i] = (char *)(i % 2 ? "1" : "dport");
	most = filter_parse(&filter, words, i - 2);
	filter.count = 0;
	more = filter_parse(&filter, words, i);
	capture_end(&errs);
	cr_expect_eq(most, CTL_EXIT_OK);
	cr_expect_eq(more, CTL_EXIT_USAGE);
}

static void expect_known(const char *field, const char *word)
{
	char *const words[] = {(char *)field, (char *)word};
	struct filter filter = {.count = 0};

	cr_expect_eq(filter_parse(&filter, words, 2), CTL_EXIT_OK, "%s %s", field, word);
}

/* The words of the documents come from common/names.h. */
Test(latchctl_filter, every_word_of_a_document_can_be_asked_for)
{
	unsigned int i;

	for (i = LATCH_STATE_LISTENER; strcmp(latch_state_name(i), "unknown"); i++)
		expect_known("state", latch_state_name(i));
	cr_expect_gt(i, LATCH_STATE_CLOSED);
	for (i = 0; strcmp(latch_disposition_name(i), "unknown"); i++)
		expect_known("disposition", latch_disposition_name(i));
	for (i = 1; strcmp(latch_reason_name(i), "unknown"); i <<= 1)
		expect_known("reason", latch_reason_name(i));
	cr_expect_gt(i, LATCH_REASON_ADMIN);
	expect_known("dir", latch_direction_name(LATCH_DIRECTION_IN));
	expect_known("dir", latch_direction_name(LATCH_DIRECTION_OUT));
	expect_known("proto", ulp_name(IPPROTO_TCP));
	expect_known("proto", ulp_name(IPPROTO_UDP));
	expect_known("proto", ulp_name(IPPROTO_SCTP));
}
