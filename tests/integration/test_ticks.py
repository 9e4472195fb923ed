"""Holds what a tick is worth: evidence of this log, evidence elsewhere, lines that went back, moved or were missing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time

import pytest

from tests.integration.projects import Project, until

PROVEN = {"criterion": "There is a mark", "file": "mark"}


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path / "p")
    yield made
    made.write("end", "")  # a job that waits for it must not outlive a test that failed


def step(number, **more):
    """A step that adds its number to `ran`; `more` is added to its main."""
    return {"main": {"command": f"echo {number} >> ran", "test": "none", **more}}


def three(project):
    project.plan(s1=step(1), s2=step(2), s3=step(3))
    assert project.run("--continue").code == 0
    return project


def ran(project):
    return project.text("ran").split() if project.has("ran") else []


def ticks(project):
    return [row["tick"] for row in project.run("list", "--json").json["steps"]]


def states(project):
    return [row["state"] for row in project.run("list", "--json").json["steps"]]


def rewrite(project, old, new):
    assert old in project.spec
    project.write("SPEC.md", project.spec.replace(old, new))


def git(project, *words):
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", *who, *words], cwd=project.root, check=True, capture_output=True, timeout=300)


def committed(project):
    """The plan as git has it before anything ran."""
    project.plan(s1=step(1), s2=step(2), s3=step(3))
    project.write(".gitignore", ".do-tasks/\n.task_execution.log*\nran\n")
    git(project, "init", "-q")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "plan")
    assert project.run("--continue").code == 0
    return project


# What a tick says


@pytest.mark.parametrize(
    ("main", "post", "tick"),
    [
        ({}, [], "claimed"),
        ({"success_criteria": ["It is well"]}, [], "claimed"),
        ({"success_criteria": [PROVEN], "command": "echo 1 > mark"}, [], "proven"),
        ({"success_criteria": [PROVEN, "It is well"], "command": "echo 1 > mark"}, [], "claimed"),
        ({}, [{"task": "t", "command": "test -s ran"}], "proven"),
    ],
    ids=["exit code alone", "prose", "bound", "bound and prose", "a check"],
)
def test_a_tick_says_what_speaks_for_it(project, main, post, tick):
    project.plan(s1={**step(1, **main), "post_validation": post}).run("--continue")
    assert ticks(project) == [tick]


def test_a_claimed_criterion_has_another_mark_than_a_proven_one(project):
    project.plan(s1=step(1, command="echo 1 > mark", success_criteria=[PROVEN, "It is well"]))
    said = project.run("--continue").out
    assert "[POST] ✓ There is a mark: proven" in said
    assert "[POST] ? It is well: claimed" in said


def test_the_note_of_a_result_file_stands_in_the_tick(project):
    body = '{"criteria": {}, "metrics": {}, "note": "loss 0.12, lr 1e-3"}'
    project.plan(s1=step(1, command=f"echo '{body}' > $DO_TASKS_RESULT"))
    project.run("--continue")
    assert "(no criteria, note: loss 0.12, lr 1e-3)" in project.spec


# Evidence elsewhere


@pytest.mark.parametrize("line", ["task_1_deadbeef", "task_9_deadbeef", "nonsense"])
def test_an_invented_task_id_is_evidence_elsewhere(project, line):
    three(project)
    rewrite(project, project.events("StepPassed", step=1)[0]["task_id"], line)
    assert ticks(project)[0] == "elsewhere"
    assert "(evidence elsewhere)" in project.run("list").out


def test_a_tick_with_another_steps_id_is_said_to_be_that_steps(project):
    three(project)
    first, second = (project.events("StepPassed", step=number)[0]["task_id"] for number in (1, 2))
    rewrite(project, second, first)
    assert ticks(project)[1] == "elsewhere"
    assert f"ticked with {first}, a task of step 1" in project.run("why", "2").out


def test_strict_does_not_take_evidence_elsewhere_and_runs_nothing(project):
    three(project)
    rewrite(project, project.events("StepPassed", step=1)[0]["task_id"], "task_1_deadbeef")
    done = project.run("--continue", "--strict")
    assert (done.code, ran(project)) == (3, ["1", "2", "3"])
    assert "do-tasks recheck 1" in done.out


def test_a_run_says_which_ticks_have_their_evidence_elsewhere(project):
    three(project)
    (project.root / ".task_execution.log").unlink()
    assert "not in this log: step 1-3; do-tasks recheck 1-3" in project.run("--continue").out
    assert ran(project) == ["1", "2", "3"]


def test_a_copied_line_does_not_tick_its_new_step(project):
    three(project)
    second = next(line for line in project.spec.splitlines() if "STEP 2" in line)
    fourth = second.replace("STEP 2", "STEP 4")
    plan = {f"s{number}": step(number) for number in (1, 2, 3, 4)}
    project.plan(**plan, spec=f"{project.spec}{fourth}\n")
    assert ticks(project) == ["claimed", "claimed", "claimed", "elsewhere"]


def test_a_tick_for_a_task_that_failed_is_refused_and_the_first_move_loses_nothing(project):
    project.plan(s1={**step(1), "post_validation": [{"task": "t", "command": "test -e there"}]})
    project.run("--continue")
    task_id = project.event("StepFailed")["task_id"]
    project.write("SPEC.md", f"- [x] **STEP 1**: Title 1 ✓ [task_id: {task_id}] [2026-12-01 10:00] (2 proven)\n")
    refused = project.run("--continue")
    assert (refused.code, "--rerun" in refused.err) == (2, False)
    project.write("there", "")
    rewrite(project, "[x]", "[ ]")
    assert (project.run("--continue").code, ran(project)) == (0, ["1"])


# Recheck


def clone(project, tmp_path, *names):
    """Another project with the same plan, SPEC.md and these files, and neither log nor records."""
    other = Project(tmp_path / "clone")
    for name in ("SPEC.md", "step_definitions.yaml", *names):
        other.write(name, (project.root / name).read_bytes())
    return other


def checked(project):
    """Two steps that have passed: one all bound, one with a claim beside."""
    bound = step(1, command="echo 1 >> ran; echo 1 > mark", success_criteria=[PROVEN])
    mixed = step(2, success_criteria=["It is well"])
    project.plan(
        s1={**bound, "post_validation": [{"task": "t", "command": "test -s mark"}]},
        s2={**mixed, "post_validation": [{"task": "t", "command": "test -s ran"}]},
    )
    assert project.run("--continue").code == 0
    return project


def test_a_recheck_of_a_clone_asks_post_and_criteria_without_main(project, tmp_path):
    other = clone(checked(project), tmp_path, "mark", "ran")
    assert (ticks(other), other.run("recheck").code) == (["elsewhere", "elsewhere"], 0)
    assert (ticks(other), ran(other)) == (["rechecked", "rechecked"], ["1", "2"])
    assert other.spec.count("✓ rechecked [task_id: task_") == 2
    assert other.events("MainStarted") == []


def test_strict_takes_a_recheck_that_asked_every_criterion_alone(project, tmp_path):
    other = clone(checked(project), tmp_path, "mark", "ran")
    other.run("recheck")
    assert other.run("--step", "1", "--strict").code == 0
    assert other.run("--step", "2", "--strict").code == 3


def test_a_recheck_that_does_not_hold_leaves_the_tick(project, tmp_path):
    other = clone(checked(project), tmp_path, "ran")
    before = other.spec
    done = other.run("recheck", "1")
    assert (done.code, other.spec, ticks(other)[0]) == (1, before, "elsewhere")
    assert "does not hold" in done.out


def test_a_recheck_of_a_step_with_its_own_evidence_keeps_its_mark(project):
    before = checked(project).spec
    assert (project.run("recheck").code, project.spec, ticks(project)[0]) == (0, before, "proven")
    assert [line["status"] for line in project.events("StepRechecked")] == ["passed", "passed"]


def test_a_forged_recheck_is_evidence_elsewhere(project):
    project.plan(
        s1=step(1), spec="- [x] **STEP 1**: T ✓ rechecked [task_id: task_1_deadbeef] [2026-12-01 10:00] (9 proven)\n"
    )
    assert (ticks(project), project.run("--continue", "--strict").code) == (["elsewhere"], 3)


def test_what_nothing_but_main_can_prove_is_not_rechecked(project, tmp_path):
    other = clone(three(project), tmp_path)
    done = other.run("recheck", "--json")
    assert [row["verdict"] for row in done.json["steps"]] == ["skipped"] * 3
    assert ticks(other) == ["elsewhere"] * 3


def test_a_recheck_of_an_open_step_is_refused(project):
    project.plan(s1=step(1))
    assert project.run("recheck", "1").code == 2


# Lines that went back with their file


def back_by_stash(project):
    git(project, "stash", "-q")


def back_by_checkout(project):
    git(project, "checkout", "-q", "--", "SPEC.md")


def back_by_restore(project):
    git(project, "restore", "SPEC.md")


def back_by_reset(project):
    git(project, "reset", "-q", "--hard")


def back_by_switch(project):
    git(project, "commit", "-qam", "ticks")
    git(project, "checkout", "-q", "-b", "other", "HEAD~1")


def back_by_copy(project):
    boxes = "".join(f"- [ ] **STEP {number}**: Title {number}\n" for number in (1, 2, 3))
    project.write("SPEC.md", f"# Plan\r\n\r\n{boxes}".replace("- [", "* [").replace("\n", "\r\n"))


@pytest.mark.first_rows(4)
@pytest.mark.parametrize(
    "back",
    [back_by_stash, back_by_checkout, back_by_restore, back_by_reset, back_by_switch, back_by_copy],
    ids=lambda back: back.__name__,
)
@pytest.mark.parametrize("words", [["--continue"], ["--all"], ["--step", "1"]], ids=" ".join)
def test_a_file_that_went_back_is_asked_about_and_nothing_runs_twice(project, back, words):
    back(committed(project))
    done = project.run(*words)
    assert (done.code, ran(project)) == (3, ["1", "2", "3"])
    assert "do-tasks retick 1" in done.out
    assert "do-tasks reopen 1" in done.out


def test_retick_ticks_again_from_the_log(project):
    before = committed(project).spec
    back_by_checkout(project)
    assert states(project) == ["went back"] * 3
    assert project.run("retick").code == 0
    stamp = re.compile(r"\[\d{4}-[^]]*\]")
    assert (stamp.sub("", project.spec), ticks(project)) == (stamp.sub("", before), ["claimed"] * 3)
    assert (project.run("--continue").code, ran(project)) == (0, ["1", "2", "3"])


def test_reopen_of_a_line_that_went_back_runs_it_again(project):
    back_by_checkout(committed(project))
    project.run("retick", "1", "3")
    project.run("reopen", "2", "--by", "me", "--reason", "again")
    assert (project.run("--continue").code, ran(project)) == (0, ["1", "2", "3", "2"])


def test_a_line_that_went_back_to_an_earlier_failure_is_asked_about_too(project):
    project.plan(s1={**step(1), "post_validation": [{"task": "t", "command": "test -e there"}]})
    project.run("--continue")
    failed = project.spec
    project.write("there", "")
    project.run("--continue")
    project.write("SPEC.md", failed)
    assert (project.run("--continue").code, ran(project)) == (3, ["1"])


def test_a_mark_of_a_start_that_comes_back_from_another_branch_is_asked_about_and_trains_no_second_time(project):
    project.plan(s1={"main": {**JOB, "command": "echo job >> ran; until test -e end; do sleep 0.05; done"}})
    opened = project.spec
    project.run("--step", "1", "--no-wait")
    started = project.spec
    project.write("SPEC.md", opened)  # a branch from before the start: there it is ticked from an open box
    project.write("end", "")
    assert (project.run("--continue").code, "[x]" in project.spec) == (0, True)
    project.write("SPEC.md", started)
    assert (project.run("--continue").code, ran(project)) == (3, ["job"])
    assert (project.run("retick", "1").code, "[x]" in project.spec) == (0, True)


def test_a_box_opened_by_hand_runs_again(project):
    three(project)
    rewrite(project, "- [x] **STEP 2**", "- [ ] **STEP 2**")
    assert (project.run("--continue").code, ran(project)) == (0, ["1", "2", "3", "2"])


def test_retick_refuses_what_the_log_does_not_know_as_passed(project):
    project.plan(s1=step(1))
    refused = project.run("retick", "1")
    assert (refused.code, "- [ ]" in project.spec) == (2, True)


# Lines that were missing


def without(project, number):
    kept = [line for line in project.spec.splitlines() if f"STEP {number}" not in line]
    project.write("SPEC.md", "\n".join(kept) + "\n")


def test_a_line_that_comes_back_by_append_is_ticked_from_the_log(project):
    without(three(project), 2)
    assert project.run("--continue", "--append").code == 0
    assert (ticks(project), ran(project)) == (["claimed"] * 3, ["1", "2", "3"])


def test_a_line_that_comes_back_by_hand_is_ticked_from_the_log(project):
    without(three(project), 2)
    assert project.run("--continue").code == 2
    project.write("SPEC.md", f"{project.spec}- [ ] **STEP 2**: Another title\n")
    assert (project.run("--continue").code, ran(project)) == (0, ["1", "2", "3"])
    assert ticks(project) == ["claimed"] * 3


def test_a_missing_line_is_told_once(project):
    without(three(project), 2)
    project.run("--continue")
    project.run("--continue")
    assert len(project.events("SpecLineMissing")) == 1


# Numbers


def inserted(project):
    """A new step 2; the old steps 2 and 3 are 3 and 4 now, their ticks moved along."""
    three(project)
    moved = project.spec.replace("STEP 3", "STEP 4").replace("STEP 2", "STEP 3").splitlines()
    at = next(place for place, line in enumerate(moved) if "STEP 1" in line)
    moved.insert(at + 1, "- [ ] **STEP 2**: New")
    plan = {"s1": step(1), "s2": step("new"), "s3": step(2), "s4": step(3)}
    return project.plan(**plan, spec="\n".join(moved) + "\n")


def test_a_renumbered_step_is_known_by_its_task(project):
    inserted(project)
    rows = project.run("list", "--json").json["steps"]
    assert [(row["tick"], row["state"]) for row in rows] == [
        ("claimed", "done"),
        (None, "open"),
        ("claimed", "done"),
        ("claimed", "done"),
    ]
    assert rows[1]["task_id"] == ""
    assert "not run before" in project.run("why", "2").out


def test_only_the_new_step_runs_after_a_renumbering(project):
    assert inserted(project).run("--continue").code == 0
    assert ran(project) == ["1", "2", "3", "new"]
    assert (ticks(project), project.run("--continue").code) == (["claimed"] * 4, 0)
    assert ran(project) == ["1", "2", "3", "new"]


def test_steps_that_changed_places_keep_their_ticks(project):
    three(project)
    project.write(
        "SPEC.md", project.spec.replace("STEP 2", "STEP 0").replace("STEP 3", "STEP 2").replace("STEP 0", "STEP 3")
    )
    project.plan(s1=step(1), s2=step(3), s3=step(2), spec=project.spec)
    assert (project.run("--continue").code, ran(project), ticks(project)) == (0, ["1", "2", "3"], ["claimed"] * 3)


def test_a_job_that_is_renumbered_while_it_runs_is_ticked_where_its_line_is(project):
    job = {
        "main": {
            "command": "echo job >> ran; until test -e end; do sleep 0.05; done",
            "test": "none",
            "mode": "background",
        }
    }
    project.plan(s1=step(1), s2=job)
    assert project.run("--continue").code == 0
    rewrite(project, "STEP 2", "STEP 3")
    spec = project.spec.replace("- [~]", "- [ ] **STEP 2**: New\n- [~]")
    project.plan(s1=step(1), s2=step("new"), s3=job, spec=spec)
    assert project.run("--continue", "--no-wait").code == 0
    project.write("end", "")
    until(lambda: project.events("StepPassed", step=2) and "- [x] **STEP 3**" in project.spec, "it was never ticked")
    assert (project.run("--continue").code, ran(project)) == (0, ["1", "job", "new"])
    assert ticks(project) == ["claimed"] * 3


def test_a_job_that_is_renumbered_keeps_its_supervisor_and_can_be_stopped(project):
    command = "echo job >> ran; until test -e end; do sleep 0.05; done"
    job = {"main": {"command": command, "test": "none", "mode": "background"}}
    project.plan(s1=step(1), s2=job)
    assert project.run("--continue").code == 0
    spec = project.spec.replace("STEP 2", "STEP 3").replace("- [~]", "- [ ] **STEP 2**: New\n- [~]")
    project.plan(s1=step(1), s2=step("new"), s3=job, spec=spec)
    assert project.run("--step", "2").code == 0
    os.kill(project.events("SupervisorStarted")[-1]["pid"], signal.SIGKILL)
    assert project.run("--continue", "--no-wait").code == 0
    until(lambda: len(project.events("SupervisorStarted")) == 2, "no second supervisor")
    assert project.run("stop", project.events("JobStarted")[0]["task_id"]).code == 0
    until(lambda: project.events("StepFailed"), "no verdict")
    assert (project.event("StepFailed")["status"], ran(project)) == ("cancelled", ["1", "job", "new"])
    assert "- [ ] **STEP 3**: Title 2 ✗ Failed" in project.spec


# Order


def test_the_order_of_the_log_decides_whatever_the_clock_says(project):
    project.plan(s1=step(1), s2={**step(2), "depends_on": [1]}).run("--continue")
    log = project.root / ".task_execution.log"
    ahead = re.sub(r'"timestamp": "\d{4}', '"timestamp": "2099', log.read_text())
    log.write_text(ahead)
    (project.root / ".do-tasks" / "state.json").unlink(missing_ok=True)
    project.run("--step", "1", "--rerun")
    assert (project.run("--continue").code, ran(project)) == (0, ["1", "2", "1", "2"])


# Jobs


JOB = {"command": "echo job >> ran; sleep 0.1", "test": "none", "mode": "background"}


def ended(project):
    assert project.run("--monitor", "--until", "finished", "--timeout", "300").code in (0, 4)


def test_a_job_that_exited_0_is_not_started_again_after_its_post_failed(project):
    project.plan(s1={"main": JOB, "post_validation": [{"task": "t", "command": "test -e there"}]}).run("--continue")
    ended(project)
    project.write("there", "")
    assert (project.run("--continue").code, ran(project), ticks(project)) == (0, ["job"], ["proven"])


def ruined(project, **monitor):
    """A training whose loss is NaN to its end, with exit 0."""
    rows = "for i in 1 2 3 4 5 6; do echo '{\"step\": '$i', \"loss\": NaN}' >> m.jsonl; sleep 0.3; done"
    watched = {"task": "m", "metrics": "m.jsonl", "interval": 0.1, "rules": ["nan"], **monitor}
    project.plan(s1={"main": {**JOB, "command": f"echo job >> ran; {rows}"}, "background": [watched]})
    project.run("--continue", "--no-wait")
    ended(project)
    until(lambda: project.events("StepPassed") or project.events("StepFailed"), "no verdict")
    return project


def test_a_loss_that_is_nan_at_the_end_is_no_pass(project):
    assert "alert m/nan stood at the end" in ruined(project).event("StepFailed")["reason"]
    assert "- [ ]" in project.spec


def test_a_nan_at_the_end_is_not_judged_again_on_the_same_main(project):
    ruined(project)
    project.run("--continue", "--no-wait")
    assert ran(project) == ["job", "job"]
    ended(project)


def test_a_monitor_may_note_what_stands_at_the_end(project):
    ruined(project, at_end="note")
    assert "alert m/nan stood at the end" in project.event("StepPassed")["note"]


def test_a_person_who_takes_the_nan_afterwards_does_not_train_again(project):
    ruined(project)
    text = project.text("step_definitions.yaml").replace('"rules"', '"at_end": "note", "rules"')
    project.write("step_definitions.yaml", text)
    assert (project.run("--continue").code, ran(project)) == (0, ["job"])


# Two clones, two names of one folder


def test_two_clones_side_by_side_do_not_meet(project, tmp_path):
    three(project)
    other = clone(project, tmp_path)
    assert other.run("--step", "1", "--rerun").code == 0
    assert (ran(project), ran(other), ticks(project)) == (["1", "2", "3"], ["1"], ["claimed"] * 3)
    assert ticks(other) == ["claimed", "elsewhere", "elsewhere"]


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o777])
def test_any_umask_leaves_records_that_can_be_read_again(project, mask):
    project.plan(s1=step(1), s2=step(2))
    assert project.run("--step", "1", umask=mask).code == 0
    assert project.run("list", umask=mask).code == 0
    assert (project.root / ".do-tasks" / "jobs").stat().st_mode & 0o077 == 0
    assert time.time() - os.stat(project.root / "SPEC.md").st_mtime < 3600


def test_retick_without_a_step_leaves_a_box_that_a_person_opened(project):
    three(project)
    rewrite(project, "- [x] **STEP 2**", "- [ ] **STEP 2**")
    assert (project.run("retick").code, states(project)[1]) == (0, "open")


# What an attack found


def test_a_tick_that_was_moved_to_another_step_is_not_enough_for_strict(project):
    proof = [{"criterion": "There", "command": "test -s ran"}]
    alpha, beta = step("alpha", success_criteria=proof), step("beta", success_criteria=proof)
    project.plan(s1=alpha, s2={**beta, "depends_on": []}, settings={"strict": True})
    assert project.run("--step", "1").code == 0
    rewrite(project, "STEP 2", "STEP 0")
    rewrite(project, "STEP 1", "STEP 2")
    rewrite(project, "STEP 0", "STEP 1")
    done = project.run("--step", "2")
    assert (done.code, ran(project)) == (3, ["alpha"])


def test_a_clone_of_a_plan_whose_job_runs_begins_no_second_training(project, tmp_path):
    job = {"main": {**JOB, "command": "echo job >> ran; until test -e end; do sleep 0.05; done"}}
    project.plan(s1=job).run("--continue", "--no-wait")
    other = clone(project, tmp_path)
    done = other.run("--continue", "--no-wait")
    assert (done.code, ran(other)) == (3, [])
    assert "do-tasks reopen 1" in done.out
    other.run("reopen", "1", "--by", "me", "--reason", "it died there")
    other.write("end", "")
    assert (other.run("--continue", "--no-wait").code, ran(other)) == (0, ["job"])


def test_a_step_whose_job_runs_is_not_opened(project):
    job = {"main": {**JOB, "command": "echo job >> ran; until test -e end; do sleep 0.05; done"}}
    project.plan(s1=job).run("--continue", "--no-wait")
    refused = project.run("reopen", "1", "--by", "me", "--reason", "again")
    assert (refused.code, "do-tasks stop task_1_" in refused.err, "- [~]" in project.spec) == (2, True, True)


@pytest.mark.parametrize("last", ['{"step": 3, "loss": NaN}', "3,nan"], ids=["json lines", "csv"])
def test_a_last_row_without_a_line_end_is_seen_when_the_job_has_ended(project, last):
    name = "m.jsonl" if last.startswith("{") else "m.csv"
    first = (
        '{"step": 1, "loss": 0.5}\\n{"step": 2, "loss": 0.5}\\n'
        if name == "m.jsonl"
        else "step,loss\\n1,0.5\\n2,0.5\\n"
    )
    watched = {"task": "m", "metrics": name, "interval": 0.1, "rules": ["nan"]}
    text = f"printf '{first}' > {name}; sleep 1; printf '{last}' >> {name}"
    project.plan(s1={"main": {**JOB, "command": text}, "background": [watched]}).run("--continue", "--no-wait")
    ended(project)
    assert "m/nan stood at the end" in project.event("StepFailed")["reason"]


def test_a_link_to_what_was_there_before_is_no_evidence(project):
    project.write("old/y", "weights")
    project.write("ck/step_1", "first")
    found = [{"criterion": "Saved", "file": "ck/step_2"}]
    time.sleep(0.05)
    project.plan(s1=step(1, command="ln -s ../old/y ck/step_2", success_criteria=found))
    assert project.run("--continue").code == 1
    project.plan(s1=step(1, command="rm -f ck/step_2; echo new > w; ln -s ../w ck/step_2", success_criteria=found))
    assert project.run("--continue").code == 0
