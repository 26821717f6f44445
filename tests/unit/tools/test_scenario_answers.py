#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The scenarios' libraries with tools that fail: the scenario fails at once, with the tool's words."""
import glob
import os
import re
import subprocess
import sys
import tempfile
import time
import unittest

import tap

os.environ["PATH"] += ":/usr/sbin:/sbin"  # bpftool
TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
BUILD = os.path.join(TOP, os.environ.get("BUILD", "build"))
LISTED = ('{"latches":[{"state":"established","local":{"addr":"10.9.0.1","port":7000},"id":"1",'
          '"params":{"mode":"tunnel","integ":null}}]}')
# latchctl as it is when latchd answers; the files beside it make it fail.
STATUS = '{"feeds":[],"enforcement":{"programs":[{"name":"netfilter gate","hook":"%s"}]}}'
LATCHCTL = """#!/bin/bash
here=$(dirname "$0")
if [ -e "$here/broken" ]; then cat "$here/broken" >&2; exit "$(cat "$here/code")"; fi
case "$*" in
*list*) echo '%s' ;;
*sa*) echo '{"sas":[]}' ;;
*status*) cat "$here/status"; exit 1 ;;
esac
""" % LISTED
# ip for need_all_events: latchd has seen the new SA, or has not.
IP = """#!/bin/bash
case "$*" in
*state\\ add*) shift 3; for word; do [ "$last" = spi ] && spi=$word; last=$word; done
printf '{"event":"sa-pending","spi":"%%s"}\\n' "$spi" %s ;;
esac
"""
PRELUDE = """
export TOP=%s
. "$TOP/tests/vm/lib/all.sh"
trap 'unexpected "$BASH_COMMAND"' ERR
set_options
echo $BASHPID >"$RUN/latchd.pid"
echo $BASHPID >"$RUN/monitor.pid"
""" % TOP
AT_W = '"$(at w 7000)"'
# A line that drops the words or the status of a tool, in scenarios that read its answer.
HIDES = re.compile(r"^[^#]*\b(jq|bpftool|latchctl|nft|ip|ss|swan|nstat|tc|tcpdump|grep)\b[^#]*"
                   r"(2>/dev/null|>/dev/null 2>&1|\|\| (true\b|:))")
MAY_HIDE = {
    # Namespaces of an interrupted run may be there or not: this only cleans up.
    "chaos-stalls": "ip -force -batch -",
    # A latch may end by itself before it is closed; the next line asks whether any is left.
    "cgroups": "latchctl close",
}


class Answers(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.top = scratch.name
        self.put("run/monitor.json", '{"event":"latch-broken"}\n{"event":"latch-hea')
        self.put("run/monitor.log", "")
        self.put("run/latchd.log", "latchd: config: no such file\n")
        self.put("build/latchctl", LATCHCTL, 0o755)
        self.put("build/status", STATUS % "netfilter")

    def put(self, name, text, mode=0o644):
        path = os.path.join(self.top, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(path, mode)

    def break_tool(self, name, words, code=5):
        self.put("bin/" + name, "#!/bin/sh\necho '%s' >&2\nexit %d\n" % (words, code), 0o755)

    def break_latchctl(self, words, code):
        self.put("build/broken", words + "\n")
        self.put("build/code", str(code))

    def bash(self, text, prelude=PRELUDE):
        """The finished scenario and the failure that it left."""
        environment = dict(os.environ, LATCHD_TEST_RUN=os.path.join(self.top, "run"),
                           BUILD=os.path.join(self.top, "build"), STARTED="%.6f" % time.time(),
                           PATH=os.path.join(self.top, "bin") + ":" + os.environ["PATH"])
        done = subprocess.run(["bash", "-Eeuo", "pipefail", "-c", prelude + text], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              env=environment, timeout=300)
        failure = os.path.join(self.top, "run/failure")
        words = ""
        if os.path.exists(failure):
            with open(failure, encoding="utf-8") as file:
                words = file.read()
        return done, words

    def fails_at_once(self, text, *words):
        done, failure = self.bash(text + "\necho survived\n")
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertNotIn("survived", done.stdout)
        if not any("not within" in word for word in words):
            self.assertNotIn("not within", failure)
        for word in words:
            self.assertIn(word, failure)

    def passes(self, text):
        done, failure = self.bash(text + "\necho survived\n")
        self.assertEqual((done.returncode, failure), (0, ""), done.stdout)
        self.assertIn("survived", done.stdout)
        return done.stdout

    def test_the_evidence_has_each_sent_text_that_it_has_as_received(self):
        for name in "d-1.sent", "d-1.recv", "w-1.recv", "w-1.sent", "flows":
            self.put("run/apps/" + name, "text\n")
        self.passes('save_evidence "%s"' % self.top)
        listed = subprocess.run(["tar", "-tf", os.path.join(self.top, "evidence.tar")], text=True,
                                stdout=subprocess.PIPE, check=True).stdout.split()
        apps = [os.path.splitext(name)[1] for name in listed if name.startswith("./apps/")]
        self.assertEqual([kind for kind in apps if kind][-2:], [".sent", ".sent"])
        self.assertEqual(sorted(kind for kind in apps if kind), [".recv"] * 2 + [".sent"] * 2)

    # ---- tools that work

    def test_a_valid_answer_is_read(self):
        self.passes("need 1 found latch_seen %s\nneed 1 none no_latch '.id == \"2\"'\n"
                    "[ \"$(event_count '.event == \"latch-broken\"')\" = 1 ]\n"
                    "[ \"$(status '.feeds | length')\" = 0 ]\n" % AT_W)

    def test_an_answer_of_no_is_polled_until_the_limit(self):
        self.fails_at_once("need 1 'latch 2' latch_seen '.id == \"2\"'", "latch 2: not within 1 s")

    def test_a_reader_that_needs_only_the_first_line_breaks_nothing(self):
        self.passes("answer seq 1 1000000 | head -n 1")

    def test_a_program_that_ends_before_the_shell_forgets_it_fails_no_scenario(self):
        self.passes("true &\npid=$!\nneed 30 'end of true' gone $pid\nwait $pid\ndetach_job")

    # ---- tools that fail

    def test_a_broken_jq_fails_a_wait_for_a_latch(self):
        self.break_tool("jq", "jq: cannot load libonig.so.5")
        self.fails_at_once("need 30 w latch_seen %s" % AT_W, "jq", "cannot load libonig.so.5", "5")

    def test_a_broken_jq_fails_a_wait_for_no_latch(self):
        self.break_tool("jq", "jq: cannot load libonig.so.5")
        self.fails_at_once("need 30 w no_latch %s" % AT_W, "cannot load libonig.so.5")

    def test_a_missing_jq_fails_a_wait(self):
        self.put("bin/jq", "#!/nonexistent/interpreter\n", 0o755)
        self.fails_at_once("need 30 w latch_seen %s" % AT_W, "jq", "exit status 12")

    def test_a_broken_latchctl_fails_every_question(self):
        self.break_latchctl("latchctl: list: the answer is no JSON", 1)
        for question in ("latch_seen true", "no_latch true", "sa_seen true"):
            self.fails_at_once("need 30 w " + question, "the answer is no JSON")
            os.remove(os.path.join(self.top, "run/failure"))

    def test_a_latchctl_status_without_an_answer_fails_every_question(self):
        for code in (1, 4, 5):
            self.break_latchctl("latchctl: status: the answer is no JSON", code)
            for question in ("[ -z \"$(status .feeds)\" ]", "[ \"$(status_code)\" != 6 ]"):
                self.fails_at_once("asked() { %s; }\nneed 30 w asked" % question, "the answer is no JSON")
                os.remove(os.path.join(self.top, "run/failure"))

    def test_the_exit_status_of_latchctl_status_is_an_answer(self):
        self.passes("[ \"$(status_code)\" = 1 ]")

    def test_a_latchd_that_is_gone_fails_a_wait_for_a_latch(self):
        self.break_latchctl("latchctl: latchd cannot be reached", 4)
        self.fails_at_once("need 30 w latch_seen true", "latchd cannot be reached")

    def test_a_latchd_that_has_not_started_yet_is_waited_for(self):
        self.break_latchctl("latchctl: latchd cannot be reached", 4)
        self.passes('(sleep 1; rm "$BUILD_DIR/broken") &\nneed 20 answers latchd_answers')

    def test_a_latchd_that_has_ended_is_not_waited_for(self):
        self.break_latchctl("latchctl: latchd cannot be reached", 4)
        self.fails_at_once('echo 4194303 >"$RUN/latchd.pid"\nneed 30 answers latchd_answers',
                           "latchd has ended: latchd: config: no such file")

    def test_a_latchctl_that_may_not_ask_fails_the_start(self):
        self.break_latchctl("latchctl: not permitted", 5)
        self.fails_at_once("need 30 answers latchd_answers", "not permitted")

    def test_a_broken_jq_fails_a_count_of_events(self):
        self.break_tool("jq", "jq: error (at line 1): broken")
        self.fails_at_once("[ \"$(event_count .x)\" = 0 ] || fail 'latches were broken'", "broken")

    # ---- no event: the monitor has all up to now

    def monitor_with(self, events, reported='>>"$LATCHD_TEST_RUN/monitor.json"'):
        self.put("run/monitor.json", events)
        self.put("bin/ip", IP % reported, 0o755)

    def test_no_break_counts_when_the_monitor_shows_what_came_last(self):
        self.monitor_with('{"event":"latch-healed"}\n')
        self.passes("need_no_break")

    def test_a_break_is_found(self):
        self.monitor_with('{"event":"latch-broken","id":"7"}\n')
        self.fails_at_once("need_no_break", "a latch was broken: 1 times, expected 0", '"id":"7"')

    def test_a_monitor_that_shows_nothing_any_more_is_not_no_break(self):
        self.monitor_with("", ">/dev/null")
        self.fails_at_once("need() { shift; wait_until 1 \"${@:2}\" || fail \"$1\"; }\nneed_no_break",
                           "latchctl monitor shows a new SA")

    def test_a_dead_monitor_beside_a_dead_latchd_is_not_no_break(self):
        self.monitor_with("", ">/dev/null")
        self.fails_at_once('echo 4194303 | tee "$RUN/monitor.pid" >"$RUN/latchd.pid"\n'
                           'need() { shift; wait_until 1 "${@:2}" || fail "$1"; }\nneed_no_break',
                           "latchctl monitor shows a new SA")

    def test_a_monitor_that_lost_events_is_not_no_break(self):
        self.monitor_with('{"event":"lost","where":"monitor","count":3}\n')
        self.fails_at_once("need_no_break", "the monitor lost events")

    def test_a_mark_that_the_kernel_refuses_is_not_no_break(self):
        self.monitor_with("")
        self.break_tool("ip", "RTNETLINK answers: Operation not supported", 2)
        self.fails_at_once("need_no_break", "ip -n lt-net xfrm state add")

    def test_an_exact_number_of_events_is_also_an_upper_limit(self):
        self.monitor_with('{"event":"latch-broken"}\n' * 2)
        self.passes("need_events 2 '.event == \"latch-broken\"' breaks")
        self.fails_at_once("need_events 1 '.event == \"latch-broken\"' breaks", "2 times, expected 1")

    # ---- values

    def test_a_path_that_the_document_has_not_is_a_failure(self):
        for filter_ in (".mode", "[.id, .mode]", "{id, qop}", ".local.name", ".params.integ"):
            self.fails_at_once("x=$(latch_field true '%s') || exit 1" % filter_, "null")
            os.remove(os.path.join(self.top, "run/failure"))

    def test_a_value_that_the_document_has_is_read(self):
        self.passes("[ \"$(latch_field true .id)\" = 1 ]\n"
                    "[ \"$(latch_field true '[.id, .state]')\" = '[\"1\",\"established\"]' ]\n"
                    "[ \"$(latch_field true '[.params]')\" = '[{\"mode\":\"tunnel\",\"integ\":null}]' ]")

    def test_a_field_of_no_latch_is_a_failure(self):
        self.fails_at_once("x=$(latch_field '.id == \"2\"' .id) || exit 1", 'no latch: .id == "2"')

    def test_times_have_an_order(self):
        self.passes("[ $(ms_between 1.000001 2.500001) = 1500 ]\n[ $(ms_between 1.009 1.010) = 1 ]\n"
                    "[ $(ms_between 1.5 1.500000 || true) = 0 ] || rm \"$RUN/failure\"\n"
                    "[ $(ms_between 1764416000.999 1764416001.000000) = 1 ]")
        for first, last, words in (("2.000", "1.999", "is before"), ("", "1.000", "is no time"),
                                   ("1.000", "", "is no time"), ("00:00:01.000", "9.000", "is no time")):
            self.fails_at_once("x=$(ms_between '%s' '%s') || exit 1" % (first, last), words)
            os.remove(os.path.join(self.top, "run/failure"))

    def test_a_clock_that_was_set_back_fails_no_report(self):
        self.passes("STARTED=4102444800.000000\nlog on")

    # ---- skips and the order of verdicts

    def gate(self, release, hook):
        self.put("build/status", STATUS % hook)
        self.put("bin/uname", "#!/bin/sh\necho %s\n" % release, 0o755)

    def test_a_kernel_without_the_netfilter_gate_is_known_by_its_version(self):
        for release in ("6.1.0-56-amd64", "6.3.9", "5.19.0"):
            self.gate(release, "netfilter")
            done, _ = self.bash("need_netfilter_gate\necho survived")
            self.assertEqual((done.returncode, "survived" in done.stdout), (0, False), release)
            self.assertTrue(os.path.exists(os.path.join(self.top, "run/skip")))

    def test_a_netfilter_gate_that_latchd_did_not_attach_is_a_failure(self):
        for release in ("6.4.0", "6.12.117+deb12-amd64", "7.2.13", "10.0.1"):
            self.gate(release, "netfilter")
            self.passes("need_netfilter_gate")
            self.gate(release, "needs Linux 6.4, as does SCTP")
            self.fails_at_once("need_netfilter_gate", "the netfilter gate needs Linux 6.4")
            os.remove(os.path.join(self.top, "run/failure"))

    def test_a_status_without_the_netfilter_gate_is_a_failure(self):
        self.gate("6.12.0", "netfilter")
        self.put("build/status", '{"enforcement":{"programs":[]}}')
        self.fails_at_once("need_netfilter_gate", "the netfilter gate ")

    def concluded(self, name, status, oracle='{"leaks":[],"blind":[]}'):
        self.put("run/found.json", oracle)
        text = ('set +e\n. "%s/tests/vm/lib/conclude"\nmkdir -p "$APPS"\n'
                'ask_oracle() { cp "$RUN/found.json" "$RUN/oracle.json"; }\n'
                'conclude %s %d 2>/dev/null\n' % (TOP, name, status))
        return self.bash(text, "")[0].stdout.rstrip("\n").split("\t")

    def test_a_skip_is_the_least_of_the_verdicts(self):
        leak = '{"leaks":[{"kind":"clear","where":"w","packets":1,"bytes":2,"flow":"f","text":"x"}],"blind":[]}'
        self.assertEqual(self.concluded("attack", 0)[0], "passed")
        self.put("run/skip", "no gate here")
        self.assertEqual(self.concluded("attack", 0), ["skipped", "no gate here"])
        self.assertEqual(self.concluded("attack", 0, '{"leaks":[],"blind":["nothing seen"]}')[0], "skipped")
        self.assertEqual(self.concluded("no-full-socket-without-netfilter-gate", 0)[0], "skipped")
        self.assertEqual(self.concluded("kernel-gate", 0)[0], "skipped")
        for name in ("attack", "no-full-socket-without-netfilter-gate"):
            outcome, detail = self.concluded(name, 0, leak)
            self.assertEqual(outcome, "failed")
            self.assertIn("leak: clear at w", detail)
        for name in ("attack", "kernel-gate"):
            self.assertIn("not finished within", self.concluded(name, 124)[1])
            self.assertEqual(self.concluded(name, 1)[0], "failed")
        self.put("run/failure", "W sent in clear")
        self.assertEqual(self.concluded("attack", 0), ["failed", "W sent in clear"])

    def test_what_the_oracle_found_fails_a_scenario_that_passed(self):
        self.assertIn("oracle blind", self.concluded("attack", 0, '{"leaks":[],"blind":["x"]}')[1])
        self.assertIn("expected a leak", self.concluded("attack-without-latchd", 0)[1])

    def test_an_ended_monitor_fails_a_wait_for_an_event(self):
        self.put("run/monitor.log", "latchctl: monitor: cannot write\n")
        self.fails_at_once('echo 4194303 >"$RUN/monitor.pid"\nneed 30 e event_seen .never',
                           "latchctl monitor has ended", "cannot write")

    def test_a_broken_ss_fails_a_wait_for_a_socket(self):
        self.break_tool("nsenter", "nsenter: cannot open /run/netns/lt-w")
        for question in ("has_sockets w state time-wait", "backs_off w 7000 3"):
            self.fails_at_once("need 30 w " + question, "cannot open /run/netns/lt-w")
            os.remove(os.path.join(self.top, "run/failure"))

    def test_a_broken_ip_fails_a_wait_for_no_sas(self):
        self.break_tool("ip", "RTNETLINK answers: Operation not permitted", 2)
        self.fails_at_once("none() { [ \"$(kernel_sas w)\" = 0 ]; }\nneed 30 w none",
                           "Operation not permitted")

    def test_a_broken_swanctl_fails_a_wait_for_no_child_sas(self):
        self.break_tool("nsenter", "connecting to unix:///run/w.vici failed", 22)
        self.fails_at_once("need 30 w has_no_children w c.example", "connecting to", "failed")

    def test_a_missing_capture_fails_a_wait_for_a_packet(self):
        self.fails_at_once("need 30 w decrypted d SECRET", "clear-d.pcap")

    def test_a_broken_tcpdump_is_not_an_empty_capture(self):
        self.break_tool("tcpdump", "tcpdump: unknown file format", 1)
        self.fails_at_once("[ -z \"$(captured wire-w tcp)\" ] || fail 'TCP in clear'\nlog on",
                           "unknown file format")

    def test_a_half_written_packet_ends_a_capture(self):
        self.break_tool("tcpdump", "tcpdump: pcap_loop: truncated dump file; tried to read 16", 1)
        self.passes("[ -z \"$(captured wire-w tcp)\" ]")

    def test_a_failure_in_a_subshell_ends_the_scenario_at_its_next_step(self):
        self.break_tool("jq", "jq: broken")
        self.fails_at_once("if [ -z \"$(latches true)\" ]; then log next; fi", "jq: broken")

    def test_the_harness_ends_processes_of_a_failed_scenario_and_continues(self):
        self.passes('sleep 100 & kept=$!\necho broken >"$RUN/failure"\nkill_and_wait TERM "$kept"\n'
                    'rm "$RUN/failure"\ngone "$kept"')

    def test_the_first_failure_is_the_one_reported(self):
        self.break_tool("jq", "jq: broken")
        self.fails_at_once("[ \"$(latch_id true)\" = 1 ] || fail 'it is another latch'", "jq: broken")

    def test_unreadable_findings_of_the_oracle_are_not_a_clean_run(self):
        self.break_tool("jq", "jq: broken")
        self.put("run/oracle.json", '{"leaks":[],"blind":[]}')
        self.fails_at_once("[ -z \"$(kinds_seen)\" ] || fail leak\nlog clean", "jq: broken")

    def test_a_broken_grep_is_not_a_count_of_zero(self):
        self.break_tool("grep", "grep: cannot load libpcre2-8.so.0", 127)
        for question in ("event_count .never", "refusals", "decrypted_times d SECRET"):
            self.put("bin/tcpdump", "#!/bin/sh\necho text\n", 0o755)
            self.put("run/clear-d.pcap", "")
            self.fails_at_once("none() { [ \"$(%s)\" != 1 ]; }\nneed 30 w none" % question,
                               "cannot load libpcre2-8.so.0")
            os.remove(os.path.join(self.top, "run/failure"))

    def test_a_missing_log_is_not_a_count_of_zero(self):
        self.fails_at_once("none() { [ \"$(established w IKE_SA)\" = 0 ]; }\nneed 30 w none",
                           "w/charon.log: No such file")

    def test_no_match_is_a_count_of_zero(self):
        self.passes("[ \"$(event_count .never)\" = 0 ]\n[ \"$(refusals)\" = 0 ]\n"
                    "mkdir -p \"$RUN/w\"\n>\"$RUN/w/charon.log\"\n[ \"$(established w IKE_SA)\" = 0 ]")

    def test_no_scenario_hides_that_a_tool_failed(self):
        for line in ("tail f | jq -rc . 2>/dev/null", "ip xfrm state >/dev/null 2>&1", "grep -c x <<<y || true",
                     "tc -s qdisc show dev eth0 2>/dev/null"):
            self.assertTrue(HIDES.search(line), line)
        for path in glob.glob(os.path.join(TOP, "tests/vm/*/scenario.sh")):
            may_hide = MAY_HIDE.get(os.path.basename(os.path.dirname(path)))
            with open(path, encoding="utf-8") as file:
                found = [line for line in file if HIDES.search(line) and not (may_hide and may_hide in line)]
            self.assertEqual((path, found), (path, []))

    # ---- names of enumerators

    def use_built_objects(self):
        for name in ("bpf/latchd.bpf.o", "tests/vm/abi.bpf.o"):
            os.makedirs(os.path.dirname(os.path.join(self.top, "build", name)), exist_ok=True)
            os.symlink(os.path.join(BUILD, name), os.path.join(self.top, "build", name))

    def test_names_of_enumerators_have_the_values_of_the_headers(self):
        self.use_built_objects()
        for header, name in (("latch_sockopt.h", "LATCH_APP_UNPROVEN"), ("latch_sockopt.h", "LATCH_WHY_SA_CONFLICT"),
                             ("latch_abi.h", "LATCH_STATE_BROKEN"), ("latch_abi.h", "LATCH_DIRECTION_IN")):
            with open(os.path.join(TOP, "include", header), encoding="utf-8") as file:
                value = re.search(r"\b%s = (\d+)" % name, file.read()).group(1)
            self.passes("[ \"$(abi_jq -n %s)\" = %s ]" % (name, value))

    def test_a_missing_enumerator_fails_a_wait(self):
        self.use_built_objects()
        self.fails_at_once("none() { [ \"$(abi_jq -n 'LATCH_WHY_NEVER == 1')\" = false ]; }\nneed 30 w none",
                           "LATCH_WHY_NEVER", "jq: 1 compile error")

    def test_objects_that_bpftool_cannot_read_fail_a_wait(self):
        self.fails_at_once("none() { [ \"$(abi_jq -n 'LATCH_WHY_NONE == 1')\" != true ]; }\nneed 30 w none",
                           "bpf/latchd.bpf.o failed")

    # ---- the library in Python

    def python(self, text):
        library = os.path.join(TOP, "tests/vm/lib")
        return subprocess.run([sys.executable, "-B", "-c", "from checks import *\n" + text,
                               os.path.join(self.top, "build/bpf/latchd.bpf.o")], text=True, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              env=dict(os.environ, PYTHONPATH=library), timeout=50)

    def test_a_program_that_fails_ends_a_scenario_in_python(self):
        done = self.python("until(lambda: run('echo nothing here >&2; exit 3').stdout, 'found')")
        self.assertEqual(done.returncode, 1)
        self.assertIn("exit status 3: nothing here", done.stdout)
        self.assertNotIn("FAIL", done.stdout)

    def test_output_that_is_no_json_ends_a_scenario_in_python(self):
        done = self.python("run_json('echo no json')")
        self.assertEqual(done.returncode, 1)
        self.assertIn("its output is no JSON", done.stdout)


if __name__ == "__main__":
    sys.exit(tap.main("scenario_answers", Answers))
