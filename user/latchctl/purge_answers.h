/* SPDX-License-Identifier: BSD-2-Clause */
/* The first step of a purge: no socket may answer for a peer after its gate is gone. */
#ifndef LATCHCTL_PURGE_ANSWERS_H
#define LATCHCTL_PURGE_ANSWERS_H

/* Detaches the programs that answer applications, with pins below root, at once. The pins stay. */
void purge_answers(const char *root);

#endif
