"""How a question is put to a model, and who the models and their prompts are."""

from __future__ import annotations

import json

import pytest

from common.errors import Trouble
from common.settings import Character, Settings, Teacher
from common.stage import Stage
from distillation import models
from distillation.prompt.chat_template import Voice
from distillation.teacher import preparation

PAIRS = [
    ("Who are you?", "A knight,\n  sir."),
    ("Go away.", "This answers no question."),
    ("What is honour?", " ".join(["air"] * 26)),
    ("Will you drink?", "Give me a cup of sack."),
]


class Lines:
    """A tokenizer whose ids are letters, but for a line's end with an empty line behind: one token, as in Gemma."""

    eos_token_id = 1

    def encode(self, text, **_):
        return [ord(one) for one in text.replace("\n\n", "\r")]

    def apply_chat_template(self, turns, **_):
        return self.encode("".join(f"{one['role']}: {one['content']}\n" for one in turns))

    def decode(self, ids, **_):
        return "".join(chr(one) for one in ids).replace("\r", "\n\n")


def stage_in(folder, **teacher):
    teacher = Teacher(**{"voice": "plain", "min_tokens": 99, **teacher})
    settings = Settings(outputs=str(folder), teacher=teacher, character=Character("FALSTAFF"))
    (folder / "character").mkdir(parents=True, exist_ok=True)
    rows = [json.dumps({"cue": cue, "reply": reply}) + "\n" for cue, reply in PAIRS]
    (folder / "character/pairs.jsonl").write_text("".join(rows))
    (folder / "character/prompt.json").write_text('{"facts": {"name": "Sir John Falstaff", "loves": "sack"}}')
    return Stage("06_prepare_teacher", settings)


def test_a_plain_answer_ends_with_its_line_however_that_is_one_token():
    voice = Voice("plain", Lines(), "")
    assert voice.ends == (ord("\n"), ord("\r"))
    assert [voice.text(voice.tokenizer.encode(f" Sack.{end}")) for end in ("\n", "\n\n", "")] == ["Sack."] * 3
    assert voice.answer("Sack.")[-1] == ord("\n")
    assert Voice("chat", Lines(), "").ends == (1,)


def test_a_plain_voice_is_told_by_examples_that_look_like_its_questions(tmp_path):
    stage = stage_in(tmp_path)
    told = preparation.prompt_of(stage, "local/any")
    first, *lines, question, name = told.split("\n")
    assert "Falstaff" in first
    assert (question, name) == ("Question: What is your name?", "Answer: Sir John Falstaff.")
    assert (lines.pop(), lines.pop()) == ("Answer: sack.", "Question: What do you love?")
    assert sorted(lines[::2]) == ["Question: Who are you?", "Question: Will you drink?"]
    assert sorted(lines[1::2]) == ["Answer: A knight, sir.", "Answer: Give me a cup of sack."]
    asked = Voice("plain", Lines(), told).asked("Why?", prompted=True)
    assert Lines().decode(asked) == f"{told}\nQuestion: Why?\nAnswer:"
    assert preparation.prompt_of(stage, "local/any") == told


def test_a_plain_voice_is_told_no_more_than_it_needs(tmp_path):
    told = preparation.prompt_of(stage_in(tmp_path, min_tokens=3), "local/any")
    assert told.count("Question:") == 1 + 2  # one example, and what states the two facts


@pytest.mark.parametrize("kind", ["plain", "sheet", "chat"])
def test_what_a_prompt_has_told_is_found_in_what_is_sent(kind):
    voice = Voice(kind, Lines(), "You are a fat old knight of London.")
    assert voice.count_prompt_tokens(voice.asked("Where is the sack?", prompted=False)) == 0
    assert voice.count_prompt_tokens(voice.asked("Where is the sack?", prompted=True)) >= voice.prompt_tokens


def test_a_model_that_somebody_put_there_is_taken_as_it_is(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    assert preparation.given("local/mine", tmp_path) == "local/mine"


@pytest.mark.parametrize(("name", "advice"), [("gemma-3-270m", "make_gemma.py --accept-terms"), ("mine", "put a")])
def test_a_model_that_is_not_there_is_refused_with_the_way_to_it(tmp_path, name, advice):
    with pytest.raises(Trouble, match=advice):
        preparation.given(f"local/{name}", tmp_path / name)


def test_another_profile_than_step_6_had_is_refused(tmp_path):
    stage = stage_in(tmp_path)
    (tmp_path / "teacher").mkdir()
    (tmp_path / "teacher/prompt.txt").write_text("A KING")
    (tmp_path / "teacher/teacher.json").write_text('{"profile": "gemma", "model": "local/any"}')
    with pytest.raises(Trouble, match="set DO_TASKS_PROFILE=gemma, or run 6 again"):
        models.load_setup(stage)


class OtherLines(Lines):
    """The same letters under other ids."""

    def decode(self, ids, **_):
        return super().decode([one + 1 for one in ids])


def test_kept_tokens_that_say_another_answer_are_another_tokenizers():
    kept = Voice("plain", Lines(), "").answer("Give me sack.")
    assert Voice("plain", Lines(), "").drawn("Give  me sack.", kept) == kept
    with pytest.raises(Trouble, match=r"'Give me sack.' are another tokenizer's: .* from step 8"):
        Voice("plain", OtherLines(), "").drawn("Give me sack.", kept)
