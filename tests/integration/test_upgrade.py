"""What an older release has started goes on with this one."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.integration.projects import ROOT, Project, until

# How release 0.1.0 starts a supervisor, and how one starts itself again when the machine refused it something.
BEFORE = "import sys; sys.path.append(sys.argv.pop(1)); from executor.supervise.entry import entry; entry()"
JOB = {
    "main": {"command": "echo $$ >pid; until test -e go; do sleep 0.1; done; echo hi >out.txt", "mode": "background"}
}


def test_a_job_is_watched_to_its_end_by_a_supervisor_of_the_old_name(tmp_path):
    project = Project(tmp_path / "p").plan(s1=JOB)
    assert project.run("--step", "1", "--no-wait").code == 0
    until(lambda: project.events("SupervisorStarted"), "the job had no supervisor")
    os.kill(project.event("SupervisorStarted")["pid"], signal.SIGKILL)
    argv = (sys.executable, "-I", "-S", "-c", BEFORE, str(ROOT), str(project.root), project.task_id(), "it was gone")
    with subprocess.Popen(argv, env=project.env()) as supervisor:
        until(lambda: len(project.events("SupervisorStarted")) == 2, "the supervisor of the old name never came")
        project.write("go", "")
        assert supervisor.wait(timeout=120) == 0
    assert (len(project.events("StepPassed")), "- [x] **STEP 1**" in project.spec) == (1, True)
    assert len(project.events("MainStarted")) == 1
