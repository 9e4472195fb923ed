"""The report of the results."""

from __future__ import annotations

import dataclasses

import pytest

from distillation.evaluation import report


@pytest.mark.parametrize(
    ("model", "is_small"), [("local/bard-small", True), ("local/gemma-3-270m", False), ("Qwen/Qwen3-8B", False)]
)
def test_only_a_model_made_from_scratch_is_called_small(model, is_small):
    empty = {field.name: {} for field in dataclasses.fields(report.Data)}
    assert report.Data(**(empty | {"teacher": {"model": model}})).is_from_scratch == is_small
