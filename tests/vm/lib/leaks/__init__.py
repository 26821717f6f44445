# SPDX-License-Identifier: BSD-2-Clause
"""The leak oracle. tests/vm/lib/oracle is its command, and states its rules."""
