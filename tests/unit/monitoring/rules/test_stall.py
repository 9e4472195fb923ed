"""The rule stall over sequences of looks: a training that moves is let be, one that hangs is found."""

from __future__ import annotations

import pytest

from executor.monitoring.liveness import counts_in
from tests.unit.monitoring.rules.test_rules import Watch, until_raised

STALL = {"stall": {"times": 6, "floor": 60}}


def stood(watch, looks):
    """Whether the rule stood after each of these looks."""
    return [watch.see(**look) for look in looks]


def quietly(watch, looks):
    assert not any(stood(watch, looks))
    return watch


def row(step, **more):
    return {"progress": float(step), "rows": ({"step": float(step), **more},)}


def trained(written=STALL, kind="metrics", steps=50):
    """A rule that has seen so many steps, one a look."""
    return quietly(Watch(written, kind), [row(step, loss=2.0 - step / 100) for step in range(1, steps)])


@pytest.mark.parametrize(
    "looks",
    [
        [row(1, loss=0.5) for _ in range(300)],
        [row(step % 5 or 5, loss=0.5) for step in range(300)],
        [row(5, loss=0.5 + look / 1e4) for look in range(300)],
        [{"progress": float(look + 1), "rows": ({"loss": 0.5},)} for look in range(300)],
        [{"there": False, "bytes": 40} for _ in range(300)],
        [{"rows": ({"loss": 0.0},)} for _ in range(300)],
        [row(3, line=float(look)) for look in range(300)],
    ],
    ids=["step-misread", "step-of-each-epoch", "step-that-stays", "no-step", "bar-alone", "no-progress", "lines"],
)
def test_a_training_that_moves_is_let_be_whatever_its_step_says(looks):
    quietly(Watch(STALL), looks)


def test_the_same_step_with_a_loss_is_progress_after_steps_that_grew():
    quietly(trained(), [row(49, loss=0.0)] * 300)


def test_rows_of_an_evaluation_without_a_step_are_progress():
    quietly(trained(), [{"progress": 49.0, "rows": ({"batch_done": float(look)},)} for look in range(300)])


@pytest.mark.parametrize(
    "spam", [{"rank": 3.0}, {"rank": 3.0, "elapsed": 60.0}, {"attempt": 7.0}, {"step": 49.0, "rank": 3.0}]
)
def test_lines_that_a_hung_process_repeats_are_no_progress(spam):
    watch = trained()
    looks = [{"progress": 49.0, "rows": ({**spam, "elapsed": float(look)},)} for look in range(40)]
    assert stood(watch, looks)[-1]


def test_bytes_are_no_progress_where_steps_are_known():
    assert stood(trained(), [{"progress": 49.0, "bytes": 100}] * 30)[-1]


def test_a_bar_that_no_longer_moves_is_a_stall():
    watch = quietly(Watch({"stall": {"times": 6, "floor": 60, "warmup": 60}}), [{"there": False, "bytes": 40}] * 50)
    assert until_raised(watch, there=False) <= 130


def test_signs_of_life_elsewhere_begin_the_wait_anew():
    watch = trained()
    quietly(watch, [{"progress": 49.0, "signs": look} for look in range(300)])
    assert until_raised(watch, progress=49.0, signs=299) <= 90


def test_a_job_that_works_is_given_its_warm_up():
    watch = trained()
    quietly(watch, [{"progress": 49.0, "busy": True}] * 59)
    assert until_raised(watch, progress=49.0, busy=True) <= 30


def test_a_job_that_works_before_its_first_step_is_given_an_hour():
    watch = Watch({"stall": "6x"})
    quietly(watch, [{"there": False, "busy": True}] * 355)
    assert until_raised(watch, there=False, busy=True) <= 120


def test_a_job_stopped_by_a_signal_is_only_told_and_begins_its_wait_anew():
    watch = trained()
    assert until_raised(watch, progress=49.0, frozen=True) <= 90
    assert watch.said.notify_only
    assert "kill -CONT" in watch.said.text
    assert watch.see(progress=49.0) is False
    assert until_raised(watch, progress=49.0) >= 60
    assert not watch.said.notify_only


@pytest.mark.parametrize("gap_s", [100.0, 3600.0, 1e6, -50.0])
def test_time_in_which_nobody_looked_begins_the_wait_anew(gap_s):
    watch = trained()
    quietly(watch, [{"progress": 49.0}] * 5)
    assert watch.see(progress=49.0, after_s=gap_s) is False
    assert until_raised(watch, progress=49.0) >= 60


def test_a_first_checkpoint_is_waited_for_an_hour():
    watch = Watch({"stall": "6x"}, "checkpoints", interval_s=60.0)
    assert until_raised(watch, there=False, progress=0.0) > 3600


@pytest.mark.parametrize(
    ("ending", "counts"),
    [
        (b"Evaluating:  12%|#2   | 12/100 [00:10<01:10, 1.25it/s]", "12 12"),
        (b"\rEval: 3/8\rEval: 4/8", "3 4"),
        (b"waiting for rank 3\nwaiting for rank 3\n", ""),
        (b"batch 7 of 90\n", "7"),
        (b"", ""),
    ],
)
def test_the_counts_of_a_bar_are_found_at_the_end_of_an_output(ending, counts):
    assert counts_in(ending) == counts
