/* SPDX-License-Identifier: BSD-2-Clause */
/* The verbs of latchctl, and the options that all of them share. */
#include <getopt.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "latchctl/latchctl.h"

static enum ctl_exit show_help(const struct ctl_options *options);

enum operands {
	OPERANDS_NONE,
	OPERANDS_ID,
	OPERANDS_MODE,
	OPERANDS_CONDITIONS,
	OPERANDS_FLOW, /* or an ID, or the ends of one */
};

struct verb {
	const char *name;
	enum ctl_exit (*run)(const struct ctl_options *options);
	const char *summary;
	enum operands operands;
};

static const struct verb verbs[] = {
	{"status", ctl_status,
	 "state of enforcement and of the feeds (exit 1: off, 3: needs attention, 6: audit)",
	 OPERANDS_NONE},
	{"list", ctl_list, "all latches, or those with [FIELD VALUE]...: state broken dport 443",
	 OPERANDS_CONDITIONS},
	{"sa", ctl_sa, "all security associations and their peers", OPERANDS_NONE},
	{"explain", ctl_explain,
	 "why a latch or connection is as it is: ID, or tcp LOCAL[:PORT] REMOTE:PORT",
	 OPERANDS_FLOW},
	{"whois", ctl_whois,
	 "the peer of a connection, by LOCAL:PORT REMOTE:PORT or one of them, if it is still "
	 "that; of a socket, by --pid and --fd",
	 OPERANDS_FLOW},
	{"monitor", ctl_monitor, "events as they happen, one per line", OPERANDS_NONE},
	{"break", ctl_break, "break a latch: drop its packets until it is healed", OPERANDS_ID},
	{"heal", ctl_heal, "undo a break by an administrator", OPERANDS_ID},
	{"close", ctl_close, "end a latched connection as if its peer had reset it", OPERANDS_ID},
	{"mode", ctl_mode, "enforce, or audit: count what enforcement would drop, and drop nothing",
	 OPERANDS_MODE},
	{"audit", ctl_audit, "what enforcement would have dropped in audit mode", OPERANDS_NONE},
	{"purge", ctl_purge, "end enforcement: remove all programs and maps of latchd",
	 OPERANDS_NONE},
	{"version", ctl_version, "version of latchctl", OPERANDS_NONE},
	{"help", show_help, "this text", OPERANDS_NONE},
};

#define VERB_COUNT (sizeof(verbs) / sizeof(verbs[0]))

/* Options without a letter. */
enum {
	OPTION_COLOR = 256,
	OPTION_VERSION,
	OPTION_PID,
	OPTION_FD,
};

static const struct option long_options[] = {
	{"json", no_argument, NULL, 'j'},
	{"socket", required_argument, NULL, 's'},
	{"color", required_argument, NULL, OPTION_COLOR},
	{"yes", no_argument, NULL, 'y'},
	{"pid", required_argument, NULL, OPTION_PID},
	{"fd", required_argument, NULL, OPTION_FD},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, OPTION_VERSION},
	{NULL, 0, NULL, 0},
};

static const char option_help[] =
	"  -j, --json         JSON output, for programs\n"
	"  -s, --socket PATH  control socket (default " CTL_DEFAULT_SOCKET ")\n"
	"      --color WHEN   auto (default), always or never\n"
	"  -y, --yes          purge without confirmation\n"
	"      --pid N        process of whois, with --fd: instead of ends\n"
	"      --fd N         its descriptor of the socket\n"
	"  -h, --help         this text\n"
	"      --version      version of latchctl\n";

static enum ctl_exit show_help(const struct ctl_options *options)
{
	size_t i;

	(void)options;
	printf("usage: latchctl [OPTION...] VERB\n\n");
	for (i = 0; i < VERB_COUNT; i++)
		printf("  %s%-*s  %s\n", verbs[i].name, (int)(8 - strlen(verbs[i].name)),
		       verbs[i].operands == OPERANDS_ID ? " ID" : "", verbs[i].summary);
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

/* NO_COLOR: see https://no-color.org. */
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

/* After getopt_long() returned '?' (unknown option or unexpected argument) or ':' (no argument). */
static enum ctl_exit fail_option(int error, char **argv)
{
	const char letter[] = {'-', (char)optopt, '\0'};
	/* An unknown long option leaves optopt 0. */
	const char *name = !optopt		      ? argv[optind - 1]
			   : optopt == OPTION_COLOR   ? "--color"
			   : optopt == OPTION_VERSION ? "--version"
			   : optopt == OPTION_PID     ? "--pid"
			   : optopt == OPTION_FD      ? "--fd"
						      : letter;

	return ctl_fail(CTL_EXIT_USAGE, "option %s: %s; run: latchctl help", name,
			error == ':' ? "argument missing" : "unknown, or takes no argument");
}

static void take_operands(struct ctl_options *options, enum operands operands, int argc,
			  char **argv)
{
	switch (operands) {
	case OPERANDS_NONE:
		break;
	case OPERANDS_ID:
		if (optind < argc)
			options->latch_id = argv[optind++];
		break;
	case OPERANDS_MODE:
		options->words = &argv[optind];
		options->word_count = optind < argc;
		optind += optind < argc;
		break;
	case OPERANDS_CONDITIONS:
	case OPERANDS_FLOW:
		options->words = &argv[optind];
		options->word_count = (size_t)(argc - optind);
		optind = argc;
		break;
	}
}

/* Options that belong to one verb. */
static enum ctl_exit check_options(const struct ctl_options *options, const struct verb *verb)
{
	if (options->yes && verb->run != ctl_purge)
		return ctl_fail(CTL_EXIT_USAGE,
				"option --yes: only purge takes it; run: latchctl help");
	if ((options->pid || options->fd) && verb->run != ctl_whois)
		return ctl_fail(CTL_EXIT_USAGE,
				"option %s: only whois takes it; run: latchctl help",
				options->pid ? "--pid" : "--fd");
	return CTL_EXIT_OK;
}

/* Fills options and *ret_verb. Any code but CTL_EXIT_OK: the error is printed. */
static enum ctl_exit parse_arguments(int argc, char **argv, struct ctl_options *options,
				     const struct verb **ret_verb)
{
	const char *name = NULL;
	int option;

	while ((option = getopt_long(argc, argv, ":js:yh", long_options, NULL)) != -1) {
		if (option == 'j')
			options->json = true;
		else if (option == 's')
			options->socket = optarg;
		else if (option == 'y')
			options->yes = true;
		else if (option == 'h')
			name = "help";
		else if (option == OPTION_VERSION)
			name = "version";
		else if (option == OPTION_PID)
			options->pid = optarg;
		else if (option == OPTION_FD)
			options->fd = optarg;
		else if (option != OPTION_COLOR)
			return fail_option(option, argv);
		else if (!parse_colour(optarg, &options->colour))
			return ctl_fail(
				CTL_EXIT_USAGE,
				"option --color: unknown word \"%s\"; use auto, always or never",
				optarg);
	}
	if (!name && optind == argc)
		return ctl_fail(CTL_EXIT_USAGE, "no verb given; run: latchctl help");
	name = name ? name : argv[optind++];
	*ret_verb = find_verb(name);
	if (!*ret_verb)
		return ctl_fail(CTL_EXIT_USAGE, "unknown verb \"%s\"; run: latchctl help", name);
	take_operands(options, (*ret_verb)->operands, argc, argv);
	if (optind < argc && (*ret_verb)->run != show_help)
		return ctl_fail(CTL_EXIT_USAGE, "unexpected argument \"%s\"; run: latchctl help",
				argv[optind]);
	return check_options(options, *ret_verb);
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

	/* LC_CTYPE only, for the width of characters: numbers and times must not depend on the
	 * locale. */
	setlocale(LC_CTYPE, "C.UTF-8");
	code = parse_arguments(argc, argv, &options, &verb);
	if (code == CTL_EXIT_OK)
		code = verb->run(&options);
	if (fflush(stdout) || ferror(stdout))
		code = ctl_fail(CTL_EXIT_FAILED,
				"standard output: cannot write: %m; check the file or pipe");
	return code;
}
