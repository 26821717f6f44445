/* SPDX-License-Identifier: BSD-2-Clause */
#include "latchd/feeds/vici/decision_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/cleanup.h"
#include "common/text.h"

bool vici_decision_file_may_retry(int err)
{
	return err == -EMFILE || err == -ENFILE || err == -ENOMEM || err == -EINTR;
}

/* ---- reading */

/* True: another user can delete files in this directory, or put back an older file. */
static bool is_exposed(const char *path)
{
	char folder[FEED_PATH_MAX], *slash;
	struct stat st;

	text_copy(folder, sizeof(folder), path);
	slash = strrchr(folder, '/');
	if (slash)
		slash[slash == folder] = '\0';
	if (stat(slash ? folder : ".", &st) || (st.st_uid && st.st_uid != geteuid()))
		return true;
	return (st.st_mode & (S_IWGRP | S_IWOTH)) && !(st.st_mode & S_ISVTX);
}

/* Opens the file if it is regular, is latchd's own and is not writable by others. 0 and NULL for
 * any other file. */
static int open_earlier(const char *path, FILE **ret)
{
	auto_close int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	*ret = NULL;
	if (fd < 0)
		return errno == ENOENT || errno == ELOOP || errno == ENXIO ? 0 : -errno;
	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & (S_IWGRP | S_IWOTH)))
		return 0;
	*ret = fdopen(fd, "r");
	if (!*ret)
		return -ENOMEM;
	take_fd(&fd);
	return 0;
}

static bool read_key(FILE *stream, struct keyed_hash_key *key)
{
	char line[64];

	return fgets(line, sizeof(line), stream) &&
	       sscanf(line, "key %" SCNx64 " %" SCNx64 "\n", &key->word[0], &key->word[1]) == 2;
}

/* "-", or the key in hexadecimal digits. */
static bool parse_key(const char *text, struct feed_key *ret)
{
	size_t i;

	*ret = (struct feed_key){.known = strspn(text, "0123456789abcdef") == 2 * FEED_KEY_SIZE};
	for (i = 0; ret->known && i < FEED_KEY_SIZE; i++)
		if (sscanf(text + 2 * i, "%2hhx", &ret->sha256[i]) != 1)
			return false;
	return ret->known || !strcmp(text, "-");
}

/* Behind the other members, unless both are unknown. */
static bool parse_keys(const char *text, struct vici_decision *decision)
{
	char peer[2 * FEED_KEY_SIZE + 1], local[2 * FEED_KEY_SIZE + 1];

	decision->peer_key = decision->local_key = (struct feed_key){0};
	if (*text == '\n')
		return true;
	return sscanf(text, " %64[0-9a-f-] %64[0-9a-f-]\n", peer, local) == 2 &&
	       parse_key(peer, &decision->peer_key) && parse_key(local, &decision->local_key);
}

static bool parse_decision(const char *line, uint32_t *ike_unique_id,
			   struct vici_decision *decision)
{
	unsigned int proof, class;
	int read = 0;

	if (sscanf(line, "ike-sa %" SCNu32 " %u %u %" SCNx64 " %" SCNx64 "%n", ike_unique_id,
		   &proof, &class, &decision->connection, &decision->peer, &read) != 5 ||
	    proof > VICI_PROOF_LAST || class > FEED_AUTH_NULL || !parse_keys(line + read, decision))
		return false;
	decision->proof = (enum vici_proof)proof;
	decision->class = (enum feed_auth) class;
	return true;
}

static void take_unnoted(struct vici_memory *memory, uint32_t ike_unique_id)
{
	if (ike_unique_id > memory->unnoted)
		memory->unnoted = ike_unique_id;
}

static void take_other(const char *line, struct vici_memory *memory)
{
	uint32_t ike_unique_id;
	uint64_t connection;
	unsigned int traps;

	if (sscanf(line, "former %" SCNx64 " %u\n", &connection, &traps) == 2)
		vici_unproven_note(&memory->unproven_connections, connection, traps);
	else if (sscanf(line, "unnoted %" SCNu32 "\n", &ike_unique_id) == 1)
		take_unnoted(memory, ike_unique_id);
}

static int take_line(const struct vici_decision_file *file, const char *line,
		     struct vici_memory *memory)
{
	struct vici_decision decision;
	uint32_t ike_unique_id;
	int err;

	/* A line without its end: an earlier latchd ended while it wrote. */
	if (!strchr(line, '\n'))
		return 0;
	take_other(line, memory);
	if (!parse_decision(line, &ike_unique_id, &decision) ||
	    (file->exposed && vici_is_proof(decision.proof)))
		return 0;
	err = vici_decisions_restore(&memory->decisions, ike_unique_id, &decision);
	if (err == -E2BIG || err == -EDQUOT)
		take_unnoted(memory, ike_unique_id);
	return err == -ENOMEM ? err : 0;
}

static int read_earlier(const struct vici_decision_file *file, struct vici_memory *memory)
{
	auto_fclose FILE *stream = NULL;
	struct keyed_hash_key key;
	char line[256];
	int err = open_earlier(file->path, &stream);

	if (err || !stream)
		return err;
	if (fgets(line, sizeof(line), stream) && !strcmp(line, file->header) &&
	    read_key(stream, &key)) {
		memory->key = key;
		while (!err && fgets(line, sizeof(line), stream))
			err = take_line(file, line, memory);
	}
	return !err && ferror(stream) ? -EIO : err;
}

/* ---- writing */

static void write_key(FILE *stream, const struct feed_key *key)
{
	size_t i;

	fputs(key->known ? " " : " -", stream);
	for (i = 0; key->known && i < FEED_KEY_SIZE; i++)
		fprintf(stream, "%02x", key->sha256[i]);
}

static void write_keys(FILE *stream, const struct vici_decision *decision)
{
	if (!decision->peer_key.known && !decision->local_key.known)
		return;
	write_key(stream, &decision->peer_key);
	write_key(stream, &decision->local_key);
}

static void write_decision(void *context, uint32_t ike_unique_id,
			   const struct vici_decision *decision)
{
	struct vici_decision_file *file = context;

	fprintf(file->file, "ike-sa %" PRIu32 " %u %u %" PRIx64 " %" PRIx64, ike_unique_id,
		(unsigned int)decision->proof, (unsigned int)decision->class, decision->connection,
		decision->peer);
	write_keys(file->file, decision);
	fputc('\n', file->file);
	file->lines++;
}

static void write_unproven(void *context, uint64_t connection, bool traps)
{
	struct vici_decision_file *file = context;

	fprintf(file->file, "former %" PRIx64 " %u\n", connection, (unsigned int)traps);
	file->lines++;
}

static void write_unnoted(struct vici_decision_file *file, const struct vici_memory *memory)
{
	if (!memory->unnoted)
		return;
	fprintf(file->file, "unnoted %" PRIu32 "\n", memory->unnoted);
	file->lines++;
}

static int open_fresh(const char *path, FILE **ret)
{
	int fd;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	*ret = fdopen(fd, "w");
	if (*ret)
		return 0;
	close(fd);
	return -ENOMEM;
}

/* Closes the file after an error, so that later writes do not report the error again. */
static int flush(struct vici_decision_file *file)
{
	int err = fflush(file->file) ? -errno : 0;

	if (err) {
		file->lost = true;
		vici_decision_file_close(file);
	}
	return err;
}

static int write_all(struct vici_decision_file *file, const char *path,
		     const struct vici_memory *memory)
{
	fprintf(file->file, "%skey %" PRIx64 " %" PRIx64 "\n", file->header, memory->key.word[0],
		memory->key.word[1]);
	file->lines = 0;
	vici_decisions_each(&memory->decisions, write_decision, file);
	vici_unproven_each(&memory->unproven_connections, write_unproven, file);
	write_unnoted(file, memory);
	return fflush(file->file) || rename(path, file->path) ? -errno : 0;
}

/* The old file stays, open, until the new one is complete. */
static int write_anew(struct vici_decision_file *file, const struct vici_memory *memory)
{
	struct vici_decision_file fresh = *file;
	char path[sizeof(file->path) + 4];
	int err;

	snprintf(path, sizeof(path), "%s.new", file->path);
	fresh.file = NULL;
	err = open_fresh(path, &fresh.file);
	if (!err)
		err = write_all(&fresh, path, memory);
	if (err) {
		vici_decision_file_close(&fresh);
		file->lost = true;
		return err;
	}
	vici_decision_file_close(file);
	fresh.lost = false;
	*file = fresh;
	return 0;
}

int vici_decision_file_open(struct vici_decision_file *file, pid_t daemon, uint64_t started,
			    struct vici_memory *memory)
{
	int err;

	vici_decision_file_close(file);
	file->lost = false;
	if (!file->path[0] || !started)
		return 0;
	snprintf(file->header, sizeof(file->header), "charon %d %" PRIu64 "\n", (int)daemon,
		 started);
	file->exposed = is_exposed(file->path);
	err = read_earlier(file, memory);
	return err ? err : write_anew(file, memory);
}

/* More than VICI_DECISION_FILE_SPARE lines are about IKE_SAs or connections that have ended. */
static bool is_worn(const struct vici_decision_file *file, const struct vici_memory *memory)
{
	return file->lines > memory->decisions.count + memory->unproven_connections.count +
				     VICI_DECISION_FILE_SPARE;
}

/* True: the memory is in the file. An error of the rewriting leaves the old file, to append to. */
static bool renew_worn(struct vici_decision_file *file, const struct vici_memory *memory)
{
	return is_worn(file, memory) && !write_anew(file, memory);
}

int vici_decision_file_add(struct vici_decision_file *file, uint32_t ike_unique_id,
			   const struct vici_decision *decision, const struct vici_memory *memory)
{
	if (!file->file || renew_worn(file, memory))
		return 0;
	write_decision(file, ike_unique_id, decision);
	return flush(file);
}

int vici_decision_file_add_unproven(struct vici_decision_file *file, uint64_t connection,
				    bool traps, const struct vici_memory *memory)
{
	if (!file->file || renew_worn(file, memory))
		return 0;
	write_unproven(file, vici_unproven_stands_for(&memory->unproven_connections, connection),
		       traps);
	return flush(file);
}

int vici_decision_file_add_unnoted(struct vici_decision_file *file,
				   const struct vici_memory *memory)
{
	if (!file->file || renew_worn(file, memory))
		return 0;
	write_unnoted(file, memory);
	return flush(file);
}

int vici_decision_file_retry(struct vici_decision_file *file, const struct vici_memory *memory)
{
	return file->lost ? write_anew(file, memory) : 0;
}

int vici_decision_file_renew(struct vici_decision_file *file, const struct vici_memory *memory)
{
	return file->file ? write_anew(file, memory) : 0;
}

void vici_decision_file_close(struct vici_decision_file *file)
{
	if (file->file)
		fclose(file->file);
	file->file = NULL;
}

void vici_decision_file_leave(struct vici_decision_file *file)
{
	file->lost = file->lost || file->file;
	vici_decision_file_close(file);
}

void vici_decision_file_succeed(struct vici_decision_file *file, struct vici_decision_file *former)
{
	vici_decision_file_leave(former);
	memcpy(file->header, former->header, sizeof(file->header));
	file->lost = former->lost && file->path[0];
	file->exposed = file->path[0] && is_exposed(file->path);
	former->lost = false;
}
