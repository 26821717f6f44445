/* SPDX-License-Identifier: BSD-2-Clause */
/* The first step of a purge: no socket may tell a peer when its gate is gone. */
#ifndef LATCHCTL_PURGE_ANSWERS_H
#define LATCHCTL_PURGE_ANSWERS_H

/* Detaches the programs that answer questions, with pins below root, at once. The pins stay. */
void purge_answers(const char *root);

#endif
