"""Tests of the selectors: rows of what is asked for and which tasks it means."""

from __future__ import annotations

import pytest

from executor.errors import UsageError
from executor.plan.formats.model import PlanDocument, PlanTask
from executor.plan.plan_stats import by_section, by_tag, count
from executor.plan.task_selection import Selectors, select

TASKS = (
    PlanTask("T001", "Create the project", "done", section="Setup", tags=("infra",), estimate_h=1.0),
    PlanTask("T002", "Add a login page", section="Story 1", tags=("ui", "auth"), estimate_h=2.0),
    PlanTask("T002a", "Style the login page", section="Story 1", tags=("ui",)),
    PlanTask("T003", "Write the report", "failed", phase="Polish"),
    PlanTask("1.2", "A dotted one", phase="Polish"),
)
DOCUMENT = PlanDocument("test", TASKS)


@pytest.mark.parametrize(
    ("given", "ids"),
    [
        ({}, ["T001", "T002", "T002a", "T003", "1.2"]),
        ({"only": "T001"}, ["T001"]),
        ({"only": "t001, 1.2"}, ["T001", "1.2"]),
        ({"only": "T001-T003"}, ["T001", "T002", "T003"]),
        ({"only": "T001..3"}, ["T001", "T002", "T003"]),
        ({"only": "report"}, ["T003"]),
        ({"exclude": "T002-T009"}, ["T001", "T002a", "1.2"]),
        ({"first": "T002", "last": "T003"}, ["T002", "T002a", "T003"]),
        ({"last": "style"}, ["T001", "T002", "T002a"]),
        ({"tags": "AUTH,infra"}, ["T001", "T002"]),
        ({"sections": "story"}, ["T002", "T002a"]),
        ({"sections": "polish", "exclude": "1.2"}, ["T003"]),
    ],
)
def test_a_selector_means_these_tasks(given, ids):
    assert select(DOCUMENT, Selectors(**given)) == ids


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"only": "T0001"}, "did you mean"),
        ({"only": "login"}, "fits 2 tasks: T002, T002a"),
        ({"only": "T010-T020"}, "no task is in the range"),
        ({"first": "T003", "last": "T001"}, "stands behind"),
        ({"tags": "uu"}, "no task has the tag"),
        ({"sections": "nowhere"}, "sections: Setup, Story 1, Polish"),
        ({"only": "T001", "exclude": "T001"}, "no task is selected"),
    ],
)
def test_what_fits_nothing_is_refused_with_what_there_is(given, said):
    with pytest.raises(UsageError, match=said):
        select(DOCUMENT, Selectors(**given))


def test_counts_go_by_section_and_by_tag():
    whole = count("all", TASKS)
    assert (whole.total, whole.states["done"], whole.states["failed"], whole.hours, whole.hours_done) == (
        5,
        1,
        1,
        3.0,
        1.0,
    )
    assert [(one.name, one.total) for one in by_section(TASKS)] == [("Setup", 1), ("Story 1", 2), ("Polish", 2)]
    assert [(one.name, one.total) for one in by_tag(TASKS)] == [("auth", 1), ("infra", 1), ("ui", 2)]
