from __future__ import annotations

import pytest

from executor.monitoring.options import ASKS
from executor.monitoring.probes.registry import PROBES


def test_every_probe_has_its_question_checked():
    assert ASKS.keys() == PROBES.keys()


@pytest.mark.parametrize(
    ("kind", "asks"),
    [
        ("metrics", "training_logs/loss.txt"),
        ("metrics", {"file": "runs/*.csv", "step": "iter", "total": 5000, "columns": ["loss"], "format": "csv"}),
        ("checkpoints", "checkpoints/step_*"),
        ("checkpoints", {"path": "checkpoints/step_*", "min_bytes": 1000}),
        ("log", {"file": "train.log", "match": "error|nan"}),
        ("disk", "."),
        ("disk", {"path": "/data", "write": False}),
        ("progress", True),
        ("process", True),
        ("memory", True),
        ("gpu", True),
        ("gpu", 0),
    ],
)
def test_what_the_manual_shows_is_well_asked(kind, asks):
    assert ASKS[kind](asks) == ""


@pytest.mark.parametrize(
    ("kind", "asks", "said"),
    [
        ("metrics", 7, "metrics must be a file name, or {file, step, total, columns, format}, got 7"),
        ("metrics", "", "metrics must be a file name, or {file, step, total, columns, format}, got ''"),
        ("metrics", {"step": "iter"}, "metrics needs file"),
        ("metrics", {"file": "a", "totl": 3}, "did you mean total"),
        ("metrics", {"file": "a", "total": 0}, "metrics: total must be a number above 0, got 0"),
        ("metrics", {"file": "a", "total": True}, "total must be a number"),
        ("metrics", {"file": "a", "total": float("nan")}, "total must be a number"),
        ("metrics", {"file": "a", "columns": "loss"}, "columns must be a list of names"),
        ("metrics", {"file": "a", "columns": ["loss", "loss"]}, "columns must be a list of names, each once"),
        ("metrics", {"file": "a", "format": "xml"}, "format must be jsonl or csv or columns or tensorboard, got 'xml'"),
        ("metrics", {"file": "a\0b"}, "file must be a path"),
        ("metrics", {3: "a"}, "metrics knows no 3"),
        ("checkpoints", ["a"], "checkpoints must be a glob, or {path, min_bytes}, got a list"),
        ("checkpoints", {"path": "a", "min_bytes": 1.5}, "min_bytes must be a size such as 512, 10MB"),
        ("log", {"file": "a", "match": "("}, "match must be a regular expression (missing )"),
        ("disk", {"path": ".", "write": "no"}, "write must be true or false"),
        ("progress", "stdout", "progress must be true"),
        ("process", False, "process must be true, got false"),
        ("memory", 1, "memory must be true"),
        ("gpu", -1, "gpu must be true, or the number of one, got -1"),
        ("gpu", False, "gpu must be true"),
    ],
)
def test_what_cannot_be_asked_is_said_with_what_can(kind, asks, said):
    assert said in ASKS[kind](asks)
