// SPDX-License-Identifier: BSD-2-Clause
module latch

go 1.19
