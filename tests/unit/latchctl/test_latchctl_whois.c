/* SPDX-License-Identifier: BSD-2-Clause */
/* "latchctl whois": a forked process answers "list" with latches to several peers. */
#include "capture.h"
#include "scratch.h"

#include <json-c/json.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "latchctl/view.h"
#include "latchctl/latchctl.h"

#define LATCH(id, proto, netns, name, local, remote, answer)                                       \
	"{\"id\":\"" id "\",\"state\":\"established\",\"peer\":{\"id\":\"untold.example\","        \
	"\"auth\":\"pubkey\"},\"local_id\":\"untold.w.example\",\"connection\":\"untold\","        \
	"\"proto\":\"" proto "\",\"netns\":" netns ",\"netns_name\":" name ",\"local\":" local     \
	",\"remote\":" remote ",\"answer\":" answer ",\"created\":\"2020-01-01T00:00:00Z\"}"
#define END(addr, port) "{\"addr\":\"" addr "\",\"port\":" port "}"
#define W		END("10.9.0.1", "7000")
#define SHOWN(state, peer)                                                                         \
	"{\"state\":\"" state "\",\"why\":\"none\",\"peer\":{\"id\":\"" peer                       \
	"\",\"auth\":\"pubkey\"},\"local_id\":\"w.example\",\"connection\":\"to-" peer             \
	"\",\"tags\":[\"web\",\"of-" peer "\"]}"
#define HIDDEN(state, why)                                                                         \
	"{\"state\":\"" state "\",\"why\":\"" why                                                  \
	"\",\"peer\":null,\"local_id\":null,\"connection\":null,\"tags\":[]}"

/* clang-format off */
static const char list[] = "{\"schema\":1,\"latches\":["
	LATCH("1", "tcp", "7", "\"blue\"", W, "null", HIDDEN("listener", "none")) ","
	LATCH("2", "tcp", "7", "\"blue\"", W, END("10.9.0.2", "40000"), SHOWN("established", "c.example")) ","
	LATCH("3", "tcp", "7", "\"blue\"", W, END("10.9.0.3", "40000"), SHOWN("broken", "d.example")) ","
	LATCH("4", "tcp", "7", "\"blue\"", END("fd00::1", "7000"), END("fd00::2", "40000"),
	      SHOWN("established", "six.example")) ","
	LATCH("5", "tcp", "7", "\"blue\"", W, END("10.9.0.5", "1"), HIDDEN("audited", "audit")) ","
	LATCH("6", "tcp", "7", "\"blue\"", W, END("10.9.0.6", "1"), SHOWN("established", "e.example")) ","
	LATCH("7", "udp", "7", "\"blue\"", W, END("10.9.0.6", "1"), SHOWN("established", "f.example")) ","
	LATCH("8", "tcp", "8", "\"green\"", W, END("10.9.0.6", "1"), SHOWN("established", "g.example")) ","
	LATCH("9", "tcp", "99", "null", W, END("10.9.0.6", "1"), SHOWN("established", "h.example")) ","
	LATCH("a", "sctp", "7", "\"blue\"", W, END("10.9.0.10", "1"), "null") "]}\n";
/* clang-format on */

static char socket_path[256];
static pid_t server;

static void begin(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	scratch_make();
	snprintf(socket_path, sizeof(socket_path), "%s", scratch_path("sock"));
	snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", socket_path);
	cr_assert_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	cr_assert_eq(listen(fd, 4), 0);
	server = fork();
	cr_assert_geq(server, 0);
	while (!server) {
		int client = accept(fd, NULL, NULL);
		char line[64];

		if (client >= 0 && read(client, line, sizeof(line)) > 0)
			send(client, list, strlen(list), MSG_NOSIGNAL);
		close(client);
	}
	close(fd);
}

static void end(void)
{
	kill(server, SIGKILL);
	waitpid(server, NULL, 0);
	scratch_remove();
}

TestSuite(latchctl_whois, .init = begin, .fini = end, .timeout = 60);

struct result {
	enum ctl_exit code;
	const char *out, *err;
};

static unsigned int terminal; /* its width; 0: any */

static struct result whois(bool json, char *const *words)
{
	struct ctl_options options = {
		.socket = socket_path, .json = json, .words = words, .width = terminal};
	struct capture out = capture_begin(stdout), err = capture_begin(stderr);
	struct result result;

	while (words[options.word_count])
		options.word_count++;
	result.code = ctl_whois(&options);
	result.err = capture_end(&err);
	result.out = capture_end(&out);
	return result;
}

#define WHOIS(...) whois(false, (char *[]){__VA_ARGS__, NULL})

static bool has(const char *text, const char *part)
{
	return strstr(text, part);
}

Test(latchctl_whois, both_ends_name_one_connection_with_its_latch_id_and_age)
{
	struct result result = WHOIS("10.9.0.1:7000", "10.9.0.2:40000");

	cr_expect_eq(result.code, CTL_EXIT_OK, "%s", result.err);
	cr_expect(has(result.out, "\n2 ") && has(result.out, "c.example") &&
			  has(result.out, "web,of-c.example") && has(result.out, "to-c.example") &&
			  has(result.out, "blue"),
		  "%s", result.out);
	cr_expect_not(has(result.out, "d.example"), "%s", result.out);
	cr_expect(has(result.out, "AGE") && has(result.out, "d"), "%s", result.out);
}

Test(latchctl_whois, one_end_finds_the_connections_of_either_side)
{
	struct result result = WHOIS("10.9.0.3:40000");

	cr_expect_eq(result.code, CTL_EXIT_OK);
	cr_expect(has(result.out, "d.example"), "%s", result.out);
	cr_expect_not(has(result.out, "c.example"), "%s", result.out);
	result = WHOIS("10.9.0.1:7000");
	cr_expect(has(result.out, "c.example") && has(result.out, "d.example"), "%s", result.out);
	cr_expect_not(has(result.out, "listener"), "%s", result.out);
}

Test(latchctl_whois, ipv6_and_ipv4_mapped_ends_are_found)
{
	cr_expect(has(WHOIS("[fd00:0::1]:7000", "[fd00::2]:40000").out, "six.example"));
	cr_expect(has(WHOIS("[::ffff:10.9.0.2]:40000").out, "c.example"));
}

Test(latchctl_whois, the_ends_of_another_connection_name_none)
{
	struct result result = WHOIS("10.9.0.2:40000", "10.9.0.1:7000");

	cr_expect_eq(result.code, CTL_EXIT_FAILED, "local and remote are not the same");
	cr_expect(has(result.err, "no latched connection"), "%s", result.err);
	cr_expect_str_eq(result.out, "");
	cr_expect_eq(WHOIS("10.9.0.2:40001").code, CTL_EXIT_FAILED);
	cr_expect_eq(WHOIS("10.9.0.1:7000", "10.9.0.3:40001").code, CTL_EXIT_FAILED);
}

/* Line by line: the row of this latch. */
static const char *row_of(const char *text, const char *id)
{
	static char row[512];
	const char *at = strstr(text, id);

	cr_assert_not_null(at, "%s in %s", id, text);
	snprintf(row, sizeof(row), "%.*s", (int)strcspn(at + 1, "\n"), at + 1);
	return row;
}

Test(latchctl_whois, what_the_socket_does_not_tell_is_not_shown)
{
	struct result result = WHOIS("10.9.0.5:1");

	cr_expect_eq(result.code, CTL_EXIT_OK);
	cr_expect(has(result.out, "audited"), "%s", result.out);
	cr_expect_not(has(result.out, "untold"), "%s", result.out);
	result = WHOIS("10.9.0.10:1");
	cr_expect(has(result.out, "not-served"), "%s", result.out);
	cr_expect_not(has(result.out, "untold"), "%s", result.out);
	result = whois(true, (char *[]){"10.9.0.5:1", NULL});
	cr_expect_not(has(result.out, "untold"), "%s", result.out);
}

/* The narrowest terminal leaves out other columns. */
Test(latchctl_whois, rows_of_equal_ends_name_their_protocol_and_namespace)
{
	struct result result;

	terminal = 80;
	result = WHOIS("10.9.0.6:1");
	cr_expect_not(has(result.out, "LOCAL ID"), "%s", result.out);
	cr_expect(has(row_of(result.out, "\n6 "), "tcp") &&
		  has(row_of(result.out, "\n6 "), "blue"));
	cr_expect(has(row_of(result.out, "\n7 "), "udp") &&
		  has(row_of(result.out, "\n7 "), "blue"));
	cr_expect(has(row_of(result.out, "\n8 "), "tcp") &&
		  has(row_of(result.out, "\n8 "), "green"));
	cr_expect(has(row_of(result.out, "\n9 "), "tcp") && has(row_of(result.out, "\n9 "), "99"));
	cr_expect(has(row_of(result.out, "\n9 "), "h.example"), "%s", result.out);
}

Test(latchctl_whois, json_has_what_the_sockets_of_these_connections_answer)
{
	struct result result = whois(true, (char *[]){"10.9.0.2:40000", NULL});
	struct json_object *document = json_tokener_parse(result.out), *row;

	cr_expect_eq(result.code, CTL_EXIT_OK);
	cr_assert_not_null(document, "%s", result.out);
	cr_expect_eq(view_count(document, "connections"), 1);
	row = view_element(document, "connections", 0);
	cr_expect_str_eq(
		json_object_to_json_string_ext(row, JSON_C_TO_STRING_PLAIN |
							    JSON_C_TO_STRING_NOSLASHESCAPE),
		"{\"id\":\"2\",\"state\":\"established\",\"why\":\"none\",\"peer\":{\"id\":"
		"\"c.example\",\"auth\":\"pubkey\"},\"local_id\":\"w.example\","
		"\"connection\":\"to-c.example\",\"tags\":[\"web\",\"of-c.example\"],"
		"\"proto\":\"tcp\",\"netns\":7,"
		"\"netns_name\":\"blue\",\"local\":" W
		",\"remote\":" END("10.9.0.2", "40000") ",\"created\":\"2020-01-01T00:00:00Z\"}");
	json_object_put(document);
	result = whois(true, (char *[]){"10.9.0.2:1", NULL});
	cr_expect_eq(result.code, CTL_EXIT_FAILED);
	cr_expect(has(result.out, "\"connections\":[]"), "%s", result.out);
}
