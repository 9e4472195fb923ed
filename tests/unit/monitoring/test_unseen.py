"""What a monitor was asked to see and did not, in words with the nearest name."""

from __future__ import annotations

import pytest

from executor.monitoring.model import Monitor, Sample
from executor.monitoring.monitor import MonitorState
from executor.monitoring.rules.registry import read_rule
from executor.monitoring.unseen import grace_s, unseen

NAMES = ("step", "loss", "lr", "val_loss")


def missed(*rules, names=NAMES, there=True, steps=True, ended=False, asks="m.jsonl", kind="metrics", text=""):
    read = tuple(read_rule(rule, monitor_kind=kind, interval_s=1.0) for rule in rules)
    monitor = Monitor("m", kind, asks, rules=read)
    return unseen(monitor, there=there, names=names, text=text, steps=steps, ended=ended)


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"nan": "lose"}, "no column lose; there are step, loss, lr, val_loss; did you mean loss"),
        ({"divergence": {"metric": "train_los"}}, "no column train_los; there are step, loss, lr, val_loss"),
        ({"plateau": {"metric": "val-loss"}}, "did you mean val_loss"),
        ({"overfit": {"metric": "vall_loss"}}, "did you mean val_loss"),
        ({"overfit": {"train": "los"}}, "did you mean loss"),
    ],
)
def test_a_column_that_a_rule_names_and_that_never_came_is_missed(rule, says):
    [(key, reason)] = missed(rule).items()
    assert key == f"m/{next(iter(rule))}"
    assert says in reason


@pytest.mark.parametrize("rule", ["divergence", "plateau"])
def test_a_loss_that_is_looked_for_by_itself_is_missed(rule):
    assert missed(rule) == {}
    assert "no column of a loss; there are acc" in missed(rule, names=("acc", "val_loss"))[f"m/{rule}"]


def test_a_validation_loss_may_come_late_and_is_missed_at_the_end():
    assert missed("overfit", names=("step", "loss")) == {}
    assert "no column of a validation loss" in missed("overfit", names=("step", "loss"), ended=True)["m/overfit"]


@pytest.mark.parametrize("asks", [{"file": "m", "columns": ["loss", "los"]}, {"file": "m", "step": "los"}])
def test_a_column_that_the_monitor_names_is_missed(asks):
    assert "did you mean loss" in missed(asks=asks, names=("loss", "lr"))["m"]


@pytest.mark.parametrize("rule", ["stall", "throughput_drop"])
def test_a_pace_without_any_progress_is_missed(rule):
    assert missed(rule, steps=False) == {f"m/{rule}": "no step and no row came"}


def test_of_a_monitor_that_saw_nothing_only_that_is_missed():
    assert missed({"nan": "lose"}, there=False, text="m.jsonl is not there yet") == {"m": "m.jsonl is not there yet"}
    assert missed(kind="gpu", there=False, text="no GPU here") == {"m": "no GPU here"}


def test_what_was_asked_for_and_came_is_not_missed():
    rules = ("nan", {"divergence": {"metric": "loss"}}, "overfit", {"stall": "6x"})
    assert missed(*rules, ended=True) == {}


@pytest.mark.parametrize(("interval_s", "waits_s"), [(0.2, 120.0), (10.0, 120.0), (60.0, 600.0)])
def test_the_grace_is_ten_looks_and_two_minutes_at_least(interval_s, waits_s):
    assert grace_s(Monitor("m", "log", "x", interval_s=interval_s)) == waits_s


def looked(at_s, *, there, kind="checkpoints", **seen):
    watched = MonitorState(Monitor("m", kind, "x"), {})
    watched.take(Sample(at_s=at_s, there=there, **seen))
    return watched


def test_nothing_is_missed_before_the_grace_is_over():
    watched = looked(10.0, there=False, text="none")
    assert [bool(watched.miss(now_s, 0.0, ended=False)) for now_s in (599.0, 601.0)] == [False, True]
    assert watched.miss(11.0, 0.0, ended=True) == {"m": "none"}


def test_columns_are_waited_for_from_the_first_row_on():
    monitor = Monitor("m", "metrics", "x", rules=(read_rule({"nan": "b"}, monitor_kind="metrics", interval_s=1.0),))
    watched = MonitorState(monitor, {})
    watched.take(Sample(at_s=900.0, rows=({"a": 1.0},), values={"a": 1.0}))
    assert [bool(watched.miss(now_s, 0.0, ended=False)) for now_s in (1000.0, 1501.0)] == [False, True]


def test_a_command_is_missed_only_after_a_second_look():
    watched = MonitorState(Monitor("m", "command", "tail x"), {})
    watched.take_output(1, "", "no such file", 1.0)
    assert watched.miss(2.0, 0.0, ended=True) == {}
    watched.take_output(1, "", "no such file", 61.0)
    assert watched.miss(62.0, 0.0, ended=True) == {"m": "exit 1: no such file"}
