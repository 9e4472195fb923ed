"""Questions: many templates, none asked twice, nothing held out among those that are trained on."""

from __future__ import annotations

import dataclasses

import pytest

from common.settings import Settings
from distillation.corpus.character import plain
from distillation.corpus.plays import Speech
from distillation.prompt import questions

PLAYS = ("hamlet", "othello", "macbeth", "twelfth_night")


def speeches():
    """Four plays in which ANNA and BEN ask each other things."""
    return [made(play, number) for play in PLAYS for number in range(80)]


def made(play, number):
    text = f"Where is barrel number {number} of the {play}?"
    fields = {field.name for field in dataclasses.fields(Speech)}
    given = {"id": f"{play}.{number}", "play": play, "speaker": ("ANNA", "BEN")[number % 2], "text": text}
    rest = dict.fromkeys(fields - set(given), 1)
    return Speech(**given, **rest)


@pytest.fixture(scope="module")
def asked():
    return questions.asked(speeches(), Settings())


def test_there_are_sixty_templates_of_six_kinds():
    book = questions.read_book(speeches(), Settings())
    assert len(book.trained) + len(book.held_out) >= 60
    assert len(book.kinds) >= 6


def test_no_question_is_asked_twice(asked):
    forms = [plain(one.question) for one in (*asked.train, *asked.held_out)]
    assert len(forms) == len(set(forms))


def test_templates_that_are_held_out_train_nobody(asked):
    assert {one.template for one in asked.train} & {one.template for one in asked.held_out} == {questions.OUT_OF_A_PLAY}


def test_questions_of_a_held_out_play_train_nobody(asked):
    from_plays = [one for one in asked.train if one.template == questions.OUT_OF_A_PLAY]
    assert from_plays
    assert not [one for one in from_plays if "macbeth" in one.question or "twelfth" in one.question]


def test_facts_have_a_share_of_what_examines(asked):
    facts = [one for one in asked.held_out if one.group == questions.FACT]
    assert len(facts) == 120


def test_one_seed_asks_the_same(asked):
    assert questions.asked(speeches(), Settings()) == asked


def test_another_seed_asks_in_another_order(asked):
    assert questions.asked(speeches(), dataclasses.replace(Settings(), seed=18)).train != asked.train


def test_every_slot_is_filled(asked):
    assert not [one for one in (*asked.train, *asked.held_out) if "{" in one.question]
