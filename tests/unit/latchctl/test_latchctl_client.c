/* SPDX-License-Identifier: BSD-2-Clause */
/* Exit codes and messages against a daemon that answers as it is told. */
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

/* One client: its request must be that line (NULL: it is left unread), then it gets the answer. */
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

/* A failure says one line and shows nothing. */
static void expect_failure(enum ctl_exit code, const char *words)
{
	cr_expect_eq(show(), code, "%s", err);
	cr_expect_str_eq(out, "");
	cr_expect_eq(strncmp(err, "latchctl: ", 10), 0, "%s", err);
	cr_expect_not_null(strstr(err, words), "%s", err);
	cr_expect_eq(strcspn(err, "\n"), strlen(err) - 1, "%s", err);
}

Test(latchctl_client, an_answer_is_rendered)
{
	serve("{\"schema\":1,\"word\":\"hello\"}\n");
	cr_expect_eq(show(), CTL_EXIT_OK);
	cr_expect_str_eq(out, "rendered hello\n");
	cr_expect_str_eq(err, "");
}

Test(latchctl_client, the_renderers_code_counts)
{
	serve("{\"schema\":1,\"bad\":true}\n");
	cr_expect_eq(show(), CTL_EXIT_FAILED);
}

Test(latchctl_client, json_is_passed_unchanged)
{
	static const char answer[] = "{\"schema\":99,  \"word\" : \"x\\u001b\",\"bad\":true}\n";

	options.json = true;
	serve(answer);
	cr_expect_eq(show(), CTL_EXIT_FAILED);
	cr_expect_str_eq(out, answer);
	cr_expect_eq(renderings, 1);
}

Test(latchctl_client, a_long_answer_comes_whole)
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

Test(latchctl_client, nobody_there)
{
	expect_failure(CTL_EXIT_UNREACHABLE, "No such file or directory; is it running?");
}

Test(latchctl_client, nobody_there_any_more)
{
	close(listen_here());
	expect_failure(CTL_EXIT_UNREACHABLE, "Connection refused; is it running?");
}

Test(latchctl_client, a_socket_we_may_not_use)
{
	int fd = listen_here();

	cr_assert_eq(chmod(socket_path, 0), 0);
	cr_assert_eq(chmod(scratch_dir, 0755), 0);
	if (!geteuid())
		cr_assert_eq(seteuid(65534), 0);
	expect_failure(CTL_EXIT_NOT_PERMITTED, "not permitted to talk to latchd");
	if (!getuid())
		cr_assert_eq(seteuid(0), 0);
	close(fd);
}

Test(latchctl_client, not_permitted_by_the_daemon)
{
	serve("{\"error\":\"not permitted: only root\",\"code\":\"not-permitted\"}\n");
	expect_failure(CTL_EXIT_NOT_PERMITTED, "latchd says: not permitted: only root");
}

/* It does not read what we ask: the end of its answer is a reset. */
Test(latchctl_client, turned_away_at_the_door)
{
	static const char answer[] = "{\"error\":\"not permitted: only root\","
				     "\"code\":\"not-permitted\"}\n";

	serve_bytes(NULL, answer, sizeof(answer) - 1);
	expect_failure(CTL_EXIT_NOT_PERMITTED, "latchd says: not permitted: only root");
}

Test(latchctl_client, another_error)
{
	options.json = true;
	serve("{\"error\":\"too\\nmany \\u001b[2J clients\",\"code\":\"busy\"}\n");
	expect_failure(CTL_EXIT_FAILED, "latchd says: too\\x0amany \\x1b[2J clients");
	cr_expect_eq(renderings, 0);
}

static void expect_cut(const char *answer, size_t length)
{
	serve_bytes("status\n", answer, length);
	expect_failure(CTL_EXIT_UNREACHABLE, "status: the answer was cut short");
	cr_expect_eq(renderings, 0);
	waitpid(server, NULL, 0);
	server = 0;
	cr_assert_eq(unlink(socket_path), 0);
}

Test(latchctl_client, a_cut_answer_is_no_answer)
{
	static const char answer[] = "{\"schema\":1,\"word\":\"x\",\"list\":[1,2]}\n";
	size_t length;

	for (length = 0; length < sizeof(answer) - 1; length++)
		expect_cut(answer, length);
	options.json = true;
	expect_cut(answer, 0);
	expect_cut(answer, sizeof(answer) - 2);
}

Test(latchctl_client, what_is_no_document_is_no_answer)
{
	expect_cut("null\n", 5);
	expect_cut("latchd here\n", 12);
	expect_cut("\0\n", 2);
	expect_cut("{\"schema\":1\0}\n", 14);
}

Test(latchctl_client, another_schema)
{
	serve("{\"schema\":2,\"word\":\"x\"}\n");
	expect_failure(CTL_EXIT_FAILED, "latchd answers in schema 2, this latchctl knows 1");
	cr_expect_eq(renderings, 0);
}

Test(latchctl_client, no_schema_at_all)
{
	serve("[]\n");
	expect_failure(CTL_EXIT_FAILED, "latchd answers in schema ?");
}

Test(latchctl_client, a_schema_is_a_number)
{
	serve("{\"schema\":\"1\"}\n");
	expect_failure(CTL_EXIT_FAILED, "latchd answers in schema 1");
}

Test(latchctl_client, a_path_that_does_not_fit)
{
	char path[200];

	memset(path, 'p', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	options.socket = path;
	expect_failure(CTL_EXIT_USAGE, "path is too long; at most 107 bytes");
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

Test(latchctl_client, a_monitor_shows_events_until_the_daemon_goes)
{
	serve_monitor(
		"{\"time\":\"T\",\"event\":\"sa-bound\"}\n{\"time\":\"U\",\"event\":\"drop\"}\n");
	cr_expect_eq(monitor(), CTL_EXIT_UNREACHABLE);
	cr_expect_str_eq(out, "T sa       bound       \nU drop     -           \n");
	cr_expect_not_null(strstr(err, "monitor: latchd has gone away"), "%s", err);
}

Test(latchctl_client, a_monitor_in_json)
{
	static const char lines[] = "{\"event\":\"x\"}\n{\"event\" : \"y\"}\n";

	options.json = true;
	serve_monitor(lines);
	cr_expect_eq(monitor(), CTL_EXIT_UNREACHABLE);
	cr_expect_str_eq(out, lines);
}

Test(latchctl_client, a_monitor_that_is_not_permitted)
{
	serve_monitor("{\"error\":\"no\",\"code\":\"not-permitted\"}\n{\"event\":\"x\"}\n");
	cr_expect_eq(monitor(), CTL_EXIT_NOT_PERMITTED);
	cr_expect_str_eq(out, "");
}

Test(latchctl_client, a_line_that_is_no_event_ends_a_monitor)
{
	serve_monitor("{\"event\":\"x\"}\n[1]\n{\"event\":\"y\"}\n");
	cr_expect_eq(monitor(), CTL_EXIT_FAILED);
	cr_expect_eq(strcspn(out, "\n"), strlen(out) - 1, "%s", out);
	cr_expect_not_null(strstr(err, "sent a line that is no event"), "%s", err);
}

Test(latchctl_client, a_cut_event_is_not_shown)
{
	serve_monitor("{\"event\":\"latch-bro");
	cr_expect_eq(monitor(), CTL_EXIT_FAILED);
	cr_expect_str_eq(out, "");
}

/* ---- orders */

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

Test(latchctl_client, orders_say_what_the_latch_is_now)
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

/* Nobody listens: it must not even be asked. */
Test(latchctl_client, what_is_no_id_is_not_sent)
{
	static const char *const ids[] = {
		"", "x", "0x1", "1 ", "1\nclose 2", "10.9.0.1", "10000000000000000"};
	size_t i;

	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		cr_expect_eq(run(ctl_close, ids[i]), CTL_EXIT_USAGE, "%s", ids[i]);
		cr_expect_not_null(strstr(err, "is no ID of a latch"), "%s", err);
		cr_expect_eq(strcspn(err, "\n"), strlen(err) - 1, "%s", err);
	}
	cr_expect_eq(run(ctl_break, NULL), CTL_EXIT_USAGE);
	cr_expect_not_null(strstr(err, "no latch given"), "%s", err);
	cr_expect_str_eq(out, "");
}

Test(latchctl_client, an_order_that_is_refused)
{
	serve_bytes("heal 2\n", "{\"error\":\"no\",\"code\":\"not-permitted\"}\n", 38);
	cr_expect_eq(run(ctl_heal, "2"), CTL_EXIT_NOT_PERMITTED, "%s", err);
	cr_expect_str_eq(err, "latchctl: latchd says: no\n");
}
