"""Holds the executor to its promise when it is killed at each system call that changes the world."""

from __future__ import annotations

import re
import shutil
import signal
import subprocess

import pytest

from tests.integration import plans
from tests.integration.plans import Project, hold_promise, wait_for

CHANGES = (
    *("write", "pwrite64", "ftruncate", "fsync", "fdatasync", "fchmod"),
    *("rename", "renameat", "renameat2", "mkdir", "mkdirat", "unlink", "unlinkat"),
    *("vfork", "clone", "clone3", "kill", "openat"),
)
EVERY = 4  # of the calls, in the short test


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """Each state-changing call of a whole run as (name, its ordinal among its like); openat only where it creates."""
    trace = tmp_path_factory.mktemp("trace") / "calls"
    if not shutil.which("strace"):
        pytest.skip("strace is not installed: apt-get install strace")
    if subprocess.run(["strace", "-o", trace, "true"], capture_output=True, check=False).returncode:
        pytest.skip("ptrace is refused here, so strace cannot stop a process at a call")
    project = Project(tmp_path_factory.mktemp("counted"))
    listed = ",".join(f"?{name}" for name in CHANGES)
    counted = project.start("--step", "1", before=("strace", "-o", trace, "-e", f"trace={listed}"))
    assert counted.wait(plans.LIMIT_S) == 0
    return list(ordinals(trace.read_text(errors="replace")))


def ordinals(trace):
    seen = dict.fromkeys(CHANGES, 0)
    for name, rest in re.findall(r"^(\w+)\((.*)", trace, re.MULTILINE):
        seen[name] += 1
        if name != "openat" or "O_CREAT" in rest:
            yield name, seen[name]


def test_the_calls_of_a_run_are_found(calls):
    names = {name for name, _ in calls}
    assert {"write", "openat", "ftruncate", "fsync", "fdatasync"} <= names
    assert names & {"rename", "renameat", "renameat2"}
    assert names & {"mkdir", "mkdirat"}
    assert names & {"vfork", "clone", "clone3"}


def test_killed_at_some_calls_it_keeps_the_promise(tmp_path, calls):
    survive_all(tmp_path, calls[::EVERY])


@pytest.mark.deep
@pytest.mark.timeout(900)
def test_killed_at_every_call_it_keeps_the_promise(tmp_path, calls):
    survive_all(tmp_path, calls)


def survive_all(tmp_path, calls):
    """Every call may be a few further on from run to run, so some are never reached; most are."""
    reached = [survive(tmp_path / f"{name}_{ordinal}", name, ordinal) for name, ordinal in calls]
    assert sum(reached) > 0.8 * len(calls)


def survive(root, name, ordinal):
    """Only the executor dies: its launcher and MAIN live on, so that no run may be lost, none repeated."""
    print(f"killed at {name} {ordinal}")
    root.mkdir()
    project = Project(root, sleeps_s=(0.02,))
    inject = ("-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={ordinal}")
    died = project.start("--step", "1", before=("strace", "-o", "/dev/null", *inject)).wait(plans.LIMIT_S)
    assert died in (0, -signal.SIGKILL)
    ended = project.run("--continue")
    assert ended.returncode == 0, ended.stdout
    assert project.events("MainLost") == []
    hold_promise(project)
    return died != 0


def test_killed_twice_in_one_task_it_keeps_the_promise(tmp_path, calls):
    """The second executor is killed where it takes the task up again."""
    for name, ordinal in [call for call in calls if call[0] in ("fdatasync", "rename", "clone3")][:6]:
        root = tmp_path / f"{name}_{ordinal}"
        root.mkdir()
        project = Project(root)
        project.hold("main")
        project.killed_when(plans.main_began)
        inject = ("-e", f"trace={name}", "-e", f"inject={name}:signal=KILL:when={ordinal}")
        second = project.start("--continue", before=("strace", "-o", "/dev/null", *inject))
        wait_for(lambda at=project, by=second: by.poll() is not None or at.events("MainAdopted"), "its death")
        project.release("main")
        second.wait(plans.LIMIT_S)
        assert project.run("--continue").returncode == 0
        hold_promise(project)
