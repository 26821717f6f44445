/* SPDX-License-Identifier: BSD-2-Clause */
/* "latchctl whois": a forked process answers "list" with latches to two peers. */
#include "capture.h"
#include "scratch.h"

#include <json-c/json.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "latchctl/view.h"
#include "latchctl/latchctl.h"

#define LATCH(id, state, peer, local, lport, remote)                                               \
	"{\"id\":\"" id "\",\"state\":\"" state "\",\"peer\":{\"id\":\"" peer                      \
	"\",\"auth\":\"pubkey\"},\"local_id\":\"w.example\",\"connection\":\"to-" peer             \
	"\",\"proto\":\"tcp\",\"netns\":7,\"netns_name\":\"blue\",\"local\":{\"addr\":\"" local    \
	"\",\"port\":" lport "},\"remote\":" remote ",\"created\":\"2020-01-01T00:00:00Z\"}"
#define END(addr, port) "{\"addr\":\"" addr "\",\"port\":" port "}"

static const char list[] = "{\"schema\":1,\"latches\":[" LATCH(
	"1", "listener", "none", "10.9.0.1", "7000",
	"null") "," LATCH("2", "established", "c.example", "10.9.0.1", "7000",
			  END("10.9.0.2",
			      "40000")) "," LATCH("3", "broken", "d.example", "10.9.0.1", "7000",
						  END("10.9.0.3",
						      "40000")) "," LATCH("4", "established",
									  "six.example", "fd00::1",
									  "7000",
									  END("fd00::2",
									      "40000")) "]}\n";

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

static struct result whois(bool json, char *const *words)
{
	struct ctl_options options = {.socket = socket_path, .json = json, .words = words};
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
			  has(result.out, "to-c.example") && has(result.out, "blue"),
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

Test(latchctl_whois, json_has_the_whole_entries_of_these_connections_only)
{
	struct result result = whois(true, (char *[]){"10.9.0.2:40000", NULL});
	struct json_object *document = json_tokener_parse(result.out);

	cr_expect_eq(result.code, CTL_EXIT_OK);
	cr_assert_not_null(document, "%s", result.out);
	cr_expect_eq(view_count(document, "latches"), 1);
	cr_expect_str_eq(view_text_or(view_element(document, "latches", 0), "id", ""), "2");
	cr_expect_str_eq(view_text_or(view_element(document, "latches", 0), "created", ""),
			 "2020-01-01T00:00:00Z");
	json_object_put(document);
	result = whois(true, (char *[]){"10.9.0.2:1", NULL});
	cr_expect_eq(result.code, CTL_EXIT_FAILED);
	cr_expect(has(result.out, "\"latches\":[]"), "%s", result.out);
}
