"""The share of a gap: what it is, when it means nothing, when it cannot be."""

from __future__ import annotations

import importlib
import math

import numpy as np
import pytest

from common.settings import Evaluation
from distillation.evaluation import logprob_gap

evaluate = importlib.import_module("15_evaluate")
WANTED = Evaluation(resamples=400)


def rows(share, count=300, noise=0.5, gain=2.0):
    """Answers of ten tokens that cost `gain` nats less with the prompt, of which a student has `share`."""
    drawn = np.random.default_rng(5)
    found = []
    for number in range(count):
        base, saved = 40 + drawn.normal(), gain + noise * drawn.normal()
        group = "fact" if number % 5 == 0 else "cue"
        one = {"tokens": [1] * 10, "group": group, "base_nats": base, "teacher_nats": base - saved}
        one |= {"kind": "name" if group == "fact" else "play", "question": str(number)}
        one["template"] = f"name_{number % 2}" if group == "fact" else "play"
        found.append({**one, "student": base - share * saved})
    return found


def test_the_share_is_what_the_student_has_of_the_teachers_gain():
    assert logprob_gap.share(rows(0.7), ["student"], WANTED, 1)["share"] == pytest.approx(0.7)


def test_the_interval_holds_the_share():
    found = logprob_gap.share(rows(0.7), ["student"], WANTED, 1)
    assert found["low"] <= found["share"] <= found["high"]


def test_the_interval_of_fewer_answers_is_wider():
    some = rows(0.7)
    for number, one in enumerate(some):
        one["student"] += 2 * math.sin(number)
    few, many = (logprob_gap.share(part, ["student"], WANTED, 1) for part in (some[:30], some))
    assert few["high"] - few["low"] > many["high"] - many["low"]


def test_the_gap_is_in_nats_a_token():
    assert logprob_gap.measure_gap(rows(0.5, noise=0.0), WANTED, 1)["gap"] == pytest.approx(0.2)


def test_where_the_prompt_does_nothing_the_interval_reaches_0():
    found = logprob_gap.measure_gap(rows(0.5, gain=0.0), WANTED, 1)
    assert found["low"] < 0 < found["high"]


def test_students_are_taken_together():
    some = rows(0.4)
    for one in some:
        one["other"] = one["base_nats"] - 0.8 * (one["base_nats"] - one["teacher_nats"])
    assert logprob_gap.share(some, ["student", "other"], WANTED, 1)["share"] == pytest.approx(0.6)


def test_facts_and_cues_are_told_apart():
    parts = logprob_gap.parts(rows(0.5))
    assert (len(parts["facts"]), len(parts["cues"]), len(parts["all"])) == (60, 240, 300)


@pytest.mark.parametrize(("share", "is_one"), [(0.99, False), (1.0, False), (1.01, True), (math.nan, True)])
def test_a_share_above_1_is_an_artefact(share, is_one):
    assert evaluate.is_artefact(share, 1.0) is is_one


def test_answers_of_one_template_are_drawn_together():
    some = rows(0.7)
    assert len(set(logprob_gap.clusters(some))) == 242  # 240 questions of plays, and two templates
    for one in some:
        one["student"] += 3 * (one["template"] == "name_0")
    found = logprob_gap.share(some, ["student"], WANTED, 1)
    assert found["clusters"] == 242
    assert found["clustered_high"] - found["clustered_low"] > found["high"] - found["low"]


def test_kinds_are_told_apart_facts_first():
    assert {name: len(part) for name, part in logprob_gap.kinds(rows(0.5)).items()} == {"name": 60, "play": 240}
