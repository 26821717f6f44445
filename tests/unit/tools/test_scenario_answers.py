#!/usr/bin/python3 -B
# SPDX-License-Identifier: BSD-2-Clause
"""The scenarios' libraries with tools that fail: the scenario fails at once, with the tool's words."""
import os
import subprocess
import sys
import tempfile
import time
import unittest

import tap

TOP = os.path.realpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../.."))
LISTED = '{"latches":[{"state":"established","local":{"addr":"10.9.0.1","port":7000},"id":"1"}]}'
# latchctl as it is when latchd answers; the files beside it make it fail.
LATCHCTL = """#!/bin/bash
here=$(dirname "$0")
if [ -e "$here/broken" ]; then cat "$here/broken" >&2; exit "$(cat "$here/code")"; fi
case "$*" in
*list*) echo '%s' ;;
*sa*) echo '{"sas":[]}' ;;
*status*) echo '{"feeds":[]}'; exit 1 ;;
esac
""" % LISTED
PRELUDE = """
export TOP=%s
. "$TOP/tests/vm/lib/all.sh"
trap 'unexpected "$BASH_COMMAND"' ERR
set_options
echo $BASHPID >"$RUN/latchd.pid"
echo $BASHPID >"$RUN/monitor.pid"
""" % TOP
AT_W = '"$(at w 7000)"'


class Answers(unittest.TestCase):
    def setUp(self):
        scratch = tempfile.TemporaryDirectory()
        self.addCleanup(scratch.cleanup)
        self.top = scratch.name
        self.put("run/monitor.json", '{"event":"latch-broken"}\n{"event":"latch-hea')
        self.put("run/monitor.log", "")
        self.put("run/latchd.log", "latchd: config: no such file\n")
        self.put("build/latchctl", LATCHCTL, 0o755)

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

    def bash(self, text):
        """The finished scenario, its seconds, and the failure that it left."""
        environment = dict(os.environ, LATCHD_TEST_RUN=os.path.join(self.top, "run"),
                           BUILD=os.path.join(self.top, "build"), STARTED="%.6f" % time.time(),
                           PATH=os.path.join(self.top, "bin") + ":" + os.environ["PATH"])
        start = time.monotonic()
        done = subprocess.run(["bash", "-Eeuo", "pipefail", "-c", PRELUDE + text], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                              env=environment, timeout=50)
        failure = os.path.join(self.top, "run/failure")
        words = ""
        if os.path.exists(failure):
            with open(failure, encoding="utf-8") as file:
                words = file.read()
        return done, time.monotonic() - start, words

    def fails_at_once(self, text, *words):
        done, seconds, failure = self.bash(text + "\necho survived\n")
        self.assertNotEqual(done.returncode, 0, done.stdout)
        self.assertNotIn("survived", done.stdout)
        self.assertLess(seconds, 20)
        for word in words:
            self.assertIn(word, failure)

    def passes(self, text):
        done, _, failure = self.bash(text + "\necho survived\n")
        self.assertEqual((done.returncode, failure), (0, ""), done.stdout)
        self.assertIn("survived", done.stdout)
        return done.stdout

    # ---- tools that work

    def test_a_valid_answer_is_read(self):
        self.passes("need 1 found latch_seen %s\nneed 1 none no_latch '.id == \"2\"'\n"
                    "[ \"$(event_count '.event == \"latch-broken\"')\" = 1 ]\n"
                    "[ \"$(status '.feeds | length')\" = 0 ]\n" % AT_W)

    def test_an_answer_of_no_is_polled_until_the_limit(self):
        self.fails_at_once("need 1 'latch 2' latch_seen '.id == \"2\"'", "latch 2: not within 1 s")

    def test_a_reader_that_needs_only_the_first_line_breaks_nothing(self):
        self.passes("answer seq 1 1000000 | head -n 1")

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
        self.fails_at_once("[ \"$(break_count)\" = 0 ] || fail 'latches were broken'", "broken")

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
