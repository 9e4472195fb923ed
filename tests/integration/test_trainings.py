"""Holds jobs to their promise with real trainings: what trains, what befalls it, what outlives whom."""

from __future__ import annotations

import json
import math
import os
import signal
import statistics
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.trainings import scene
from tests.trainings.faults import FAULTS, Fault, healthy, hold, play
from tests.trainings.injuries import UnmountableError, kill_all
from tests.trainings.scene import HERE, SMALL, Scene, kill, lives, wait_for

pytestmark = [
    pytest.mark.skipif(not scene.has_torch(), reason=scene.NEEDS_TORCH),
    pytest.mark.timeout(1800),
]
LIMIT_S = 300  # a plan that imports torch beside others may take long; no verdict hangs on it
SIDE_BY_SIDE = 5


# The training itself


def start(folder, *args):
    """Start the training by itself, without a plan."""
    return subprocess.Popen(
        [sys.executable, str(HERE / "train.py"), *SMALL, *args],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def train(folder, *args):
    """Run the training by itself; return its exit code."""
    process = start(folder, *args)
    try:
        process.communicate(timeout=LIMIT_S)
    finally:
        process.kill()
        process.wait()
    return process.returncode


def losses(folder):
    """Every loss written for a step: more than one where a run went over it again."""
    found = {}
    for line in (folder / "training_logs" / "metrics.jsonl").read_text().splitlines():
        row = json.loads(line)
        found.setdefault((row["step"], "val_loss" in row), set()).add(row.get("val_loss", row.get("loss")))
    return found


def columns(folder):
    """The losses of training_logs/loss.txt, in order."""
    return [float(line.split()[1]) for line in (folder / "training_logs" / "loss.txt").read_text().splitlines()]


def test_a_training_that_goes_on_repeats_its_losses_bit_for_bit(tmp_path):
    every = ("--steps", "50", "--save-every", "20", "--eval-every", "25")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir(), cut.mkdir()
    assert train(whole, *every) == 0
    assert train(cut, *every, "--fault", "die@37") == -signal.SIGKILL
    assert train(cut, *every, "--resume", "checkpoints/step_000020.pt") == 0
    assert [step for step, is_val in losses(cut) if not is_val] == [*range(1, 51)]
    assert losses(cut) == losses(whole)


def test_a_training_told_to_end_saves_where_it_is(tmp_path):
    process = start(tmp_path, "--steps", "100000", "--save-every", "100000")
    file = tmp_path / "training_logs" / "loss.txt"
    wait_for(lambda: file.exists() and file.stat().st_size > 50, lambda: "no step was done", LIMIT_S)
    process.terminate()
    process.communicate(timeout=LIMIT_S)
    assert process.returncode == 128 + signal.SIGTERM
    [saved] = (tmp_path / "checkpoints").iterdir()
    assert saved.name == f"step_{len(columns(tmp_path)):06d}.pt"


def test_a_training_tried_small_leaves_nothing(tmp_path):
    assert train(tmp_path, "--test") == 0
    assert [*tmp_path.iterdir()] == []


def test_weights_blown_up_make_no_number_of_the_loss(tmp_path):
    assert train(tmp_path, "--steps", "40", "--fault", "nan@30") == 0
    assert [math.isnan(loss) for loss in columns(tmp_path)] == [False] * 29 + [True] * 11


def test_a_thousandfold_rate_makes_the_loss_climb(tmp_path):
    assert train(tmp_path, "--steps", "60", "--fault", "divergence@40:1000") == 0
    before, after = columns(tmp_path)[30:39], columns(tmp_path)[-9:]
    assert min(after) > 5 * max(before)


@pytest.mark.deep
def test_a_training_learns_and_judges_itself(tmp_path):
    assert train(tmp_path, "--steps", "200") == 0
    judged = [min(found) for (_, is_val), found in losses(tmp_path).items() if is_val]
    assert judged == sorted(judged, reverse=True)
    assert statistics.mean(columns(tmp_path)[-20:]) < 0.8 * columns(tmp_path)[0]


@pytest.mark.deep
def test_little_text_is_learnt_by_heart(tmp_path):
    assert train(tmp_path, "--steps", "300", "--lr", "0.003", "--fault", "overfit@1:400") == 0
    judged = [min(found) for (_, is_val), found in losses(tmp_path).items() if is_val]
    assert judged[-1] > judged[0]
    assert statistics.mean(columns(tmp_path)[-20:]) < 1.0


# What befalls it


@pytest.fixture(scope="module", autouse=True)
def stage(request, tmp_path_factory):
    """Plays the faults that were asked for, some at a time, while other tests run; each test takes its own."""
    rows = {item.callspec.params["fault"].name: item.callspec.params["fault"] for item in asked(request.session)}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        playing = {
            name: pool.submit(play, row, tmp_path_factory.mktemp("scene"))
            for name, row in rows.items()
            if not row.needs()
        }
        yield playing
        for future in playing.values():
            future.cancel()


def asked(session):
    return [item for item in session.items if plays_a_fault(item)]


def plays_a_fault(item):
    return isinstance(getattr(getattr(item, "callspec", None), "params", {}).get("fault"), Fault)


@pytest.mark.deep
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_is_found_by_its_rule_alone(stage, fault):
    if fault.needs():
        pytest.skip(fault.needs())
    try:
        found = stage[fault.name].result()
    except UnmountableError as reason:
        pytest.skip(str(reason))
    hold(fault, found)


@pytest.mark.deep
@pytest.mark.parametrize("fault", [healthy(seed) for seed in range(10)], ids=lambda fault: fault.name)
def test_a_healthy_training_alerts_nobody(stage, fault):
    hold(fault, stage[fault.name].result())


# What outlives whom


@pytest.fixture
def project(tmp_path):
    made = Scene(tmp_path)
    yield made
    made.close()


MINUTES = ("--steps", "500", "--pace", "0.2", "--save-every", "250", "--eval-every", "100")
WATCH = [
    {"task": "loss", "metrics": "training_logs/metrics.jsonl", "interval": 1, "rules": ["nan", {"stall": "6x"}]},
    {"task": "saved", "checkpoints": "checkpoints/step_*.pt", "interval": 1},
]


def on_terminal(project, *words):
    """Start a command on a terminal of its own, as its foreground; return it and our end of the terminal."""
    ours, its = os.openpty()
    on_it = ("setsid", "--ctty", sys.executable, "-m", "executor")
    process = project.start(*words, argv=on_it, stdin=its, stdout=its, stderr=its)
    os.close(its)
    return process, ours


def advanced(project):
    """Return a claim that the training gets on from here."""
    here = project.steps_done()
    return lambda: project.steps_done() >= here + 10


@pytest.mark.deep
def test_a_training_outlives_executor_terminal_and_supervisor(project):
    project.define(*MINUTES, background=WATCH, second=True)
    executor, terminal = on_terminal(project, "--continue")
    project.hold_until(lambda: project.events("JobStarted"), "the start", LIMIT_S)
    project.hold_until(advanced(project), "ten steps", LIMIT_S)
    executor.kill()
    executor.wait(LIMIT_S)
    os.close(terminal)
    project.hold_until(advanced(project), "ten steps without the executor", LIMIT_S)

    executor, terminal = on_terminal(project, "--continue")
    project.hold_until(advanced(project), "ten steps with another executor", LIMIT_S)
    assert executor.poll() is None
    os.close(terminal)
    assert executor.wait(LIMIT_S) != 0
    project.hold_until(advanced(project), "ten steps without the terminal", LIMIT_S)

    first = project.supervisor()
    kill(first)
    project.hold_until(advanced(project), "ten steps that nobody watches", LIMIT_S)
    assert project.run("list").code == 0
    assert project.supervisor() == 0
    assert project.run("--continue").code == 0
    assert project.supervisor() not in (0, first)
    assert "- [~]" in project.box(13)
    assert "- [x]" in project.box(14)
    assert project.run("--monitor", "--until", "finished", "--timeout", "600").code == 0
    hold_once(project, steps=500)


def hold_once(project, *, steps):
    """Assert that one training ran, every step of it once, with its exit code on record and its box ticked."""
    project.ended()
    [run] = project.runs()
    assert run["run"] == f"{project.job()}/main.1"
    trained = [row["step"] for row in project.records("training_logs/metrics.jsonl") if "loss" in row]
    assert trained == [*range(1, steps + 1)]
    main = project.event("MainFinished", step=13)
    assert (main["exit_code"], main["status"], main["run"]) == (0, "passed", "main.1")
    assert len(project.events("JobStarted")) == len(project.events("StepPassed", step=13)) == 1
    assert len(project.events("SpecTicked", step=13)) == 1
    assert "- [x]" in project.box(13)
    assert project.keys() == []


@pytest.mark.deep
@pytest.mark.parametrize("verb", ["--monitor", "--continue", "--step 13"])
def test_a_supervisor_killed_is_started_again_by_who_looks(project, verb):
    project.define("--steps", "150", "--pace", "0.1", background=WATCH)
    project.run("--step", "13")
    first = project.supervisor()
    kill(first)
    project.hold_until(lambda: not lives(first), "its end", LIMIT_S)
    project.run(*verb.split(), "--no-wait") if verb == "--continue" else project.run(*verb.split())
    project.hold_until(project.supervisor, "another supervisor", LIMIT_S)
    assert len(project.events("SupervisorStarted")) == 2
    hold_once(project, steps=150)


@pytest.mark.deep
def test_a_job_that_ends_while_nobody_watches_is_judged_by_who_looks(project):
    project.define("--steps", "60", "--pace", "0.05", background=WATCH)
    project.run("--step", "13")
    kill(project.supervisor())
    project.hold_until(lambda: not lives(project.trainer()), "the end of the training", LIMIT_S)
    assert project.end() is None
    project.run("--monitor")
    hold_once(project, steps=60)


@pytest.mark.deep
def test_a_step_waits_for_the_checkpoint_of_a_living_training(project):
    project.define("--steps", "400", "--pace", "0.1", "--save-every", "80", background=WATCH, second=True)
    assert project.run("--continue").code == 0
    assert project.text("judged.txt").startswith("checkpoints/step_000080.pt\n")
    assert project.end() is None
    hold_once(project, steps=400)


# Its end by us


FAMILY = ("--steps", "4000", "--pace", "0.05", "--fault", "fork_grandchildren@10")


def hold_nobody(project):
    """Assert that nothing of the project lives: supervisor, launcher, training, children of any session."""
    project.hold_until(lambda: not project.living(), "an empty house", LIMIT_S)


def has_family(project):
    return len([one for one in project.living() if one.name() == "sleep"]) >= 6


@pytest.mark.deep
def test_a_training_stopped_by_a_person_leaves_nobody(project):
    project.define(*FAMILY, background=WATCH)
    project.run("--step", "13")
    project.hold_until(lambda: has_family(project), "its children", LIMIT_S)
    assert project.run("stop", project.job()).code == 0
    hold_nobody(project)
    assert project.end()["status"] == "cancelled"
    saved = max(project.root.glob("checkpoints/step_*.pt"))
    assert saved.name == f"step_{project.steps_done():06d}.pt"


@pytest.mark.deep
def test_a_training_stopped_while_nobody_watches_leaves_nobody(project):
    project.define(*FAMILY, background=WATCH)
    project.run("--step", "13")
    project.hold_until(lambda: has_family(project), "its children", LIMIT_S)
    kill(project.supervisor())
    assert project.run("stop", project.job()).code == 0
    hold_nobody(project)


@pytest.mark.deep
def test_a_training_stopped_by_an_alert_leaves_nobody(project):
    stops = [{**WATCH[0], "interval": 0.5, "on_alert": "stop"}]
    project.define(*FAMILY, "--fault", "nan@60", background=stops)
    project.run("--step", "13")
    project.hold_until(lambda: has_family(project), "its children", LIMIT_S)
    assert project.ended()["status"] == "failed"
    hold_nobody(project)
    assert project.keys() == ["loss/nan"]


# Its second chance


def again(attempts):
    """Monitors that start the training again from its newest checkpoint."""
    restart = {"restart": {"from": "latest_checkpoint", "attempts": attempts, "backoff": 0.5, "grace": 5}}
    return [{**WATCH[0], "interval": 0.5, "on_alert": restart}, WATCH[1]]


@pytest.mark.deep
def test_a_restart_goes_on_from_the_newest_checkpoint_bit_for_bit(project):
    every = ("--steps", "160", "--pace", "0.1", "--save-every", "30")
    project.define(*every, "--fault", "nan@75", "--fault-once", background=again(2))
    project.run("--step", "13")
    assert project.ended()["status"] == "passed"
    first, second = project.runs()
    assert second["after"] == 60
    assert second["resumed"].endswith("checkpoints/step_000060.pt")
    assert first["run"].replace("main.1", "main.2") == second["run"]
    before_the_fault = {step: found for (step, kind), found in project.losses().items() if step < 75 and kind == "loss"}
    assert [len(found) for found in before_the_fault.values()] == [1] * 74
    assert project.keys() == ["loss/nan"]


@pytest.mark.deep
def test_the_same_alert_after_a_restart_is_not_met_with_a_third(project):
    every = ("--steps", "2000", "--pace", "0.1", "--save-every", "30")
    project.define(*every, "--fault", "nan@75", background=again(5))
    project.run("--step", "13")
    assert project.ended()["status"] == "failed"
    assert [run["after"] for run in project.runs()] == [0, 60]
    hold_nobody(project)


@pytest.mark.deep
def test_a_lost_training_goes_on_from_its_checkpoint(project):
    project.define("--steps", "240", "--pace", "0.1", "--save-every", "30", background=WATCH)
    project.run("--step", "13")
    project.hold_until(lambda: project.steps_done() >= 75, "step 75", LIMIT_S)
    kill_all(project)
    saved = max(int(path.stem.removeprefix("step_")) for path in project.root.glob("checkpoints/step_*.pt"))
    assert project.ended()["status"] == "lost"
    assert "✗" in project.box()
    project.run("--continue", "--no-wait")
    project.hold_until(lambda: "- [x]" in project.box(), "the tick", LIMIT_S)
    first, second = project.runs()
    assert second["after"] == saved >= 60
    assert first["run"].replace("main.1", "main.2") == second["run"]
    assert [len(found) for found in project.losses().values()] == [1] * len(project.losses())
