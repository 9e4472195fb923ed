"""Trainings as a background step of a plan: watched, killed with the supervisor, gone on with by --continue."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.integration.projects import Project, finish, until

pytest.importorskip("torch")
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SCRIPT, BASE = SCRIPTS / "train_lm.py", SCRIPTS / "make_base_model.py"
SMALL = (
    "text.files=*.txt",
    "tokenizer.kind=char",
    "model.preset=tiny",
    "model.context=64",
    "run.threads=1",
    "run.length=32",
    "run.batch_tokens=256",
    "run.steps=400",
    "judge.every=50",
    "judge.batches=1",
    "sample.every=0",
    "keep.every=20",
)
LOGS = "outputs/lm/training_logs"
SMALL_BASE = (*SMALL[1:], "run.long_length=0", "copy.until_loss=100")
TALK = "".join(f"ANNA.\nWhere is barrel {n}, sir?\n\nBEN.\nBy candle {n * n % 97}.\n\n" for n in range(60))


@pytest.fixture
def project(tmp_path):
    project = Project(tmp_path / "p")
    project.write("data/play.txt", "".join(f"Say {n * n % 97}, good Ben, and {n % 7}.\n" for n in range(200)))
    main = {
        "command": f"{sys.executable} {SCRIPT} {' '.join(SMALL)}",
        "test": "none",
        "mode": "background",
        "timeout": 60,
        "success_criteria": [{"criterion": "It learns", "file": f"{LOGS}/metrics.jsonl"}],
    }
    watched = [
        {"task": "loss", "metrics": f"{LOGS}/metrics.jsonl", "interval": 1, "rules": ["nan", {"divergence": "2x"}]},
        {"task": "saved", "checkpoints": "outputs/lm/checkpoints/step_*", "interval": 1},
    ]
    after = [{"task": "model", "file": "outputs/lm/model/model.safetensors"}]
    return project.plan(s1={"main": main, "background": watched, "post_validation": after})


@pytest.fixture
def base(tmp_path):
    """A plan that makes a base model out of four small plays."""
    project = Project(tmp_path / "p")
    for name in ("comedy", "history", "macbeth", "twelfth_night"):
        project.write(f"data/plays/small/{name}.txt", f"ACT I.\n\nSCENE I. A hall.\n\n{TALK}")
    logs = "outputs/lm/bard-small-*"
    main = {
        "command": f"{sys.executable} {BASE} {' '.join(SMALL_BASE)}",
        "test": "none",
        "mode": "background",
        "timeout": 60,
        "success_criteria": [{"criterion": "It learns", "file": f"{logs}/training_logs/loss.txt"}],
    }
    watched = [
        {"task": "loss", "metrics": f"{logs}/training_logs/metrics.jsonl", "interval": 1, "rules": ["nan"]},
        {"task": "saved", "checkpoints": f"{logs}/checkpoints/step_*", "interval": 1},
    ]
    after = [{"task": "model", "file": "outputs/models/bard-small/base.json"}]
    return project.plan(s1={"main": main, "background": watched, "post_validation": after})


def those_of(project):
    """Every process that lives in the project's folder, but ours."""
    here = [one for one in psutil.process_iter(["cwd"]) if one.info["cwd"] == str(project.root)]
    return [one for one in here if one.pid != os.getpid()]


def whole(project):
    """The losses of the same training, run by itself and never killed."""
    command = [sys.executable, str(SCRIPT), *SMALL, "outputs=whole"]
    subprocess.run(command, cwd=project.root, check=True, capture_output=True, timeout=300)
    return project.text("whole/training_logs/loss.txt")


def killed_and_continued(project, saved):
    """Kill everything once a checkpoint is there, go on by --continue to the tick; return what the second run said."""
    started = project.run("--step", "1")
    assert started.code == 0, started
    until(lambda: any(project.root.glob(saved)), "nothing was saved")
    for one in those_of(project):
        one.send_signal(signal.SIGKILL)
    until(lambda: not those_of(project), "somebody outlived kill -9")
    assert "- [x]" not in project.spec
    again = project.run("--continue")
    assert again.code == 0, again
    ended = finish(project.start("monitor", "--until", "finished", "--timeout", "120"), 150)
    assert ended.code == 0, ended
    until(lambda: "- [x] **STEP 1**" in project.spec, f"no tick: {project.spec}")
    assert len(project.events("TaskStarted")) == 1
    return project.text(str(next((project.root / ".do-tasks/jobs").glob("*/main.2/stdout.log"))))


@pytest.mark.timeout(300)
def test_killed_with_its_supervisor_it_goes_on_by_continue_bit_for_bit(project):
    said = killed_and_continued(project, "outputs/lm/checkpoints/step_*")
    assert "going on after step" in said
    assert project.text(f"{LOGS}/loss.txt") == whole(project)


@pytest.mark.timeout(300)
def test_so_does_the_base_model(base):
    said = killed_and_continued(base, "outputs/lm/bard-small-*/checkpoints/step_*")
    assert "going on after step" in said
    model = base.root / "outputs/models/bard-small/model.safetensors"
    made = model.read_bytes()
    again = [sys.executable, str(BASE), *SMALL_BASE, "outputs=whole", "resume=never"]
    model.parent.rename(base.root / "made")
    subprocess.run(again, cwd=base.root, check=True, capture_output=True, timeout=300)
    assert model.read_bytes() == made
