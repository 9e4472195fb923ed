"""`settings.commit`: resume commits what a host's step changed, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from executor.plan.commit_line import commit_line
from tests.integration.projects import Project

PLAN = """\
# Tasks: toy

- [ ] T001 Write a.txt
- [ ] T002 Write b.txt
"""


def git(project, *words):
    who = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
    done = subprocess.run(
        ["git", *who, *words], cwd=project.root, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "p")
    project.environ = {
        **{f"GIT_{role}_{what}": "a@b.c" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    }
    project.write("tasks.md", PLAN)
    project.write("step_definitions.yaml", json.dumps({"settings": {"agent_from_text": True, "commit": True}}))
    git(project, "init", "-q")
    project.write("old.txt", "old")
    git(project, "add", "-A")
    git(project, "commit", "-qm", "first")
    return project


def brief(project):
    project.run("--step", "T001", "--runner", "host")
    task = project.events("TaskStarted", step="T001")[-1]["task_id"]
    folder = project.root / ".do-tasks" / "jobs" / task / "main.1"
    claims = {"Done as the plan says: Write a.txt": {"met": True, "evidence": "a.txt, 2 bytes"}}
    (folder / "result.json").write_text(json.dumps({"criteria": claims}))
    return task, (folder / "brief.md").read_text()


def test_resume_commits_what_the_step_changed_and_leaves_out_what_was_changed_before(project):
    project.write("old.txt", "changed before")
    task, text = brief(project)
    assert "`T001: Write a.txt` do-tasks makes this commit" in text
    project.write("a.txt", "a")
    project.write(".env", "KEY=1")
    said = project.run("resume", task).out
    assert "Committed 2 files as" in said
    assert "left out, for it may be secret: .env" in said
    assert git(project, "show", "--name-only", "--format=%s%n%b").split("\n")[:1] == ["T001: Write a.txt"]
    assert {*git(project, "show", "--name-only", "--format=").split()} == {"a.txt", "tasks.md"}
    assert "[X] T001" in git(project, "show", "HEAD:tasks.md")
    assert f"Task: {task}" in git(project, "show", "-s", "--format=%b")
    assert " M old.txt" in git(project, "status", "--porcelain")


def test_a_dirty_index_is_left_as_it_is(project):
    task, _ = brief(project)
    project.write("a.txt", "a")
    project.write("old.txt", "staged")
    git(project, "add", "old.txt")
    said = project.run("resume", task).out
    assert "Not committed: the index has changes already (old.txt)" in said
    assert "[X] T001" in project.text("tasks.md")
    git(project, "commit", "-qm", "by hand")
    assert "Committed 2 files" in project.run("resume", task).out


def test_a_hook_that_fails_makes_no_commit_and_leaves_the_index_clean(project):
    hook = project.root / ".git" / "hooks" / "pre-commit"
    hook.write_text("#!/bin/sh\necho 'lint: a.txt is wrong' >&2\nexit 1\n")
    os.chmod(hook, 0o755)
    task, _ = brief(project)
    project.write("a.txt", "a")
    done = project.run("resume", task)
    assert (done.code, "refused the commit: lint: a.txt is wrong" in done.out) == (0, True)
    assert git(project, "log", "--format=%s").split() == ["first"]
    assert "?? a.txt" in git(project, "status", "--porcelain")


def test_without_git_the_work_stays_and_one_sentence_says_so(tmp_path, project):
    os.rename(project.root / ".git", tmp_path / "git")
    task, _ = brief(project)
    done = project.run("resume", task)
    assert done.code == 0
    assert "Not committed: its brief was given outside of a git repository" in done.out


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("Commit: `feat(a): x`", "feat(a): x"),
        ("- **Commit message**: feat: x", "feat: x"),
        ("## Git Commit\n\n```\nfeat: x\n\nbody\n```\n", "feat: x"),
        ('run `git commit -m "feat: x"` then', "feat: x"),
        ("## Commit line\n- feat: x", "feat: x"),
        ("Commit early, commit often.\nThe commit of this is none.", ""),
        ("## Commit\n\n## Next\n", ""),
    ],
)
def test_a_commit_line_is_found_in_each_spelling(text, line):
    assert commit_line(text) == line
