/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * purge_at() on a directory tree and a lock file in a scratch directory. Files outside of the tree
 * must remain.
 */
#include "capture.h"
#include "scratch.h"

#include <fcntl.h>
#include <json-c/json.h>
#include <sys/vfs.h>
#include <sys/wait.h>

#include "common/lockfile.h"
#include "latchctl/purge.h"

static char root[128], lock[128];
static struct purge_paths paths = {.root = root, .lock = lock};
static struct ctl_options options = {.yes = true};
static const char *out, *err;

static void begin(void)
{
	struct statfs fs;

	scratch_make();
	cr_assert_eq(statfs(scratch_dir, &fs), 0);
	paths.filesystem = (long)fs.f_type;
	snprintf(root, sizeof(root), "%s/latchd", scratch_dir);
	snprintf(lock, sizeof(lock), "%s/run/latchd.lock", scratch_dir);
	scratch_write("outside", "kept", 4);
	scratch_mkdir("elsewhere");
	scratch_write("elsewhere/file", "kept", 4);
}

TestSuite(latchctl_purge, .init = begin, .fini = scratch_remove, .timeout = 60);

static void make_tree(void)
{
	scratch_mkdir("latchd");
	scratch_mkdir("latchd/v1");
	scratch_mkdir("latchd/v1/empty");
	scratch_write("latchd/v1/latches", "", 0);
	scratch_write("latchd/v1/a\nb", "", 0);
	scratch_write("latchd/old", "", 0);
}

static bool as_other_user;

static enum ctl_exit purge(void)
{
	struct capture outs = capture_begin(stdout), errs = capture_begin(stderr);
	bool change = as_other_user && !geteuid();
	enum ctl_exit code;

	cr_assert(!change || !seteuid(65534));
	code = purge_at(&options, &paths);
	cr_assert(!change || !seteuid(0));
	out = capture_end(&outs);
	err = capture_end(&errs);
	return code;
}

static bool exists(const char *name)
{
	struct stat st;

	return !lstat(scratch_path(name), &st);
}

static void expect_outside_untouched(void)
{
	cr_expect(exists("outside"));
	cr_expect(exists("elsewhere/file"));
}

static void expect_failure(enum ctl_exit code, const char *words)
{
	cr_expect_eq(purge(), code, "%s", err);
	cr_expect_not_null(strstr(err, words), "%s", err);
	cr_expect_null(strstr(out, "enforcement has ended"), "%s", out);
	expect_outside_untouched();
}

Test(latchctl_purge, purge_removes_the_whole_tree_and_prints_each_path)
{
	char line[256];

	make_tree();
	cr_expect_eq(purge(), CTL_EXIT_OK, "%s", err);
	cr_expect_not(exists("latchd"));
	expect_outside_untouched();
	snprintf(line, sizeof(line), "removed %s/v1/latches\n", root);
	cr_expect_not_null(strstr(out, line), "%s", out);
	snprintf(line, sizeof(line), "removed %s/v1/a\\x0ab\n", root);
	cr_expect_not_null(strstr(out, line), "%s", out);
	cr_expect_not_null(strstr(out, "removed 3 pins: enforcement has ended, and with it what "
				       "applications wish for their sockets\n"),
			   "%s", out);
	cr_expect_eq(purge(), CTL_EXIT_OK);
	cr_expect_str_eq(out, "nothing to remove\n");
}

Test(latchctl_purge, a_directory_of_500_entries_is_removed)
{
	char name[64];
	unsigned int i;

	make_tree();
	for (i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "latchd/v1/pin-%u", i);
		scratch_write(name, "", 0);
	}
	options.json = true;
	cr_expect_eq(purge(), CTL_EXIT_OK, "%s", err);
	cr_expect_not(exists("latchd"));
}

Test(latchctl_purge, option_json_prints_the_removed_paths)
{
	struct json_object *document, *removed;

	make_tree();
	options.json = true;
	cr_expect_eq(purge(), CTL_EXIT_OK);
	document = json_tokener_parse(out);
	cr_assert_not_null(document, "%s", out);
	cr_expect_eq(json_object_get_int(json_object_object_get(document, "schema")), CTL_SCHEMA);
	removed = json_object_object_get(document, "removed");
	cr_expect_eq(json_object_array_length(removed), 3);
	json_object_put(document);
	purge();
	cr_expect_str_eq(out, "{\"schema\":1,\"removed\":[],\"wishes\":0}\n");
}

Test(latchctl_purge, symbolic_links_are_removed_not_followed)
{
	make_tree();
	cr_assert_eq(symlink(scratch_path("elsewhere"), scratch_path("latchd/v1/directory")), 0);
	cr_assert_eq(symlink(scratch_path("outside"), scratch_path("latchd/v1/file")), 0);
	cr_assert_eq(symlink("..", scratch_path("latchd/v1/up")), 0);
	cr_expect_eq(purge(), CTL_EXIT_OK, "%s", err);
	cr_expect_not(exists("latchd"));
	expect_outside_untouched();
}

Test(latchctl_purge, a_symbolic_link_as_root_is_refused)
{
	cr_assert_eq(symlink(scratch_path("elsewhere"), root), 0);
	expect_failure(CTL_EXIT_FAILED, "cannot remove");
	cr_expect(exists("latchd"));
	cr_expect_str_eq(out, "");
}

Test(latchctl_purge, a_root_on_another_file_system_type_is_refused)
{
	make_tree();
	paths.filesystem++;
	expect_failure(CTL_EXIT_FAILED, "not on a BPF file system");
	cr_expect(exists("latchd/v1/latches"));
}

Test(latchctl_purge, a_file_as_root_is_refused)
{
	scratch_write("latchd", "x", 1);
	expect_failure(CTL_EXIT_FAILED, "Not a directory");
	cr_expect(exists("latchd"));
}

Test(latchctl_purge, the_depth_of_the_tree_is_limited)
{
	char path[128] = "latchd";
	unsigned int i;

	scratch_mkdir(path);
	for (i = 0; i < 12; i++) {
		strcat(path, "/d");
		scratch_mkdir(path);
	}
	expect_failure(CTL_EXIT_FAILED, "symbolic links");
	cr_expect(exists(path));
}

/* A forked process holds the lock until *ret_pipe is closed. */
static pid_t hold_lock(int *ret_pipe)
{
	int ready[2], done[2];
	char byte = 0;
	pid_t pid, holder;

	cr_assert(!pipe(ready) && !pipe(done));
	pid = fork();
	if (!pid) {
		close(done[1]);
		if (lockfile_take(lock, &holder) >= 0 && write(ready[1], &byte, 1) == 1 &&
		    read(done[0], &byte, 1) < 0)
			_exit(1);
		_exit(0);
	}
	close(ready[1]);
	close(done[0]);
	cr_assert_eq(read(ready[0], &byte, 1), 1);
	close(ready[0]);
	*ret_pipe = done[1];
	return pid;
}

Test(latchctl_purge, nothing_is_removed_while_latchd_holds_the_lock)
{
	char words[64];
	pid_t holder;
	int done;

	make_tree();
	holder = hold_lock(&done);
	snprintf(words, sizeof(words), "latchd is running (pid %d); stop it first", (int)holder);
	expect_failure(CTL_EXIT_FAILED, words);
	cr_expect_str_eq(out, "");
	cr_expect(exists("latchd/v1/latches"));
	close(done);
	waitpid(holder, NULL, 0);
	cr_expect_eq(purge(), CTL_EXIT_OK, "%s", err);
	cr_expect_not(exists("latchd"));
}

Test(latchctl_purge, nothing_is_removed_if_the_lock_file_cannot_be_created)
{
	make_tree();
	snprintf(lock, sizeof(lock), "%s/no/such/place/lock", scratch_dir);
	expect_failure(CTL_EXIT_FAILED, "cannot lock");
	cr_expect(exists("latchd/v1/latches"));
}

Test(latchctl_purge, a_path_without_permission_means_not_permitted)
{
	make_tree();
	snprintf(lock, sizeof(lock), "%s/public/lock", scratch_dir);
	scratch_mkdir("public");
	cr_assert_eq(chmod(scratch_path("public"), 0777), 0);
	cr_assert_eq(chmod(scratch_dir, 0755), 0);
	cr_assert_eq(chmod(root, 0555), 0);
	cr_assert_eq(chmod(scratch_path("latchd/v1"), 0555), 0);
	as_other_user = true;
	expect_failure(CTL_EXIT_NOT_PERMITTED, "Permission denied; run as root");
	cr_expect(exists("latchd/v1/latches"));
	chmod(root, 0755);
	chmod(scratch_path("latchd/v1"), 0755);
}

Test(latchctl_purge, a_lock_file_without_permission_means_not_permitted)
{
	make_tree();
	cr_assert_eq(chmod(scratch_dir, 0555), 0);
	as_other_user = true;
	expect_failure(CTL_EXIT_NOT_PERMITTED, "cannot lock");
	chmod(scratch_dir, 0755);
	cr_expect(exists("latchd/v1/latches"));
}

static enum ctl_exit purge_answered(const char *answer)
{
	int terminal = posix_openpt(O_RDWR | O_NOCTTY), ours;
	enum ctl_exit code;

	cr_assert_geq(terminal, 0);
	cr_assert(!grantpt(terminal) && !unlockpt(terminal));
	ours = open(ptsname(terminal), O_RDWR | O_NOCTTY);
	cr_assert_geq(ours, 0);
	cr_assert_geq(dup2(ours, STDIN_FILENO), 0);
	cr_assert_eq(write(terminal, answer, strlen(answer)), (ssize_t)strlen(answer));
	options.yes = false;
	code = purge();
	close(ours);
	close(terminal);
	return code;
}

Test(latchctl_purge, answer_n_at_a_terminal_removes_nothing)
{
	make_tree();
	cr_expect_eq(purge_answered("n\n"), CTL_EXIT_FAILED);
	cr_expect_not_null(strstr(err, "not confirmed, nothing removed"), "%s", err);
	cr_expect(exists("latchd/v1/latches"));
	cr_expect_not(exists("run"));
}

Test(latchctl_purge, an_empty_answer_at_a_terminal_removes_nothing)
{
	make_tree();
	cr_expect_eq(purge_answered("\n"), CTL_EXIT_FAILED);
	cr_expect(exists("latchd/v1/latches"));
}

Test(latchctl_purge, answer_y_at_a_terminal_removes_the_tree)
{
	make_tree();
	cr_expect_eq(purge_answered("y\n"), CTL_EXIT_OK);
	cr_expect_not(exists("latchd"));
}
