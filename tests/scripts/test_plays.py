"""What a parser of plays must tell apart."""

from __future__ import annotations

import pytest

from distillation.corpus.plays import Text, parse

OPENING = "ACT I.\n\nSCENE I. A street.\n\n"


def said(body: str, name: str = "play") -> list[tuple[str, str]]:
    return [(one.speaker, one.text) for one in parse(Text(name, name, OPENING + body)).speeches]


@pytest.mark.parametrize(
    ("first", "second", "layout"),
    [
        ("ANNA.", "BEN.", "capitals"),
        ("ANNA", "BEN", "bare"),
        ("Ann.", "Ben.", "abbreviated"),
        ("Anna:", "Ben:", "colon"),
    ],
)
def test_every_layout_of_names_is_read(first, second, layout):
    play = parse(Text("play", "", OPENING + f"{first}\nWho goes?\n\n{second}\nI go.\n\n" * 2))
    assert (play.layout, len(play.speeches)) == (layout, 4)


def test_stage_directions_are_not_spoken():
    body = "ANNA.\n[Aside to\nBEN.] Come [He comes.] in, {softly.] my dear.\n\n[Enter CLARA.]\n\nANNA.\nStay.\n"
    assert said(body) == [("ANNA", "Come in, my dear."), ("ANNA", "Stay.")]


def test_a_direction_that_is_never_closed_ends_with_its_paragraph():
    body = "ANNA.\nGo now.\n[Exit Ben\n\nand come again.\n\nANNA.\nStay.\n"
    assert said(body)[0] == ("ANNA", "Go now. and come again.")


def test_a_direction_after_the_name_leaves_the_name():
    assert said("ANNA. [Aside.]\nHush.\n\nANNA.\nHush.\n\nANNA. [Aside] Again.\n") == [
        ("ANNA", "Hush."),
        ("ANNA", "Hush."),
        ("ANNA", "Again."),
    ]


def test_a_speech_goes_on_after_a_pause():
    assert said("ANNA.\nFirst,\n\nthen second.\n\nANNA.\nYes.\n")[0] == ("ANNA", "First, then second.")


def test_headings_of_scenes_end_speeches_and_are_counted():
    body = "ANNA.\nYes.\n\nSCENE II. A room.\n\nA table.\n\nANNA.\nNo.\n"
    play = parse(Text("play", "", OPENING + body))
    assert [(one.scene, one.text) for one in play.speeches] == [(2, "Yes."), (3, "No.")]


def test_numbered_and_married_persons_have_names():
    body = "1 KEEPER.\nHush.\n\nMRS. FORD.\nWhy?\n\n" * 2
    assert [name for name, _ in said(body)] == ["FIRST KEEPER", "MRS. FORD"] * 2


def test_abbreviations_are_written_in_full():
    assert said("Ham.\nWords.\n\nPol.\nWhat?\n\n" * 2, "hamlet")[:2] == [("HAMLET", "Words."), ("POLONIUS", "What?")]


def test_the_list_of_persons_is_not_spoken():
    body = "PERSONS\n\nANNA.\nBEN.\n\n" + OPENING + "ANNA.\nYes.\n\nANNA.\nNo.\n"
    assert [one.text for one in parse(Text("play", "", body)).speeches] == ["Yes.", "No."]


def test_a_poem_has_no_speeches():
    poem = parse(Text("poem", "", "I.\n\nFrom fairest creatures we desire increase,\n\nII.\n\nWhen forty winters\n"))
    assert (poem.layout, poem.speeches) == ("", ())


@pytest.mark.parametrize("body", ["", "\n", "[", "]", "ACT I.", "ANNA.\n\nANNA.\n", "ACT I.\n\nANNA.\n[\n\nANNA.\n]\n"])
def test_broken_texts_give_no_empty_speech(body):
    assert all(one.text for one in parse(Text("broken", "", body)).speeches)
