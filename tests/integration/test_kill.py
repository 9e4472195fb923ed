"""Holds the executor to its promise when it is killed: at random instants, then at the instants that are hard."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from tests.integration import plans
from tests.integration.plans import (
    Project,
    cut_log,
    hold_log,
    hold_promise,
    hold_spec,
    kill,
    logged,
    main_began,
    wait_for,
)

SLEEPS_S = (0.05, 0.15, 0.3, 0.1, 0.2)


@pytest.fixture
def project(tmp_path):
    made = Project(tmp_path)
    yield made
    made.close()


@pytest.fixture(scope="module")
def whole_run_s(tmp_path_factory):
    """How long the five steps take here when nobody interferes."""
    began = time.monotonic()
    assert Project(tmp_path_factory.mktemp("whole"), sleeps_s=SLEEPS_S).run("--continue").returncode == 0
    return time.monotonic() - began


# Random instants


@pytest.mark.first_rows(3)
@pytest.mark.parametrize("turn", range(10))
def test_five_steps_keep_the_promise_through_random_kills(tmp_path, whole_run_s, turn):
    survive(Project(tmp_path, sleeps_s=SLEEPS_S), whole_run_s)


@pytest.mark.deep
@pytest.mark.parametrize("turn", range(50))
def test_five_steps_keep_the_promise_through_fifty_random_kills(tmp_path, whole_run_s, turn):
    survive(Project(tmp_path, sleeps_s=SLEEPS_S), whole_run_s)


def survive(project, whole_run_s):
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().getrandbits(32))
    print(f"KILL_SEED={seed} repeats these instants")
    chance = random.Random(seed)
    orphans = set()
    for _ in range(chance.choice((1, 1, 2, 4))):
        process = project.start("--continue")
        time.sleep(chance.uniform(0.0, whole_run_s))
        kill(process)
        orphans |= unwatched(project)
    ended = project.run("--continue")
    project.close()
    assert ended.returncode == 0, ended.stdout
    hold_promise(project)
    adopted = {f"{line['task_id']}/{line['run']}" for line in project.events("MainAdopted")}
    assert orphans <= adopted


def unwatched(project):
    """The runs whose MAIN began and whose end is not in the log."""
    known = {f"{line['task_id']}/{line['run']}" for line in project.events("MainFinished")}
    return {run for number in project.numbers for run, _ in project.mains(number)} - known


# The tick


def test_killed_before_the_tick_it_only_ticks(project):
    project.run("--step", "1")
    cut_log(project, "StepPassed")
    project.path("SPEC.md").write_bytes(project.before)
    [task_id] = project.task_ids()
    length = len(project.log())
    assert project.run("--continue").returncode == 0
    assert [line["event"] for line in project.log()[length:]] == ["SpecTicked"]
    assert project.ticked() == [task_id]
    hold_promise(project)


def test_killed_after_the_tick_it_logs_the_tick(project):
    project.run("--step", "1")
    cut_log(project, "StepPassed")
    length = len(project.log())
    assert project.run("--continue").returncode == 0
    assert [line["event"] for line in project.log()[length:]] == ["SpecTicked"]
    hold_promise(project)


def test_an_untick_after_such_a_death_is_a_persons(project):
    project.run("--step", "1")
    cut_log(project, "StepPassed")
    project.run("--continue")
    project.path("SPEC.md").write_bytes(project.before)
    assert project.run("--continue").returncode == 0
    assert [what for _, what in project.mains()] == ["start", "end"] * 2


def test_a_hand_untick_runs_main_again(project):
    project.run("--step", "1")
    project.path("SPEC.md").write_bytes(project.spec().replace(b"[x]", b"[ ]"))
    assert project.run("--continue").returncode == 0
    assert [what for _, what in project.mains()] == ["start", "end"] * 2
    assert len(project.events("HandUntickSeen")) == 1
    assert len({run for run, _ in project.mains()}) == 2
    hold_spec(project)


@pytest.mark.parametrize("words", [("--continue",), ("--step", "1")])
def test_a_hand_tick_is_honoured_and_logged_once(project, words):
    by_hand = project.spec().replace(b"[ ]", b"[x]")
    project.path("SPEC.md").write_bytes(by_hand)
    assert [project.run(*words).returncode, project.run(*words).returncode] == [0, 0]
    assert len(project.events("HandTickSeen")) == 1
    assert project.mains() == []
    assert project.spec() == by_hand


# MAIN is not repeated


def test_a_killed_post_does_not_repeat_main(project):
    project.hold("post")
    project.killed_when(logged("MainFinished"))
    project.release("post")
    assert project.run("--continue").returncode == 0
    assert len(project.events("MainReused")) == 1
    assert project.ticked() == [line["task_id"] for line in project.events("TaskStarted")]
    hold_promise(project)


def test_a_corrected_post_does_not_repeat_main(project):
    project.path("fail_post").touch()
    assert project.run("--continue").returncode == 1
    definitions = project.path("step_definitions.yaml")
    definitions.write_text(definitions.read_text().replace("check.sh post", "check.sh nothing"))
    assert project.run("--continue").returncode == 0
    assert len(project.events("MainReused")) == 1
    hold_promise(project)


def test_a_corrected_post_killed_again_does_not_repeat_main(project):
    project.path("fail_post").touch()
    assert project.run("--continue").returncode == 1
    project.path("fail_post").unlink()
    project.hold("pre")
    project.killed_when(lambda seen: len(seen.events("TaskStarted")) == 2)
    project.release("pre")
    assert project.run("--continue").returncode == 0
    hold_promise(project)


def test_an_edited_script_repeats_main(project):
    project.path("fail_post").touch()
    assert project.run("--continue").returncode == 1
    project.path("fail_post").unlink()
    edit(project)
    assert project.run("--continue").returncode == 0
    assert [what for _, what in project.mains()] == ["start", "end"] * 2
    hold_spec(project)


def test_a_main_of_the_script_before_its_edit_is_no_evidence(project):
    project.hold("main")
    project.killed_when(main_began)
    project.release("main")
    wait_for(lambda: not project.living(), "the end of MAIN")
    edit(project)
    project.hold("pre")
    project.killed_when(logged("TaskResumed"))
    project.release("pre")
    assert project.run("--continue").returncode == 0
    first, _, second, _ = [run for run, _ in project.mains()]
    assert [first.split("/")[1], second.split("/")[1]] == ["main.1", "main.2"]
    assert [line["run"] for line in project.events("MainFinished")] == ["main.2"]


def edit(project):
    with project.path("work_1.sh").open("a") as script:
        script.write("# another way\n")


# MAIN goes on


def test_a_living_main_is_adopted_under_its_id(project):
    project.hold("main")
    project.killed_when(main_began)
    going_on = project.start("--continue")
    wait_for(lambda: project.events("MainAdopted"), "the adoption")
    project.release("main")
    assert going_on.wait(plans.LIMIT_S) == 0
    assert project.ticked() == [line["task_id"] for line in project.events("TaskStarted")]
    hold_promise(project)


def test_a_main_that_ended_unseen_is_adopted(project):
    project.hold("main")
    project.killed_when(main_began)
    project.release("main")
    wait_for(lambda: not project.living(), "the end of MAIN")
    assert project.run("--continue").returncode == 0
    assert len(project.events("MainAdopted")) == 1
    hold_promise(project)


def test_a_living_main_whose_script_was_edited_is_adopted_as_what_it_is(project):
    project.hold("main")
    project.killed_when(main_began)
    script = project.path("work_1.sh")
    script.write_text(f"{script.read_text()}# edited\n")
    going_on = project.start("--continue")
    wait_for(lambda: project.events("MainAdopted"), "the adoption")
    assert "--rerun would end it and start anew" in project.events("MainAdopted")[0]["why"]
    project.release("main")
    assert going_on.wait(plans.LIMIT_S) == 0
    hold_promise(project)
    assert json.loads(project.run("list", "--json").stdout)["steps"][0]["changed"] == ["script"]
    assert "changed since it passed: script" in project.run("--step", "1").stdout


def test_the_list_calls_a_step_running_while_an_executor_checks_it(project):
    project.hold("pre")
    going_on = project.start("--continue")
    wait_for(lambda: project.events("TaskStarted"), "the task")
    assert json.loads(project.run("list", "--json").stdout)["steps"][0]["state"] == "running"
    project.release("pre")
    assert going_on.wait(plans.LIMIT_S) == 0


def test_a_failed_check_leaves_a_living_main_to_be_adopted(project):
    project.hold("main")
    project.killed_when(main_began)
    project.path("fail_pre").touch()
    assert project.run("--continue").returncode == 1
    project.path("fail_pre").unlink()
    going_on = project.start("--continue")
    wait_for(lambda: project.events("MainAdopted"), "the adoption")
    project.release("main")
    assert going_on.wait(plans.LIMIT_S) == 0
    hold_promise(project)


def test_reopen_while_main_lives_ends_it_first(project):
    project.hold("main")
    project.killed_when(main_began)
    assert project.run("reopen", "1", "--by", "Ann", "--reason", "again").returncode == 0
    going_on = project.start("--continue")
    wait_for(lambda: len(project.mains()) > 1, "the second MAIN")
    assert len(set(filter(None, map(token, project.living())))) == 1
    project.release("main")
    assert going_on.wait(plans.LIMIT_S) == 0
    assert [what for _, what in project.mains()] == ["start", "start", "end"]


def token(pid):
    """The run that a process belongs to; empty when it has ended meanwhile."""
    try:
        words = plans.Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return b""
    return next(word for word in words if word.startswith(b"DO_TASKS_RUN="))


def test_a_killed_rerun_goes_on_and_is_not_the_old_main(project):
    project.run("--step", "1")
    project.hold("pre")
    project.killed_when(lambda seen: len(seen.events("TaskStarted")) == 2, "--step", "1", "--rerun")
    project.release("pre")
    assert project.run("--continue").returncode == 0
    assert [what for _, what in project.mains()] == ["start", "end"] * 2
    assert project.ticked() == [project.events("TaskStarted")[1]["task_id"]]
    hold_spec(project)


# MAIN is lost


def lose_main(project):
    """Kill the executor, then the launcher with its group."""
    project.hold("main")
    project.killed_when(main_began)
    pid = json.loads(project.started_record().read_text())["pid"]
    assert pid in project.living()
    os.killpg(pid, signal.SIGKILL)
    wait_for(lambda: not project.living(), "the death of MAIN")
    project.release("main")


def test_a_lost_main_is_run_again_in_its_task(project):
    lose_main(project)
    assert project.run("--continue").returncode == 0
    assert [line["run"] for line in project.events("MainLost")] == ["main.1"]
    assert [run.split("/")[1] for run, _ in project.mains()] == ["main.1", "main.2", "main.2"]
    assert project.ticked() == [line["task_id"] for line in project.events("TaskStarted")]
    hold_log(project)
    hold_spec(project)


def test_a_main_from_before_a_reboot_is_lost(project):
    lose_main(project)
    change_record(project, boot="another boot", pid=os.getpid())
    assert project.run("--continue").returncode == 0
    assert [line["run"] for line in project.events("MainLost")] == ["main.1"]


def test_a_reused_pid_is_not_taken_for_main(project):
    lose_main(project)
    change_record(project, pid=os.getpid())
    assert project.run("--continue").returncode == 0
    assert [line["run"] for line in project.events("MainLost")] == ["main.1"]


def test_on_lost_ask_waits_for_a_person(project):
    project.define(on_lost="ask")
    lose_main(project)
    assert [project.run("--continue").returncode, project.run("--continue").returncode] == [3, 3]
    assert len(project.mains()) == 1
    assert b"\xe2\x9c\x97 Failed" in project.spec()
    assert b"lost" in project.spec()
    project.define(on_lost="rerun")
    assert project.run("--continue").returncode == 0
    assert [run.split("/")[1] for run, _ in project.mains()] == ["main.1", "main.2", "main.2"]
    hold_spec(project)


def test_a_main_lost_under_our_eyes_waits_for_a_person_too(project):
    project.define(on_lost="ask")
    project.hold("main")
    project.killed_when(main_began)
    going_on = project.start("--continue")
    wait_for(lambda: project.events("MainAdopted"), "the adoption")
    os.killpg(json.loads(project.started_record().read_text())["pid"], signal.SIGKILL)
    assert going_on.wait(plans.LIMIT_S) == 1
    assert project.run("--continue").returncode == 3
    assert len(project.mains()) == 1


def test_a_run_of_another_machine_is_left_alone(project):
    project.hold("main")
    project.killed_when(main_began)
    change_record(project, machine="another machine")
    assert project.run("--continue").returncode == 3
    assert project.run("--step", "1", "--rerun").returncode == 3
    assert len(project.mains()) == 1
    assert not project.events("StraysStopped")
    assert project.living()


def change_record(project, **changes):
    record = project.started_record()
    record.write_text(json.dumps({**json.loads(record.read_text()), **changes}))


# The handshake

DIES_HOLDING = """
import os, signal, sys
from executor.system import launcher
launcher.start_paused(("/bin/sh", "-c", "touch ran"), dict(os.environ), folder=sys.argv[1])
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_nothing_runs_when_we_die_before_the_launcher_is_let_go(tmp_path):
    words = [sys.executable, "-c", DIES_HOLDING, str(tmp_path)]
    died = subprocess.run(words, cwd=tmp_path, env=plans.environ(), timeout=plans.LIMIT_S, check=False)
    assert died.returncode == -signal.SIGKILL
    wait_for(lambda: (tmp_path / "exit.json").exists() and (tmp_path / "exit.json").stat().st_size, "the launcher")
    assert json.loads((tmp_path / "exit.json").read_text()) == {"ran": False}
    assert not (tmp_path / "ran").exists()


def test_a_run_that_was_never_let_go_is_not_called_lost(project):
    project.run("--continue")
    cut_log(project, "MainStarted")
    project.path("SPEC.md").write_bytes(project.before)
    project.started_record().with_name("exit.json").write_text('{"ran": false}\n')
    project.path("mains.txt").unlink()
    assert project.run("--continue").returncode == 0
    assert project.events("MainLost") == []
    assert [run.split("/")[1] for run, _ in project.mains()] == ["main.2", "main.2"]
    hold_promise(project)


def began_test(project):
    """A moment: TEST has written its pid."""
    path = project.path("tests.txt")
    return path.exists() and path.read_text().endswith("\n")


def test_a_stray_test_is_ended_before_the_next(project):
    project.hold("test")
    project.killed_when(began_test)
    stray = int(project.path("tests.txt").read_text())
    assert plans.lives(stray)
    going_on = project.start("--continue")
    wait_for(lambda: project.path("tests.txt").read_text().count("\n") == 2, "the second TEST")
    assert not plans.lives(stray)
    [stopped] = project.events("StraysStopped")
    assert stray in stopped["pids"]
    project.release("test")
    assert going_on.wait(plans.LIMIT_S) == 0
    hold_promise(project)


# The log, its cache, the lock


@pytest.mark.parametrize("torn", [b'{"v": 1, "timest', b"{", b'{"v": 1}', b"\xe2\x9c"])
def test_a_torn_line_is_closed_and_named(project, torn):
    project.hold("main")
    project.killed_when(main_began)
    project.release("main")
    with project.path(plans.LOG).open("ab") as log:
        log.write(torn)
    assert project.run("--continue").returncode == 0
    assert [line["size"] for line in project.events("LogRepaired")] == [len(torn)]
    lines = project.path(plans.LOG).read_bytes().split(b"\n")
    assert json.loads(lines[lines.index(torn) + 1])["event"] == "LogRepaired"
    assert sum(plans.parsed(line) is None for line in lines[:-1]) == (plans.parsed(torn) is None)


def test_a_log_taken_away_from_a_living_main_is_refused(project):
    project.hold("main")
    project.killed_when(main_began)
    project.path(plans.LOG).unlink()
    assert [project.run("--continue").returncode, project.run("--continue").returncode] == [2, 2]
    assert len(project.mains()) == 1
    project.release("main")


def test_a_second_executor_is_turned_away(project):
    project.hold("main")
    first = project.start("--continue")
    wait_for(project.mains, "MAIN")
    second = project.run("--continue")
    assert second.returncode == 5
    assert str(first.pid) in second.stdout
    project.release("main")
    assert first.wait(plans.LIMIT_S) == 0
    hold_promise(project)


def no_cache(_):
    return None


def garbage(_):
    return b"\x00{not json"


def of_another_log(cache):
    return json.dumps({**json.loads(cache), "inode": 1}).encode()


def of_other_bytes(cache):
    return json.dumps({**json.loads(cache), "tail": "x" * 256}).encode()


def beyond_the_log(cache):
    return json.dumps({**json.loads(cache), "offset": 10**9}).encode()


@pytest.mark.first_rows(2)
@pytest.mark.parametrize("spoilt", [no_cache, garbage, of_another_log, of_other_bytes, beyond_the_log])
def test_what_the_cache_says_changes_nothing(project, spoilt):
    project.path("fail_post").touch()
    assert project.run("--continue").returncode == 1
    cache = project.path(".do-tasks", "state.json")
    data = spoilt(cache.read_bytes())
    cache.unlink()
    if data is not None:
        cache.write_bytes(data)
    project.path("fail_post").unlink()
    assert project.run("--continue").returncode == 0
    assert len(project.events("MainReused")) == 1
    hold_promise(project)
