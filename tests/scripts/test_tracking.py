"""Trackers: each file is read back by its own library; none can fail or hold a training."""

from __future__ import annotations

import json
import math
import os
import struct
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import ClassVar

import pytest

from common.errors import Trouble
from tracking.queued import Queued
from tracking.session import Tracking

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 120
BLOCK = 32_768  # of LevelDB's log
PARAMS = {"learning_rate": 0.1, "optimizer": "adamw", "layers": 2}


def events(folder):
    return [json.loads(line) for line in (folder / "tracking.jsonl").read_text().splitlines()]


def train(folder, *names):
    """A run of three steps with a sample and an artefact."""
    (folder / "model.bin").parent.mkdir(parents=True, exist_ok=True)
    (folder / "model.bin").write_bytes(b"weights")
    with Tracking(folder, name="first", experiment="trials", params=PARAMS, names=names) as run:
        for step in (1, 2, 3):
            run.metrics(step, {"loss": 1 / step, "score": math.nan if step == 2 else step})
        run.text("sample", 3, "<b>To be</b>\nor not")
        run.artifact(folder / "model.bin", "model")
    return run


class Recorder:
    """A tracker that records its calls; `fails` names a method that raises, `holds` one that waits to be released."""

    made: ClassVar[list[Recorder]] = []
    fails, holds = "", ""

    def __init__(self):
        self.calls = []
        self.released = threading.Event()
        self.made.append(self)

    def __getattr__(self, method):
        def call(*arguments):
            if method == self.holds:
                self.released.wait(PATIENCE_S)
            if method == self.fails:
                raise ConnectionError("the server is gone")
            self.calls.append((method, arguments))

        return call


class Failing(Recorder):
    fails = "metrics"


# The truth


def test_the_json_lines_have_everything_without_a_tracker(tmp_path):
    train(tmp_path)
    begin, *metrics, text, artifact, end = events(tmp_path)
    assert begin["params"] == PARAMS
    assert begin["facts"]["packages"]["pytest"] == pytest.__version__
    assert [row["step"] for row in metrics] == [1, 2, 3]
    assert metrics[0]["values"]["loss"] == 1.0
    assert metrics[0]["values"]["system/memory_mib"] > 1
    assert text["text"] == "<b>To be</b>\nor not"
    assert len(artifact["sha256"]) == 64
    assert end == {"event": "end", "time": end["time"], "state": "complete", "dropped": {}, "errors": {}}


def test_a_run_knows_the_revision_and_the_difference_from_it(tmp_path, monkeypatch):
    from tracking import run_facts

    monkeypatch.chdir(tmp_path)
    assert run_facts.git() == {}
    for words in (["init", "-q"], ["config", "user.email", "a@b"], ["config", "user.name", "a"]):
        subprocess.run(["git", *words], check=True)
    (tmp_path / "train.py").write_text("one = 1\n")
    subprocess.run(["git", "add", "."], check=True)
    subprocess.run(["git", "commit", "-qm", "first"], check=True)
    assert run_facts.git()["is_dirty"] is False
    (tmp_path / "train.py").write_text("one = 2\n")
    found = run_facts.git()
    assert found["is_dirty"] is True
    assert "+one = 2" in found["diff"]
    assert len(found["revision"]) == 40


def test_a_training_that_raises_ends_as_failed(tmp_path):
    with pytest.raises(ZeroDivisionError), Tracking(tmp_path, name="a", experiment="b", params={}):
        1 / 0  # noqa: B018 - it is to raise
    assert events(tmp_path)[-1]["state"] == "failed"


def test_credentials_of_a_url_are_not_among_the_facts():
    code = "from tracking import run_facts; print(run_facts.facts()['argv'])"
    argv = [sys.executable, "-c", code, "storage=postgresql://me:hunter2@host/db"]
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "scripts")}
    ended = subprocess.run(argv, env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=True)
    assert "storage=postgresql://***@host/db" in ended.stdout
    assert "hunter2" not in ended.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full")
def test_a_full_disk_does_not_fail_a_training(tmp_path, capsys):
    (tmp_path / "tracking.jsonl").symlink_to("/dev/full")
    with Tracking(tmp_path, name="a", experiment="b", params={}) as run:
        run.metrics(1, {"loss": 1.0})
    assert capsys.readouterr().err == "tracking: tracking.jsonl cannot be written: No space left on device\n"


def test_a_value_that_is_no_number_does_not_fail_a_training(tmp_path):
    with Tracking(tmp_path, name="a", experiment="b", params={}) as run:
        run.metrics(1, {"loss": 1.0, "note": "low", "best": None, "rows": [1, 2]})
    (row,) = [one for one in events(tmp_path) if one["event"] == "metrics"]
    assert (row["values"]["loss"], row["left_out"]) == (1.0, ["note", "best", "rows"])


# Trackers that stall or fail


def test_a_tracker_gets_all_calls_in_their_order(tmp_path):
    train(tmp_path, "tests.scripts.test_tracking:Recorder", "tests.scripts.test_tracking:Recorder")
    from tests.scripts import test_tracking as module

    calls = [method for method, _ in module.Recorder.made[-1].calls]
    assert calls == ["begin", "metrics", "metrics", "metrics", "text", "artifact", "end"]


def test_a_tracker_that_fails_ends_alone_and_is_told(tmp_path, capsys):
    train(tmp_path, "tests.scripts.test_tracking:Failing")
    end = events(tmp_path)[-1]
    assert end["state"] == "complete"
    assert end["errors"] == {"tests.scripts.test_tracking:Failing": "the server is gone"}
    assert end["dropped"]["tests.scripts.test_tracking:Failing"] >= 3
    shown = capsys.readouterr().err
    assert "failed and is left out from now on: the server is gone" in shown
    assert "metrics.jsonl has everything" not in shown
    assert "tracking.jsonl has everything" in shown


def test_a_tracker_that_stalls_holds_nothing_and_what_was_dropped_is_told(capsys):
    slow = Recorder()
    slow.holds = "metrics"
    queued = Queued("slow", slow, most=10)
    for step in range(100):
        queued.call("metrics", step, {})  # none of these waits: the tracker answers to nothing
    assert 85 <= queued.dropped <= 90  # ten wait, one is with the tracker
    queued.close("complete", limit_s=0.2)
    slow.released.set()
    shown = capsys.readouterr().err
    assert "did not end within 0.2 s" in shown
    assert "calls were dropped" in shown


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("tensorbord", "no tracker 'tensorbord'; did you mean tensorboard?"),
        ("nowhere:Tracker", "tracker nowhere:Tracker needs nowhere"),
        ("tracking.tracker:Nobody", "cannot be loaded"),
    ],
)
def test_a_tracker_that_is_not_there_is_one_line_before_a_file(tmp_path, name, line):
    with pytest.raises(Trouble) as found:
        Tracking(tmp_path / "run", name="a", experiment="b", params={}, names=[name])
    assert line in str(found.value)
    assert not (tmp_path / "run").exists()


# Files that their own library reads


def test_tensorboard_reads_its_file(tmp_path):
    pytest.importorskip("tensorboardX")
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    train(tmp_path, "tensorboard")
    found = reader.EventAccumulator(str(tmp_path / "tensorboard"))
    found.Reload()
    assert [(one.step, one.value) for one in found.Scalars("loss")] == [
        (1, 1.0),
        (2, 0.5),
        (3, pytest.approx(1 / 3)),
    ]
    assert math.isnan(found.Scalars("score")[1].value)
    assert b"To be" in found.Tensors("sample/text_summary")[0].tensor_proto.string_val[0]


def test_mlflow_reads_its_database(tmp_path, monkeypatch):
    tracking = pytest.importorskip("mlflow.tracking")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow uses a loader that SQLAlchemy 2.1 deprecates
        train(tmp_path / "trial", "mlflow")
        hold_run(tracking, tmp_path)


def hold_run(tracking, tmp_path):
    client = tracking.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    [run] = client.search_runs([client.get_experiment_by_name("trials").experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params == {name: str(value) for name, value in PARAMS.items()}
    history = client.get_metric_history(run.info.run_id, "loss")
    assert sorted((one.step, one.value) for one in history) == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert {one.path for one in client.list_artifacts(run.info.run_id)} == {"model.bin", "sample"}


def test_wandb_reads_its_file(tmp_path):
    pytest.importorskip("wandb")
    code = (
        "import sys, pathlib; from tests.scripts.test_tracking import train\n"
        "train(pathlib.Path(sys.argv[1]), 'wandb')\n"
    )
    environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'scripts'}", "HOME": str(tmp_path)}
    environ.pop("WANDB_MODE", None)
    ended = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "run"],
        env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert "to upload this run: wandb sync" in ended.stderr
    [path] = (tmp_path / "run/wandb").glob("offline-run-*/*.wandb")
    losses = [row["loss"] for row in rows_of_wandb(path) if "loss" in row]
    assert losses == [1.0, 0.5, pytest.approx(1 / 3)]


def rows_of_wandb(path):
    """The rows of history in a file of Weights & Biases, by its own messages; their frame is LevelDB's log."""
    from wandb.proto import wandb_internal_pb2

    content, at, whole = path.read_bytes(), 7, b""  # the file's own header
    while at + 7 <= len(content):
        if BLOCK - at % BLOCK < 7:  # a header is never divided
            at += BLOCK - at % BLOCK
            continue
        _, size, kind = struct.unpack_from("<IHB", content, at)
        whole += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind not in (1, 4):  # whole, or the last part of one
            continue
        record = wandb_internal_pb2.Record()
        record.ParseFromString(whole)
        whole = b""
        if record.WhichOneof("record_type") == "history":
            items = record.history.item
            yield {item.key or item.nested_key[0]: json.loads(item.value_json) for item in items}


def test_trackers_cost_a_training_little(tmp_path):
    pytest.importorskip("tensorboardX")
    with Tracking(tmp_path, name="a", experiment="b", params={}, names=["tensorboard"]) as run:
        began = time.thread_time()
        for step in range(200):
            run.metrics(step, {"loss": 1.0})
        spent_s = time.thread_time() - began
    assert len(events(tmp_path)) == 202
    assert spent_s < 5  # a bound of sanity; the figure stands in docs/howto/track-a-training.md
