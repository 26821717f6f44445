/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Exit codes, output and error lines of requests to latchd. A forked process listens at a control
 * socket in a scratch directory, checks the request line and sends the answer of the test.
 */
#include "capture.h"
#include "scratch.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "latchctl/client.h"
#include "latchctl/view.h"

static char socket_path[256];
static struct ctl_options options;
static pid_t server;

static void begin(void)
{
	scratch_make();
	snprintf(socket_path, sizeof(socket_path), "%s", scratch_path("sock"));
	options.socket = socket_path;
}

static void end(void)
{
	if (server)
		waitpid(server, NULL, 0);
	scratch_remove();
}

TestSuite(latchctl_client, .init = begin, .fini = end, .timeout = 60);

static int listen_here(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", socket_path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 4), 0);
	return fd;
}

/* Serves one client: its request must be that line (NULL: do not read it), then send the answer. */
static void serve_one(int listen_fd, const char *request, const char *answer, size_t length)
{
	int fd = accept(listen_fd, NULL, NULL);
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	char line[128] = "";

	poll(&readable, 1, -1);
	if (request && (read(fd, line, sizeof(line) - 1) <= 0 || strcmp(line, request)))
		answer = "{\"error\":\"another request than expected\"}\n", length = strlen(answer);
	while (length) {
		ssize_t sent = send(fd, answer, length, MSG_NOSIGNAL);

		if (sent <= 0)
			break;
		answer += sent;
		length -= (size_t)sent;
	}
	_exit(0);
}

static void serve_bytes(const char *request, const char *answer, size_t length)
{
	int fd = listen_here();

	server = fork();
	cr_assert_geq(server, 0);
	if (!server)
		serve_one(fd, request, answer, length);
	close(fd);
}

static void serve(const char *answer)
{
	serve_bytes("status\n", answer, strlen(answer));
}

static unsigned int renderings;

static enum ctl_exit render_it(FILE *out, const struct ctl_options *how,
			       struct json_object *document)
{
	(void)how;
	renderings++;
	fprintf(out, "rendered %s\n", view_text_or(document, "word", "?"));
	return view_bool(document, "bad") ? CTL_EXIT_FAILED : CTL_EXIT_OK;
}

static const char *out, *err;

static enum ctl_exit show(void)
{
	struct capture outs = capture_begin(stdout), errs = capture_begin(stderr);
	enum ctl_exit code = client_show(&options, "status", render_it);

	out = capture_end(&outs);
	err = capture_end(&errs);
	return code;
}

/* A failure prints one error line and no output. */
static void expect_failure(enum ctl_exit code, const char *words)
{
	cr_expect_eq(show(), code, "%s", err);
	cr_expect_str_eq(out, "");
	cr_expect_eq(strncmp(err, "latchctl: ", 10), 0, "%s", err);
	cr_expect_not_null(strstr(err, words), "%s", err);
	cr_expect_eq(strcspn(err, "\n"), strlen(err) - 1, "%s", err);
}

Test(latchctl_client, a_document_is_rendered)
{
	serve("{\"schema\":1,\"word\":\"hello\"}\n");
	cr_expect_eq(show(), CTL_EXIT_OK);
	cr_expect_str_eq(out, "rendered hello\n");
	cr_expect_str_eq(err, "");
}

Test(latchctl_client, the_exit_code_is_that_of_the_renderer)
{
	serve("{\"schema\":1,\"bad\":true}\n");
	cr_expect_eq(show(), CTL_EXIT_FAILED);
}

Test(latchctl_client, option_json_prints_the_document_unchanged)
{
	static const char answer[] = "{\"schema\":99,  \"word\" : \"x\\u001b\",\"bad\":true}\n";

	options.json = true;
	serve(answer);
	cr_expect_eq(show(), CTL_EXIT_FAILED);
	cr_expect_str_eq(out, answer);
	cr_expect_eq(renderings, 1);
}

Test(latchctl_client, an_answer_of_3_MiB_is_printed_whole)
{
	const size_t length = 3 * 1024 * 1024;
	char *answer = malloc(length + 64);
	size_t begin_length;

	if (!answer)
		abort();
	begin_length = (size_t)sprintf(answer, "{\"schema\":1,\"word\":\"end\",\"x\":\"");
	memset(answer + begin_length, 'x', length);
	strcpy(answer + begin_length + length, "\"}\n");
	serve(answer);
	options.json = true;
	cr_expect_eq(show(), CTL_EXIT_OK);
	cr_expect_eq(strlen(out), strlen(answer));
	free(answer);
}

Test(latchctl_client, a_missing_control_socket_means_unreachable)
{
	expect_failure(CTL_EXIT_UNREACHABLE,
		       "cannot connect: No such file or directory; start latchd");
}

Test(latchctl_client, a_control_socket_without_a_listener_means_unreachable)
{
	close(listen_here());
	expect_failure(CTL_EXIT_UNREACHABLE, "cannot connect: Connection refused; start latchd");
}

Test(latchctl_client, a_control_socket_without_permission_means_not_permitted)
{
	int fd = listen_here();

	cr_assert_eq(chmod(socket_path, 0), 0);
	cr_assert_eq(chmod(scratch_dir, 0755), 0);
	if (!geteuid())
		cr_assert_eq(seteuid(65534), 0);
	expect_failure(CTL_EXIT_NOT_PERMITTED, "cannot connect: Permission denied; run as root");
	if (!getuid())
		cr_assert_eq(seteuid(0), 0);
	close(fd);
}

Test(latchctl_client, error_code_not_permitted_sets_the_exit_code)
{
	serve("{\"error\":\"not permitted: only root\",\"code\":\"not-permitted\"}\n");
	expect_failure(CTL_EXIT_NOT_PERMITTED, "status: latchd reports: not permitted: only root");
}

/* The server closes with the request unread, so the kernel ends its answer with ECONNRESET. */
Test(latchctl_client, an_error_before_a_connection_reset_is_printed)
{
	static const char answer[] = "{\"error\":\"not permitted: only root\","
				     "\"code\":\"not-permitted\"}\n";

	serve_bytes(NULL, answer, sizeof(answer) - 1);
	expect_failure(CTL_EXIT_NOT_PERMITTED, "status: latchd reports: not permitted: only root");
}

Test(latchctl_client, any_other_error_of_latchd_is_printed_escaped_and_fails)
{
	options.json = true;
	serve("{\"error\":\"too\\nmany \\u001b[2J clients\",\"code\":\"busy\"}\n");
	expect_failure(CTL_EXIT_FAILED, "status: latchd reports: too\\x0amany \\x1b[2J clients");
	cr_expect_eq(renderings, 0);
}

static void expect_cut(const char *answer, size_t length)
{
	serve_bytes("status\n", answer, length);
	expect_failure(CTL_EXIT_UNREACHABLE, "status: answer of latchd incomplete");
	cr_expect_eq(renderings, 0);
	waitpid(server, NULL, 0);
	server = 0;
	cr_assert_eq(unlink(socket_path), 0);
}

Test(latchctl_client, an_incomplete_answer_is_not_rendered)
{
	static const char answer[] = "{\"schema\":1,\"word\":\"x\",\"list\":[1,2]}\n";
	size_t length;

	for (length = 0; length < sizeof(answer) - 1; length++)
		expect_cut(answer, length);
	options.json = true;
	expect_cut(answer, 0);
	expect_cut(answer, sizeof(answer) - 2);
}

Test(latchctl_client, an_answer_that_is_not_a_json_document_is_not_rendered)
{
	expect_cut("null\n", 5);
	expect_cut("latchd here\n", 12);
	expect_cut("\0\n", 2);
	expect_cut("{\"schema\":1\0}\n", 14);
}

Test(latchctl_client, an_answer_of_another_schema_is_not_rendered)
{
	serve("{\"schema\":2,\"word\":\"x\"}\n");
	expect_failure(CTL_EXIT_FAILED, "latchd answered in schema 2, latchctl reads schema 1");
	cr_expect_eq(renderings, 0);
}

Test(latchctl_client, an_answer_without_schema_is_rejected)
{
	serve("[]\n");
	expect_failure(CTL_EXIT_FAILED, "latchd answered in schema ?");
}

Test(latchctl_client, a_schema_that_is_a_text_is_rejected)
{
	serve("{\"schema\":\"1\"}\n");
	expect_failure(CTL_EXIT_FAILED, "latchd answered in schema 1");
}

Test(latchctl_client, a_socket_path_of_more_than_107_bytes_is_a_usage_error)
{
	char path[200];

	memset(path, 'p', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	options.socket = path;
	expect_failure(CTL_EXIT_USAGE, "path longer than 107 bytes; give a shorter one");
}

static enum ctl_exit monitor(void)
{
	struct capture outs = capture_begin(stdout), errs = capture_begin(stderr);
	enum ctl_exit code = ctl_monitor(&options);

	out = capture_end(&outs);
	err = capture_end(&errs);
	return code;
}

static void serve_monitor(const char *answer)
{
	serve_bytes("monitor\n", answer, strlen(answer));
}

Test(latchctl_client, monitor_prints_events_until_latchd_closes_the_connection)
{
	serve_monitor(
		"{\"time\":\"T\",\"event\":\"sa-bound\"}\n{\"time\":\"U\",\"event\":\"drop\"}\n");
	cr_expect_eq(monitor(), CTL_EXIT_UNREACHABLE);
	cr_expect_str_eq(out, "T sa       bound       \nU drop     -           \n");
	cr_expect_not_null(strstr(err, "monitor: latchd closed the connection"), "%s", err);
}

Test(latchctl_client, monitor_with_json_prints_lines_unchanged)
{
	static const char lines[] = "{\"event\":\"x\"}\n{\"event\" : \"y\"}\n";

	options.json = true;
	serve_monitor(lines);
	cr_expect_eq(monitor(), CTL_EXIT_UNREACHABLE);
	cr_expect_str_eq(out, lines);
}

Test(latchctl_client, monitor_prints_no_event_after_an_error)
{
	serve_monitor("{\"error\":\"no\",\"code\":\"not-permitted\"}\n{\"event\":\"x\"}\n");
	cr_expect_eq(monitor(), CTL_EXIT_NOT_PERMITTED);
	cr_expect_str_eq(out, "");
}

Test(latchctl_client, monitor_ends_at_a_line_that_is_not_a_json_object)
{
	serve_monitor("{\"event\":\"x\"}\n[1]\n{\"event\":\"y\"}\n");
	cr_expect_eq(monitor(), CTL_EXIT_FAILED);
	cr_expect_eq(strcspn(out, "\n"), strlen(out) - 1, "%s", out);
	cr_expect_not_null(strstr(err, "line from latchd is not a JSON object"), "%s", err);
}

Test(latchctl_client, monitor_does_not_print_an_incomplete_event)
{
	serve_monitor("{\"event\":\"latch-bro");
	cr_expect_eq(monitor(), CTL_EXIT_FAILED);
	cr_expect_str_eq(out, "");
}

/* ---- break, heal, close */

static enum ctl_exit run(enum ctl_exit (*verb)(const struct ctl_options *options), const char *id)
{
	struct capture outs = capture_begin(stdout), errs = capture_begin(stderr);
	enum ctl_exit code;

	options.latch_id = id;
	code = verb(&options);
	out = capture_end(&outs);
	err = capture_end(&errs);
	return code;
}

static void expect_request(enum ctl_exit (*verb)(const struct ctl_options *options),
			   const char *request, const char *answer, const char *shown)
{
	serve_bytes(request, answer, strlen(answer));
	cr_expect_eq(run(verb, "1f"), CTL_EXIT_OK, "%s", err);
	cr_expect_str_eq(out, shown);
	cr_expect_str_eq(err, "");
	waitpid(server, NULL, 0);
	server = 0;
	unlink(socket_path);
}

Test(latchctl_client, break_heal_and_close_print_the_new_state_of_the_latch)
{
	expect_request(
		ctl_break, "break 1f\n",
		"{\"schema\":1,\"id\":\"1f\",\"state\":\"broken\",\"reasons\":[\"sa-conflict\","
		"\"admin\"]}\n",
		"latch 1f is broken: sa-conflict,admin\n");
	expect_request(ctl_heal, "heal 1f\n",
		       "{\"schema\":1,\"id\":\"1f\",\"state\":\"established\",\"reasons\":[]}\n",
		       "latch 1f is established\n");
	expect_request(ctl_close, "close 1f\n",
		       "{\"schema\":1,\"id\":\"1f\",\"state\":\"clo\\u001b\",\"reasons\":[]}\n",
		       "latch 1f is clo\\x1b\n");
}

/* No server listens: sending the request would fail with CTL_EXIT_UNREACHABLE. */
Test(latchctl_client, a_malformed_latch_id_is_not_sent)
{
	static const char *const ids[] = {
		"", "x", "0x1", "1 ", "1\nclose 2", "10.9.0.1", "10000000000000000"};
	size_t i;

	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		cr_expect_eq(run(ctl_close, ids[i]), CTL_EXIT_USAGE, "%s", ids[i]);
		cr_expect_not_null(strstr(err, "is not a latch ID"), "%s", err);
		cr_expect_eq(strcspn(err, "\n"), strlen(err) - 1, "%s", err);
	}
	cr_expect_eq(run(ctl_break, NULL), CTL_EXIT_USAGE);
	cr_expect_not_null(strstr(err, "no latch ID given"), "%s", err);
	cr_expect_str_eq(out, "");
}

Test(latchctl_client, a_refused_heal_exits_with_not_permitted)
{
	serve_bytes("heal 2\n", "{\"error\":\"no\",\"code\":\"not-permitted\"}\n", 38);
	cr_expect_eq(run(ctl_heal, "2"), CTL_EXIT_NOT_PERMITTED, "%s", err);
	cr_expect_str_eq(err, "latchctl: heal 2: latchd reports: no\n");
}

/* ---- list: its order and its conditions */

#define LATCH(id, state) "{\"id\":\"" id "\",\"state\":\"" state "\"}"
#define LIST(rows)	 "{\"schema\":1,\"latches\":[" rows "],\"more\":2}\n"

static void expect_list(const char *answer, char *const *words, size_t count, const char *expected)
{
	struct capture outs;

	serve_bytes("list\n", answer, strlen(answer));
	options.words = words;
	options.word_count = count;
	outs = capture_begin(stdout);
	cr_expect_eq(ctl_list(&options), CTL_EXIT_OK);
	out = capture_end(&outs);
	cr_expect(strstr(out, expected), "%s", out);
}

static const char unordered[] =
	LIST(LATCH("10", "broken") "," LATCH("9", "established") "," LATCH("a", "broken"));

Test(latchctl_client, list_is_in_the_order_of_the_ids)
{
	const char *first, *second, *third;

	expect_list(unordered, NULL, 0, "\n9 ");
	first = strstr(out, "\n9 ");
	second = strstr(out, "\na ");
	third = strstr(out, "\n10 ");
	cr_expect(first && second && third && first < second && second < third, "%s", out);
}

#define SA(spi, netns, dst)                                                                        \
	"{\"spi\":\"" spi "\",\"netns\":" netns ",\"src\":\"10.0.0.1\",\"dst\":\"" dst "\"}"

Test(latchctl_client, sa_is_in_the_order_of_namespace_addresses_and_spi)
{
	static const char answer[] = "{\"schema\":1,\"sas\":[" SA("0x5", "9", "10.0.0.2") "," SA(
		"0x4", "10", "10.0.0.2") "," SA("0x3", "9", "10.0.0.3") "," SA("0x2", "9",
									       "10.0.0.2") "]}\n";
	static const char *const order[] = {"\n0x2 ", "\n0x5 ", "\n0x3 ", "\n0x4 "};
	const char *at, *before = NULL;
	size_t i;

	serve_bytes("sa\n", answer, strlen(answer));
	cr_expect_eq(run(ctl_sa, NULL), CTL_EXIT_OK, "%s", err);
	for (i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		at = strstr(out, order[i]);
		cr_expect(at && at > before, "%s: %s", order[i] + 1, out);
		before = at;
	}
}

Test(latchctl_client, explain_sends_the_flow_with_its_namespace_in_one_form)
{
	static const char answer[] = "{\"schema\":1,\"found\":\"none\"}\n";
	char *words[] = {"tcp", "10.0.0.1", "10.0.0.2:5432", "netns", "blue"};

	serve_bytes("explain proto tcp src 10.0.0.1 dst 10.0.0.2 dport 5432 netns blue\n", answer,
		    strlen(answer));
	options.words = words;
	options.word_count = 5;
	cr_expect_eq(run(ctl_explain, NULL), CTL_EXIT_OK, "%s", err);
	cr_expect(strstr(out, "latch      none\n"), "%s", out);
}

Test(latchctl_client, explain_sends_an_id_as_it_is)
{
	static const char answer[] = "{\"error\":\"latch 1f does not exist\",\"code\":"
				     "\"not-found\"}\n";

	serve_bytes("explain 1f\n", answer, strlen(answer));
	options.words = (char *[]){"1f"};
	options.word_count = 1;
	cr_expect_eq(run(ctl_explain, NULL), CTL_EXIT_FAILED);
	cr_expect_str_eq(err, "latchctl: explain 1f: latchd reports: latch 1f does not exist\n");
}

Test(latchctl_client, list_leaves_out_what_does_not_meet_a_condition)
{
	expect_list(unordered, (char *[]){"state", "established"}, 2, "\n9 ");
	cr_expect_not(strstr(out, "broken"), "%s", out);
}

Test(latchctl_client, json_of_a_list_is_unchanged_without_a_condition)
{
	options.json = true;
	expect_list(unordered, NULL, 0, unordered);
	cr_expect_str_eq(out, unordered);
}

Test(latchctl_client, json_of_a_list_has_the_rows_that_meet_a_condition_and_all_else)
{
	options.json = true;
	expect_list(unordered, (char *[]){"state", "broken"}, 2,
		    LIST(LATCH("a", "broken") "," LATCH("10", "broken")));
}
