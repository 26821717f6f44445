/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Captures packets in several network namespaces at once, until SIGTERM or SIGINT. One process
 * starts faster than one tcpdump for each capture, on an emulated machine by seconds:
 *
 *	capture FOLDER < LIST
 *
 * LIST has a line for each capture: NAME NETNS DEVICE BYTES KIB. NETNS is a name below /run/netns,
 * DEVICE one of libpcap (a device, "any" or "nflog:GROUP"). BYTES of each packet are kept, and
 * KIB of memory hold packets that were not read yet. FOLDER/NAME.pcap gets the packets,
 *FOLDER/NAME.report at the end "N packets dropped by kernel". "ready" is printed when all captures
 *run.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pcap/pcap.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define CAPTURES_MAX 64
#define TEXT_MAX     64

struct capture {
	char name[TEXT_MAX], netns[TEXT_MAX], device[TEXT_MAX];
	int bytes, kib;
	pcap_t *pcap;
	pcap_dumper_t *dumper;
};

static struct capture captures[CAPTURES_MAX];
static nfds_t count;
static const char *folder;

static int fail(const struct capture *capture, const char *what, const char *why)
{
	fprintf(stderr, "capture %s: %s: %s\n", capture->name, what, why);
	return -1;
}

static int read_list(void)
{
	char line[512];

	while (fgets(line, sizeof(line), stdin)) {
		struct capture *capture = &captures[count];

		if (count == CAPTURES_MAX ||
		    sscanf(line, "%63s %63s %63s %d %d", capture->name, capture->netns,
			   capture->device, &capture->bytes, &capture->kib) != 5) {
			fprintf(stderr, "capture: line %u is no capture, or one too many: %s",
				(unsigned int)count + 1, line);
			return -1;
		}
		count++;
	}
	return 0;
}

static int enter(const struct capture *capture)
{
	char path[PATH_MAX];
	int fd, err;

	snprintf(path, sizeof(path), "/run/netns/%s", capture->netns);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(capture, path, strerror(errno));
	err = setns(fd, CLONE_NEWNET) ? fail(capture, path, strerror(errno)) : 0;
	close(fd);
	return err;
}

/* Packets of any device have no link layer in common: the cooked one names the device. */
static int choose_link_type(struct capture *capture)
{
	if (strcmp(capture->device, "any"))
		return 0;
	return pcap_set_datalink(capture->pcap, DLT_LINUX_SLL2);
}

static int activate(struct capture *capture)
{
	char error[PCAP_ERRBUF_SIZE];
	pcap_t *pcap = pcap_create(capture->device, error);

	if (!pcap)
		return fail(capture, capture->device, error);
	capture->pcap = pcap;
	pcap_set_snaplen(pcap, capture->bytes);
	pcap_set_buffer_size(pcap, capture->kib * 1024);
	pcap_set_promisc(pcap, strcmp(capture->device, "any") != 0);
	pcap_set_immediate_mode(pcap, 1);
	if (pcap_activate(pcap) < 0 || choose_link_type(capture) ||
	    pcap_setnonblock(pcap, 1, error))
		return fail(capture, capture->device, pcap_geterr(pcap));
	return 0;
}

static int open_file(struct capture *capture)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s.pcap", folder, capture->name);
	capture->dumper = pcap_dump_open(capture->pcap, path);
	if (!capture->dumper)
		return fail(capture, path, pcap_geterr(capture->pcap));
	/* A reader of a running capture finds its header. */
	return pcap_dump_flush(capture->dumper) ? fail(capture, path, "cannot be written") : 0;
}

static int start_all(void)
{
	int err = 0;
	nfds_t i;

	for (i = 0; !err && i < count; i++) {
		err = enter(&captures[i]);
		if (!err)
			err = activate(&captures[i]);
		if (!err)
			err = open_file(&captures[i]);
	}
	return err;
}

static int take_packets(struct capture *capture)
{
	int taken = pcap_dispatch(capture->pcap, -1, pcap_dump, (unsigned char *)capture->dumper);

	if (taken < 0)
		return fail(capture, capture->device, pcap_geterr(capture->pcap));
	if (taken && pcap_dump_flush(capture->dumper))
		return fail(capture, folder, "cannot be written");
	return taken;
}

static int follow(int signals)
{
	struct pollfd fds[CAPTURES_MAX + 1];
	int err = 0;
	nfds_t i;

	for (i = 0; i < count; i++)
		fds[i] = (struct pollfd){pcap_get_selectable_fd(captures[i].pcap), POLLIN, 0};
	fds[count] = (struct pollfd){signals, POLLIN, 0};
	while (err >= 0 && !fds[count].revents) {
		if (poll(fds, count + 1, -1) < 0)
			return -1;
		for (i = 0; err >= 0 && i < count; i++)
			err = fds[i].revents ? take_packets(&captures[i]) : 0;
	}
	return err < 0 ? -1 : 0;
}

static int report(const struct capture *capture)
{
	struct pcap_stat stat;
	char path[PATH_MAX];
	FILE *file;

	if (pcap_stats(capture->pcap, &stat))
		return fail(capture, "lost packets", pcap_geterr(capture->pcap));
	snprintf(path, sizeof(path), "%s/%s.report", folder, capture->name);
	file = fopen(path, "we");
	if (!file)
		return fail(capture, path, strerror(errno));
	fprintf(file, "%u packets dropped by kernel\n", stat.ps_drop);
	return fclose(file) ? fail(capture, path, strerror(errno)) : 0;
}

/* What has arrived before the signal belongs to the capture. */
static int drain(struct capture *capture)
{
	struct pollfd fd = {pcap_get_selectable_fd(capture->pcap), POLLIN, 0};
	int taken = 1;

	while (taken > 0 && poll(&fd, 1, 0) > 0)
		taken = take_packets(capture);
	return taken < 0 ? taken : 0;
}

static int finish_all(void)
{
	int err = 0;
	nfds_t i;

	for (i = 0; i < count; i++) {
		if (drain(&captures[i]) || report(&captures[i]))
			err = -1;
		pcap_dump_close(captures[i].dumper);
		pcap_close(captures[i].pcap);
	}
	return err;
}

int main(int argc, char **argv)
{
	sigset_t ends;
	int signals;

	if (argc != 2) {
		fprintf(stderr, "usage: capture FOLDER < LIST\n");
		return 2;
	}
	folder = argv[1];
	sigemptyset(&ends);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGINT);
	sigprocmask(SIG_BLOCK, &ends, NULL);
	signals = signalfd(-1, &ends, SFD_CLOEXEC);
	if (signals < 0 || read_list() || start_all())
		return 1;
	puts("ready");
	fflush(stdout);
	return follow(signals) || finish_all() ? 1 : 0;
}
