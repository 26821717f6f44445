/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "latchctl/latchctl.h"

static enum ctl_exit show_help(const struct ctl_options *options);

struct verb {
	const char *name;
	enum ctl_exit (*run)(const struct ctl_options *options);
	const char *summary;
	bool wants_id;
};

static const struct verb verbs[] = {
	{"status", ctl_status, "is enforcement on, are the key managers there (exit 1 when off)",
	 false},
	{"list", ctl_list, "all latches", false},
	{"sa", ctl_sa, "all security associations, and whose they are", false},
	{"monitor", ctl_monitor, "events as they happen, one a line", false},
	{"break", ctl_break, "stop a latched connection, until it is healed", true},
	{"heal", ctl_heal, "undo a break of yours", true},
	{"close", ctl_close, "end a latched connection, as if reset by its peer", true},
	{"purge", ctl_purge, "end enforcement: remove everything latchd left in the kernel", false},
	{"version", ctl_version, "version of latchctl", false},
	{"help", show_help, "this text", false},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"socket", required_argument, NULL, 's'},
	{"color", required_argument, NULL, 'c'},
	{"yes", no_argument, NULL, 'y'},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static const char option_help[] =
	"  -j, --json         the daemon's own document, for programs\n"
	"  -s, --socket PATH  control socket (default " CTL_DEFAULT_SOCKET ")\n"
	"      --color WHEN   auto (default), always or never\n"
	"  -y, --yes          purge: do not ask\n"
	"  -h, --help         this text\n"
	"      --version      version of latchctl\n";

static enum ctl_exit show_help(const struct ctl_options *options)
{
	size_t i;

	(void)options;
	printf("usage: latchctl [OPTION...] VERB\n\n");
	for (i = 0; i < VERB_COUNT; i++)
		printf("  %s%-*s  %s\n", verbs[i].name, (int)(8 - strlen(verbs[i].name)),
		       verbs[i].wants_id ? " ID" : "", verbs[i].summary);
	printf("\n%s\nSee latchctl(8).\n", option_help);
	return CTL_EXIT_OK;
}

static const struct verb *find_verb(const char *name)
{
	size_t i;

	for (i = 0; i < VERB_COUNT; i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

/* As https://no-color.org has it. */
static bool colour_by_default(void)
{
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(STDOUT_FILENO) && !(no_color && no_color[0]) &&
	       !(term && !strcmp(term, "dumb"));
}

static bool parse_colour(const char *when, bool *ret_colour)
{
	if (!strcmp(when, "always"))
		*ret_colour = true;
	else if (!strcmp(when, "never"))
		*ret_colour = false;
	else if (strcmp(when, "auto"))
		return false;
	return true;
}

static unsigned int terminal_width(void)
{
	struct winsize size;

	return isatty(STDOUT_FILENO) && !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) ? size.ws_col : 0;
}

static enum ctl_exit fail_usage(void)
{
	return ctl_fail(CTL_EXIT_USAGE, "run: latchctl help");
}

/* The verb to run in *ret_verb, unless it is wrong. */
static enum ctl_exit parse_arguments(int argc, char **argv, struct ctl_options *options,
				     const struct verb **ret_verb)
{
	const char *name = NULL;
	int option;

	while ((option = getopt_long(argc, argv, "js:yh", long_options, NULL)) != -1) {
		if (option == 'j')
			options->json = true;
		else if (option == 's')
			options->socket = optarg;
		else if (option == 'y')
			options->yes = true;
		else if (option == 'h')
			name = "help";
		else if (option == 'V')
			name = "version";
		else if (option != 'c')
			return fail_usage(); /* getopt has said why */
		else if (!parse_colour(optarg, &options->colour))
			return ctl_fail(CTL_EXIT_USAGE,
					"--color %s: unknown; use auto, always or never", optarg);
	}
	if (!name && optind == argc)
		return ctl_fail(CTL_EXIT_USAGE, "no verb given; run: latchctl help");
	name = name ? name : argv[optind++];
	*ret_verb = find_verb(name);
	if (!*ret_verb)
		return ctl_fail(CTL_EXIT_USAGE, "unknown verb \"%s\"; run: latchctl help", name);
	if (optind < argc && (*ret_verb)->wants_id)
		options->latch_id = argv[optind++];
	if (optind < argc && (*ret_verb)->run != show_help)
		return ctl_fail(CTL_EXIT_USAGE, "unexpected argument \"%s\"; run: latchctl help",
				argv[optind]);
	if (options->yes && (*ret_verb)->run != ctl_purge)
		return ctl_fail(CTL_EXIT_USAGE, "--yes is for purge only; run: latchctl help");
	return CTL_EXIT_OK;
}

int main(int argc, char **argv)
{
	struct ctl_options options = {
		.socket = CTL_DEFAULT_SOCKET,
		.colour = colour_by_default(),
		.width = terminal_width(),
	};
	const struct verb *verb = NULL;
	enum ctl_exit code;

	/* For the width of characters only; every number and time stays as documented. */
	setlocale(LC_CTYPE, "C.UTF-8");
	code = parse_arguments(argc, argv, &options, &verb);
	if (code == CTL_EXIT_OK)
		code = verb->run(&options);
	if (fflush(stdout) || ferror(stdout))
		code = ctl_fail(CTL_EXIT_FAILED,
				"cannot write the output: %m; check where it goes");
	return code;
}
