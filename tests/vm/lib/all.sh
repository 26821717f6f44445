# SPDX-License-Identifier: BSD-2-Clause
# shellcheck shell=bash
#
# Everything a scenario may use. Expects TOP, the checkout.

STARTED=${STARTED:-$EPOCHREALTIME}
# shellcheck source=tests/vm/lib/common.sh
. "$TOP/tests/vm/lib/common.sh"
# shellcheck source=tests/vm/lib/hosts.sh
. "$TOP/tests/vm/lib/hosts.sh"
# shellcheck source=tests/vm/lib/apps.sh
. "$TOP/tests/vm/lib/apps.sh"
# shellcheck source=tests/vm/lib/watch.sh
. "$TOP/tests/vm/lib/watch.sh"
# shellcheck source=tests/vm/lib/latchd.sh
. "$TOP/tests/vm/lib/latchd.sh"
# shellcheck source=tests/vm/lib/abi.sh
. "$TOP/tests/vm/lib/abi.sh"
# shellcheck source=tests/vm/lib/steps.sh
. "$TOP/tests/vm/lib/steps.sh"
# shellcheck source=tests/vm/lib/bare.sh
. "$TOP/tests/vm/lib/bare.sh"
# shellcheck source=tests/vm/lib/beside.sh
. "$TOP/tests/vm/lib/beside.sh"
# shellcheck source=tests/vm/lib/queued.sh
. "$TOP/tests/vm/lib/queued.sh"
# shellcheck source=tests/vm/lib/sites.sh
. "$TOP/tests/vm/lib/sites.sh"
# shellcheck source=tests/vm/lib/asking.sh
. "$TOP/tests/vm/lib/asking.sh"
# shellcheck source=tests/vm/lib/chaos.sh
. "$TOP/tests/vm/lib/chaos.sh"
# shellcheck source=tests/vm/lib/identities.sh
. "$TOP/tests/vm/lib/identities.sh"
# shellcheck source=tests/vm/lib/verdict.sh
. "$TOP/tests/vm/lib/verdict.sh"
