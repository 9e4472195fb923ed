"""A ticked step says what of it has changed since it passed, and is run again where that is asked for."""

from __future__ import annotations

import json
import os

import pytest

from tests.integration.projects import Project, until

READS = (
    'import sys, lib.x\nopen("ran.txt", "a").write(" ".join(sys.argv[1:]) + "\\n")\nopen("out.txt", "w").write("1")\n'
)
MAIN = {"script": "a.py", "args": ["one"], "test": "none", "inputs": ["data/*"], "outputs": ["out.txt"]}
POST = [{"task": "a", "command": "true"}, {"task": "b", "command": "test -f out.txt", "timeout": 5}]
CRITERIA = [{"criterion": "It is there", "file": "out.txt"}]
LARGE = (1 << 20) + 1


def written(project, *, settings=None, main=None, post=POST, **step):
    body = {"title": "Title 1", "main": {**MAIN, "success_criteria": CRITERIA, **(main or {})}}
    body["post_validation"] = post
    plan = {
        "step_1_one": {**body, **step},
        "step_2_two": {"depends_on": [1], "main": {"command": "true", "test": "none"}},
    }
    plan |= {"settings": settings} if settings else {}
    project.write("step_definitions.yaml", json.dumps(plan))
    return plan


@pytest.fixture
def project(tmp_path):
    here = Project(tmp_path / "a project")
    here.write("scripts/a.py", READS)
    here.write("scripts/lib/x.py", "V = 1\n")
    here.write("data/x.csv", "1\n")
    here.write("data/large.bin", b"0" * LARGE)
    here.write("SPEC.md", "- [ ] **STEP 1**: Title 1\n- [ ] **STEP 2**: Two\n")
    written(here)
    assert here.run("--step", "1").code == 0
    return here


def changed(project, number=1):
    return project.run("list", "--json").json["steps"][number - 1]["changed"]


def ran(project):
    return len(project.text("ran.txt").splitlines())


def aged(path):
    os.utime(path, ns=(1_000_000_000, 1_000_000_000))


CHANGES = {
    "the script": (lambda one: one.write("scripts/a.py", f"{READS}#\n"), ["script"]),
    "its line ends": (lambda one: one.write("scripts/a.py", READS.replace("\n", "\r\n")), ["script"]),
    "a module": (lambda one: one.write("scripts/lib/x.py", "V = 2\n"), ["module scripts/lib/x.py"]),
    "a module that shadows": (
        lambda one: one.write("scripts/lib/__init__.py", ""),
        ["module scripts/lib/__init__.py new"],
    ),
    "args": (lambda one: written(one, main={"args": ["two"]}), ["args"]),
    "another script": (
        lambda one: [one.write("b.py", READS), written(one, main={"script": "b.py"})],
        ["script"],
    ),
    "an input": (lambda one: one.write("data/x.csv", "2\n"), ["inputs data/x.csv"]),
    "an input more": (lambda one: one.write("data/y.csv", ""), ["inputs data/y.csv new"]),
    "an input less": (lambda one: (one.root / "data/x.csv").unlink(), ["inputs data/x.csv gone"]),
    "a large input's time": (lambda one: aged(one.root / "data/large.bin"), ["inputs data/large.bin (its time)"]),
    "a check": (lambda one: written(one, post=[*POST, {"task": "c", "command": "true #"}]), ["checks"]),
    "a criterion": (lambda one: written(one, main={"success_criteria": [*CRITERIA, "It is good"]}), ["criteria"]),
    "strict": (lambda one: written(one, settings={"strict": True}), ["strict"]),
    "env": (lambda one: written(one, settings={"env": ["HOME"]}), ["env names"]),
    "an output gone": (lambda one: (one.root / "out.txt").unlink(), ["outputs out.txt gone"]),
    "an output changed": (lambda one: one.write("out.txt", "other"), ["outputs out.txt changed"]),
    "two things": (
        lambda one: [one.write("scripts/a.py", "#"), written(one, main={"args": []})],
        ["script", "args", "module scripts/lib/x.py not imported any more"],
    ),
}
SAME = {
    "nothing": lambda one: one.root.touch(),
    "a limit": lambda one: written(one, post=[POST[0], {**POST[1], "timeout": 9}], main={"timeout": 9}),
    "the order of checks": lambda one: written(one, post=POST[::-1]),
    "a check's name": lambda one: written(one, post=[{**POST[0], "task": "other"}, POST[1]]),
    "retries": lambda one: written(one, main={"retry": {"attempts": 2}}),
    "a title": lambda one: written(one, title="Other"),
    "PRE-FLIGHT": lambda one: written(one, pre_flight=[{"task": "p", "command": "true"}]),
    "the YAML": lambda one: one.write("step_definitions.yaml", f"# why\n{json.dumps(written(one), indent=2)}"),
    "the place of the script": lambda one: one.write("a.py", READS) and [(one.root / "scripts/a.py").unlink()],
    "a small input's time": lambda one: aged(one.root / "data/x.csv"),
    "the script's time": lambda one: aged(one.root / "scripts/a.py"),
    "a module nobody imports": lambda one: one.write("scripts/lib/y.py", "V = 1\n"),
    "a test form": lambda one: written(one, main={"test": {"command": "true"}}),
}


@pytest.mark.parametrize("what", CHANGES)
def test_what_changed_is_told(project, what):
    act, told = CHANGES[what]
    act(project)
    assert changed(project) == told


@pytest.mark.parametrize("what", SAME)
def test_what_changes_nothing_is_not_told(project, what):
    SAME[what](project)
    assert changed(project) == []


def test_every_verb_that_reads_tells_it(project):
    project.write("scripts/a.py", f"{READS}#\n")
    told = "changed since it passed: script"
    assert f"] ({told})" in project.run("list").out
    assert told in project.run("why", "1").out
    assert told in project.run("--dry-run", "--step", "1").out
    assert told in project.run("validate").out
    for words in (("list",), ("why", "1"), ("--dry-run", "--step", "1")):
        assert project.run(*words, "--json").json["steps"][0]["changed"] == ["script"]


def test_what_depends_on_it_tells_the_dependency(project):
    assert project.run("--step", "2").code == 0
    project.write("scripts/a.py", f"{READS}#\n")
    assert changed(project, 2) == ["dependency 1"]


def test_a_log_alone_is_enough_to_name_it(project):
    for path in sorted((project.root / ".do-tasks").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    project.write("scripts/lib/x.py", "V = 2\n")
    assert changed(project) == ["module scripts/lib/x.py"]


def test_many_inputs_are_named_from_beside_the_runs_and_counted_without(project):
    for number in range(30):
        project.write(f"data/{number:02}.csv", "1")
    assert project.run("--step", "1", "--rerun").code == 0
    project.write("data/07.csv", "2")
    assert changed(project) == ["inputs data/07.csv"]
    for path in (project.root / ".do-tasks").rglob("files.json"):
        path.unlink()
    assert changed(project) == ["inputs"]


def test_a_change_is_noted_and_runs_nothing(project):
    assert project.run("--step", "2").code == 0
    project.write("scripts/a.py", f"{READS}#\n")
    assert project.run("--continue").code == 0
    assert ran(project) == 1


def test_what_changed_is_run_again_where_that_is_asked_for(project):
    assert project.run("--step", "2").code == 0
    written(project, settings={"on_change": "reopen"})
    assert changed(project) == []
    project.write("scripts/a.py", f"{READS}#\n")
    assert [row["step"] for row in project.run("list", "--ready", "--json").json["steps"]] == [1, 2]
    assert project.run("--continue").code == 0
    assert ran(project) == 2
    assert len(project.events("StepPassed")) == 4
    assert changed(project) == changed(project, 2) == []
    assert project.run("--continue").code == 0
    assert ran(project) == 2


def test_what_is_judged_otherwise_is_judged_again_and_not_done_again(project):
    written(project, settings={"on_change": "reopen"}, post=[*POST, {"task": "c", "command": "test -f extra"}])
    assert project.run("--continue").code == 1
    assert "✗ Failed" in project.spec
    project.write("extra", "")
    assert project.run("--continue").code == 0
    assert ran(project) == 1
    assert changed(project) == []


def test_a_tick_of_before_says_that_its_judge_is_not_recorded(project):
    lines = project.lines()
    for line in lines:
        for name in ("judged_by", "parts", "files"):
            line.pop(name, None)
    project.write(".task_execution.log", "".join(json.dumps(line) + "\n" for line in lines))
    (project.root / ".do-tasks" / "state.json").unlink()
    project.write("scripts/a.py", f"{READS}#\n")
    why = project.run("why", "1").out
    assert "judged by: not recorded" in why
    assert "changed" not in why + project.run("list").out
    assert project.run("list", "--json").json["steps"][0]["judged_by"] == "not recorded"


def test_a_job_tells_what_changed_as_any_step_does(tmp_path):
    project = Project(tmp_path / "p")
    project.write("a.py", 'import os, time\nwhile not os.path.exists("end"): time.sleep(0.05)\n')
    project.plan(s1={"main": {"script": "a.py", "mode": "background", "test": "none"}})
    assert project.run("--step", "1").code == 0
    project.write("a.py", "pass\n")
    project.write("end", "")
    until(lambda: project.events("SpecTicked"), "the job was never ticked")
    assert changed(project) == ["script"]


def test_a_broken_cache_tells_the_same(project):
    project.run("list")
    project.write(".do-tasks/cache/sources.json", '{"files": 3')
    project.write("scripts/lib/x.py", "V = 2\n")
    assert changed(project) == ["module scripts/lib/x.py"]


def test_validate_names_files_of_args_that_no_input_covers(project):
    project.write("model/w.bin", "1")
    args = ["--data", "data/x.csv", "--seed=3", "--more=rows/y.jsonl", "--out", "o/z.jsonl", "model", "gpt2", "out.txt"]
    written(project, main={"args": args})
    told = [one for one in project.run("validate").out.splitlines() if "is not in inputs" in one]
    assert len(told) == 2
    assert "add inputs: [rows/y.jsonl]" in told[0]
    assert "add inputs: [model]" in told[1]


def test_validate_names_titles_that_differ(project):
    written(project, title="title  1.")
    assert "is called" not in project.run("validate").out
    written(project, title="Other")
    done = project.run("validate")
    assert "SPEC.md:1:1: warning: step 1 is called 'Title 1' here and 'Other' in step_definitions.yaml" in done.out
    assert done.code == 0


def test_what_was_settled_is_told_when_it_changes(tmp_path):
    project = Project(tmp_path / "p").plan(s1={"main": {"command": "true", "test": "none"}})
    assert project.run("--step", "1").code == 0
    assert changed(project) == changed(project) == []
    project.plan(s1={"main": {"command": "true;", "test": "none"}}, spec=project.spec)
    assert changed(project) == ["command"]


def test_a_step_that_was_renumbered_is_what_it_was(project):
    assert project.run("--step", "2").code == 0
    plan = json.loads(project.text("step_definitions.yaml"))
    second = {**plan["step_2_two"], "depends_on": [3]}
    project.write("step_definitions.yaml", json.dumps({"step_3_one": plan["step_1_one"], "step_4_two": second}))
    project.write("SPEC.md", project.spec.replace("STEP 1", "STEP 3").replace("STEP 2", "STEP 4"))
    assert [row["changed"] for row in project.run("list", "--json").json["steps"]] == [[], []]
