"""No file in a project crashes a verb, or holds it up: each record as each odd kind of thing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from zlib import crc32

import pytest

from tests.integration import grid
from tests.integration.projects import ROOT, Project, command

GRID = Path(grid.__file__)
JOBS = ".do-tasks/jobs"
SCRIPT = """\
import json, os
os.makedirs("out", exist_ok=True)
open("out/a.bin", "w").write("x")
json.dump({"criteria": {"made": {"met": True, "evidence": "x"}}}, open(os.environ["DO_TASKS_RESULT"], "w"))
"""
RECORDS = [
    *("SPEC.md", "step_definitions.yaml", ".task_execution.log", ".task_execution.log.1"),
    *(".do-tasks", ".do-tasks/cache", ".do-tasks/jobs"),
    *(f".do-tasks/{name}" for name in ("state.json", "cache/plan.json", "run.lock", "spec.lock", "guarding")),
    *(f"{JOBS}/T1/main.1{name}" for name in ("", "/started.json", "/exit.json", "/result.json", "/stdout.log")),
    *(f"{JOBS}/T2/{name}" for name in ("job.json", "watch.json", "memory.json", "lock", "stop", "supervisor.log")),
    *(f"{JOBS}/T2/{name}" for name in ("main.1", "main.1/started.json", "main.1/exit.json", "main.1/stderr.log")),
    *(f"{JOBS}/T3{name}" for name in ("", "/main.1", "/main.1/result.json", "/main.1/brief.json", "/main.1/guarded")),
    *(f"{JOBS}/T4/{name}" for name in ("task.json", "main.1/exit.json", "main.1/started.json")),
    *(".claude", ".claude/agents/worker.md", ".claude/skills/tips", ".claude/skills/tips/SKILL.md", "scripts/a.py"),
]
READING = [
    *("list", "list --json", "why 1", "why 2", "why 3", "validate", "--monitor", "--monitor --json", "--dry-run"),
    *("log", "log T1 --json", "doctor", "clean --keep 0 --dry-run"),
]
CHANGING = [
    *("--continue --no-wait", "--step 1 --rerun", "--step 4", "resume T3", "stop T2 --grace 0", "clean --keep 0"),
    *("reopen 1 --by me --reason so", "mark-done 4 --by me --reason so", "log --rotate"),
]
USERS_OWN = ("scripts/a.py",)  # what the script itself does with its files is not ours
SUPERVISED = ("--continue --no-wait", "stop T2 --grace 0")  # a supervisor that cannot begin is tried for 10 s


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return worked(tmp_path_factory.mktemp("template") / "p")


def worked(folder):
    """Return a project with a step that passed, a job that ended unseen, a brief that is out, a step that failed."""
    project = Project(folder)
    project.write("scripts/a.py", SCRIPT)
    project.write(".claude/agents/worker.md", "---\nname: worker\ndescription: works\nskills: [tips]\n---\nWork.\n")
    project.write(".claude/skills/tips/SKILL.md", "---\nname: tips\ndescription: tips\n---\nTips.\n")
    there = {"criterion": "there", "file": "out/*.bin"}
    host = {"runner": "host", "agent": "worker", "objective": "do", "skills": ["tips"], "success_criteria": ["done"]}
    project.plan(
        s1={"main": {"script": "a.py", "test": "none", "success_criteria": ["made", there]}},
        s2=command("echo hi; sleep 1.5", mode="background", timeout=1),
        s3={"main": host},
        s4=command("echo x; exit 3"),
    )
    for words in ("--step 1", "--step 2", "--monitor --until finished --timeout 300", "--step 4", "--step 3"):
        done = project.run(*words.split())
        assert done.code in (0, 1, 3), done
    forget_the_end(project)
    return project


def forget_the_end(project):
    """Make of the job one that has ended while nobody watched."""
    ends = ("MainFinished", "StepPassed", "SpecTicked")
    kept = [line for line in project.lines() if not (line["step"] == 2 and line["event"] in ends)]
    project.write(".task_execution.log", "".join(f"{json.dumps(line)}\n" for line in kept))
    spec = re.sub(r"\[x\] (\*\*STEP 2.*?) ✓ (\[task_id: \S+\] \[[^]]*\]).*", r"[~] \1 ⏳ started \2", project.spec)
    project.write("SPEC.md", spec)
    (project.root / ".do-tasks/state.json").unlink()


def gone_through(project, scratch, cases, limit_s=3000):
    """Return the result of each case."""
    ids = {f"T{name.split('_')[1]}": name for name in os_names(project)}
    named = [[re.sub(r"\bT[1-4]\b", lambda found: ids[found[0]], word) for word in case] for case in cases]
    done = subprocess.run(
        [sys.executable, str(GRID), str(project.root), str(scratch)],
        input="".join(f"{json.dumps(case)}\n" for case in named).encode(),
        env={**project.env(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=limit_s,
        check=False,
    )
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == len(cases), done.stderr.decode()[-2000:]
    return rows


def os_names(project):
    return [path.name for path in (project.root / JOBS).iterdir()]


def faults(rows):
    """Return the cases that crashed, hung, or said more than an error should."""
    crashed = [row for row in rows if row["code"] not in range(7) or row["bug"]]

    return [(row["record"], row["kind"], row["verb"], row["code"], row["bug"], row["said"][-300:]) for row in crashed]


def every(verbs):
    return [[record, kind, verb] for record in RECORDS for kind in grid.KINDS for verb in verbs]


def sampled(cases, one_in):
    """Return the same part of the cases each time, spread over all."""
    return [case for case in cases if crc32(" ".join(case).encode()) % one_in == 0]


def test_no_kind_of_record_crashes_or_holds_what_reads(template, tmp_path):
    assert not faults(gone_through(template, tmp_path, sampled(every(READING), 160)))


def test_no_kind_of_record_crashes_or_holds_what_changes(template, tmp_path):
    cases = [case for case in every(CHANGING) if case[2] not in SUPERVISED and case[0] not in USERS_OWN]
    assert not faults(gone_through(template, tmp_path, sampled(cases, 120)))


@pytest.mark.deep
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("verbs", [READING, CHANGING], ids=["reading", "changing"])
def test_no_kind_of_any_record_crashes_or_holds_any_verb(template, tmp_path, verbs):
    assert not faults(gone_through(template, tmp_path, sampled(every(verbs), 4)))


def project_of(tmp_path, text):
    return Project(tmp_path).plan(s1=command(text))


RUN = "$(dirname $DO_TASKS_RESULT)"


@pytest.mark.parametrize(
    "mess",
    [
        "rm -f exit.json; mkdir exit.json",
        "rm -f stdout.log stderr.log; mkfifo stdout.log stderr.log",
        "rm -f stdout.log; ln -s /dev/zero stdout.log",
        "rm -f stdout.log; mkdir stdout.log",
        "ln -s loop result.json; ln -s result.json loop",
        "chmod 000 stdout.log stderr.log",
    ],
)
def test_a_main_that_makes_a_mess_of_its_own_folder_fails_by_its_exit_code(tmp_path, mess):
    project = project_of(tmp_path, f"cd {RUN}; {mess}; exit 3")
    for _ in range(2):
        done = project.run("--continue")
        assert (done.code, "exit 3" in project.spec) == (1, True), done


def test_a_link_in_the_place_of_a_run_is_not_followed(tmp_path):
    keep = tmp_path / "precious"
    keep.mkdir()
    (keep / "thesis").write_text("x")
    project = Project(tmp_path / "p")
    link = f"mkdir -p .do-tasks/jobs/$DO_TASKS_TASK_ID; ln -s {keep} .do-tasks/jobs/$DO_TASKS_TASK_ID/main.1"
    project.plan(s1={**command("true"), "pre_flight": [{"task": "link", "command": link}]})
    assert project.run("--continue").code == 0
    assert (keep / "thesis").read_text() == "x"


@pytest.mark.parametrize("name", [".task_execution.log.²", ".task_execution.log.x", ".do-tasks/jobs/T/main.²"])
def test_a_name_that_only_looks_like_one_of_ours_is_passed_over(tmp_path, name):
    project = project_of(tmp_path, "true")
    project.run("--continue")
    (task_id,) = os_names(project)
    project.write(name.replace("/T/", f"/{task_id}/"), "x")
    (project.root / ".do-tasks/state.json").unlink()
    for words in (["list"], ["log"], ["doctor"], ["--continue"], ["clean", "--keep", "0"]):
        assert project.run(*words).code == 0, words
