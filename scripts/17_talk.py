"""Step 17: talk with the student, who has no prompt.

    python scripts/17_talk.py [--once "QUESTION"] [--test] [talk.piece=8] [key=value ...]

The answer appears as it is drawn; earlier turns are remembered as far as they fit. Commands: /again draws another
answer, /base and /teacher answer the same question (the model without training; the teacher with its prompt), /new
forgets the conversation, /quit ends it, as do Ctrl-C and Ctrl-D. Without a terminal, questions are read line by line.
With --once (a --test asks a held-out question) one answer is written to outputs/talk.json.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from common import files, stage
from common.errors import USAGE, Trouble
from common.stage import Criterion, Report, Stage
from distillation import models
from distillation.chat import Talk, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMANDS = "/again /base /teacher /new /quit"
SEED = 17


def main(arguments: Sequence[str]) -> None:
    """Take --once out of the command line; the rest is read as in every step."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--once")
    given, sys.argv[1:] = parser.parse_known_args(arguments)
    stage.run("17_talk", partial(talk, once=given.once), __doc__)


@dataclass
class Company:
    """Who can answer; a sampler is opened when it is first asked."""

    scene: models.Scene
    path: str
    open: dict[str, Any] = field(default_factory=dict)

    def sampler(self, who: str) -> Any:
        """Return the sampler of student, base or teacher."""
        if who not in self.open:
            model = self.scene.teacher if who == "teacher" else self.scene.student
            self.open[who] = self.scene.sampler(self.path if who == "student" else "", model)
        return self.open[who]

    @cached_property
    def names(self) -> str:
        """Who is here, in words."""
        return f"the student of {self.scene.student}, without a prompt"


def talk(here: Stage, once: str | None) -> Report:
    """Answer one question, or all that are asked."""
    set_scene = models.open_scene(here)
    best = min(models.read_students(here), key=lambda one: one.val_nll)
    company, turns = Company(set_scene, best.sampler_path), Talk(set_scene.voice, here.settings)
    if once is None and here.is_test:
        once = files.read_jsonl(here.input("held_out_questions.jsonl"))[0]["question"]
    if once is not None:
        return one_answer(here, company, turns, once)
    return converse(company, turns)


def one_answer(here: Stage, company: Company, turns: Talk, question: str) -> Report:
    """Answer one question; write it down."""
    if not question.strip():
        raise Trouble('--once is empty: write --once "QUESTION"', USAGE)
    answer = say(company, turns, "student", question, SEED)
    ids = turns.prompt(question, prompted=False)
    told = turns.voice.told_in(ids)
    target = here.output("talk.json")
    files.write_json(target, {"question": question, "answer": answer, "prompt_tokens": told, "tokens_read": len(ids)})
    criteria = [
        Criterion("An answer came", bool(answer.strip()), f"{len(answer.split())} words"),
        Criterion("The student reads no prompt", told == 0, f"{told} prompt tokens, {len(ids)} tokens in all"),
    ]
    inputs = [here.input(models.STUDENTS)]
    return Report(criteria, {"prompt_tokens": told}, shown(f"{question}\n{answer}"), inputs, [target])


def converse(company: Company, turns: Talk) -> Report:
    """Answer until nothing more is asked."""
    print(f"You talk with {company.names}. {COMMANDS}", flush=True)
    question, drawn = "", 0
    try:
        for line in lines():
            if line == "/quit":
                break
            drawn += 1
            question = heard(company, turns, line, question, SEED + 1000 * drawn)
    except KeyboardInterrupt:
        print()
    return Report(note=f"{len(turns.turns)} turns. Farewell.")


def heard(company: Company, turns: Talk, line: str, question: str, seed: int) -> str:
    """Do what one line asks; return the question that /again and the others mean from now on."""
    who = {"/again": "student", "/base": "base", "/teacher": "teacher"}.get(line)
    if line == "/new":
        turns.turns.clear()
        return ""
    if not line or (who is None and line.startswith("/")) or (who and not question):
        print("ask something first" if who else f"{shown(line)!r} is no question: {COMMANDS}", flush=True)
        return question
    if who is None:
        turns.turns.append((line, say(company, turns, "student", line, seed)))
        return line
    last = turns.turns.pop()  # the same question after the same turns
    answer = say(company, turns, who, question, seed)
    turns.turns.append((question, answer) if who == "student" else last)
    return question


def say(company: Company, turns: Talk, who: str, question: str, seed: int) -> str:
    """Print an answer as it comes; return it whole."""
    sampler, parts = company.sampler(who), list[str]()
    print(f"{who}> ", end="", flush=True)
    for part in turns.pieces(sampler, question, seed, prompted=who == "teacher"):
        print(shown(part), end="", flush=True)
        parts.append(part)
    print(flush=True)
    return "".join(parts)


def lines() -> Iterator[str]:
    """Yield what a person writes, or what a pipe holds, line by line."""
    while True:
        try:
            yield (input("you> ") if sys.stdin.isatty() else input()).strip()
        except EOFError:
            return


if __name__ == "__main__":
    main(sys.argv[1:])
