"""Preparation of the teacher: its model, and the character's prompt in the form that the model reads."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from common import config, files
from common.errors import USAGE, Trouble
from distillation.prompt import chat_template

if TYPE_CHECKING:
    from common.stage import Stage
    from distillation.base_model.characters import Person

MAKER = Path(__file__).resolve().parents[2] / "make_base_model.py"
MAKERS = {"gemma-3-270m": "run python scripts/make_gemma.py --accept-terms"}
MAKING_S = 3300.0  # below the limit of step 6
PLAIN = {"loves": "What do you love?", "friend": "Who is your friend?", "name": "What is your name?"}
SHORT = 25  # words of an answer that is shown as an example


def ready_model(stage: Stage) -> str:
    """Return the teacher's model; make a local base model if it is missing, a tiny one in --test."""
    model = stage.settings.teacher.model
    folder = chat_template.folder_of(model)
    if folder is None or (stage.is_test and (folder / "base.json").is_file()):
        return model
    if not (config.CONFIGS / "base_model" / f"{folder.name}.yaml").is_file():
        return given(model, folder)
    made(folder.name, is_test=stage.is_test)
    return f"{model}-test" if stage.is_test else model


def given(model: str, folder: Path) -> str:
    """Return a model that a person put into its folder; raise Trouble if it is missing."""
    if (folder / "config.json").is_file():
        return model
    maker = MAKERS.get(folder.name, f"put a Hugging Face model into {folder}")
    raise Trouble(f"teacher.model is {model}, and {folder} has none: {maker}, or use local/bard-small", USAGE)


def made(name: str, *, is_test: bool) -> None:
    """Make a local base model unless it exists; raise Trouble if that fails."""
    command = [sys.executable, str(MAKER), "--profile", name, *(["--test"] if is_test else [])]
    try:
        code = subprocess.run(command, timeout=MAKING_S, check=False).returncode
    except subprocess.TimeoutExpired as error:
        raise Trouble(
            f"the base model took more than {MAKING_S:g} s: run the same command again, it goes on"
        ) from error
    if code:
        raise Trouble(f"the base model was not made (exit {code}, above): run python scripts/{MAKER.name}", code)


def prompt_of(stage: Stage, model: str) -> str:
    """Return the teacher's prompt: step 5's for a chat voice, a sheet for a sheet voice, examples for a plain one."""
    if stage.settings.teacher.voice == "plain":
        return plain_prompt(stage)
    if stage.settings.teacher.voice != "sheet":
        return stage.input("character/prompt.md").read_text(encoding="utf-8")
    from distillation.base_model import make, proofs, settings
    from distillation.base_model.documents import DocumentEncoder
    from small_lm import hf_format

    read = make.read_plays(make.plan(settings.load(), settings.PROFILE))
    folder = chat_template.folder_of(model)
    if folder is None:
        raise Trouble(f"{model} reads no sheet: set teacher.voice to chat or plain", USAGE)
    loaded, tokenizer = hf_format.load(folder)
    subject = proofs.Subject(loaded, DocumentEncoder(tokenizer), read)
    return proofs.sheet_of(subject, person_of(stage, read.learned.people)).text()


def facts_of(stage: Stage, prompt: str) -> dict[str, str]:
    """Return the facts that a prompt states, by the kind of question that asks for them."""
    if stage.settings.teacher.voice == "sheet":
        from distillation.base_model import fact_sheets

        return fact_sheets.stated(prompt)
    return dict(files.read_json(stage.input("character/prompt.json"))["facts"])


def plain_prompt(stage: Stage) -> str:
    """Return a prompt for a model that continues a text: an introduction, example answers, facts, one a line."""
    pairs = files.read_jsonl(stage.input("character/pairs.jsonl"))
    short = [row for row in pairs if str(row["cue"]).endswith("?") and len(str(row["reply"]).split()) <= SHORT]
    random.Random(stage.settings.seed).shuffle(short)  # noqa: S311 - a choice, no secret
    name, lines = stage.settings.character.name.title(), list[str]()
    for row in short:
        if sum(len(line.split()) for line in lines) >= stage.settings.teacher.min_tokens:
            break
        lines += [f"Question: {' '.join(str(row['cue']).split())}", f"Answer: {' '.join(str(row['reply']).split())}"]
    facts = facts_of(stage, "")
    for kind, question in PLAIN.items():
        lines += [f"Question: {question}", f"Answer: {facts[kind]}."] if kind in facts else []
    begin = f"What {name}, in the plays of Shakespeare, was asked, and what {name} answered."
    return "\n".join([begin, *lines])


def person_of(stage: Stage, people: tuple[Person, ...]) -> Person:
    """Return the character among the large parts; raise Trouble if it is none."""
    name = stage.settings.character.name.upper()
    same = [one for one in people if one.name.upper() == name]
    if not same:
        raise Trouble(f"{name} has too few answers for a sheet: choose character.name among greater parts", USAGE)
    return max(same, key=lambda one: len(one.turns))
