/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/doubts.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"

static const char earlier[] = "its remote id was no proof when the peer authenticated, under an "
			      "earlier latchd; authenticate again";

/* The directory of a configured socket may be open to others: only a file of this user counts. */
static FILE *open_earlier(const char *path)
{
	auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;
	FILE *file;

	if (fd < 0 || fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_uid != geteuid())
		return NULL;
	file = fdopen(fd, "r");
	if (file)
		take_fd(&fd);
	return file;
}

static void read_numbers(const struct vici_doubts *doubts, struct vici_verdicts *verdicts)
{
	auto_fclose FILE *file = open_earlier(doubts->path);
	char line[sizeof(doubts->header)];

	if (!file || !fgets(line, sizeof(line), file) || strcmp(line, doubts->header))
		return;
	/* A verdict that finds no memory is decided anew, as without the file. */
	while (fgets(line, sizeof(line), file))
		if (strchr(line, '\n'))
			vici_verdicts_set(verdicts, (uint32_t)strtoul(line, NULL, 10), earlier);
}

static void write_number(void *context, uint32_t ike_unique_id)
{
	struct vici_doubts *doubts = context;

	fprintf(doubts->file, "%" PRIu32 "\n", ike_unique_id);
	doubts->lines++;
}

static int open_fresh(struct vici_doubts *doubts, const char *path)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	doubts->file = fdopen(fd, "w");
	if (doubts->file)
		return 0;
	close(fd);
	return -ENOMEM;
}

/* Without the whole file none of it: the next write would report the fault again. */
static int flush(struct vici_doubts *doubts, const char *path)
{
	int err = 0;

	if (fflush(doubts->file) || (path && rename(path, doubts->path)))
		err = -errno;
	if (err)
		vici_doubts_close(doubts);
	return err;
}

/* The old file stays until the new one is complete. */
static int write_anew(struct vici_doubts *doubts, const struct vici_verdicts *verdicts)
{
	char fresh[sizeof(doubts->path) + 4];
	int err;

	vici_doubts_close(doubts);
	snprintf(fresh, sizeof(fresh), "%s.new", doubts->path);
	err = open_fresh(doubts, fresh);
	if (err)
		return err;
	fputs(doubts->header, doubts->file);
	doubts->lines = 0;
	vici_verdicts_each_doubt(verdicts, write_number, doubts);
	return flush(doubts, fresh);
}

int vici_doubts_open(struct vici_doubts *doubts, pid_t daemon, uint64_t started,
		     struct vici_verdicts *verdicts)
{
	if (!doubts->path[0] || !started)
		return 0;
	snprintf(doubts->header, sizeof(doubts->header), "charon %d %" PRIu64 "\n", (int)daemon,
		 started);
	read_numbers(doubts, verdicts);
	return write_anew(doubts, verdicts);
}

int vici_doubts_add(struct vici_doubts *doubts, uint32_t ike_unique_id,
		    const struct vici_verdicts *verdicts)
{
	if (!doubts->file)
		return 0;
	if (doubts->lines > verdicts->count + VICI_DOUBTS_SPARE)
		return write_anew(doubts, verdicts);
	write_number(doubts, ike_unique_id);
	return flush(doubts, NULL);
}

void vici_doubts_close(struct vici_doubts *doubts)
{
	if (doubts->file)
		fclose(doubts->file);
	doubts->file = NULL;
}
