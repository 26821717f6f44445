/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One end of the TCP stream that the VM tests watch. Sends numbered lines that
 * begin with a mark, at a rate. Keeps every byte that it sent and received, and
 * every event with its time, in files that the tests and the leak oracle read:
 *
 *	DIR/TAG.sent    bytes that we handed to the kernel, or are about to
 *	DIR/TAG.recv    bytes that the kernel gave to us
 *	DIR/TAG.events  "TIME WORD DETAIL..." lines
 *	DIR/flows       one line a connection, common to all applications
 *
 * SIGTERM: send no more, finish orderly. SIGUSR1: write the connection's
 * sequence numbers to the events, for tests that forge segments.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES	  128
#define DRAIN_MS	  60000
#define KEEP_REPAIR_QUIET (-1) /* TCP_REPAIR off without a window probe */

struct stream {
	const char *dir;
	const char *tag;
	const char *host; /* this host and the true peer, for the oracle */
	const char *peer;
	const char *local_addr;
	const char *local_port;
	const char *remote_addr; /* NULL = listen */
	const char *remote_port;
	const char *mark; /* of the lines to send; NULL = only receive */
	const char *expect;
	unsigned int rate;  /* lines a second */
	unsigned int lines; /* 0 = until SIGTERM */
	int sock;
	int sent_fd;
	int recv_fd;
	int events_fd;
	char pending[LINE_MAX_BYTES];
	size_t pending_len;
	size_t pending_off;
	unsigned int next_line;
	unsigned long long sent;
	unsigned long long received;
	long long next_due;
	long long last_received;
	long long longest_gap;
	long long drain_until;
	bool foreign;
	bool silent; /* we have shut down our direction */
	bool ended;  /* the peer has */
};

static volatile sig_atomic_t stop_asked;
static volatile sig_atomic_t seq_asked;

static void on_signal(int number)
{
	if (number == SIGUSR1)
		seq_asked = 1;
	else
		stop_asked = 1;
}

static long long now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

static void write_all(int fd, const char *data, size_t len)
{
	ssize_t done;

	while (len > 0) {
		done = write(fd, data, len);
		if (done < 0) {
			perror("stream: write");
			exit(2);
		}
		data += done;
		len -= (size_t)done;
	}
}

__attribute__((format(printf, 2, 3))) static void event(const struct stream *stream,
							const char *format, ...)
{
	char text[256];
	struct timespec now;
	va_list args;
	int len, more;

	clock_gettime(CLOCK_REALTIME, &now);
	len = snprintf(text, sizeof(text), "%lld.%03ld ", (long long)now.tv_sec,
		       now.tv_nsec / 1000000);
	va_start(args, format);
	more = vsnprintf(text + len, sizeof(text) - (size_t)len - 1, format, args);
	va_end(args);
	if (more > (int)sizeof(text) - len - 2)
		more = (int)sizeof(text) - len - 2;
	len += more;
	text[len++] = '\n';
	write_all(stream->events_fd, text, (size_t)len);
}

static int open_file(const struct stream *stream, const char *suffix, int flags)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%s/%s%s", stream->dir, suffix[0] == '.' ? stream->tag : "",
		 suffix);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, 0644);
	if (fd < 0) {
		fprintf(stderr, "stream: %s: %s\n", path, strerror(errno));
		exit(2);
	}
	return fd;
}

static struct addrinfo *resolve(const char *addr, const char *port)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
				 .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
	struct addrinfo *found = NULL;
	int err = getaddrinfo(addr, port, &hints, &found);

	if (err) {
		fprintf(stderr, "stream: %s port %s: %s\n", addr, port, gai_strerror(err));
		exit(2);
	}
	return found;
}

static int bound_socket(const struct stream *stream)
{
	struct addrinfo *local = resolve(stream->local_addr, stream->local_port);
	int one = 1;
	int sock = socket(local->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (sock < 0 || setsockopt(sock, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) ||
	    bind(sock, local->ai_addr, local->ai_addrlen)) {
		fprintf(stderr, "stream: bind %s port %s: %s\n", stream->local_addr,
			stream->local_port, strerror(errno));
		exit(2);
	}
	freeaddrinfo(local);
	return sock;
}

static int accept_one(const struct stream *stream, int listener)
{
	int sock;

	if (listen(listener, 1)) {
		perror("stream: listen");
		exit(2);
	}
	event(stream, "listening");
	do {
		sock = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	} while (sock < 0 && errno == EINTR && !stop_asked);
	return sock;
}

static int connect_one(const struct stream *stream, int sock)
{
	struct addrinfo *remote = resolve(stream->remote_addr, stream->remote_port);
	int err = connect(sock, remote->ai_addr, remote->ai_addrlen);

	freeaddrinfo(remote);
	return err ? -1 : sock;
}

static void address_text(int sock, bool remote, char *text, size_t size)
{
	struct sockaddr_storage addr = {0};
	socklen_t len = sizeof(addr);
	char host[INET6_ADDRSTRLEN] = "?", port[8] = "?";

	if (remote)
		getpeername(sock, (struct sockaddr *)&addr, &len);
	else
		getsockname(sock, (struct sockaddr *)&addr, &len);
	getnameinfo((struct sockaddr *)&addr, len, host, sizeof(host), port, sizeof(port),
		    NI_NUMERICHOST | NI_NUMERICSERV);
	snprintf(text, size, "%s\t%s", host, port);
}

/* The oracle checks the flows that are listed here. */
static void register_flow(const struct stream *stream)
{
	char local[64], remote[64], line[512];
	int fd = open_file(stream, "/flows", O_APPEND);
	int len;

	address_text(stream->sock, false, local, sizeof(local));
	address_text(stream->sock, true, remote, sizeof(remote));
	len = snprintf(line, sizeof(line), "%s\t%s\t%s\t%s\t%s\t%s\t%s\ttcp\n", stream->tag,
		       stream->host, stream->peer, local, remote, stream->mark ? stream->mark : "-",
		       stream->expect ? stream->expect : "-");
	write_all(fd, line, (size_t)len);
	close(fd);
	event(stream, "connected %s %s", local, remote);
}

static void open_connection(struct stream *stream)
{
	int sock = bound_socket(stream);

	if (stream->remote_addr) {
		stream->sock = connect_one(stream, sock);
	} else {
		stream->sock = accept_one(stream, sock);
		close(sock);
	}
	if (stream->sock < 0) {
		event(stream, "error connect %s", strerrorname_np(errno));
		exit(1);
	}
	if (fcntl(stream->sock, F_SETFL, O_NONBLOCK)) {
		perror("stream: O_NONBLOCK");
		exit(2);
	}
	register_flow(stream);
}

/* Line number N of a mark is the same text at every host. */
static size_t make_line(const char *mark, unsigned int number, char *text)
{
	return (size_t)snprintf(text, LINE_MAX_BYTES, "%s %06u for this peer only\n", mark, number);
}

static void check_received(struct stream *stream, const char *data, size_t len)
{
	char line[LINE_MAX_BYTES];
	size_t size = make_line(stream->expect, 0, line);
	unsigned long long offset = stream->received;

	for (size_t i = 0; i < len && !stream->foreign; i++, offset++) {
		make_line(stream->expect, (unsigned int)(offset / size), line);
		if (data[i] != line[offset % size]) {
			stream->foreign = true;
			event(stream, "foreign byte at %llu", offset);
		}
	}
}

static int receive(struct stream *stream)
{
	char data[4096];
	long long now = now_ms();
	ssize_t len = recv(stream->sock, data, sizeof(data), 0);

	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (len == 0) {
		stream->ended = true;
		event(stream, "eof");
		return 0;
	}
	if (stream->received > 0 && now - stream->last_received > stream->longest_gap)
		stream->longest_gap = now - stream->last_received;
	stream->last_received = now;
	write_all(stream->recv_fd, data, (size_t)len);
	if (stream->expect)
		check_received(stream, data, (size_t)len);
	stream->received += (unsigned long long)len;
	return 0;
}

static bool all_sent(const struct stream *stream)
{
	return !stream->mark || stop_asked || stream->ended ||
	       (stream->lines > 0 && stream->next_line >= stream->lines);
}

static void finish_sending(struct stream *stream)
{
	if (stream->silent || stream->pending_len > 0 || !all_sent(stream))
		return;
	if (!stream->mark && !stream->ended && !stop_asked)
		return;
	shutdown(stream->sock, SHUT_WR);
	stream->silent = true;
	stream->drain_until = now_ms() + DRAIN_MS;
	event(stream, "silent");
}

static int send_lines(struct stream *stream)
{
	long long now = now_ms();
	ssize_t len;

	if (stream->pending_len == 0 && !all_sent(stream) && now >= stream->next_due) {
		stream->pending_len = make_line(stream->mark, stream->next_line++, stream->pending);
		stream->pending_off = 0;
		write_all(stream->sent_fd, stream->pending, stream->pending_len);
		stream->next_due += 1000 / stream->rate;
		if (stream->next_due < now)
			stream->next_due = now;
	}
	if (stream->pending_len == 0)
		return 0;
	len = send(stream->sock, stream->pending + stream->pending_off,
		   stream->pending_len - stream->pending_off, MSG_NOSIGNAL);
	if (len < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	stream->sent += (unsigned long long)len;
	stream->pending_off += (size_t)len;
	if (stream->pending_off == stream->pending_len)
		stream->pending_len = 0;
	return 0;
}

static unsigned int queue_seq(int sock, int queue)
{
	unsigned int seq = 0;
	socklen_t len = sizeof(seq);

	setsockopt(sock, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue));
	if (getsockopt(sock, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, &len))
		perror("stream: TCP_QUEUE_SEQ");
	return seq;
}

static void report_sequence(struct stream *stream)
{
	int on = 1, off = KEEP_REPAIR_QUIET;
	unsigned int next_in, next_out;

	seq_asked = 0;
	if (setsockopt(stream->sock, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on))) {
		event(stream, "error sequence %s", strerrorname_np(errno));
		return;
	}
	next_in = queue_seq(stream->sock, TCP_RECV_QUEUE);
	next_out = queue_seq(stream->sock, TCP_SEND_QUEUE);
	setsockopt(stream->sock, IPPROTO_TCP, TCP_REPAIR, &off, sizeof(off));
	event(stream, "sequence %u %u", next_in, next_out);
}

static int poll_timeout(const struct stream *stream)
{
	long long left = 200;

	if (stream->mark && stream->pending_len == 0 && !all_sent(stream))
		left = stream->next_due - now_ms();
	if (left > 200)
		left = 200;
	return left < 0 ? 0 : (int)left;
}

static int converse(struct stream *stream)
{
	struct pollfd wait = {.fd = stream->sock};
	int err = 0;

	stream->next_due = now_ms();
	while (!err && !(stream->silent && stream->ended)) {
		wait.events = (short)((stream->ended ? 0 : POLLIN) |
				      (stream->pending_len > 0 ? POLLOUT : 0));
		if (poll(&wait, 1, poll_timeout(stream)) < 0 && errno != EINTR)
			return -errno;
		if (wait.revents & (POLLIN | POLLERR | POLLHUP) && !stream->ended)
			err = receive(stream);
		if (!err && !stream->silent)
			err = send_lines(stream);
		if (!err)
			finish_sending(stream);
		if (!err && seq_asked)
			report_sequence(stream);
		if (stream->silent && stop_asked && now_ms() > stream->drain_until)
			err = -ETIMEDOUT;
	}
	return err;
}

static int report(const struct stream *stream, int err)
{
	struct tcp_info info = {0};
	socklen_t len = sizeof(info);

	getsockopt(stream->sock, IPPROTO_TCP, TCP_INFO, &info, &len);
	if (err)
		event(stream, "error stream %s", strerrorname_np(-err));
	event(stream, "end sent=%llu received=%llu longest-gap-ms=%lld retransmitted=%u foreign=%d",
	      stream->sent, stream->received, stream->longest_gap, info.tcpi_total_retrans,
	      stream->foreign);
	return err || stream->foreign ? 1 : 0;
}

static const struct option options[] = {
	{"dir", required_argument, NULL, 'd'},
	{"tag", required_argument, NULL, 't'},
	{"host", required_argument, NULL, 'h'},
	{"peer", required_argument, NULL, 'p'},
	{"local", required_argument, NULL, 'l'},
	{"local-port", required_argument, NULL, 'L'},
	{"remote", required_argument, NULL, 'r'},
	{"remote-port", required_argument, NULL, 'R'},
	{"send", required_argument, NULL, 's'},
	{"expect", required_argument, NULL, 'e'},
	{"rate", required_argument, NULL, 'n'},
	{"lines", required_argument, NULL, 'c'},
	{0},
};

static bool take_option(struct stream *stream, int letter, const char *value)
{
	switch (letter) {
	case 'd':
		stream->dir = value;
		return true;
	case 't':
		stream->tag = value;
		return true;
	case 'h':
		stream->host = value;
		return true;
	case 'p':
		stream->peer = value;
		return true;
	case 'l':
		stream->local_addr = value;
		return true;
	case 'L':
		stream->local_port = value;
		return true;
	case 'r':
		stream->remote_addr = value;
		return true;
	case 'R':
		stream->remote_port = value;
		return true;
	case 's':
		stream->mark = value;
		return true;
	case 'e':
		stream->expect = value;
		return true;
	case 'n':
		stream->rate = (unsigned int)strtoul(value, NULL, 10);
		return true;
	case 'c':
		stream->lines = (unsigned int)strtoul(value, NULL, 10);
		return true;
	default:
		return false;
	}
}

static void parse(struct stream *stream, int argc, char **argv)
{
	int letter;

	while ((letter = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!take_option(stream, letter, optarg))
			exit(2);
	if (!stream->dir || !stream->tag || !stream->host || !stream->peer || !stream->local_addr ||
	    stream->rate == 0 || stream->rate > 1000 ||
	    (stream->mark && strlen(stream->mark) > 64) ||
	    !stream->remote_addr != !stream->remote_port) {
		fputs("stream: --dir --tag --host --peer --local are needed, --remote with"
		      " --remote-port, --rate 1 to 1000\n",
		      stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct stream stream = {.rate = 20, .sock = -1, .local_port = "0"};
	struct sigaction action = {.sa_handler = on_signal};

	parse(&stream, argc, argv);
	stream.sent_fd = open_file(&stream, ".sent", O_TRUNC);
	stream.recv_fd = open_file(&stream, ".recv", O_TRUNC);
	stream.events_fd = open_file(&stream, ".events", O_TRUNC);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGUSR1, &action, NULL);
	open_connection(&stream);
	return report(&stream, converse(&stream));
}
