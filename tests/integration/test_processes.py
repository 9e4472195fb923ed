"""Holds checks, TEST, MAIN, criteria and signals to their word, with real processes."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys

import pytest

from tests.integration.projects import Project, alive, asked_to_stop, check, command, finish, until

CHECK_OUTPUT = 64 * 1024**2
FORK = """\
echo $$ >>levels.pids
[ "$1" -gt 1 ] && bash fork.sh $(($1 - 1)) &
sleep 300
"""
RECORDS_SIGNALS = """\
for name in INT TERM; do trap "echo $name >>signals" $name; done
echo $$ >up
while :; do sleep 0.1; done
"""
IMPORTS = {"python_import": "json"}
ODDITIES = [
    check("late", "sleep 300", timeout=0.5),
    check("endless", "yes"),
    check("deaf", "trap '' TERM; echo $$ >deaf.pids; while :; do sleep 1; done", timeout=0.5),
    check("binary", r"printf '\377\376\000\033[31mred'"),
    check("keeps_pipe", "sleep 300 & echo $! >keeps_pipe.pids; echo done"),
    check("grandchild", "bash -c 'sleep 300 & echo $! >grandchild.pids; wait' & wait", timeout=1),
    check(
        "escapes", "setsid -f bash -c 'echo $$ >escapes.pids; exec sleep 300'; until [ -s escapes.pids ]; do :; done"
    ),
    check("forks", "bash fork.sh 5 & until [ $(cat levels.pids | wc -l) = 5 ]; do sleep 0.05; done"),
    check("b4096", r"head -c 4096 /dev/zero | tr '\0' a"),
    check("b4097", r"head -c 4097 /dev/zero | tr '\0' a"),
    check("reads", "cat; echo over"),
    check("unknown", "no-such-tool --now"),
    check("twin", "echo first"),
    check("twin", "echo second"),
]


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project")


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    """One run whose POST holds every odd check."""
    project = Project(tmp_path_factory.mktemp("odd"))
    project.write("fork.sh", FORK)
    project.plan(settings={"max_parallel": 6}, s1={**command("true"), "post_validation": ODDITIES})
    project.done = project.run("--step", "1")
    return project


def pids(project, name):
    return [int(word) for word in project.text(name).split()]


# Checks


def test_a_check_that_prints_without_end_is_stopped(odd):
    line = odd.check("endless")
    assert (line["status"], "64 MiB" in line["got"]) == ("failed", True)


def test_output_without_end_leaves_a_bounded_file(odd):
    assert (odd.root / odd.check("endless")["output_file"]).stat().st_size <= CHECK_OUTPUT + 1


def test_binary_output_is_logged_as_text(odd):
    assert odd.check("binary")["output"] == "��\0\x1b[31mred"


def test_a_child_that_keeps_the_pipe_open_does_not_hold_its_check(odd):
    line = odd.check("keeps_pipe")
    assert (line["status"], line["output"]) == ("passed", "done\n")


@pytest.mark.parametrize("name", ["deaf", "keeps_pipe", "grandchild", "escapes", "levels"])
def test_nothing_that_a_check_started_outlives_it(odd, name):
    found = pids(odd, f"{name}.pids")
    assert len(found) == (5 if name == "levels" else 1)
    assert not any(map(alive, found))


def test_a_check_that_reads_finds_the_end_of_a_file(odd):
    assert odd.check("reads")["output"] == "over\n"


def test_a_check_deaf_to_term_is_killed(odd):
    line = odd.check("deaf")
    assert (line["status"], line["duration_s"] < 20) == ("timed_out", True)


def test_a_late_check_times_out_with_a_fix(odd):
    line = odd.check("late")
    assert (line["status"], "0.5 s limit" in line["got"], "timeout" in line["fix"]) == ("timed_out", True, True)


def test_4096_bytes_of_output_need_no_file(odd):
    line = odd.check("b4096")
    assert (len(line["output"]), line["output_file"]) == (4096, "")


def test_4097_bytes_of_output_are_whole_in_a_file(odd):
    line = odd.check("b4097")
    assert (len(line["output"]), (odd.root / line["output_file"]).read_bytes()) == (4096, b"a" * 4097)


def test_an_unknown_command_is_named_by_its_fix(odd):
    line = odd.check("unknown")
    assert (line["exit_code"], "install no-such-tool" in line["fix"]) == (127, True)


def test_two_checks_of_the_same_name_both_run(odd):
    assert {line["output"] for line in odd.events("CheckFinished", name="twin")} == {"first\n", "second\n"}


def test_a_failure_in_post_cancels_nothing(odd):
    lines = odd.events("CheckFinished")
    assert (len(lines), [line["name"] for line in lines if line["status"] == "cancelled"]) == (len(ODDITIES), [])


def test_a_failed_post_fails_the_step(odd):
    assert (odd.done.code, odd.event("StepFailed")["failed_in"]) == (1, "POST")


def test_a_failure_in_preflight_cancels_the_rest(project):
    checks = [check("slow", "sleep 300"), check("bad", "exit 3"), check("next", "true", parallel=False)]
    project.plan(s1={**command("touch ran"), "pre_flight": checks})
    project.run("--step", "1")
    assert [project.check(name)["status"] for name in ("slow", "bad", "next")] == ["cancelled", "failed", "cancelled"]


def test_main_does_not_start_after_a_failed_preflight(project):
    project.plan(s1={**command("touch ran"), "pre_flight": [check("bad", "exit 3")]})
    assert (project.run("--step", "1").code, project.has("ran")) == (1, False)


def test_a_check_whose_interpreter_is_missing_fails_with_a_fix(project):
    project.plan(settings={"python": "no/such"}, s1={**command("true"), "pre_flight": [{"task": "a", **IMPORTS}]})
    done = project.run("--step", "1")
    assert (done.code, "settings.python" in project.check("a")["fix"]) == (1, True)


@pytest.mark.parametrize(("first_line", "status"), [("", "passed"), ("#!/no/such\n", "failed")])
def test_a_check_by_a_script_on_the_path_ends_as_in_a_shell(project, first_line, status):
    project.write("tools/my-tool", f"{first_line}true\n", mode=0o755)
    project.environ = {"PATH": f"{project.root / 'tools'}:{os.environ['PATH']}"}
    project.plan(s1={**command("true"), "pre_flight": [check("a", "my-tool now")]})
    project.run("--step", "1")
    assert project.check("a")["status"] == status


def counted(text):
    """The most that were begun and not ended, in a text of + and -."""
    return max(text[:at].count("+") - text[:at].count("-") for at in range(len(text) + 1))


def test_forty_checks_run_three_at_a_time(project):
    checks = [check(f"c{at}", "printf + >>now; sleep 0.05; printf -- - >>now") for at in range(40)]
    project.plan(s1={**command("true"), "pre_flight": checks})
    project.run("--step", "1")
    assert (counted(project.text("now")), project.text("now").count("-")) == (3, 40)


def test_a_serial_check_runs_alone_at_its_place(project):
    def noted(name, **more):
        return check(name, f"echo {name}+ >>now; sleep 0.1; echo {name}- >>now", **more)

    checks = [noted("a"), noted("b"), noted("alone", parallel=False), noted("c")]
    project.plan(s1={**command("true"), "pre_flight": checks})
    project.run("--step", "1")
    assert project.text("now").split()[4:] == ["alone+", "alone-", "c+", "c-"]


# TEST

CALLS = 'echo "${DO_TASKS_TEST-unset} $*" >>calls\n'


def scripted(project, text, *, name="scripts/go.sh", **main):
    project.write(name, text)
    return project.plan(s1={"main": {"script": "go.sh", **main}})


def test_main_never_starts_after_a_failed_test(project):
    scripted(project, "[ $DO_TASKS_TEST ] && exit 3; touch ran\n")
    done = project.run("--step", "1")
    assert (done.code, project.event("StepFailed")["failed_in"], project.has("ran")) == (1, "TEST", False)


def test_a_script_that_knows_no_test_is_told_the_three_ways_out(project):
    project.write("go.py", "import argparse; argparse.ArgumentParser().parse_args()")
    project.plan(s1={"main": {"script": "go.py"}})
    project.run("--step", "1")
    reason = project.event("TestFinished")["reason"]
    assert [word for word in ("add it", "main.test", "test: none") if word not in reason] == []


def test_test_none_is_said(project):
    scripted(project, "true\n", test="none")
    assert "test: none in the definitions" in project.run("--step", "1").out


def test_a_command_without_a_test_form_says_so(project):
    project.plan(s1={"main": {"command": "true"}})
    assert "no test form" in project.run("--step", "1").out


def test_a_skipped_test_is_in_the_log(project):
    project.plan(s1={"main": {"command": "true"}})
    project.run("--step", "1")
    assert project.event("TestSkipped")["status"] == "skipped"


def test_test_is_told_twice_and_main_not_at_all(project):
    scripted(project, CALLS, args=["--epochs", 1])
    project.run("--step", "1")
    assert project.text("calls") == "1 --epochs 1 --test\nunset --epochs 1\n"


def test_main_is_not_told_to_test_by_our_own_environment(project):
    scripted(project, CALLS, test="none").environ = {"DO_TASKS_TEST": "1"}
    project.run("--step", "1")
    assert project.text("calls") == "unset \n"


def test_args_of_the_test_stand_instead_of_its_word(project):
    scripted(project, CALLS, args=["--epochs", 1], test={"args": ["--limit", "2"]})
    project.run("--step", "1")
    assert project.text("calls") == "1 --epochs 1 --limit 2\nunset --epochs 1\n"


def test_what_test_left_is_no_evidence(project):
    scripted(
        project,
        '[ $DO_TASKS_TEST ] && echo x >made && echo \'{"criteria": {"a": {"met": true}}}\' >$DO_TASKS_RESULT; :\n',
        success_criteria=[{"criterion": "made", "file": "made"}],
    )
    assert (project.run("--step", "1").code, project.event("CriterionJudged")["standing"]) == (1, "unproven")


def test_a_result_file_of_the_test_is_not_read(project):
    scripted(project, "[ $DO_TASKS_TEST ] && echo broken >$DO_TASKS_RESULT; :\n", success_criteria=["done"])
    assert (project.run("--step", "1").code, project.events("ResultRead")) == (0, [])


# MAIN


def test_main_that_outlives_its_timeout_dies_with_its_group(project):
    project.plan(s1=command("sleep 300 & echo $! $$ >main.pids; wait", timeout=0.7))
    done = project.run("--step", "1")
    assert (done.code, project.event("StepFailed")["status"]) == (1, "timed_out")
    assert [pid for pid in pids(project, "main.pids") if alive(pid)] == []


@pytest.mark.parametrize("phase", ["TEST", "MAIN"])
def test_what_a_run_left_is_ended_and_told(project, phase):
    leaves = "setsid -f bash -c 'echo $$ >left.pids; exec sleep 300'; until [ -s left.pids ]; do :; done\n"
    here = "[ $DO_TASKS_TEST ]" if phase == "TEST" else "[ ! $DO_TASKS_TEST ]"
    scripted(project, f"{here} || exit 0\n{leaves}")
    assert (project.run("--step", "1").code, project.event("StraysStopped")["pids"]) == (0, pids(project, "left.pids"))
    assert not alive(*pids(project, "left.pids"))


def test_main_is_tried_again_for_its_class(project):
    text = "echo x >>tries; [ $(wc -l <tries) = 3 ] || exit 75"
    project.plan(s1=command(text, retry={"attempts": 3, "on": ["exit:75"]}))
    done = project.run("--step", "1")
    runs = [line["run"] for line in project.events("MainStarted")]
    assert (done.code, runs) == (0, ["main.1", "main.2", "main.3"])


def test_main_is_not_tried_again_for_another_class(project):
    project.plan(s1=command("exit 3", retry={"attempts": 3, "on": ["exit:75", "oom"]}))
    project.run("--step", "1")
    assert len(project.events("MainStarted")) == 1


def test_a_kill_that_we_did_not_send_is_oom(project):
    project.plan(s1=command("kill -9 $$"))
    project.run("--step", "1")
    line = project.event("MainFinished")
    assert (line["failure"], line["signal"]) == ("oom", 9)


def test_exit_255_is_no_signal(project):
    project.plan(s1=command("exit 255"))
    project.run("--step", "1")
    line = project.event("MainFinished")
    assert (line["reason"], line["signal"], line["failure"]) == ("exit 255", 0, "exit:255")


def test_main_that_writes_too_much_is_stopped(project):
    project.plan(s1=command("while :; do echo spamspamspam; sleep 0.01; done", max_output=100))
    project.run("--step", "1")
    line = project.event("MainFinished")
    assert (line["status"], "max_output" in line["reason"]) == ("failed", True)


def test_a_script_needs_no_executable_bit(project):
    scripted(project, '#!/bin/bash\necho "$BASH_VERSION" >shell\n')
    assert (project.run("--step", "1").code, project.text("shell").strip() != "") == (0, True)


def test_an_executable_script_starts_by_itself(project):
    project.write("scripts/go.sh", f"#!{sys.executable}\nopen('ran', 'w')\n", mode=0o755)
    project.plan(s1={"main": {"script": "go.sh"}})
    assert (project.run("--step", "1").code, project.has("ran")) == (0, True)


def test_a_missing_script_is_refused_before_anything_runs(project):
    project.plan(s1={"main": {"script": "gone.py"}, "pre_flight": [check("first", "touch ran")]})
    done = project.run("--step", "1")
    assert (done.code, "gone.py" in done.err, project.has("ran")) == (2, True, False)


def test_a_missing_script_leaves_no_open_task(project):
    project.plan(s1={"main": {"script": "gone.py"}})
    project.run("--step", "1")
    assert project.events("TaskStarted") == []


@pytest.mark.parametrize("test", ["none", {"args": []}])
def test_a_script_whose_interpreter_is_missing_fails_its_step(project, test):
    project.write("go.sh", "#!/no/such/interpreter\n", mode=0o755)
    project.plan(s1={"main": {"script": "go.sh", "test": test}})
    assert (project.run("--step", "1").code, len(project.events("StepFailed"))) == (1, 1)


def said(project, body, *, criteria=("done",), **main):
    project.write("body", body if isinstance(body, str) else json.dumps(body))
    project.plan(s1=command("cp body $DO_TASKS_RESULT", success_criteria=list(criteria), **main))
    return project.run("--step", "1")


def test_a_result_file_claims_with_its_evidence(project):
    said(project, {"criteria": {"done": {"met": True, "evidence": "42 rows"}}})
    line = project.event("CriterionJudged")
    assert (line["standing"], line["evidence"]) == ("claimed", "42 rows")


def test_a_criterion_that_the_result_file_denies_fails_the_step(project):
    done = said(project, {"criteria": {"done": {"met": False, "evidence": "too few"}}})
    assert (done.code, "too few" in project.event("StepFailed")["reason"]) == (1, True)


DEEP = '{"metrics": ' + '{"a": ' * 400 + "1" + "}" * 401


@pytest.mark.parametrize("body", ["{broken", "[]", '{"criteria": [1]}', "[" * 100_000, DEEP])
def test_a_broken_result_file_fails_the_step_with_its_reason(project, body):
    done = said(project, body)
    assert (done.code, "result file" in project.event("StepFailed")["reason"]) == (1, True)


def test_metrics_of_the_result_file_are_logged(project):
    said(project, {"metrics": {"loss": 0.5}, "note": "well"})
    line = project.event("ResultRead")
    assert (line["metrics"], line["note"]) == ({"loss": 0.5}, "well")


def test_a_metric_that_is_no_number_leaves_a_line_of_json(project):
    said(project, '{"metrics": {"loss": NaN}}')
    assert "NaN" not in project.text(".task_execution.log")
    assert project.event("ResultRead")["metrics"] == {"loss": "nan"}


def test_odd_progress_lines_break_nothing(project):
    lines = ['{"progress": {"done": 1, "total": 2}}', '{"progress": {"done": 1e999, "total": 2}}', '{"progress"']
    project.write("lines", "\n".join(lines))
    odd_ones = "for at in 1 2 3; do sed -n ${at}p lines; sleep 0.35; done"
    project.plan(s1=command(odd_ones))
    assert project.run("--step", "1").code == 0


def test_settings_env_names_what_commands_are_given(project):
    project.environ = {"KEPT": "1", "DROPPED": "1"}
    project.plan(settings={"env": ["KEPT"]}, s1=command('echo "$KEPT-$DROPPED-$DO_TASKS_STEP" >seen'))
    project.run("--step", "1")
    assert project.text("seen") == "1--1\n"


@pytest.mark.parametrize("written", ["tools/my-python", "my-python"])
def test_settings_python_runs_the_scripts(project, written):
    project.write("tools/my-python", f'#!/bin/sh\necho mine >>seen\nexec {sys.executable} "$@"\n', mode=0o755)
    project.write("go.py", "")
    project.environ = {"PATH": f"{project.root / 'tools'}:{os.environ['PATH']}"}
    project.plan(settings={"python": written}, s1={"main": {"script": "go.py", "test": "none"}})
    assert (project.run("--step", "1").code, project.text("seen")) == (0, "mine\n")


# Criteria

BOUND = {
    "file": {"file": "out/*.txt"},
    "command": {"command": "test -s out/a.txt"},
    "matches": {"matches": {"file": "out/a.txt", "pattern": "lo+ss"}},
    "metric": {"metric": {"name": "loss", "below": 1}},
    "result": {"result": "well"},
}
MAKES_ALL = """\
mkdir -p out; echo loooss >out/a.txt
echo '{"criteria": {"well": {"met": true, "evidence": "seen"}}, "metrics": {"loss": 0.5}}' >$DO_TASKS_RESULT
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """One run with a criterion of every kind, all met."""
    project = Project(tmp_path_factory.mktemp("judged"))
    criteria = [{"criterion": kind, **bound} for kind, bound in BOUND.items()]
    project.plan(s1=command(MAKES_ALL, success_criteria=[*criteria, "prose"]))
    project.done = project.run("--step", "1")
    return project


@pytest.mark.parametrize("kind", BOUND)
def test_fresh_evidence_proves(judged, kind):
    assert judged.event("CriterionJudged", criterion=kind)["standing"] == "proven"


def test_an_exit_code_alone_is_a_claim(judged):
    assert judged.event("CriterionJudged", criterion="prose")["standing"] == "claimed"


def test_what_was_proven_and_claimed_is_counted_in_the_spec(judged):
    assert judged.spec.rstrip().endswith("(5 proven, 1 claimed)")


@pytest.mark.parametrize("kind", ["file", "matches", "metric"])
def test_stale_evidence_does_not_prove(project, kind):
    project.write("out/a.txt", "loooss")
    project.write("old.json", '{"metrics": {"loss": 0.5}}')
    bound = {"metric": {"file": "old.json", "name": "loss", "below": 1}} if kind == "metric" else BOUND[kind]
    project.plan(s1=command("true", success_criteria=[{"criterion": kind, **bound}]))
    assert (project.run("--step", "1").code, project.event("CriterionJudged")["standing"]) == (1, "unproven")


def test_evidence_of_any_age_proves_when_the_plan_says_so(project):
    project.write("out/a.txt", "loooss")
    project.plan(s1=command("true", success_criteria=[{"criterion": "a", "file": "out/*.txt", "any_age": True}]))
    assert (project.run("--step", "1").code, project.event("CriterionJudged")["standing"]) == (0, "proven")


@pytest.mark.parametrize("how", [["--strict"], []])
def test_strict_refuses_a_claim(project, how):
    project.plan(settings={} if how else {"strict": True}, s1=command("true", success_criteria=["done"]))
    done = project.run("--step", "1", *how)
    assert (done.code, "only claimed" in project.event("StepFailed")["reason"]) == (1, True)


# Signals


def running(project, text=RECORDS_SIGNALS, **main):
    """An executor whose MAIN is up."""
    project.write("go.sh", text)
    project.plan(s1=command("exec bash go.sh", **main))
    process = project.start("--step", "1")
    project.until_there("up")
    return process


def test_ctrl_c_climbs_from_int_to_kill(project):
    done = asked_to_stop(running(project))
    assert (done.code, project.text("signals").split()) == (130, ["INT", "TERM"])
    assert not alive(*pids(project, "up"))


def test_a_second_ctrl_c_kills_at_once(project):
    process = running(project)
    process.send_signal(signal.SIGINT)
    project.until_there("signals")
    done = asked_to_stop(process)
    assert (done.code, project.text("signals").split()) == (130, ["INT"])


QUICK_TO_STOP = "[ -e up ] || { echo $$ >up; exec sleep 300; }"


@pytest.fixture(scope="module", params=["SIGINT", "SIGTERM"])
def interrupted(request, tmp_path_factory):
    """One run that a signal ended, then the same gone on with."""
    project = Project(tmp_path_factory.mktemp("interrupted"))
    process = running(project, QUICK_TO_STOP)
    project.first = asked_to_stop(process, signal.Signals[request.param])
    project.spec_after_first, project.name = project.spec, request.param
    project.second = project.run("--continue")
    return project


def test_an_interrupted_run_exits_130(interrupted):
    assert interrupted.first.code == 130


def test_an_interrupted_run_says_how_to_go_on(interrupted):
    assert "do-tasks --step 1\n" in interrupted.first.out


def test_the_spec_says_what_interrupted_it(interrupted):
    assert f"interrupted by {interrupted.name}" in interrupted.spec_after_first


def test_continue_keeps_the_id_of_an_interrupted_task(interrupted):
    begun, resumed = interrupted.event("TaskStarted"), interrupted.event("TaskResumed")
    assert (resumed["task_id"], interrupted.second.code) == (begun["task_id"], 0)


def interrupted_in(project, **step):
    project.plan(s1={**command("true"), **step})
    process = project.start("--step", "1")
    project.until_there("up")
    return asked_to_stop(process)


WAITS = "echo $$ >up; sleep 300"


def test_ctrl_c_in_preflight_interrupts(project):
    done = interrupted_in(project, pre_flight=[check("waits", WAITS), check("next", "true", parallel=False)])
    assert (done.code, project.check("waits")["status"], project.check("next")["status"]) == (
        130,
        "interrupted",
        "cancelled",
    )


def test_ctrl_c_in_a_criterion_interrupts(project):
    criteria = [{"criterion": "a", "command": WAITS}, {"criterion": "b", "command": "true"}]
    done = interrupted_in(project, **command("true", success_criteria=criteria))
    assert (done.code, len(project.events("StepInterrupted"))) == (130, 1)


def test_ctrl_c_while_a_retry_waits_interrupts(project):
    project.plan(s1=command("exit 75", retry={"attempts": 2, "on": ["rate_limit"]}))
    process = project.start("--step", "1")
    project.until_logged("MainRetried")
    done = asked_to_stop(process)
    assert (done.code, len(project.events("MainStarted"))) == (130, 1)


# Standard output


def talkative(project):
    checks = [check("x" * 50 + str(at), "true") for at in range(100)]
    return project.plan(settings={"max_parallel": 8}, s1={**command("true"), "pre_flight": checks})


def test_a_reader_that_leaves_does_not_stop_a_run(project):
    talkative(project)
    line = f"{sys.executable} -m executor --step 1 | head -1"
    subprocess.run(["bash", "-c", line], cwd=project.root, env=project.env(), capture_output=True, check=True)
    until(lambda: project.events("SpecTicked"), "the step was never ticked")


def test_a_reader_that_reads_nothing_does_not_stop_a_run(project):
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    process = talkative(project).start("--step", "1", stdout=writing)
    os.close(writing)
    assert (process.wait(60), len(project.events("SpecTicked"))) == (0, 1)
    os.close(reading)
    process.stderr.close()


def test_a_closed_standard_output_never_becomes_the_log(project):
    project.plan(s1=command("true"))
    line = f"{sys.executable} -m executor --step 1 >&- 2>&- <&-"
    code = subprocess.run(["bash", "-c", line], cwd=project.root, env=project.env(), check=False).returncode
    assert (code, len(project.events("SpecTicked"))) == (0, 1)


# Two executors


def test_stop_ends_a_task_of_another_process(project):
    process = running(project, "echo $$ >up; sleep 300\n")
    stopped = project.run("stop", project.task_id())
    done = finish(process)
    assert (stopped.code, done.code, project.event("StepFailed")["status"]) == (0, 1, "cancelled")
    assert not alive(*pids(project, "up"))


@pytest.mark.parametrize("phase", ["pre_flight", "post_validation"])
def test_stop_cancels_a_task_between_its_runs(project, phase):
    project.plan(s1={**command("true"), phase: [check("waits", WAITS)]})
    process = project.start("--step", "1")
    project.until_there("up")
    project.run("stop", project.task_id())
    finish(process)
    assert project.event("StepFailed")["status"] == "cancelled"


def test_stop_while_a_retry_waits_starts_no_other(project):
    project.plan(s1=command("exit 75", retry={"attempts": 2, "on": ["rate_limit"]}))
    process = project.start("--step", "1")
    project.until_logged("MainRetried")
    project.run("stop", project.task_id())
    finish(process)
    assert (project.event("StepFailed")["status"], len(project.events("MainStarted"))) == ("cancelled", 1)


def test_stop_ends_what_a_dead_executor_left(project):
    process = running(project, "echo $$ >up; sleep 300\n")
    process.kill()
    finish(process)
    project.run("stop", project.task_id())
    assert (project.event("StepFailed")["status"], alive(*pids(project, "up"))) == ("cancelled", False)


def test_stop_of_an_unwatched_task_marks_the_spec(project):
    process = running(project, "echo $$ >up; sleep 300\n")
    process.kill()
    finish(process)
    project.run("stop", project.task_id())
    assert "stopped by do-tasks stop" in project.spec


def test_a_run_under_nohup_outlives_its_terminal(project):
    project.plan(s1=command("echo x >up; until [ -e go ]; do sleep 0.05; done"))
    process = project.start("--step", "1", argv=("nohup", sys.executable, "-m", "executor"))
    project.until_there("up")
    process.send_signal(signal.SIGHUP)
    project.write("go", "")
    assert (finish(process).code, len(project.events("StepPassed"))) == (0, 1)


def test_a_second_executor_is_refused(project):
    process = running(project, "echo $$ >up; until [ -e go ]; do sleep 0.05; done\n")
    done = project.run("--continue")
    project.write("go", "")
    assert (done.code, f"pid {process.pid}" in done.err, finish(process).code) == (5, True, 0)


def test_a_living_main_is_adopted_not_repeated(project):
    process = running(project, "echo $$ >>up; until [ -e go ]; do sleep 0.05; done\n")
    process.kill()
    finish(process)
    second = project.start("--continue")
    project.until_logged("MainAdopted")
    project.write("go", "")
    assert (finish(second).code, len(pids(project, "up"))) == (0, 1)
