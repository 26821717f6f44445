/* SPDX-License-Identifier: BSD-2-Clause */
#include <bpf/libbpf.h>
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "latch_abi.h"
#include "common/log.h"
#include "latchd/config/config_load.h"
#include "latchd/daemon.h"
#include "latchd/daemon_check.h"

enum {
	EXIT_USAGE = 2,
};

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"foreground", no_argument, NULL, 'f'},
	{"check", no_argument, NULL, 't'},
	{"debug", no_argument, NULL, 'd'},
	{"version", no_argument, NULL, 'V'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static const char help[] =
	"usage: latchd [OPTION...]\n\n"
	"Latches each IPsec connection to the peer that was authenticated at its start.\n\n"
	"  -c, --config FILE  configuration (default " CONFIG_DEFAULT_PATH ")\n"
	"  -t, --check        check the configuration, with group, cgroup and sockets, and exit\n"
	"  -f, --foreground   run in the foreground, as latchd always does\n"
	"  -d, --debug        log debug messages too\n"
	"      --version      version\n"
	"  -h, --help         this text\n\n"
	"SIGTERM ends latchd. Its programs stay attached until latchctl purge.\n"
	"SIGHUP reads the configuration anew: rules and feeds, or nothing if it has a fault.\n"
	"See latchd(8), latchd.conf(5).\n";

struct options {
	const char *config_path; /* NULL: the default path, where the file may be missing */
	bool check;
};

/* -1: continue; else the exit status. */
static int parse(int argc, char **argv, struct options *options)
{
	int option;

	while ((option = getopt_long(argc, argv, "c:ftdh", long_options, NULL)) != -1) {
		switch (option) {
		case 'c':
			options->config_path = optarg;
			break;
		case 'f':
			break;
		case 't':
			options->check = true;
			break;
		case 'd':
			log_set_level(LOG_LEVEL_DEBUG);
			break;
		case 'V':
			printf("latchd %s (abi %d)\n", LATCHD_VERSION, LATCH_ABI);
			return EXIT_SUCCESS;
		case 'h':
			fputs(help, stdout);
			return EXIT_SUCCESS;
		default:
			fputs("latchd: run: latchd --help\n", stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc)
		return -1;
	fprintf(stderr, "latchd: unexpected argument; run: latchd --help\n");
	return EXIT_USAGE;
}

static int libbpf_message(enum libbpf_print_level level, const char *format, va_list args)
{
	(void)level;
	log_vmessage(LOG_LEVEL_DEBUG, "libbpf", format, args);
	return 0;
}

/* A SIGHUP before the loop runs is handled by the loop. */
static void block_hangup(void)
{
	sigset_t hangup;

	sigemptyset(&hangup);
	sigaddset(&hangup, SIGHUP);
	sigprocmask(SIG_BLOCK, &hangup, NULL);
}

int main(int argc, char **argv)
{
	struct options options = {0};
	const char *path;
	static struct config config;
	struct failure failure;
	int status, err;

	block_hangup();
	status = parse(argc, argv, &options);
	if (status >= 0)
		return status;
	path = options.config_path ? options.config_path : CONFIG_DEFAULT_PATH;
	if (config_load(path, options.config_path != NULL, &config, &failure)) {
		log_error("config", "%s", failure.text);
		return EXIT_USAGE;
	}
	err = daemon_check(&config, &failure);
	if (err) {
		log_error("config", "%s", failure.text);
		return err == -EAGAIN ? EXIT_FAILURE : EXIT_USAGE;
	}
	if (options.check) {
		daemon_check_warn(&config, path);
		printf("%s: good, %zu feeds, %zu rules, %zu sets of peers\n", path,
		       config.feed_count, config.rule_count, config.peer_count);
		return EXIT_SUCCESS;
	}
	libbpf_set_print(libbpf_message);
	if (daemon_run(&config, path, options.config_path != NULL, &failure)) {
		log_error("start", "%s", failure.text);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}
