/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * database CGROUP LATCHES PENDING-MS: starts the enforcement as latchd does, then
 * executes a request a line as latchd's controller would, through the control program
 * alone. Answers with any number of lines and "."; a failure is one line on stderr, and
 * the end.
 *
 *	bind SPI STATE PARAMS NETNS   of the SAs with that SPI; NETNS 0 = everywhere
 *	break|heal LOCAL REMOTE REASONS   the latch between these two ports
 *	close LOCAL REMOTE
 *	reap          latches in TIME_WAIT without a socket
 *	list          "latch LOCAL REMOTE STATE REASONS PARAMS DROPS GENERATION NETNS",
 *	              "sa SPI STATE PARAMS NETNS"
 *
 * Answers of the control program: "result N". SPIs and reasons in any base of C.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "latchd/enforce/enforcement.h"
#include "latchd/maps/latch_control.h"
#include "latchd/net/socket_diag.h"
#include "latchd/maps/tables.h"

#define WORDS_MAX 5

static const struct kernel_maps *maps;

struct request {
	const char *verb;
	uint64_t number[WORDS_MAX - 1];
};

static void report(int result)
{
	printf("result %d\n", result);
}

static int bind_sa(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	const struct request *request = context;

	if (key->spi == request->number[0] &&
	    (!request->number[3] || key->netns == request->number[3]))
		report(sa_set(maps, key, sa->word.serial, (enum latch_sa_state)request->number[1],
			      (__u16)request->number[2], 0));
	return 0;
}

static int change_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	const struct request *request = context;
	__u8 reasons = (__u8)request->number[2];

	if (flow->local_port != request->number[0] || flow->remote_port != request->number[1])
		return 0;
	if (!strcmp(request->verb, "break"))
		report(latch_break(maps, flow, latch->id, reasons, NULL));
	else if (!strcmp(request->verb, "heal"))
		report(latch_heal(maps, flow, latch->id, reasons, NULL));
	else
		report(latch_close(maps, flow, latch->id));
	return 0;
}

static int reap_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	(void)context;
	if (latch->owner == LATCH_OWNER_TIME_WAIT && socket_diag_find(flow) == -ENOENT)
		report(latch_reap(maps, flow, latch));
	return 0;
}

static int list_latch(void *context, const struct latch_flow *flow, const struct latch *latch)
{
	(void)context;
	printf("latch %u %u %d %u %u %" PRIu64 " %u %" PRIu64 "\n", flow->local_port,
	       flow->remote_port, latch->word.state, latch->word.reasons, latch->word.params,
	       (uint64_t)latch->drops, latch->word.generation, (uint64_t)flow->netns);
	return 0;
}

static int list_sa(void *context, const struct latch_sa_key *key, const struct latch_sa *sa)
{
	(void)context;
	printf("sa %u %d %u %" PRIu64 "\n", key->spi, sa->word.state, sa->word.params,
	       (uint64_t)key->netns);
	return 0;
}

static int execute(struct request *request)
{
	int err;

	if (!strcmp(request->verb, "bind"))
		return sas_walk(maps, bind_sa, request);
	if (!strcmp(request->verb, "break") || !strcmp(request->verb, "heal") ||
	    !strcmp(request->verb, "close"))
		return latches_walk(maps, change_latch, request);
	if (!strcmp(request->verb, "reap"))
		return latches_walk(maps, reap_latch, request);
	if (strcmp(request->verb, "list"))
		return -EINVAL;
	err = latches_walk(maps, list_latch, request);
	return err ? err : sas_walk(maps, list_sa, request);
}

static int execute_line(char *line)
{
	struct request request = {.verb = strtok(line, " \n")};
	char *word;
	size_t i;

	if (!request.verb)
		return -EINVAL;
	for (i = 0; i < WORDS_MAX - 1 && (word = strtok(NULL, " \n")); i++)
		request.number[i] = strtoull(word, NULL, 0);
	return execute(&request);
}

int main(int argc, char **argv)
{
	struct enforcement *enforcement;
	struct config config = {0};
	struct failure failure;
	char line[128];
	int err = 0;

	if (argc != 4) {
		fprintf(stderr, "usage: database CGROUP LATCHES PENDING-MS\n");
		return 2;
	}
	config.latch_capacity = (unsigned int)atoi(argv[2]);
	config.pending_ms = (unsigned int)atoi(argv[3]);
	config.cgroup_count = 0;
	if (enforcement_start(&config, argv[1], &enforcement, &failure)) {
		fprintf(stderr, "database: %s\n", failure.text);
		return 1;
	}
	maps = enforcement_maps(enforcement);
	while (!err && fgets(line, sizeof(line), stdin)) {
		err = execute_line(line);
		printf(".\n");
		fflush(stdout);
	}
	if (err)
		fprintf(stderr, "database: %s\n", strerror(-err));
	enforcement_free(enforcement);
	return err != 0;
}
