"""How often an answer says the fact that it was asked for."""

from __future__ import annotations

import pytest

from distillation.evaluation import stated_facts

FACTS = {"name": "Sir John Falstaff", "loves": "sack"}


def question(number, kind, group="fact"):
    return {"id": str(number), "kind": kind, "group": group, "template": f"{kind}_01", "question": "Who?", "x": 1}


@pytest.mark.parametrize(
    ("text", "is_said"),
    [
        ("I am by name Falstaff.", True),
        ("FALSTAFF, sir!", True),
        ("Sir John.", False),
        ("Falstaffs", False),
        ("", False),
    ],
)
def test_an_answer_says_a_fact_with_its_last_word(text, is_said):
    assert stated_facts.has_fact(text, FACTS["name"]) is is_said


def test_questions_are_of_both_sorts_the_kinds_in_turn():
    trained = [question(at, "name") for at in range(9)] + [question(at, "loves") for at in range(9)]
    held_out = [question(1, "loves"), question(2, "friend"), question(3, "name", "cue")]
    asked = stated_facts.questions(trained, held_out, FACTS, 4)
    assert [(one["sort"], one["kind"]) for one in asked] == [
        *[("trained", kind) for kind in ("name", "loves", "name", "loves")],
        ("held_out", "loves"),
    ]


def test_counts_are_by_sort_and_kind_and_over_all():
    rows = [
        {"sort": "trained", "kind": "name", "teacher": "Falstaff.", "bare": "A king."},
        {"sort": "held_out", "kind": "loves", "teacher": "I love sack.", "bare": "I love sack."},
        {"sort": "held_out", "kind": "loves", "teacher": "None.", "bare": ""},
    ]
    found = stated_facts.tally(rows, FACTS, ("teacher", "bare"))
    assert found["all"]["all"] == {"of": 3, "teacher": 2, "bare": 1}
    assert found["held_out"]["loves"] == {"of": 2, "teacher": 1, "bare": 1}
    assert found["trained"]["all"] == {"of": 1, "teacher": 1, "bare": 0}
