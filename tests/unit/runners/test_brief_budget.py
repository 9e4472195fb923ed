"""The text of a brief within a budget, by characters and by a counter."""

from __future__ import annotations

import pytest

from executor.runners.brief_budget import Part, estimated, fit, fit_counted

BASE = "# Step 1: Train\n"
PARTS = [
    Part(name, f"## {name}\n{'x' * size}\n") for name, size in (("a", 100), ("big", 9000), ("b", 200), ("c", 2000))
]
REFUSED = Part("secret", refused="a file of secrets")


@pytest.mark.parametrize("budget", [1, 5, 20, 60, 150, 700, 5000])
def test_the_text_is_never_larger_than_the_budget(budget):
    fitted = fit(BASE, [*PARTS, REFUSED], budget)
    assert estimated(fitted.text) <= budget
    assert fitted.tokens == estimated(fitted.text)
    assert {*fitted.taken, *fitted.left_out} == {*PARTS, REFUSED}


def test_parts_are_taken_in_order_while_they_fit_and_the_rest_is_named():
    fitted = fit(BASE, [*PARTS, REFUSED], 700)
    assert [part.name for part in fitted.taken] == ["a", "b", "c"]
    assert "- big: 2,252 tokens\n- secret: a file of secrets" in fitted.text


def test_nothing_is_named_when_all_is_there():
    assert "Left out" not in fit(BASE, PARTS, 5000).text


@pytest.mark.parametrize("chars", [1, 2, 3, 6, 9])
def test_a_counter_of_the_model_decides(chars):
    fitted = fit_counted(BASE, PARTS, 700, lambda text: len(text) // chars)
    assert fitted.tokens == len(fitted.text) // chars <= 700


def test_a_counter_that_does_not_answer_is_no_counter():
    assert fit_counted(BASE, PARTS, 700, lambda _: None) is None
