"""Holds the standing of success criteria: proven, claimed or unproven."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.checks.criteria import Result, as_check, judge_prose, read_result
from executor.plan.model import Criterion

GOOD = Criterion("The loss is down")
BEGAN = 1_000
PATH = "/run/result.json"


def result(said=None, **more):
    return Result({} if said is None else {GOOD.text: said}, {}, **more)


@pytest.mark.parametrize(
    ("said", "kind", "evidence"),
    [
        (None, "claimed", "the command exited 0; nothing more was checked"),
        ({"met": True, "evidence": "2.1 < 2.4"}, "claimed", "2.1 < 2.4"),
        ({"met": True}, "claimed", "the command exited 0"),
        ({"met": True, "evidence": "  "}, "claimed", "the command exited 0"),
        ({"met": False, "evidence": "2.9"}, "unproven", "the result file says it is not met: 2.9"),
        ({"met": False}, "unproven", "the result file says it is not met: no reason given"),
        ({"met": "yes", "evidence": "sure"}, "unproven", "the result file says it is not met: sure"),
        ({"met": 1, "evidence": "sure"}, "unproven", "the result file says it is not met: sure"),
        ({"evidence": "sure"}, "unproven", "the result file says it is not met: sure"),
        (True, "claimed", "the command exited 0"),
        (False, "unproven", "the result file says it is not met: no reason given"),
        ("no", "unproven", "the result file says it is not met: no reason given"),
    ],
)
def test_prose_is_claimed_at_best(said, kind, evidence):
    assert judge_prose(GOOD, result(said), exited_0=True).asdict() == {"kind": kind, "evidence": evidence}


@pytest.mark.parametrize("said", [None, {"met": True}, {"met": False}])
def test_without_exit_0_or_evidence_nobody_vouches(said):
    assert judge_prose(GOOD, result(said), exited_0=False).kind == "unproven"


def test_evidence_in_the_result_file_needs_no_exit_code():
    assert judge_prose(GOOD, result({"met": True, "evidence": "2.1"}), exited_0=False).kind == "claimed"


def test_a_result_file_that_cannot_be_read_vouches_for_nothing():
    standing = judge_prose(GOOD, result(trouble="the result file is not JSON"), exited_0=True)
    assert standing.asdict() == {"kind": "unproven", "evidence": "the result file is not JSON"}


@given(
    st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda inner: st.dictionaries(st.text(), inner))
)
def test_prose_is_never_proven(said):
    assert judge_prose(GOOD, result(said), exited_0=True).kind in ("claimed", "unproven")


def written(tmp_path, text):
    path = tmp_path / "result.json"
    path.write_text(text)
    return read_result(str(path))


def test_a_missing_result_file_says_nothing(tmp_path):
    assert read_result(str(tmp_path / "result.json")) == Result({}, {})


def test_a_result_file_is_read(tmp_path):
    body = {"criteria": {"a": {"met": True}}, "metrics": {"loss": 2.1}, "note": "ok"}
    assert written(tmp_path, json.dumps(body)) == Result(body["criteria"], {"loss": 2.1}, note="ok", written=True)


@pytest.mark.parametrize("text", ["{}", '{"criteria": null, "metrics": null}', '{"criteria": []}', '{"other": 1}'])
def test_a_result_file_may_say_little(tmp_path, text):
    assert written(tmp_path, text) == Result({}, {}, written=True)


BROKEN = ["", "{", "[]", "1", '{"criteria": [1]}', '{"metrics": 3}', "\0", '{"criteria": "a"}', "[" * 100_000]


@pytest.mark.parametrize("text", BROKEN, ids=lambda text: text[:20])
def test_a_broken_result_file_says_so(tmp_path, text):
    found = written(tmp_path, text)
    assert "result file" in found.trouble
    assert (found.criteria, found.metrics) == ({}, {})


def test_a_result_file_that_is_no_text_says_so(tmp_path):
    path = tmp_path / "result.json"
    path.write_bytes(b"\xff\xfe{")
    assert "not JSON" in read_result(str(path)).trouble


@pytest.mark.parametrize(
    ("kind", "asks", "becomes"),
    [
        ("file", "a.txt", {"path": "a.txt", "newer_than_ns": BEGAN}),
        ("file", {"path": "a", "min_size": 3}, {"path": "a", "min_size": 3, "newer_than_ns": BEGAN}),
        ("matches", {"file": "a", "pattern": "x"}, {"file": "a", "pattern": "x", "newer_than_ns": BEGAN}),
        ("metric", {"name": "loss", "max": 2}, {"file": PATH, "name": "loss", "max": 2}),
        ("metric", {"name": "loss", "file": "m"}, {"file": "m", "name": "loss", "newer_than_ns": BEGAN}),
        ("result", True, {"file": PATH, "name": GOOD.text}),
        ("result", "loss", {"file": PATH, "name": "loss"}),
        ("command", "test -s a", "test -s a"),
    ],
)
def test_a_bound_criterion_asks_for_fresh_evidence(kind, asks, becomes):
    check = as_check(Criterion(GOOD.text, kind, asks), result_path=PATH, began_ns=BEGAN)
    assert (check.name, check.kind, check.asks) == (GOOD.text, kind, becomes)


@pytest.mark.parametrize("kind", ["file", "matches", "metric", "result"])
def test_any_age_asks_for_no_date(kind):
    asks = "a" if kind in ("file", "result") else {"file": "a"}
    check = as_check(Criterion(GOOD.text, kind, asks, any_age=True), result_path=PATH, began_ns=BEGAN)
    assert "newer_than_ns" not in check.asks


def test_what_is_asked_is_not_changed():
    asks = {"path": "a"}
    as_check(Criterion(GOOD.text, "file", asks), result_path=PATH, began_ns=BEGAN)
    assert asks == {"path": "a"}
