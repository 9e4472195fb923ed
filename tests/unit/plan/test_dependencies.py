"""When a step may start: its place in order, or its written dependencies."""

from __future__ import annotations

import pytest

from executor.plan.dependencies import Standing, missing
from executor.plan.model import Edge

OPEN, DONE = Standing(), Standing(done=True)
RUNS, SAVED = Standing(started=True), Standing(started=True, checkpoint=True)


def waits(written, **standings):
    """The steps that a step behind all of these waits for."""
    now = {int(name[1:]): standing for name, standing in standings.items()}
    return [edge.step for edge in missing(written, before=now, stand=now.__getitem__)]


def test_the_first_step_waits_for_nothing():
    assert waits(None) == []


def test_without_depends_on_every_earlier_step_is_done_or_a_started_job():
    assert waits(None, s1=DONE, s2=RUNS, s5=DONE) == []
    assert waits(None, s1=DONE, s2=OPEN, s5=OPEN) == [2]


def test_an_empty_list_waits_for_nothing():
    assert waits((), s1=OPEN, s2=OPEN) == []


def test_written_dependencies_alone_count():
    assert waits((Edge(1),), s1=DONE, s2=OPEN) == []
    assert waits((Edge(1), Edge(2)), s1=OPEN, s2=DONE) == [1]


@pytest.mark.parametrize(
    ("standing", "reached"),
    [
        (OPEN, set()),
        (RUNS, {"started"}),
        (SAVED, {"started", "first_checkpoint"}),
        (DONE, {"started", "first_checkpoint", "finished"}),
        (Standing(checkpoint=True), set()),
    ],
)
def test_a_dependency_says_how_far_the_step_must_be(standing, reached):
    assert {until for until in ("started", "first_checkpoint", "finished") if standing.reached(until)} == reached
