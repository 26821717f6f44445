/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * tests/vm/tools/ask_fuzz on sockets with latches to two peers. SEED and FUZZ_SECONDS of the
 * environment choose another or a longer run.
 */
#include "api_fixture.h"
#include "seed.h"
#include "udp.h"

TestSuite(api_fuzz, .init = api_set_up, .fini = gate_tear_down, .timeout = 86400);

#define SECONDS	   8
#define PAIRS	   12 /* the first ones stay, the others are mortal */
#define PAIRS_STAY 4

static char words[2 * PAIRS][256];
static int word_count;

/* As ask_fuzz reads it. The sockets of the fixture close at exec. */
static void tell_of(int fd, const struct peer *peer, bool mortal)
{
	int copy = dup(fd);

	cr_assert_geq(copy, 0);
	snprintf(words[word_count++], sizeof(words[0]), "%d|%s|%s|%s|%u|%u%s", copy, peer->id,
		 peer->local_id, peer->connection, peer->identity, peer->local,
		 mortal ? "|mortal" : "");
}

static void make_pair(bool datagrams, bool mortal)
{
	struct pair pair = datagrams ? udp_pair(IPV4, IPV4) : connect_pair(IPV4, IPV4, NULL);
	struct latch_flow flow = flow_of(pair.client), other = flow_of(pair.server);

	if (datagrams)
		flow.protocol = other.protocol = IPPROTO_UDP;
	latch_socket_as(pair.client, &c, flow);
	latch_socket_as(pair.server, &d, other);
	tell_of(pair.client, &c, mortal);
	tell_of(pair.server, &d, mortal);
}

static const char *program(void)
{
	static char path[4096];
	const char *build = getenv("BUILD");

	snprintf(path, sizeof(path), "%s/tests/vm/ask_fuzz", build && *build ? build : "build");
	return path;
}

/* 0, or the exit status of the program. */
static int fuzz(unsigned long seed, unsigned long seconds)
{
	char seed_text[24], seconds_text[24],
		*arguments[6 + 2 * PAIRS] = {(char *)program(), seed_text, seconds_text, "4", "2"};
	pid_t pid;
	int status = -1, i;

	snprintf(seed_text, sizeof(seed_text), "%lu", seed);
	snprintf(seconds_text, sizeof(seconds_text), "%lu", seconds);
	for (i = 0; i < word_count; i++)
		arguments[5 + i] = words[i];
	pid = fork();
	if (!pid) {
		if (setns(ns.fd, CLONE_NEWNET))
			_exit(99);
		execv(program(), arguments);
		_exit(98);
	}
	cr_assert_eq(waitpid(pid, &status, 0), pid);
	return status;
}

Test(api_fuzz, hostile_arguments_from_many_threads_get_no_wrong_answer_and_pass_no_wish)
{
	int i, status;

	attach_gates();
	attach(GATES_SEND4);
	attach(GATES_SEND6);
	for (i = 0; i < PAIRS; i++)
		make_pair(i % 2, i >= PAIRS_STAY);
	status = fuzz(env_number("SEED", 1), env_number("FUZZ_SECONDS", SECONDS));
	cr_expect_eq(status, 0, "exit status %d", WEXITSTATUS(status));
}
