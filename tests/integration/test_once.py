"""Never two of one training: copies, clones, renames, containers, killed launchers, records that went."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys

import psutil
import pytest

from executor.store import runs
from tests.integration.projects import Project, alive, check, command, finish, until

NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc")
TRAIN = "echo $$ >> begun; exec sleep 60"


def job(text=TRAIN, **more):
    return command(text, mode="background", timeout=1, **more)


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "p")
    yield project
    end_all(tmp_path)


def end_all(folder):
    """End what any project below this folder still runs."""
    for process in psutil.process_iter():
        try:
            told = process.environ().get("DO_TASKS_RESULT", "")
            if told.startswith(f"{folder}/") or process.cwd().startswith(f"{folder}/"):
                process.kill()
        except psutil.Error:
            continue


def record(project, run="main.1"):
    return next((project.root / ".do-tasks" / "jobs").glob(f"*/{run}/started.json"))


def started(project):
    return json.loads(record(project).read_text())


def begun(project):
    return [int(word) for word in project.text("begun").split()]


def living(project):
    return [pid for pid in begun(project) if alive(pid)]


def supervisor(project):
    return project.events("SupervisorStarted")[-1]["pid"]


def begin(project, **more):
    """Start a background job and return its task id."""
    project.plan(s1=job(**more))
    assert project.run("--step", "1").code == 0
    project.until_there("begun")
    return project.events("MainStarted")[0]["task_id"]


# Another folder


def copied(project, name="copy"):
    """Copy the whole project, as `cp -a` does."""
    other = project.root.parent / name
    subprocess.run(["cp", "-a", project.root, other], check=True)
    return Project(other)


def test_a_copy_leaves_the_training_of_the_original_alone(project):
    begin(project)
    copy = copied(project)
    assert copy.run("--step", "1", "--rerun", "--no-wait").code == 0
    assert living(project), "the original's training was ended"
    assert len(living(copy)) == 2  # its own, and the original's, whose pid was copied


def test_a_copy_says_whose_the_run_is_and_begins_nothing(project):
    task = begin(project)
    copy = copied(project)
    done = copy.run("--continue")
    assert done.code == 3
    assert f"{task}/main.1 runs in another folder, {project.root}" in done.out
    assert "do-tasks --step 1 --rerun" in done.out
    assert copy.text("begun") == project.text("begun")


@pytest.mark.deep
def test_stop_in_a_copy_ends_nothing_of_the_original(project):
    task = begin(project)
    done = copied(project).run("stop", task)
    assert "left alone" in done.out
    assert living(project)
    assert project.run("--monitor", "--json").json["jobs"][0]["state"] == "running"


@pytest.mark.deep
def test_a_copy_without_its_log_starts_beside_the_original(project):
    begin(project)
    copy = copied(project)
    (copy.root / ".task_execution.log").unlink()
    shutil.rmtree(copy.root / ".do-tasks")
    copy.write("SPEC.md", "- [ ] **STEP 1**: One\n")
    assert copy.run("--continue", "--no-wait").code == 0
    assert living(project)


@pytest.mark.deep
def test_clones_side_by_side_do_not_touch_each_other(project, tmp_path):
    task = begin(project)
    clone = Project(tmp_path / "clone")
    begin(clone)
    assert project.run("stop", task).code == 0
    assert not living(project)
    assert living(clone)


@pytest.mark.deep
def test_a_renamed_project_keeps_its_run_and_its_exit_code(project):
    begin(project, text="echo $$ >> begun; sleep 2.5; echo end >> ended")
    moved = project.root.parent / "q"
    project.root.rename(moved)
    there = Project(moved)
    there.until_there("ended")
    assert there.run("--continue").code == 0
    assert "- [x] **STEP 1**" in there.spec
    assert there.text("ended") == "end\n"


def test_a_project_behind_another_path_is_the_same(project, tmp_path):
    begin(project)
    link = tmp_path / "link"
    link.symlink_to(project.root)
    assert Project(link).run("--monitor", "--json").json["jobs"][0]["state"] == "running"


# Another pid namespace


@pytest.fixture
def namespaced(project):
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no pid namespaces here")
    return lambda *words: project.run(*words, argv=(*NAMESPACE, sys.executable, "-m", "executor"))


def test_a_run_of_another_namespace_is_elsewhere_not_lost(project, namespaced):
    begin(project)
    os.kill(supervisor(project), signal.SIGKILL)
    row = namespaced("--monitor", "--json").json["jobs"][0]
    assert (row["state"], row["where"]) == ("elsewhere", "in another container or pid namespace")
    done = namespaced("--continue", "--no-wait")
    assert done.code == 3
    assert "runs in another container or pid namespace" in done.out
    assert len(begun(project)) == 1


def test_with_a_living_supervisor_elsewhere_a_run_returns_at_once(project, namespaced):
    begin(project)
    assert namespaced("--continue", "--no-wait").code == 3


@pytest.mark.deep
def test_stop_in_another_namespace_has_the_supervisor_end_the_run(project, namespaced):
    task = begin(project)
    done = namespaced("stop", task, "--grace", "1")
    assert f"was ended by its supervisor (pid {supervisor(project)})" in done.out
    assert "its verdict: cancelled" in done.out
    assert not living(project)


def test_stop_in_another_namespace_ends_nothing_that_nobody_watches(project, namespaced):
    task = begin(project)
    os.kill(supervisor(project), signal.SIGKILL)
    until(lambda: not runs.supervisor(str(project.root), task), "the supervisor lives on")
    done = namespaced("stop", task)
    assert done.code == 3
    assert "no supervisor watches it" in done.out
    assert namespaced("--continue", "--no-wait").code == 3
    assert living(project)


def test_proc_of_another_namespace_is_refused(project):
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no pid namespaces here")
    project.plan(s1=command("echo $$ >> begun"))
    done = project.run("--continue", argv=(*NAMESPACE[:3], sys.executable, "-m", "executor"))
    assert done.code == 6
    assert "unshare --mount-proc" in done.err
    assert not project.has("begun")


@pytest.mark.deep
def test_a_run_of_a_namespace_that_is_gone_is_lost(project, namespaced):
    begin(project)
    body = started(project)
    os.killpg(body["pid"], signal.SIGKILL)
    os.kill(supervisor(project), signal.SIGKILL)
    record(project).write_text(json.dumps({**body, "namespace": "pid:[1]"}))
    until(lambda: not living(project), "the job lives on")
    assert project.run("--continue", "--no-wait").code == 0
    assert len(begun(project)) == 2


# What a record does not say


def test_a_living_run_with_an_older_record_is_adopted(project):
    begin(project, text="echo $$ >> begun; sleep 3; echo end >> ended")
    body = started(project)
    for name in ("namespace", "home", "locked"):
        del body[name]
    record(project).write_text(json.dumps(body))
    record(project).with_name("lock").unlink()
    os.kill(supervisor(project), signal.SIGKILL)
    assert project.run("--continue").code == 0
    assert project.run("--monitor", "--until", "finished", "--timeout", "300").code == 0
    assert project.text("ended") == "end\n"
    assert len(begun(project)) == 1


@pytest.mark.deep
def test_a_living_run_with_an_unreadable_record_is_found(project):
    begin(project)
    record(project).write_text('{"pid": 12, "sta')
    os.kill(supervisor(project), signal.SIGKILL)
    assert project.run("--monitor", "--json").json["jobs"][0]["state"] == "running"
    assert project.run("--continue", "--no-wait").code == 0
    assert len(begun(project)) == 1


DAMAGE = [pytest.param(text, marks=pytest.mark.deep) for text in ("[]", '{"step": "x"}', "\0\0\0", None)]


@pytest.mark.parametrize("text", ["", *DAMAGE])
def test_an_unreadable_record_of_a_dead_job_blocks_no_plan(project, text):
    task = begin(project)
    os.kill(supervisor(project), signal.SIGKILL)
    os.killpg(started(project)["pid"], signal.SIGKILL)
    until(lambda: not living(project), "the job lives on")
    job_json = project.root / ".do-tasks" / "jobs" / task / "job.json"
    job_json.unlink()
    job_json.write_text(text) if text is not None else job_json.mkdir()
    assert project.run("--continue", "--no-wait").code == 0
    assert len(begun(project)) == 2
    assert len(living(project)) == 1


def test_an_exit_file_that_is_a_folder_does_not_decide(project):
    project.plan(s1=command("d=$(dirname $DO_TASKS_RESULT); rm $d/exit.json; mkdir $d/exit.json; exit 3"))
    done = project.run("--continue")
    assert done.code == 1
    assert "exit 3" in project.spec


# Whatever MAIN does to its environment


def killed_launcher(project, text):
    project.write("main.sh", "echo $$ >> begun\nsleep 60\n")
    project.write("shed.sh", "(env -i setsid sh -c 'sh main.sh & wait' & )\nsleep 60\n")
    project.plan(s1=command(text))
    process = project.start("--continue")
    project.until_there("begun")
    process.kill()
    process.communicate()
    os.kill(started(project)["pid"], signal.SIGKILL)


@pytest.mark.first_rows(2)
@pytest.mark.parametrize(
    "text",
    [
        "env -i /bin/sh main.sh",
        "exec env -i /bin/sh main.sh",
        "env -i setsid -w /bin/sh main.sh",
        "env -i /bin/sh main.sh 29>&-",
        "bash shed.sh",
    ],
)
def test_a_main_that_sheds_its_environment_and_loses_its_launcher_gets_no_twin(project, text):
    killed_launcher(project, text)
    process = project.start("--continue")
    until(lambda: len(begun(project)) == 2, "MAIN was not begun again")
    assert len(living(project)) == 1
    process.kill()
    process.communicate()


def test_a_worker_with_its_own_session_and_environment_ends_with_its_job(project):
    worker = (
        "import subprocess\n"
        "worker = subprocess.Popen(['/bin/sleep', '60'], start_new_session=True, env={'PATH': '/bin'})\n"
        "open('begun', 'w').write(str(worker.pid))\n"
        "worker.wait()\n"
    )
    project.write("train.py", worker)
    task = begin(project, text="python3 train.py")
    assert "ended" in project.run("stop", task).out
    assert not living(project)


@pytest.mark.deep
def test_a_project_that_moved_to_another_file_system_gets_no_twin(project):
    """Moving there is copying and deleting: the run goes on in a folder that is gone."""
    task = begin(project)
    moved = copied(project, "moved")
    shutil.rmtree(project.root)
    done = moved.run("--step", "1", "--rerun", "--no-wait")
    assert done.code == 3
    assert f"do-tasks stop {task}" in done.out
    assert "ended" in moved.run("stop", task).out
    assert not living(moved)


# .do-tasks/ and git


def test_the_own_folder_is_left_alone_by_git(project):
    begin(project)
    assert (project.root / ".do-tasks" / ".gitignore").read_text() == "*\n"
    (project.root / ".do-tasks" / ".gitignore").unlink()
    project.run("--continue", "--no-wait")
    assert project.has(".do-tasks/.gitignore")


@pytest.mark.first_rows(1)
@pytest.mark.parametrize("names", [(".do-tasks",), (".do-tasks", ".task_execution.log")])
def test_a_run_whose_records_were_taken_away_is_found_and_stopped(project, names):
    task = begin(project)
    for name in names:
        shutil.move(project.root / name, project.root.parent / f"{name}.away")
    project.write("SPEC.md", "- [ ] **STEP 1**: One\n")
    project.run("list")
    done = project.run("--continue", "--no-wait")
    assert done.code == 2
    assert f"do-tasks stop {task}" in done.err
    assert len(begun(project)) == 1
    assert "ended" in project.run("stop", task).out
    assert not living(project)
    assert project.run("--continue", "--no-wait").code == 0


def test_a_run_that_names_no_folder_and_works_in_none_holds_no_project_up(project, tmp_path):
    """An older version's run: it bears a token alone."""
    other = subprocess.Popen(["sleep", "60"], cwd=tmp_path, env={"DO_TASKS_RUN": "task_1_0000000a/main.1"})
    project.plan(s1=command("true"))
    done = project.run("--continue")
    other.kill()
    other.wait()
    assert done.code == 0


@pytest.mark.deep
def test_records_that_come_back_find_their_run_again(project):
    begin(project)
    away = project.root.parent / "away"
    shutil.copytree(project.root / ".do-tasks", away)
    shutil.rmtree(project.root / ".do-tasks")
    shutil.copytree(away, project.root / ".do-tasks")
    assert project.run("--monitor", "--json").json["jobs"][0]["state"] == "running"
    assert project.run("--continue", "--no-wait").code == 0
    assert len(begun(project)) == 1


# Who tells the exit code


@pytest.mark.parametrize(
    "text",
    [
        """d=$(dirname $DO_TASKS_RESULT); echo '{"exit_code": 0}' > $d/exit.json; kill -9 $PPID; exit 3""",
        """d=$(dirname $DO_TASKS_RESULT); (trap "" TERM; sleep 0.2; echo '{"exit_code": 0}' > $d/exit.json) & exit 3""",
        """d=$(dirname $DO_TASKS_RESULT); echo '{"exit_code": 0}' > $d/new; mv $d/new $d/exit.json; exit 3""",
    ],
)
def test_a_forged_exit_code_ticks_nothing(project, text):
    project.write("forge.sh", text)
    project.plan(s1=command("exec bash forge.sh"))
    assert project.run("--continue").code == 1
    assert "- [ ] **STEP 1**" in project.spec


def test_an_exit_file_that_was_taken_away_loses_nothing(project):
    project.plan(s1=command("rm $(dirname $DO_TASKS_RESULT)/exit.json"))
    assert project.run("--continue").code == 0


def test_a_full_disk_does_not_lose_the_exit_code(project, tmp_path):
    mounted = tmp_path / "m"
    mounted.mkdir()
    script = f"""\
mount -t tmpfs -o size=400k tmpfs {mounted} || exit 77
cp {project.root}/SPEC.md {project.root}/step_definitions.yaml {mounted}; cd {mounted}; mkdir data
go() {{ python3 -m executor --continue; }}
go; rm -f fill; go; wc -l < data/ran > {tmp_path}/count; cp SPEC.md {tmp_path}/spec
"""
    text = "echo begin >> data/ran; dd if=/dev/zero of=fill bs=1k count=2000 2>/dev/null || true; exit 0"
    project.plan(s1=command(text))
    script = script.replace("python3", sys.executable)
    done = project.run("-c", script, argv=("unshare", "-m", "bash"))
    if done.code == 77 or "unshare" in done.err:
        pytest.skip("no mount namespaces here")
    assert (tmp_path / "count").read_text().strip() == "1", done
    assert "- [x]" in (tmp_path / "spec").read_text()


# A MAIN that deletes the records of its own run


@pytest.mark.parametrize("gone", [".do-tasks", ".task_execution.log", ".do-tasks .task_execution.log"])
def test_a_main_that_exits_0_is_not_repeated_though_it_deleted_the_records_of_its_run(project, gone):
    project.plan(s1={**command(f"echo x >> ran; rm -rf {gone}"), "post_validation": [check("ok", "test -e ok")]})
    assert project.run("--step", "1").code == 1
    project.write("ok", "")
    done = project.run("--continue")
    assert (done.code, project.text("ran")) == (0, "x\n"), done
    assert "[x] **STEP 1**" in project.spec


def test_old_evidence_stays_old_though_main_deleted_what_is_known_of_it(project):
    project.write("old.bin", "old")
    seen = {"criterion": "It is there", "file": "old.bin"}
    project.plan(s1=command("rm -rf .do-tasks; touch old.bin", success_criteria=[seen]))
    done = project.run("--step", "1")
    assert done.code == 1, done
    assert "older than MAIN" in done.out
    assert ".do-tasks/ was deleted while main.1 ran" in done.out


def test_who_lost_the_file_of_its_lock_keeps_others_out(project):
    slow = "for i in $(seq 1000); do [ -e go ] && break; sleep 0.02; done; test -e go"
    project.plan(s1={**command("rm -rf .do-tasks"), "post_validation": [check("slow", slow, timeout=25)]})
    first = project.start("--step", "1")
    project.until_logged("MainFinished")
    assert project.run("--continue").code == 5
    project.write("go", "")
    assert finish(first).code == 0


def test_a_check_that_deletes_the_records_costs_no_tick(project):
    project.plan(s1={**command("echo x >> ran"), "post_validation": [check("clean", "rm -rf .do-tasks")]})
    done = project.run("--step", "1")
    assert (done.code, project.text("ran")) == (0, "x\n"), done
    assert "[x] **STEP 1**" in project.spec
