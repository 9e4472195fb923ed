"""How far a training is, and when it will be there."""

from __future__ import annotations

import json

from executor.monitoring import eta


def noted(*marks, total=None, source="stdout"):
    memory = {}
    for now_s, done in marks:
        eta.record(memory, now_s=now_s, done=done, total=total, source=source)
        memory = json.loads(json.dumps(memory))
    return eta.estimate(memory)


def test_nothing_is_told_before_the_first_step():
    assert eta.estimate({}) is None


def test_the_estimate_is_what_is_left_times_the_median_interval():
    told = noted((0, 0), (1, 10), (2, 20), (33, 30), (34, 40), total=100)
    assert told.eta_s == 60 * 0.1
    assert told.basis == "median of the last 4 intervals"


def test_a_pause_does_not_bend_the_estimate():
    marks = [(second, second) for second in range(10)]
    assert noted(*marks, (60, 10), total=20).eta_s == 10.0


def test_without_an_end_there_is_no_estimate():
    assert noted((0, 1), (1, 2)).eta_s is None


def test_the_time_of_a_change_is_that_of_the_last_change():
    assert noted((0, 1), (5, 2), (9, 2)).changed_s == 5


def test_a_step_back_begins_anew():
    told = noted((0, 100), (1, 200), (10, 50), (20, 51), total=61)
    assert told.done == 51
    assert told.eta_s == 100.0


def test_only_the_last_intervals_count():
    slow = [(10 * at, at) for at in range(50)]
    fast = [(490 + at, 49 + at) for at in range(1, 40)]
    assert noted(*slow, *fast, total=98).eta_s == 10.0
