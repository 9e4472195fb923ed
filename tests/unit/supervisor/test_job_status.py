"""The status of a job: what is written is read again, and anything else is read as missing."""

from __future__ import annotations

import json

import pytest

from executor.monitoring.eta import Progress
from executor.supervisor.job_status import OF_READER, AlertStatus, CheckpointStatus, JobStatus, MonitorStatus

STATUS = JobStatus(
    task_id="task_13_a1b2c3d4",
    step=13,
    title="Train",
    run="main.2",
    state="running",
    pid=4711,
    boot="b",
    written_s=10.0,
    began_s=1.0,
    progress=Progress(412.0, 5000.0, 9.0, 360.0, "median", "stdout", "then"),
    metrics={"loss": 0.5, "best": "nan"},
    checkpoints=CheckpointStatus(3, "step_200.pt", 8.0, 2048, "then"),
    alerts=(AlertStatus("loss/nan", "loss is nan", "then", "stop"),),
    monitors=(MonitorStatus("loss", "metrics", 60.0, 7.0, there=True, text="loss 1.2"),),
    restarts=1,
    start={"unmet": [], "until_s": 3.0},
)


def test_a_status_that_was_written_is_read_as_it_was():
    assert JobStatus.from_json(json.loads(json.dumps(STATUS.to_json()))) == STATUS


def test_what_only_a_reader_knows_is_not_written():
    assert not {*OF_READER} & {*STATUS.replace(where="another host", is_alive=True).to_json()}


@pytest.mark.parametrize(
    "odd", [None, 3, "text", [1], {"a": [None]}, True, float("nan"), 10**400, {"a": 10**400}, [{"key": {}}]]
)
@pytest.mark.parametrize("name", [name for name in JobStatus._fields if name not in OF_READER])
def test_a_value_of_a_wrong_type_ends_nothing(name, odd):
    read = JobStatus.from_json({**STATUS.to_json(), name: odd})
    assert json.dumps(read.report(), allow_nan=False)


@pytest.mark.parametrize("body", [None, [], "text", {}])
def test_no_status_is_an_empty_one(body):
    assert JobStatus.from_json(body) == JobStatus()


def test_times_of_another_boot_have_no_age():
    report = STATUS.replace(is_open=True, is_supervised=True).report()
    assert [report["age_s"], report["heartbeat_s"], report["progress"]["age_s"]] == [None] * 3
