"""The rules of the review, and the sheet that is a person's."""

from __future__ import annotations

from collections import Counter

import pytest

from distillation.corpus.text_features import shingles
from distillation.evaluation import style_rules
from distillation.evaluation.style_rules import Answer, Known

COPIED = "we that take purses go by the moon and the stars"
KNOWN = Known(
    words=frozenset(["i", "love", "sack", "and", "a", "cup", "of", "it"]),
    longest=10,
    runs=frozenset(shingles(COPIED, 8)),
    run_size=8,
    facts={"loves": "sack", "friend": "Prince Henry"},
    answer_counts=Counter({"twice": 2, "once": 1}),
    min_own_words=0.5,
)


def answer(text, kind="cue", group="cue", *, is_whole=True):
    return Answer("h1", kind, group, "Who?", text, is_whole)


def verdict(rule, text, **more):
    return style_rules.judged(answer(text, **more), KNOWN)[rule]


@pytest.mark.parametrize(
    ("rule", "kept", "broken"),
    [
        ("said", "I love it.", " .,! "),
        ("length", "I love it.", "it " * 11),
        ("old", "I love it.", "I am a language model."),
        ("old", "The ring of my love.", "Okay!"),
        ("clean", "I love it.", "I love \x1b[31m it."),
        ("clean", "I love it.", "I <end> it."),
        ("own_words", "I love sack", "zounds verily quoth sack"),
        ("new", "we that take purses go by the sun", COPIED),
        ("single", "Once", "Twice!"),
    ],
)
def test_a_rule_is_kept_and_broken(rule, kept, broken):
    assert verdict(rule, kept) is True
    assert verdict(rule, broken) is False


def test_an_answer_that_was_cut_has_not_ended():
    assert verdict("ended", "I love", is_whole=False) is False


def test_a_fact_is_the_one_of_the_prompt():
    assert verdict("fact", "I trust Prince Henry.", kind="friend", group="fact") is True
    assert verdict("fact", "I trust Prince John.", kind="friend", group="fact") is False


def test_a_rule_that_does_not_apply_has_no_verdict():
    assert verdict("fact", "I love sack.") is None
    assert verdict("single", "Twice", kind="loves", group="fact") is None


def test_rates_count_only_where_a_rule_applies():
    verdicts = [style_rules.judged(one, KNOWN) for one in (answer("I love sack"), answer("ale", "loves", "fact"))]
    assert style_rules.rates(verdicts)["fact"] == {"kept": 0, "of": 1, "rate": 0.0}


def test_every_answer_is_judged_by_every_rule():
    assert set(style_rules.judged(answer(""), KNOWN)) == {rule.name for rule in style_rules.RULES}


def test_a_new_sheet_is_empty_and_a_word_fills_it():
    text = style_rules.sheet([answer("I love it.")])
    assert not style_rules.is_filled(text)
    assert style_rules.is_filled(text.rstrip("\n")[:-1] + ",anna\n")


def test_a_sheet_of_another_form_counts_as_a_persons():
    assert style_rules.is_filled("a,b\n1,2\n")


def test_no_cell_is_a_formula():
    assert "'=1+1" in style_rules.sheet([answer("=1+1")])
