/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "packet/typed.h"

const volatile __u8 typed_pointers = 0;
