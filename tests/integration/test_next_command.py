"""What was asked for is gone on with: each `resume` names the next command, until nothing is left."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from executor.store.log_witness import digest_of
from tests.integration.projects import Project, command
from tests.integration.terminals import Terminal


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path / "p")


def hosted(number, **more):
    """A step whose MAIN whoever called does: it writes one file."""
    criteria = [{"criterion": "It is there", "file": f"{number}.txt"}]
    return {"main": {"runner": "host", "objective": f"Write {number}.txt", "success_criteria": criteria}, **more}


def scripted(number, **more):
    """A step that a command does, unless another runner is asked for."""
    step = command(f"echo {number} >{number}.txt", **more)
    step["main"]["success_criteria"] = [{"criterion": "It is there", "file": f"{number}.txt"}]
    return step


def task_of(project):
    return project.events("BriefGiven")[-1]["task_id"]


def do_work(project):
    given = project.events("BriefGiven")[-1]
    project.write(f"{given['step']}.txt", f"{given['step']}\n")
    return given["task_id"]


def resumed(project, *more):
    return project.run("resume", do_work(project), *more)


def next_of(done):
    """The command in the last line of a transcript, empty when it names none."""
    *_, last = done.out.rstrip("\n").splitlines()
    return last.removeprefix("Next: ") if last.startswith("Next: ") else ""


def handed_in(project, transcript):
    """Do the work of the last brief of a transcript, and return the command that the transcript names for it."""
    command_line = re.findall(r"^When the work is done: (.*)$", transcript, re.MULTILINE)[-1]
    number = re.search(r"task_(\d+)_", command_line)[1]
    project.write(f"{number}.txt", f"{number}\n")
    return command_line


def to_the_end(project, *words, most=12):
    """Follow what is named, as one who knows nothing else, and return the commands that were run."""
    ran = []
    asked = shlex.join(["do-tasks", *words])
    while asked and len(ran) < most:
        ran.append(asked)
        done = project.run(*shlex.split(asked)[1:])
        if done.code == 3:
            asked = handed_in(project, done.out)
        else:
            assert done.code == 0, done
            asked = next_of(done)
    return ran


@pytest.mark.first_rows(2)
@pytest.mark.parametrize(
    "words",
    [
        ["--step", "1-3"],
        ["--step", "1,2,3"],
        ["--step", "1-3", "--force", "--strict"],
        ["--continue"],
        ["--all", "--keep-going"],
    ],
    ids=" ".join,
)
def test_a_selection_goes_to_its_end(project, words):
    project.plan(s1=hosted(1), s2=scripted(2), s3=hosted(3))
    ran = to_the_end(project, *words)
    assert project.spec.count("[x]") == 3
    again = shlex.join(["do-tasks", *words])
    assert ran[0] == again
    assert {line for line in ran if "resume" not in line} == {again}


def test_the_runner_that_was_asked_for_is_asked_for_again(project):
    project.plan(s1=scripted(1), s2=scripted(2)).run("--runner", "host", "--step", "1-2")
    assert next_of(resumed(project)) == "do-tasks --step 1-2 --runner host"


def test_where_nothing_is_left_that_is_said(project):
    project.plan(s1=hosted(1), s2=hosted(2), s3=hosted(3)).run("--step", "1")
    done = resumed(project)
    assert (done.code, next_of(done)) == (0, "")
    assert done.out.rstrip("\n").endswith("Nothing is left of --step 1.")


def test_json_names_the_next_command_too(project):
    project.plan(s1=hosted(1), s2=hosted(2))
    run = project.run("--step", "1-2", "--json")
    assert (run.code, run.json["next"]) == (3, f"do-tasks resume {task_of(project)}")
    first = resumed(project, "--json")
    assert (first.code, first.json["next"]) == (0, "do-tasks --step 1-2")
    assert project.run("--step", "1-2", "--json").json["next"] == f"do-tasks resume {task_of(project)}"
    assert resumed(project, "--json").json["next"] is None
    assert project.run("--step", "1-2", "--json").json["next"] is None


def test_another_round_is_resumed_again_and_its_brief_says_what_was_wrong(project):
    project.plan(s1=hosted(1), s2=hosted(2)).run("--step", "1-2")
    done = project.run("resume", task_of(project), "--json")
    assert (done.code, done.json["next"]) == (3, f"do-tasks resume {task_of(project)}")
    assert "criterion 'It is there'" in done.json["steps"][0]["brief"]["found"]
    text = project.text(f".do-tasks/jobs/{task_of(project)}/main.1/brief.md")
    assert "## What was found wrong of the last answer\n```text\ncriterion 'It is there'" in text
    assert next_of(resumed(project)) == "do-tasks --step 1-2"


def test_a_step_that_failed_for_good_is_mended_first(project):
    project.plan(settings={"judge": {"rounds": 1}}, s1=hosted(1), s2=hosted(2)).run("--step", "1-2")
    done = project.run("resume", task_of(project))
    assert (done.code, next_of(done)) == (1, "")
    assert done.out.rstrip("\n").endswith("After the fix: do-tasks --step 1-2")


def test_a_step_that_fails_in_the_middle_stops_the_run(project):
    project.plan(s1=hosted(1), s2=command("false"), s3=hosted(3)).run("--step", "1-3")
    resumed(project)
    done = project.run("--step", "1-3", "--json")
    assert (done.code, done.json["next"]) == (1, "do-tasks --step 1-3")
    assert not project.events("BriefGiven", step=3)


def test_a_task_that_has_passed_is_already_done(project):
    project.plan(s1=hosted(1), s2=hosted(2)).run("--step", "1-2")
    first = do_work(project)
    project.run("resume", first)
    before = project.lines()
    done = project.run("resume", first)
    assert (done.code, "is already done" in done.out, next_of(done)) == (0, True, "do-tasks --step 1-2")
    again = project.run("resume", first, "--json")
    assert (again.json["steps"][0]["already_done"], again.json["next"]) == (True, "do-tasks --step 1-2")
    assert project.lines() == before


def test_a_task_that_is_over_without_passing_is_not_resumed(project):
    project.plan(settings={"judge": {"rounds": 1}}, s1=hosted(1)).run("--step", "1")
    assert [project.run("resume", task_of(project)).code for _ in range(2)] == [1, 2]


def test_strict_holds_for_the_work_of_the_brief(project):
    main = {"runner": "host", "objective": "Rhyme", "success_criteria": ["It rhymes"]}
    project.plan(settings={"judge": {"rounds": 1}}, s1={"main": main}).run("--step", "1", "--strict")
    claim = {"criteria": {"It rhymes": {"met": True, "evidence": "it does"}}}
    project.write(f".do-tasks/jobs/{task_of(project)}/main.1/result.json", json.dumps(claim))
    done = project.run("resume", task_of(project))
    assert (done.code, "is only claimed" in done.out) == (1, True)


# How steps are named


@pytest.mark.parametrize("which", ["alpha", "al pha 'x' \"y\" $(touch bad) 🎉", "-first"])
def test_a_name_is_asked_for_as_it_was(project, which):
    step = hosted(1)
    spec = f"# Plan\n\n- [ ] **STEP 1**: {which}\n- [ ] **STEP 2**: Other\n"
    project.plan(spec=spec, s1=step, s2=hosted(2)).run(f"--step={which},2")
    words = shlex.split(next_of(resumed(project)))
    assert " ".join(words).replace("=", " ") == f"do-tasks --step {which},2"
    assert project.run(*words[1:]).code == 3
    assert task_of(project).startswith("task_2_")
    assert not project.has("bad")


def test_steps_that_are_not_defined_are_named_at_the_end(project):
    spec = "".join(f"- [ ] **STEP {number}**: Title\n" for number in (1, 2, 3))
    project.plan(spec=spec, s1=hosted(1), s3=hosted(3)).run("--step", "1-3")
    assert next_of(resumed(project)) == "do-tasks --step 1-3"
    project.run("--step", "1-3")
    assert resumed(project).out.rstrip("\n").endswith("left of --step 1-3.\nNot defined, so not run: step 2.")


def test_a_name_that_is_gone_is_said_by_the_command_itself(project):
    project.plan(s1={**hosted(1), "slug": "alpha"}, s2={**hosted(2), "slug": "beta"}).run("--step", "alpha,beta")
    task = do_work(project)
    project.plan(spec=project.spec, s1={**hosted(1), "slug": "alpha"}, s2={**hosted(2), "slug": "gamma"})
    done = project.run("resume", task)
    assert (done.code, next_of(done)) == (0, "do-tasks --step alpha,beta")
    told = project.run(*shlex.split(next_of(done))[1:])
    assert (told.code, "no step is called 'beta'" in told.err) == (2, True)


def test_a_rerun_takes_the_steps_behind_and_ends(project):
    project.plan(s1=scripted(1), s2=scripted(2), s3=scripted(3)).run("--all")
    ran = to_the_end(project, "--all", "--rerun", "--runner", "host")
    assert [line for line in ran if "resume" not in line] == [
        "do-tasks --all --rerun --runner host",
        "do-tasks --step 2-3 --runner host --rerun",
        "do-tasks --step 3 --runner host --rerun",
    ]
    assert len(project.events("SpecTicked")) == 6


def test_a_task_of_a_step_that_was_renumbered_is_known_by_its_id(project):
    project.plan(s1={**hosted(1), "slug": "a"}, s2={**hosted(2), "slug": "b"}).run("--step", "1-2")
    first = do_work(project)
    assert project.run("resume", first).code == 0
    line = project.spec.splitlines()[2].replace("STEP 1", "STEP 3")
    spec = f"- [ ] **STEP 1**: New\n- [ ] **STEP 2**: Title 2\n{line}\n"
    project.plan(spec=spec, s1=command("true"), s2={**hosted(2), "slug": "b"}, s3={**hosted(1), "slug": "a"})
    done = project.run("resume", first)
    assert (done.code, "Step 3 is already done" in done.out, next_of(done)) == (0, True, "do-tasks --step 1-2")


# Where it is called from


def test_the_folder_of_the_plan_is_named_where_it_was_named(project):
    project.plan(s1=hosted(1), s2=hosted(2))
    outside = {"cwd": project.root.parent}
    given = project.run("--project", "p", "--step", "1-2", **outside)
    assert f"When the work is done: do-tasks resume {task_of(project)} --project p\n" in given.out
    done = project.run("resume", do_work(project), "--project", "p", **outside)
    assert next_of(done) == "do-tasks --step 1-2 --project p"
    assert project.run(*shlex.split(next_of(done))[1:], **outside).code == 3


def test_a_folder_below_knows_the_plan_above(project):
    project.plan(s1=hosted(1), s2=hosted(2)).run("--step", "1-2")
    (project.root / "below").mkdir()
    done = project.run("resume", do_work(project), cwd=project.root / "below")
    assert next_of(done) == "do-tasks --step 1-2"


# What others do meanwhile


def test_a_brief_that_is_asked_for_again_goes_on_with_the_newer_selection(project):
    project.plan(s1=hosted(1), s2=hosted(2)).run("--step", "1")
    project.run("--continue")
    assert next_of(resumed(project)) == "do-tasks --continue"
    assert len(project.events("BriefRepeated")) == 1


def test_a_brief_that_is_asked_for_again_in_the_same_words_changes_nothing(project):
    project.plan(s1=hosted(1), s2=hosted(2)).run("--step", "1")
    project.run("--step", "1")
    assert not project.events("BriefRepeated")


def test_two_briefs_that_are_out_are_handed_in_one_after_the_other(project):
    independent = {"depends_on": []}
    project.plan(s1=hosted(1, **independent), s2=hosted(2, **independent))
    done = project.run("--all", "--keep-going", "--json")
    first, second = (line["task_id"] for line in project.events("BriefGiven"))
    assert done.json["next"] == f"do-tasks resume {first}"
    project.write("1.txt", "1\n")
    project.write("2.txt", "2\n")
    assert next_of(project.run("resume", second)) == "do-tasks --all --keep-going"
    assert project.run("--all", "--keep-going", "--json").json["next"] == f"do-tasks resume {first}"
    assert next_of(project.run("resume", first)) == ""
    assert project.spec.count("[x]") == 2


def test_what_another_terminal_did_is_not_asked_for(project):
    project.plan(s1=hosted(1), s2=scripted(2)).run("--step", "1-2")
    task = do_work(project)
    assert project.run("--step", "2").code == 0
    assert next_of(project.run("resume", task)) == ""


def test_a_tick_by_hand_is_no_end_of_the_selection(project, tmp_path):
    terminal = Terminal(tmp_path / "terminal", project)
    project.plan(s1=hosted(1), s2=hosted(2)).run("--step", "1-2")
    task = do_work(project)
    code, shown = terminal.run("mark-done", "1", "--by", "me", "--reason", "seen", answer="1")
    assert code == 0, shown
    terminal.close()
    done = project.run("resume", task)
    assert (done.code, next_of(done)) == (0, "do-tasks --step 1-2")


def test_a_job_that_runs_is_not_asked_for_again(project):
    project.plan(s1={"main": {"command": "sleep 60", "mode": "background"}}, s2=hosted(2, depends_on=[]))
    assert project.run("--step", "1-2").code == 3
    try:
        done = resumed(project)
        assert (done.code, next_of(done)) == (0, "")
    finally:
        project.run("stop", project.event("JobStarted")["task_id"])


def asked_instead(project, words):
    """Have the log say that something else was asked for, in lines that do-tasks takes for its own."""
    lines = [{**line, "asked": words} if line.get("asked") else line for line in project.lines()]
    texts = [json.dumps(line) for line in lines]
    project.write(".task_execution.log", "".join(f"{text}\n" for text in texts))
    noted = "".join(f"{digest_of(text.encode())} {line['event']}\n" for text, line in zip(texts, lines, strict=True))
    (path,) = Path(f"{project.root}.state").rglob("*.lines")
    path.write_text(noted)


def test_a_brief_of_before_is_resumed_all_the_same(project):
    project.plan(s1=hosted(1), s2=hosted(2)).run("--step", "1-2")
    asked_instead(project, "")
    done = resumed(project, "--json")
    assert (done.code, done.json["next"]) == (0, None)


def test_words_in_the_log_that_are_no_selection_are_not_passed_on(project):
    project.plan(s1=hosted(1), s2=hosted(2)).run("--step", "1-2")
    asked_instead(project, "--step 1; rm -rf x")
    done = resumed(project)
    assert (done.code, "rm -rf" in done.out) == (0, False)


def test_an_interrupted_judgement_is_asked_for_again(project):
    slow = {"task": "slow", "command": "echo $$ >pid; test -e fast || sleep 60"}
    project.plan(s1=hosted(1, post_validation=[slow]), s2=hosted(2)).run("--step", "1-2")
    running = project.start("resume", do_work(project))
    project.until_there("pid")
    running.send_signal(2)
    out, _ = running.communicate(timeout=300)
    assert f"To check the work: do-tasks resume {task_of(project)}\n" in out.decode()
    project.write("fast", "")
    assert next_of(resumed(project)) == "do-tasks --step 1-2"


def test_an_interrupted_selection_goes_on_with_itself(project):
    project.plan(s1=command("echo $$ >pid; sleep 60"), s2=command("true"), s3=command("true"))
    running = project.start("--step", "1-2")
    project.until_there("pid")
    running.send_signal(2)
    out, _ = running.communicate(timeout=300)
    assert b"Interrupted in step 1. To continue: do-tasks --step 1-2\n" in out
