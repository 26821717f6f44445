/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchctl/client.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "common/cleanup.h"
#include "common/text.h"
#include "latchctl/view.h"

#define CLIENT_TIMEOUT_S    30
#define CLIENT_CHUNK	    65536
#define CLIENT_DOCUMENT_MAX (512U << 20)

static enum ctl_exit fail_connect(const char *path, int error)
{
	if (error == EACCES || error == EPERM)
		return ctl_fail(CTL_EXIT_NOT_PERMITTED,
				"control socket %s: cannot connect: %s; run as root, or join the "
				"group set in [control] of latchd.conf",
				path, strerror(error));
	return ctl_fail(CTL_EXIT_UNREACHABLE,
			"control socket %s: cannot connect: %s; start latchd: systemctl start "
			"latchd",
			path, strerror(error));
}

enum ctl_exit client_send(const struct ctl_options *options, const char *request, FILE **ret_stream)
{
	const struct timeval timeout = {.tv_sec = CLIENT_TIMEOUT_S};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_close int fd = -1;
	char line[256]; /* as long as latchd reads */
	int length;

	if (text_copy(address.sun_path, sizeof(address.sun_path), options->socket) < 0)
		return ctl_fail(CTL_EXIT_USAGE,
				"control socket %s: path longer than %zu bytes; give a shorter one "
				"with --socket",
				options->socket, sizeof(address.sun_path) - 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return ctl_fail(CTL_EXIT_FAILED,
				"control socket %s: cannot create a socket: %m; raise the limit of "
				"open files",
				options->socket);
	/* No receive timeout for a monitor: hours may pass between two events. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	if (strcmp(request, "monitor"))
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)))
		return fail_connect(options->socket, errno);
	length = snprintf(line, sizeof(line), "%s\n", request);
	/* EPIPE: latchd refused the connection and closed it. Its reason can still be read. */
	if (send(fd, line, (size_t)length, MSG_NOSIGNAL) != length && errno != EPIPE)
		return fail_connect(options->socket, errno);
	*ret_stream = fdopen(fd, "r");
	if (!*ret_stream)
		return ctl_fail(CTL_EXIT_FAILED,
				"control socket %s: cannot read: %m; free some memory",
				options->socket);
	take_fd(&fd);
	return CTL_EXIT_OK;
}

/*
 * Reads up to the end of the stream; NULL and errno on failure. ECONNRESET is an end: latchd
 * refuses a connection without reading the request, and the kernel then resets it after the
 * answer. show() checks that the answer is complete.
 */
static char *read_all(FILE *stream, size_t *ret_length)
{
	char *text = NULL, *more;
	size_t length = 0, taken;

	do {
		more = length < CLIENT_DOCUMENT_MAX ? realloc(text, length + CLIENT_CHUNK + 1)
						    : NULL;
		if (!more) {
			free(text);
			errno = ENOMEM;
			return NULL;
		}
		text = more;
		errno = 0;
		taken = fread(text + length, 1, CLIENT_CHUNK, stream);
		length += taken;
	} while (taken == CLIENT_CHUNK);
	if (ferror(stream) && errno != ECONNRESET) {
		free(text);
		return NULL;
	}
	text[length] = '\0';
	*ret_length = length;
	return text;
}

bool client_print_error(const char *request, struct json_object *answer, enum ctl_exit *ret_code)
{
	const char *error = view_text(answer, "error"), *code = view_text(answer, "code");

	if (!error)
		return false;
	*ret_code =
		code && !strcmp(code, "not-permitted") ? CTL_EXIT_NOT_PERMITTED : CTL_EXIT_FAILED;
	ctl_fail(*ret_code, "%s: latchd reports: %s", request, error);
	return true;
}

static enum ctl_exit discard(FILE *out, const struct ctl_options *options, ctl_render_fn render,
			     struct json_object *document)
{
	auto_fclose FILE *nowhere = fopen("/dev/null", "we");

	return render(nowhere ? nowhere : out, options, document);
}

struct answer {
	const char *request;
	ctl_render_fn render;
	ctl_select_fn select; /* NULL: every row */
	void *context;
	const char *text;
	size_t length;
};

static enum ctl_exit show_json(const struct ctl_options *options, const struct answer *answer,
			       struct json_object *document)
{
	if (answer->select && answer->select(answer->context, document))
		printf("%s\n", json_object_to_json_string_ext(document, JSON_C_TO_STRING_PLAIN));
	else
		fwrite(answer->text, 1, answer->length, stdout);
	return discard(stdout, options, answer->render, document);
}

static enum ctl_exit show_text(const struct ctl_options *options, const struct answer *answer,
			       struct json_object *document)
{
	if (view_number(document, "schema") != CTL_SCHEMA)
		return ctl_fail(CTL_EXIT_FAILED,
				"%s: latchd answered in schema %s, latchctl reads schema %d; use "
				"the latchctl of latchd's version, or --json",
				answer->request, view_text_or(document, "schema", "?"), CTL_SCHEMA);
	if (answer->select)
		answer->select(answer->context, document);
	return answer->render(stdout, options, document);
}

static enum ctl_exit show(const struct ctl_options *options, const struct answer *answer)
{
	struct json_object *document = json_tokener_parse(answer->text);
	enum ctl_exit code;

	if (!document || !answer->length || answer->text[answer->length - 1] != '\n')
		code = ctl_fail(CTL_EXIT_UNREACHABLE,
				"%s: answer of latchd incomplete; see its log: "
				"journalctl -u latchd",
				answer->request);
	else if (!client_print_error(answer->request, document, &code))
		code = options->json ? show_json(options, answer, document)
				     : show_text(options, answer, document);
	json_object_put(document);
	return code;
}

enum ctl_exit client_show(const struct ctl_options *options, const char *request,
			  ctl_render_fn render)
{
	return client_show_selected(options, request, render, NULL, NULL);
}

enum ctl_exit client_show_selected(const struct ctl_options *options, const char *request,
				   ctl_render_fn render, ctl_select_fn select, void *context)
{
	struct answer answer = {
		.request = request, .render = render, .select = select, .context = context};
	auto_fclose FILE *stream = NULL;
	auto_free char *text = NULL;
	enum ctl_exit code;

	code = client_send(options, request, &stream);
	if (code != CTL_EXIT_OK)
		return code;
	text = read_all(stream, &answer.length);
	if (!text)
		return ctl_fail(CTL_EXIT_UNREACHABLE,
				"%s: cannot read the answer of latchd: %s; see its log: "
				"journalctl -u latchd",
				request, strerror(errno == EAGAIN ? ETIMEDOUT : errno));
	answer.text = text;
	return show(options, &answer);
}
