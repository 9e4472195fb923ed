"""Holds each verb of the command line to its word, in a process of its own."""

from __future__ import annotations

import json
import os
import pty
import signal
import sys

import jsonschema
import pytest

from tests.integration.projects import Project, check, command, finish, without_rights

FAILS = command("exit 3")
PASSES = command("echo x >>ran")


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "project")


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    """A plan that has been through most of what can happen; only read verbs may touch it."""
    project = Project(tmp_path_factory.mktemp("rich"))
    boxes = "".join(f"- [ ] **STEP {number}**: Title {number}\n" for number in (1, 2, 3, 4, 6))
    project.plan(
        spec=f"# Plan\n\n{boxes}",
        s1={**PASSES, "pre_flight": [check("a", "true"), {"task": "b", "explore": "the data"}]},
        s2={**command("exit 3", success_criteria=["done"]), "pre_flight": [check("a", "setsid -f sleep 60")]},
        s3={
            **command(
                'echo \'{"metrics": {"loss": 1}}\' >$DO_TASKS_RESULT',
                test={"command": "true"},
                success_criteria=["done", {"criterion": "low", "metric": {"name": "loss", "below": 2}}],
            ),
            "post_validation": [check("late", "sleep 9", timeout=0.2)],
        },
        s4={**PASSES, "depends_on": [2]},
        s5={**PASSES, "title": "Given its line"},
    )
    project.done = project.run("--all", "--keep-going", "--append")
    project.run("mark-done", "6", "--by", "me", "--reason", "seen")
    project.run("reopen", "5", "--by", "me", "--reason", "again")
    return project


def three(project, **more):
    return project.plan(**{"s1": PASSES, "s2": PASSES, "s3": PASSES, **more})


def ticked(project):
    return [int(line.split("STEP ")[1].split("*")[0]) for line in project.spec.splitlines() if line.startswith("- [x]")]


# --step


@pytest.mark.parametrize(
    ("which", "numbers"), [("1", [1]), ("1-3", [1, 2, 3]), ("1,3", [1, 3]), ("load_data", [4]), ("step_4", [4])]
)
def test_step_takes_numbers_ranges_and_names(project, which, numbers):
    three(project, s4={**PASSES, "slug": "load_data"})
    assert (project.run("--step", which).code, ticked(project)) == (0, numbers)


def test_a_range_with_gaps_says_what_is_missing(project):
    project.plan(s1=PASSES, s4=PASSES)
    done = project.run("--step", "1-5")
    assert (done.code, "2-3, 5" in done.out, ticked(project)) == (0, True, [1, 4])


def test_a_range_with_gaps_says_so_after_a_failure_too(project):
    project.plan(s1=FAILS, s4=PASSES)
    assert "2-3, 5" in project.run("--step", "1-5").out


@pytest.mark.parametrize(("which", "told"), [("laod_data", "load_data"), ("9", "4"), ("verify", "no step is called")])
def test_an_unknown_step_gets_a_hint(project, which, told):
    three(project, s4={**PASSES, "slug": "load_data"})
    done = project.run("--step", which)
    assert (done.code, told in done.err) == (2, True)


def test_a_step_that_is_done_is_not_run_again(project):
    three(project).run("--step", "1")
    done = project.run("--step", "1")
    assert (done.code, "already done" in done.out, project.text("ran")) == (0, True, "x\n")


def test_rerun_runs_what_is_done(project):
    three(project).run("--step", "1")
    assert (project.run("--step", "1", "--rerun").code, project.text("ran")) == (0, "x\nx\n")


def test_a_step_says_that_the_one_before_is_open(project):
    assert "step 1 is still open" in three(project).run("--step", "2").out


# --continue, --all, --dry-run


def test_continue_runs_open_steps_in_order_until_one_fails(project):
    three(project, s2=FAILS)
    assert (project.run("--continue").code, ticked(project)) == (1, [1])


def test_continue_takes_a_failed_step_up_again(project):
    three(project, s2=command("[ -e mended ]"))
    project.run("--continue")
    project.write("mended", "")
    assert (project.run("--continue").code, ticked(project)) == (0, [1, 2, 3])


def test_continue_stops_before_a_step_that_is_not_defined(project):
    three(project)
    project.write("SPEC.md", "- [ ] **STEP 1**: a\n- [ ] **STEP 2**: b\n- [ ] **STEP 3**: c\n- [ ] **STEP 4**: later\n")
    done = project.run("--continue")
    assert (done.code, "Stopped before step 4" in done.out) == (0, True)


def test_continue_with_nothing_open_says_so(project):
    project.plan(s1=PASSES).run("--continue")
    done = project.run("--continue")
    assert (done.code, "Nothing is open" in done.out) == (0, True)


def test_all_stops_at_the_first_failure(project):
    three(project, s2=FAILS)
    assert (project.run("--all").code, ticked(project)) == (1, [1])


def test_keep_going_ends_with_a_table_and_exit_1(project):
    done = three(project, s2=FAILS).run("--all", "--keep-going")
    marks = [line[0] for line in done.out.splitlines() if line[:1] in ("✅", "❌")]
    assert (done.code, marks, ticked(project)) == (1, ["✅", "❌", "✅"], [1, 3])


def test_keep_going_survives_a_step_that_cannot_run(project):
    project.plan(s1={"main": {"script": "gone.py"}}, s2=PASSES)
    assert (project.run("--all", "--keep-going").code, ticked(project)) == (1, [2])


@pytest.mark.parametrize("words", [["--step", "2"], ["--all"], ["--continue"], []])
def test_a_dry_run_touches_nothing(project, words):
    three(project, s2={**PASSES, "pre_flight": [check("a", "touch checked")]}).run("--step", "1")
    before = project.spec, project.text(".task_execution.log"), project.text("ran")
    done = project.run("--dry-run", *words)
    assert (done.code, "step 2: run" in done.out) == (0, True)
    assert (project.spec, project.text(".task_execution.log"), project.text("ran")) == before
    assert not project.has("checked")


# Gates


def test_a_written_dependency_is_a_gate(project):
    three(project, s2={**PASSES, "depends_on": [1]})
    done = project.run("--step", "2")
    assert (done.code, "step 1" in done.out, project.has("ran")) == (3, True, False)


@pytest.mark.parametrize("asked", ["printenv PWD", "echo $PWD"])
def test_what_runs_is_told_its_folder_wherever_we_were_called(project, asked):
    project.plan(s1={**PASSES, "pre_flight": [check("where", asked)]})
    elsewhere = project.root.parent
    assert project.run("--step", "1", "--project", str(project.root), cwd=elsewhere).code == 0
    assert project.check("where")["output"] == f"{project.root}\n"


def test_a_script_gets_the_variables_that_a_person_made_up(project):
    project.plan(s1=command('echo "$DO_TASKS_PROFILE-$DO_TASKS_RESUME-$DO_TASKS_STEP" >seen'))
    project.environ = {"DO_TASKS_PROFILE": "tinker", "DO_TASKS_RESUME": "of another", "DO_TASKS_STEP": "9"}
    project.run("--step", "1")
    assert project.text("seen") == "tinker--1\n"


def test_force_opens_a_gate(project):
    three(project, s2={**PASSES, "depends_on": [1]})
    assert (project.run("--step", "2", "--force").code, ticked(project)) == (0, [2])


def test_a_dependency_that_ran_later_opens_its_step_for_continue(project):
    project.plan(s1=command("echo 1 >>order"), s2={**command("echo 2 >>order"), "depends_on": [1]})
    project.run("--continue")
    project.run("--step", "1", "--rerun")
    project.run("--continue")
    assert project.text("order").split() == ["1", "2", "1", "2"]


def twice(project):
    """Two steps that have passed, the first of which is open again."""
    project.plan(s1=command("echo 1 >>order"), s2={**command("echo 2 >>order"), "depends_on": [1]}).run("--continue")
    project.run("reopen", "1", "--by", "me", "--reason", "again")
    return project


def test_continue_takes_what_its_own_run_made_stale(project):
    assert twice(project).run("--continue").code == 0
    assert project.text("order").split() == ["1", "2", "1", "2"]


def test_a_dry_run_says_what_the_run_would_make_stale(project):
    assert "step 2: run - step 1, which it depends on, runs before it" in twice(project).run("--all", "--dry-run").out


def test_list_says_what_runs_again(project):
    twice(project).run("--step", "1")
    assert project.run("list").out.endswith("2 of 2 done, 2 claimed, 1 to run again\n")


def test_a_step_that_is_done_already_is_not_the_next(project):
    three(project).run("--step", "2")
    assert "Step 1 complete in" in (out := project.run("--step", "1").out)
    assert "Ready for step 3." in out


def test_a_dry_run_shows_a_step_that_cannot_run_among_the_others(project):
    three(project, s2={"main": {"script": "scripts/missing.py"}})
    done = project.run("--dry-run")
    assert (done.code, [line.split(" - ")[0] for line in done.out.splitlines()]) == (
        2,
        ["step 1: run", "step 2: refused", "step 3: run"],
    )


def test_strict_wants_more_than_a_persons_tick(project):
    three(project).run("mark-done", "1", "--by", "me", "--reason", "seen it")
    project.run("--step", "1")
    assert not project.has("ran")
    project.run("--step", "1", "--strict")
    assert project.has("ran")


# Read verbs

LISTED = {
    "id",
    "step",
    "title",
    "state",
    "depends_on",
    "task_id",
    "stale_by",
    "alerts",
    "tick",
    "changed",
    "judged_by",
} | {"uncontained"}
READ_VERBS = {
    "list": (["list"], {"v", "steps", "validated"}, LISTED),
    "ready": (["list", "--ready"], {"v", "steps", "validated"}, LISTED),
    "why": (
        ["why", "1-5"],
        {"steps"},
        {
            "step",
            "title",
            "action",
            "why",
            "runner",
            "phases",
            "box",
            "last_task",
            "last_verdict",
            "evidence",
            "tick",
            "changed",
            "judged_by",
            "uncontained",
            "params",
            "cells",
            "stale_by",
            "alerts",
            "see",
        },
    ),
    "validate": (["validate"], {"valid", "problems"}, {"file", "message", "path", "line", "col", "severity"}),
    "doctor": (["doctor"], {"checks"}, {"name", "ok", "found"}),
    "dry-run": (["--dry-run", "--all"], {"steps", "notes"}, {"step", "title", "action", "main", "why", "changed"}),
}


@pytest.mark.parametrize("verb", READ_VERBS)
def test_json_of_a_read_verb_has_its_keys(rich, verb):
    words, keys, row_keys = READ_VERBS[verb]
    body = rich.run(*words, "--json").json
    rows = next(value for value in body.values() if isinstance(value, list))
    assert (set(body), {frozenset(row) for row in rows} - {frozenset(row_keys)}) == (keys, set())


@pytest.mark.parametrize("verb", READ_VERBS)
def test_a_read_verb_changes_nothing(rich, verb):
    before = rich.spec, rich.text(".task_execution.log")
    rich.run(*READ_VERBS[verb][0])
    assert (rich.spec, rich.text(".task_execution.log")) == before


def test_list_tells_the_state_of_each_step(rich):
    states = {row["step"]: row["state"] for row in rich.run("list", "--json").json["steps"]}
    assert states == {1: "done", 2: "failed", 3: "failed", 4: "open", 5: "open", 6: "by hand"}


def test_list_ready_leaves_out_what_waits(rich):
    assert [row["step"] for row in rich.run("list", "--ready", "--json").json["steps"]] == [2]


def test_why_tells_the_gate(rich):
    assert "waits for the end of step 2" in rich.run("why", "4").out


def test_why_of_a_done_step_names_its_task(rich):
    task_id = rich.events("StepPassed", step=1)[0]["task_id"]
    assert f"passed as {task_id}" in rich.run("why", "1").out


def test_list_takes_the_word_of_validate(project):
    three(project)
    assert "not validated" in project.run("list").out
    project.run("validate")
    assert "not validated" not in project.run("list").out


def test_list_tells_what_runs_now(project):
    running = project.plan(s1=command("echo x >began; sleep 60")).start("--step", "1")
    project.until_there("began")
    state = project.run("list", "--json").json["steps"][0]["state"]
    project.run("stop", project.task_id())
    finish(running)
    assert state == "running"


def test_validate_warns_with_exit_0(project):
    project.plan(s1={**PASSES, "pre_flight": [check("a", "cat x | head")]})
    done = project.run("validate")
    assert (done.code, "warning: " in done.out, "0 errors" in done.out) == (0, True, True)


def test_validate_warns_of_what_this_version_cannot_run(project):
    project.plan(s1={"main": {"command": "true", "runner": "slurm"}})
    done = project.run("validate")
    assert (done.code, "runner 'slurm' is not part of this version" in done.out) == (0, True)


def test_validate_tells_every_error_with_its_place(project):
    project.plan(s1=PASSES)
    project.write("step_definitions.yaml", "step_1_a:\n  mian: {}\nstep_2_b:\n  main: {comand: x}\n")
    done = project.run("validate")
    assert (done.code, done.out.count("step_definitions.yaml:")) == (2, 2)
    assert "step_definitions.yaml:2:3: step_1_a.mian: unknown key 'mian'; did you mean main" in done.out


def test_validate_names_the_role_and_the_skill_that_are_not_there(project):
    project.run("init")
    bound = "success_criteria: [{criterion: c, file: x}]"
    project.write(
        "step_definitions.yaml",
        f"step_1_a:\n  main: {{agent: tinker-execut, {bound}}}\n"
        f"step_2_b:\n  main:\n    skills: [tinker]\n    agent: tinker-executor\n    {bound}\n",
    )
    done = project.run("validate")
    assert done.code == 0
    assert ":2:10: warning: step_1_a.main.agent: .claude/agents: no agent is called 'tinker-execut'" in done.out
    assert "there are tinker-executor; did you mean tinker-executor" in done.out
    assert ":5:5: warning: step_2_b.main.skills: skill tinker is missing" in done.out


def test_what_this_version_cannot_run_is_told_with_its_line(project):
    project.plan(spec="# Plan\n\n- [ ] **STEP 1**: A\n")
    project.write("step_definitions.yaml", "step_1_a:\n  main: {command: make, test: none, runner: slurm}\n")
    assert "step_definitions.yaml:2:3: warning: step_1_a.main: runner 'slurm'" in project.run("validate").out


def test_why_says_who_would_do_main(project):
    project.run("init")
    assert "  runner: command (the step has a script and names no agent)" in project.run("why", "1").out


def test_doctor_marks_what_is_not_there_and_no_fault(project):
    project.run("init")
    project.environ = {"PATH": "/usr/bin:/bin"}
    assert "– claude-code  claude is not on the PATH" in project.run("doctor").out


def test_a_plan_with_errors_does_not_run(project):
    three(project)
    project.write("step_definitions.yaml", "step_1_a: {main: {command: touch ran}, mian: 1}\n")
    assert (project.run("--step", "1").code, project.has("ran")) == (2, False)


def test_doctor_of_a_good_project_is_well(rich):
    assert rich.run("doctor").code == 0


def test_doctor_without_a_project_says_what_to_do(project):
    done = project.run("doctor")
    assert (done.code, "do-tasks init" in done.out) == (1, True)


def test_doctor_names_secrets_and_shows_none(rich):
    rich.environ = {"HF_TOKEN": "hf_abcdefgh12345678"}
    done = rich.run("doctor")
    rich.environ = {}
    assert ("HF_TOKEN" in done.out, "abcdefgh" in done.out) == (True, False)


# init


def test_init_makes_a_plan_that_runs(project):
    assert (project.run("init").code, project.run("validate").code, project.run("--continue").code) == (0, 0, 0)


def test_init_twice_overwrites_nothing(project):
    project.run("init")
    for name in ("SPEC.md", "step_definitions.yaml", "scripts/count_words.py"):
        project.write(name, f"mine: {name}")
    project.write("step_definitions.yaml", "step_1_mine: {main: {command: 'true'}}")
    before = {path: path.read_bytes() for path in project.root.rglob("*") if path.is_file()}
    assert project.run("init").code == 0
    assert {path: path.read_bytes() for path in project.root.rglob("*") if path.is_file()} == before


# log


def test_log_shows_one_task_alone(rich):
    task_id = rich.events("StepPassed", step=1)[0]["task_id"]
    lines = [json.loads(line) for line in rich.run("log", task_id, "--json").out.splitlines()]
    assert lines == [line for line in rich.lines() if line["task_id"] == task_id]


def test_log_reads_as_the_transcript_did(rich):
    task_id = rich.events("StepPassed", step=1)[0]["task_id"]
    assert set(rich.run("log", task_id).out.splitlines()) <= set(rich.done.out.splitlines())


@pytest.mark.parametrize("more", [[], ["--follow"], ["--json"]])
def test_log_of_an_unknown_task_is_refused(rich, more):
    assert rich.run("log", "task_1_00000000", *more).code == 2


def test_log_follows_a_living_run_to_its_verdict(project):
    project.plan(s1=command("until [ -e go ]; do sleep 0.05; done"))
    process = project.start("--step", "1")
    project.until_logged("MainStarted")
    following = project.start("log", project.task_id(), "--follow", "--json")
    assert '"TaskStarted"' in following.stdout.readline().decode()
    project.write("go", "")
    assert (finish(process).code, finish(following).out.count('"SpecTicked"')) == (0, 1)


def test_following_a_stopped_task_ends_too(project):
    project.plan(s1=command("sleep 300"))
    process = project.start("--step", "1")
    project.until_logged("MainStarted")
    process.kill()
    finish(process)
    following = project.start("log", project.task_id(), "--follow", "--json")
    following.stdout.readline()
    following.send_signal(signal.SIGSTOP)  # else it may see first that nobody watches the task
    project.run("stop", project.task_id())
    following.send_signal(signal.SIGCONT)
    assert '"cancelled"' in finish(following).out


def test_rotation_forgets_nothing(project):
    three(project, s2=FAILS).run("--continue")
    before = project.run("list", "--json").json["steps"]
    assert project.run("log", "--rotate").code == 0
    assert project.run("list", "--json").json["steps"] == before


def test_a_rotated_task_is_still_found(project):
    three(project).run("--step", "1")
    task_id = project.task_id()
    project.run("log", "--rotate")
    assert "StepPassed" in project.run("log", task_id, "--json").out


def test_a_rotated_log_keeps_its_bytes(project):
    three(project).run("--step", "1")
    before = project.text(".task_execution.log")
    project.run("log", "--rotate")
    assert project.text(".task_execution.log.1") == before


def test_the_newest_task_is_found_in_a_rotated_log(project):
    three(project).run("--step", "1")
    project.run("log", "--rotate")
    assert "task_1_" in project.run("log").out


# mark-done and reopen


@pytest.mark.parametrize("verb", ["mark-done", "reopen"])
def test_a_box_is_not_moved_without_a_person(project, verb):
    three(project)
    before = project.spec
    done = project.run(verb, "1")
    assert (done.code, "--by NAME --reason TEXT" in done.err, project.spec) == (2, True, before)


@pytest.mark.parametrize("verb", ["mark-done", "reopen"])
def test_nobody_moves_a_box_inside_a_task(project, verb):
    three(project).environ = {"DO_TASKS_TASK_ID": "task_1_00000000"}
    before = project.spec
    assert (project.run(verb, "1", "--by", "me", "--reason", "so").code, project.spec) == (2, before)


def test_an_agent_session_needs_a_name_and_a_reason(project):
    three(project).environ = {"CLAUDECODE": "1"}
    assert project.run("mark-done", "1", "--by", "me").code == 2


def test_a_named_person_ticks_by_hand(project):
    three(project)
    done = project.run("mark-done", "1", "--by", "me", "--reason", "seen it")
    assert (done.code, ticked(project), "✓ by hand" in project.spec) == (0, [1], True)
    assert project.event("StepMarkedDone")["reason"] == "seen it"


def test_reopen_makes_a_new_task(project):
    three(project).run("--step", "1")
    project.run("reopen", "1", "--by", "me", "--reason", "wrong data")
    project.run("--step", "1")
    assert (len({line["task_id"] for line in project.events("TaskStarted")}), project.text("ran")) == (2, "x\nx\n")


def test_a_step_that_is_not_there_is_told_before_the_person(project):
    assert "step 9 is not in SPEC.md" in three(project).run("mark-done", "9").err


def at_a_terminal(project, *words):
    """Run with standard input and output on a terminal; return what it showed."""
    ours, theirs = pty.openpty()
    process = project.start(*words, stdin=theirs, stdout=theirs)
    os.close(theirs)
    shown = b""
    while block := _read(ours):
        shown += block
    os.close(ours)
    return finish(process).code, shown.decode()


def _read(fd):
    try:
        return os.read(fd, 65536)
    except OSError:
        return b""


def test_a_person_at_a_terminal_may_tick(project):
    code, _ = at_a_terminal(three(project), "mark-done", "1")
    assert (code, ticked(project)) == (0, [1])


# schema


def test_the_schema_of_the_plan_accepts_the_plan(rich):
    schema = rich.run("schema").json
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(json.loads(rich.text("step_definitions.yaml")), schema)


def test_the_schema_of_events_accepts_a_real_log(rich):
    validator = jsonschema.Draft202012Validator(rich.run("schema", "--events").json)
    assert [error.message for line in rich.lines() for error in validator.iter_errors(line)] == []


def test_the_schema_of_events_refuses_a_wrong_line(rich):
    validator = jsonschema.Draft202012Validator(rich.run("schema", "--events").json)
    assert not validator.is_valid({**rich.lines()[0], "event": "StepPassed"})


# Places


def test_a_project_that_cannot_be_written_is_told(project):
    three(project).root.chmod(0o555)
    done = without_rights(project, "--step", "1")
    project.root.chmod(0o755)
    assert (done.code, "cannot" in done.err, project.has("ran")) == (6, True, False)


@pytest.mark.parametrize("words", [["list"], ["why", "1"], ["validate"], ["--dry-run", "--all"]])
def test_a_project_that_cannot_be_written_is_read(project, words):
    three(project).root.chmod(0o555)
    done = without_rights(project, *words)
    project.root.chmod(0o755)
    assert done.code == 0, done


def test_a_log_that_cannot_be_opened_stops_the_run_at_once(project):
    three(project).root.joinpath(".task_execution.log").mkdir()
    assert (project.run("--step", "1").code, project.has("ran")) == (6, False)


@pytest.mark.parametrize("kib", [0, 1, 2, 3])
def test_a_full_disk_is_told_and_goes_on_when_there_is_room(project, kib):
    project.plan(s1={**PASSES, "pre_flight": [check("a", r"head -c 9000 /dev/zero | tr '\0' a")]})
    line = f"ulimit -f {kib}; exec {sys.executable} -m executor --step 1"
    full = finish(project.start("-c", line, argv=("bash",)))
    assert (full.code, project.run("--continue").code, ticked(project)) == (6, 0, [1]), full


@pytest.mark.parametrize("words", [["list"], ["why", "1"], ["log"], ["--dry-run", "--all"]])
def test_state_of_somebody_else_does_not_stop_a_reader(project, words):
    three(project).run("--step", "1")
    project.write("step_definitions.yaml", project.text("step_definitions.yaml") + "\n")
    state = project.root / ".do-tasks"
    state.chmod(0o500)
    done = without_rights(project, *words)
    state.chmod(0o700)
    assert done.code == 0, done


@pytest.mark.first_rows(4)
@pytest.mark.parametrize("name", ["SPEC.md", "step_definitions.yaml"])
@pytest.mark.parametrize("words", [["list"], ["validate"], ["--continue"], ["--dry-run", "--all"], ["why", "1"]])
def test_an_empty_file_gives_no_traceback(project, name, words):
    three(project).write(name, "")
    done = project.run(*words)
    assert (done.code in (0, 2), "Traceback" in done.err) == (True, False)


def test_a_missing_spec_is_told_with_the_next_move(project):
    three(project).root.joinpath("SPEC.md").unlink()
    done = project.run("--continue")
    assert (done.code, "do-tasks init" in done.err) == (2, True)


@pytest.mark.parametrize("name", ["with spaces", "ünï ☃ 'quoted' \"x\" $HOME", b"latin-\xe9"])
def test_a_project_may_lie_anywhere(tmp_path, name):
    project = Project(tmp_path / os.fsdecode(name))
    project.write("my script.sh", "echo x >ran\n")
    project.plan(
        s1={
            "main": {"script": "my script.sh", "success_criteria": [{"criterion": "a", "file": "ran"}]},
            "pre_flight": [check("a b", r"head -c 5000 /dev/zero | tr '\0' a")],
        }
    )
    assert [project.run(*words).code for words in (["--step", "1"], ["list"], ["doctor"])] == [0, 0, 0]


def test_the_project_is_found_from_a_folder_below(project):
    three(project).write("deep/er/x", "")
    assert (project.run("--step", "1", "--project", "deep/er").code, ticked(project)) == (0, [1])


# Outputs


@pytest.mark.parametrize("words", [["list"], ["doctor"], ["why", "1"], ["log"]])
def test_an_output_that_knows_only_ascii_gets_its_lines(rich, words):
    rich.environ = {"PYTHONIOENCODING": "ascii"}
    done = rich.run(*words)
    rich.environ = {}
    assert (done.code, done.err) == (0, "")


def test_a_pipe_gets_no_escape_codes(rich):
    assert "\x1b" not in rich.done.out


def test_a_reader_that_leaves_is_no_error(project):
    boxes = "".join(f"- [ ] **STEP {number}**: {'x' * 500}\n" for number in range(1, 400))
    project.plan(spec=boxes, s1=PASSES)
    line = f"{sys.executable} -m executor list | head -1"
    done = finish(project.start("-c", line, argv=("bash",)))
    assert (done.err, done.out.startswith("[")) == ("", True)


def test_a_terminal_gets_colours(project):
    assert "\x1b[32m✓" in at_a_terminal(three(project), "--step", "1")[1]


@pytest.mark.parametrize("name", ["NO_COLOR", "CI"])
def test_a_terminal_that_wants_no_colours_gets_none(project, name):
    three(project).environ = {name: "1"}
    assert "\x1b[3" not in at_a_terminal(project, "--step", "1")[1]


def test_progress_is_a_bar_at_a_terminal(project):
    project.plan(s1=command("""echo '{"progress": {"done": 1, "total": 2}}'; sleep 0.6"""))
    assert "1/2" in at_a_terminal(project, "--step", "1")[1]


@pytest.mark.parametrize("words", [["lst"], ["--nonsense"], ["why"], ["--step"], ["log", "--rotate", "--nope"]])
def test_a_wrong_word_is_usage(project, words):
    done = three(project).run(*words)
    assert (done.code, "Traceback" in done.err) == (2, False)


def test_why_of_a_step_at_work_names_its_task_and_executor(project):
    slow = check("gate", "while [ -e hold ]; do sleep 0.05; done; exit 1")
    project.plan(s1={**command("echo done"), "pre_flight": [slow]})
    project.write("hold", "")
    process = project.start("--step", "1")
    project.until_logged("TaskStarted")
    told = project.run("why", "1").out
    assert f"{project.task_id()} is at work (executor: pid {process.pid}); if it were cut off now: interrupted" in told
    (project.root / "hold").unlink()
    finish(process)
    assert "is at work" not in project.run("why", "1").out
