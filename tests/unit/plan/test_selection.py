"""What `--step` accepts, and what it says otherwise."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from executor.errors import UsageError
from executor.plan.plan import read_plan
from executor.plan.selection import MAX_SPAN, Selection, select

PLAN = read_plan(
    b"step_1_setup_api:\nstep_8_generate_data: {title: Generate the set}\n"
    b"step_12_training_script:\nstep_13_training:\nstep_18_review:\n",
    file="plan.yaml",
)
TITLES = {1: "API access", 6: "Teacher generator", 8: "Generate Full Dataset", 18: "Review consistency"}


def refused(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        select(text, PLAN, TITLES)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "numbers", "missing"),
    [
        ("1", (1,), ()),
        (" 13 ", (13,), ()),
        ("1-5", (1,), (2, 3, 4, 5)),
        ("12-13", (12, 13), ()),
        ("1,12-13", (1, 12, 13), ()),
        ("13, 1,1", (1, 13), ()),
        ("12..14", (12, 13), (14,)),
        ("step 8", (8,), ()),
        ("step_8_generate_data", (8,), ()),
        ("training", (13,), ()),
        ("training-script", (12,), ()),
        ("Setup API", (1,), ()),
        ("setup", (1,), ()),
        ("full data", (8,), ()),
        ("the set", (8,), ()),
        ("consistency,1", (1, 18), ()),
    ],
)
def test_a_selection_is_numbers_ranges_or_names(text: str, numbers: tuple, missing: tuple) -> None:
    assert select(text, PLAN, TITLES) == Selection(numbers, missing)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("19", "step 19 is not defined; nearest: 18"),
        ("6", "step 6 is in the spec ('Teacher generator') but not defined yet"),
        ("5-1", "--step 5-1 runs backwards; did you mean 1-5"),
        ("1-999999999", f"spans more than {MAX_SPAN} numbers"),
        ("9" * 5_000, "is not defined; nearest: 18"),
        ("2-7", "no step there is defined; defined: 1, 8, 12, 13, 18"),
        ("", "a number or name is missing"),
        ("1,,3", "a number or name is missing"),
        ("1-", "no step is called '1-'; write 1, 1-5"),
        ("trainig", "no step is called 'trainig'; did you mean training"),
        ("t", "'t' fits 5 steps: 1 (setup_api), 8 (generate_data)"),
        ("-", "no step is called '-'"),
        ("xyzzy", "no step is called 'xyzzy'; write 1, 1-5, 1,3,7-9 or the name of a step"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_next_move(text: str, message: str) -> None:
    assert message in refused(text)


def test_many_wide_ranges_are_refused_too() -> None:
    assert f"more than {MAX_SPAN} numbers" in refused(",".join(["1-900000"] * 3))


def test_an_empty_plan_has_nothing_to_select() -> None:
    with pytest.raises(UsageError, match="the plan has no step"):
        select("1", read_plan(b"", file="plan.yaml"), {})


@given(st.text("0123456789-,. _abst", max_size=12))
def test_any_text_selects_or_is_refused(text: str) -> None:
    try:
        found = select(text, PLAN, TITLES)
    except UsageError:
        return
    assert found.numbers
    assert set(found.numbers) <= set(PLAN.numbers)
    assert not set(found.missing) & set(PLAN.numbers)
