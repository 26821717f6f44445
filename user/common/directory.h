/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A directory below /run for files of this user. A directory of another user is refused, unless it
 * is root's.
 */
#ifndef LATCHD_COMMON_DIRECTORY_H
#define LATCHD_COMMON_DIRECTORY_H

/*
 * Makes the directory (0750) unless it is there. Returns a descriptor of it, which the caller
 * closes, or a negative errno. -ENOTDIR: it is a symbolic link, or no directory. -EPERM: it belongs
 * to another user but root, which could replace each file in it.
 */
int directory_make_own(const char *path);

#endif
