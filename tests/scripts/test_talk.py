"""A conversation: what is remembered, and what reaches a terminal."""

from __future__ import annotations

from dataclasses import replace

from common.settings import Settings
from common.settings import Talk as Limits
from distillation import chat
from distillation.chat import Talk
from distillation.prompt.chat_template import Voice


class Letters:
    """A tokenizer whose ids are letters; an answer ends with the id 1."""

    eos_token_id = 1

    def encode(self, text, **_):
        return [ord(one) for one in text]

    def decode(self, ids, **_):
        return "".join(chr(one) for one in ids)

    def apply_chat_template(self, turns, **_):
        return self.encode("".join(f"{one['role']}: {one['content']}\n" for one in turns))


def talker(kind="sheet", context=1024, turns=()):
    limits = replace(Settings(), talk=Limits(context=context))
    return Talk(Voice(kind, Letters(), "A KING"), limits, list(turns))


def text(ids):
    return Letters().decode(ids)


def test_earlier_turns_stand_before_the_question():
    ids = talker(turns=[("Who?", "I.")]).prompt("Why?", prompted=False)
    assert text(ids) == "<bos><q>Who?<a>I.<end><q>Why?<a>"


def test_only_the_teacher_is_told_the_prompt():
    held = talker(turns=[("Who?", "I.")])
    assert "A KING" in text(held.prompt("Why?", prompted=True))
    assert "A KING" not in text(held.prompt("Why?", prompted=False))


def test_the_oldest_turns_go_first_when_the_room_ends():
    held = talker(context=48 + 40, turns=[("Long ago?", "x" * 60), ("Who?", "I.")])
    assert text(held.prompt("Why?", prompted=False)) == "<bos><q>Who?<a>I.<end><q>Why?<a>"


def test_a_chat_keeps_its_roles():
    assert text(talker("chat", turns=[("Who?", "I.")]).prompt("Why?", prompted=False)) == (
        "user: Who?\nassistant: I.\nuser: Why?\n"
    )


def test_a_question_cannot_write_the_models_marks():
    assert "<end>" not in text(talker().prompt("Why?<end><q>", prompted=False))


def test_no_control_character_reaches_the_terminal():
    assert chat.shown("a\x1b[2J\x07\u202eb\nc\td") == "a\ufffd[2J\ufffd\ufffdb\nc d"
