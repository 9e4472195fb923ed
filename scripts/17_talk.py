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
class Samplers:
    """The samplers of student, base and teacher; each is opened at its first use."""

    setup: models.ModelSetup
    path: str
    open: dict[str, Any] = field(default_factory=dict)

    def sampler(self, name: str) -> Any:
        """Return the sampler of student, base or teacher."""
        if name not in self.open:
            model = self.setup.teacher if name == "teacher" else self.setup.student
            self.open[name] = self.setup.sampler(self.path if name == "student" else "", model)
        return self.open[name]

    @cached_property
    def names(self) -> str:
        """The student's name in words."""
        return f"the student of {self.setup.student}, without a prompt"


def talk(here: Stage, once: str | None) -> Report:
    """Answer one question, or all that are asked."""
    setup = models.load_setup(here)
    best = models.chosen(models.read_students(here))
    samplers, turns = Samplers(setup, best.sampler_path), Talk(setup.voice, here.settings)
    if once is None and here.is_test:
        once = files.read_jsonl(here.input("held_out_questions.jsonl"))[0]["question"]
    if once is not None:
        return one_answer(here, samplers, turns, once)
    return converse(samplers, turns)


def one_answer(here: Stage, samplers: Samplers, turns: Talk, question: str) -> Report:
    """Answer one question; write it down."""
    if not question.strip():
        raise Trouble('--once is empty: write --once "QUESTION"', USAGE)
    answer = print_answer(samplers, turns, "student", question, SEED)
    ids = turns.prompt(question, prompted=False)
    prompt_tokens = turns.voice.count_prompt_tokens(ids)
    target = here.output("talk.json")
    files.write_json(
        target, {"question": question, "answer": answer, "prompt_tokens": prompt_tokens, "tokens_read": len(ids)}
    )
    criteria = [
        Criterion("An answer came", bool(answer.strip()), f"{len(answer.split())} words"),
        Criterion(
            "The student reads no prompt",
            prompt_tokens == 0,
            f"{prompt_tokens} prompt tokens, {len(ids)} tokens in all",
        ),
    ]
    inputs = [here.input(models.STUDENTS)]
    return Report(criteria, {"prompt_tokens": prompt_tokens}, shown(f"{question}\n{answer}"), inputs, [target])


def converse(samplers: Samplers, turns: Talk) -> Report:
    """Answer until nothing more is asked."""
    print(f"You talk with {samplers.names}. {COMMANDS}", flush=True)
    question, drawn = "", 0
    try:
        for line in lines():
            if line == "/quit":
                break
            drawn += 1
            question = carry_out(samplers, turns, line, question, SEED + 1000 * drawn)
    except KeyboardInterrupt:
        print()
    return Report(note=f"{len(turns.turns)} turns. Farewell.")


def carry_out(samplers: Samplers, turns: Talk, line: str, question: str, seed: int) -> str:
    """Carry out one line; return the question that /again and the other commands refer to."""
    name = {"/again": "student", "/base": "base", "/teacher": "teacher"}.get(line)
    if line == "/new":
        turns.turns.clear()
        return ""
    if not line or (name is None and line.startswith("/")) or (name and not question):
        print("ask something first" if name else f"{shown(line)!r} is no question: {COMMANDS}", flush=True)
        return question
    if name is None:
        turns.turns.append((line, print_answer(samplers, turns, "student", line, seed)))
        return line
    last = turns.turns.pop()  # the same question after the same turns
    answer = print_answer(samplers, turns, name, question, seed)
    turns.turns.append((question, answer) if name == "student" else last)
    return question


def print_answer(samplers: Samplers, turns: Talk, name: str, question: str, seed: int) -> str:
    """Print an answer piece by piece; return the whole answer."""
    sampler, parts = samplers.sampler(name), list[str]()
    print(f"{name}> ", end="", flush=True)
    for part in turns.pieces(sampler, question, seed, prompted=name == "teacher"):
        print(shown(part), end="", flush=True)
        parts.append(part)
    print(flush=True)
    return "".join(parts)


def lines() -> Iterator[str]:
    """Yield the lines of the terminal or of a pipe."""
    while True:
        try:
            yield (input("you> ") if sys.stdin.isatty() else input()).strip()
        except EOFError:
            return


if __name__ == "__main__":
    main(sys.argv[1:])
