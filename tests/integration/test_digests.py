"""What was done is what a tick is of: its digest, the recipe of it, what judged it, what changed since."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.integration.projects import Project, until
from tests.integration.terminals import Terminal

READS = 'import sys, lib.x\nopen("ran.txt", "a").write(" ".join(sys.argv[1:]) + "\\n")\n'
OK = {"task": "ok", "command": "test -f ok"}


@pytest.fixture
def project(tmp_path):
    here = Project(tmp_path / "a project")
    here.write("scripts/a.py", READS)
    here.write("scripts/lib/x.py", "V = 1\n")
    return here


def main(**more):
    return {"script": "a.py", "test": "none", **more}


def one_step(project, *, settings=None, post=(), **more):
    step = {"title": "Title 1", "main": main(**more), "post_validation": list(post)}
    return project.plan(settings=settings, s1=step)


def ran(project):
    return project.text("ran.txt").splitlines() if project.has("ran.txt") else []


def recipe_1(script, *, args=(), mode="normal", chunks=(), dependencies=None, told=None):
    """The digest of a script as versions before recipes had numbers made it."""
    parts = {
        "script": ["a.py", script.encode().hex()],
        "command": "",
        "args": args,
        "env": [],
        "mode": mode,
        "chunks": chunks,
        "agent": "",
        "objective": "",
        "dependencies": dependencies or {},
        **(told or {}),
    }
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def as_of_before(project, digests, **rows):
    """Make the log and the records those of a version before: its digests by step, and nothing of what judged."""
    log = project.root / ".task_execution.log"
    lines = project.lines()
    known = {line["made_by"].partition("@")[0]: rows["made_by"] for line in lines if line.get("made_by")}
    known |= {line["digest"]: digests[line["step"]] for line in lines if line.get("digest")}
    for line in lines:
        for name in ("judged_by", "parts", "files"):
            line.pop(name, None)
    paths = [log, *(project.root / ".do-tasks" / "jobs").rglob("*.json")]
    log.write_text("".join(json.dumps(line) + "\n" for line in lines))
    for path in paths:
        text = path.read_text()
        for new, old in known.items():
            text = text.replace(new, old)
        path.write_text(text)
    (project.root / ".do-tasks" / "state.json").unlink(missing_ok=True)
    assert '"2:' not in log.read_text()


def test_a_pass_records_what_was_done_and_apart_what_judged_it(project):
    one_step(project, post=[{"task": "t", "command": "true"}])
    assert project.run("--step", "1").code == 0
    passed = project.event("StepPassed")
    assert passed["digest"].startswith("2:")
    assert passed["judged_by"].startswith("2:")
    assert passed["judged_by"] != passed["digest"]
    assert {"script", "modules", "checks"} <= passed["parts"].keys()
    assert list(passed["files"]["modules"]) == ["scripts/lib/x.py"]


def test_a_job_records_what_it_was_as_it_began(project):
    waits = f'{READS}import os, time\nwhile not os.path.exists("end"): time.sleep(0.05)\n'
    project.write("scripts/a.py", waits)
    one_step(project, mode="background")
    assert project.run("--step", "1").code == 0
    began = project.event("TaskStarted")["digest"]
    project.write("scripts/lib/x.py", "V = 2\n")
    project.write("end", "")
    until(lambda: project.events("StepPassed"), "the job never passed")
    passed = project.event("StepPassed")
    assert passed["digest"] == began
    digest = hashlib.sha256(b"V = 1\n").hexdigest()
    assert digest.startswith(passed["files"]["modules"]["scripts/lib/x.py"])


def test_an_update_repeats_no_main_that_ended(project):
    project.plan(
        s1={"main": main(args=["one"])},
        s2={"depends_on": [1], "main": main(args=["two"]), "post_validation": [OK]},
    )
    assert project.run("--all").code == 1
    first = recipe_1(READS, args=("one",))
    as_of_before(project, {1: first, 2: recipe_1(READS, args=("two",), dependencies={"1": first})})
    project.write("ok", "")
    done = project.run("--continue")
    assert done.code == 0
    assert ran(project) == ["one", "two"]
    assert project.event("MainReused")["step"] == 2
    assert project.events("StepPassed", step=2)[0]["digest"] == recipe_1(
        READS, args=("two",), dependencies={"1": first}
    )


def test_an_old_digest_sees_what_its_recipe_saw(project):
    one_step(project, post=[OK])
    assert project.run("--step", "1").code == 1
    as_of_before(project, {1: recipe_1(READS)})
    project.write("scripts/a.py", f"{READS}# changed\n")
    project.write("ok", "")
    assert project.run("--step", "1").code == 0
    assert len(ran(project)) == 2


def test_an_update_says_of_no_living_job_that_it_changed(project):
    waits = f'{READS}import os, time\nwhile not os.path.exists("end"): time.sleep(0.05)\n'
    project.write("scripts/a.py", waits)
    one_step(project, mode="background")
    assert project.run("--step", "1").code == 0
    as_of_before(project, {1: recipe_1(waits, mode="background")})
    told = project.run("why", "1", "--json").json["steps"][0]
    project.write("end", "")
    until(lambda: project.events("StepPassed"), "the job never passed")
    assert told["why"] == "it is running"
    assert len(ran(project)) == 1


def test_an_update_keeps_accepted_chunks(project):
    rows = (
        "import os\n"
        'open("ran.txt", "a").write(os.environ["DO_TASKS_CHUNK"] + "\\n")\n'
        'open(os.environ["DO_TASKS_ROWS"], "a").write("{}\\n" * int(os.environ["DO_TASKS_SIZE"]))\n'
    )
    project.write("scripts/a.py", rows)
    check = {"task": "q", "command": "test ! -f p_2.jsonl -o -f ok"}
    chunked = {"mode": "chunked", "rows": "p_{chunk}.jsonl", "chunks": [{"size": 1}, {"size": 2}]}
    one_step(project, **chunked, quality_check=[check])
    assert project.run("--step", "1").code == 1
    before = {1: recipe_1(rows, mode="chunked", chunks=(1, 2))}
    as_of_before(project, before, made_by=recipe_1(rows, mode="chunked"))
    project.write("ok", "")
    assert project.run("--step", "1").code == 0
    assert ran(project) == ["1", "2", "2"]


def test_a_brief_of_an_older_recipe_is_resumed_when_a_person_accepts_its_judges(project, tmp_path):
    terminal = Terminal(tmp_path / "terminal", project)
    project.plan(s1={"main": {"objective": "Do it", "runner": "host", "skills": []}, "post_validation": [OK]})
    assert project.run("--step", "1").code == 3
    told = {"script": ["", ""], "objective": "Do it", "runner": "host", "told": [""]}
    as_of_before(project, {1: recipe_1("", told=told)})
    project.write("ok", "")
    code, shown = terminal.run("accept", "1", answer="1")
    assert code == 0, shown
    terminal.close()
    done = project.run("resume", project.event("BriefGiven")["task_id"])
    assert done.code == 0, done
