"""Holds the first recipe of fingerprints: what MAIN does is in it, what only judges MAIN is not."""

from __future__ import annotations

import pytest

from executor.plan.model import Check, Criterion, Main, Step, TestForm
from executor.store.fingerprint_recipes import first

STEP = Step(7, "train", title="Train", main=Main(script="train.py", args=("--fast",), objective="Train it"))


def parts(step, script=b"print()", env=("B", "A"), dependencies=None):
    return first(step, script=script, env=env, dependencies=dependencies or {3: "abc"})


def main_with(**changes):
    return STEP.replace(main=STEP.main.replace(**changes))


@pytest.mark.parametrize(
    "other",
    [
        parts(STEP, script=b"print(1)"),
        parts(STEP, env=("A",)),
        parts(STEP, dependencies={3: "abd"}),
        parts(main_with(args=())),
        parts(main_with(script="", command="true")),
        parts(main_with(objective="Train it well")),
        parts(main_with(mode="background")),
        parts(main_with(agent="tinker-executor")),
        parts(main_with(chunks=(100,))),
    ],
)
def test_what_changes_what_main_does_is_in_its_digest(other):
    assert other != parts(STEP)


@pytest.mark.parametrize(
    "same",
    [
        parts(STEP, env=("A", "B")),
        parts(STEP.replace(title="Train the student", pre_flight=(Check("a", "command", "true"),))),
        parts(STEP.replace(post_validation=(Check("a", "command", "true"),))),
        parts(main_with(limit_s=5.0, on_lost="ask", criteria=(Criterion("good"),), sample=TestForm("none"))),
    ],
)
def test_what_only_judges_main_is_not_in_its_digest(same):
    assert same == parts(STEP)
