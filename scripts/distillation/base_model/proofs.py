"""Evaluation of a base model: it has learned the plays, and it uses its prompt."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from importlib import util
from typing import TYPE_CHECKING, Any

import torch

from distillation.base_model.documents import DocumentEncoder, as_played
from distillation.base_model.fact_sheets import ADDRESSES, ANSWERS, QUESTIONS, Sheet, put
from distillation.corpus.character import is_question
from small_lm import hf_format, scoring
from small_lm.kneser_ney import KneserNey

if TYPE_CHECKING:
    from pathlib import Path

    from distillation.base_model.characters import Person
    from distillation.base_model.make import PlaySplit
    from small_lm.model import Llama

PERPLEXITY, UNDER_COUNTS = 60.0, 0.15
FACTS_DROP, GAP, CUES_GAP = 1.5, 0.15, 0.10  # nats a token
LOGITS_DIFFER = 1e-4
DISCOUNTS = (0.8, 0.9)  # the better one is the yardstick
CUES, ASKED = 480, 120  # answers that are drawn: to questions of held-out plays, to questions for facts
LONGEST_ANSWER = 48
SHEET_TOKENS, SHEET_WORDS = 520, 28
SPOKEN_AS = "FALSTAFF"
SEED = 11


@dataclass(frozen=True)
class Proof:
    """A figure with its target: at least, or with `is_ceiling` at most."""

    name: str
    value: float
    target: float
    is_ceiling: bool = False
    note: str = ""

    @property
    def is_met(self) -> bool:
        """True if the target is met; NaN never meets it."""
        return self.value <= self.target if self.is_ceiling else self.value >= self.target

    def figures(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        return {"value": round(self.value, 6), "target": self.target, "met": self.is_met, "note": self.note}


@dataclass(frozen=True)
class Found:
    """All proofs, and figures that have no target."""

    proofs: tuple[Proof, ...]
    others: dict[str, float]

    @property
    def code(self) -> int:
        """0, or 1 when a target is missed."""
        return 0 if all(proof.is_met for proof in self.proofs) else 1

    def figures(self) -> dict[str, Any]:
        """Return the figures as a JSON object."""
        proofs = {proof.name: proof.figures() for proof in self.proofs}
        return proofs | {name: round(value, 4) for name, value in self.others.items()}

    def table(self) -> str:
        """Return the figures as a table of text."""
        rows = [
            f"{'ok  ' if proof.is_met else 'MISS'} {proof.name:<52} {proof.value:>9.4g}  "
            f"{'<=' if proof.is_ceiling else '>='} {proof.target:g}  {proof.note}"
            for proof in self.proofs
        ]
        return "\n".join([*rows, *(f"     {name:<52} {value:>9.4g}" for name, value in self.others.items())])


@dataclass(frozen=True)
class Subject:
    """The model to evaluate, and the plays to evaluate it on."""

    model: Llama
    encoder: DocumentEncoder
    read: PlaySplit


def judge(folder: Path, read: PlaySplit, *, cues: int = CUES, asked: int = ASKED) -> Found:
    """Evaluate the model of a folder with `cues` and `asked` answers; takes minutes at most."""
    model, tokenizer = hf_format.load(folder)
    subject = Subject(model.eval(), DocumentEncoder(tokenizer), read)
    language, counted = print_proofs(language_proofs(subject))
    facts, beside = print_proofs(facts_proofs(subject))
    gaps, nats = print_proofs(gap_proofs(subject, cues, asked))
    return Found((*language, *facts, *gaps, *same_logits(folder, model)), counted | beside | nats)


def print_proofs(found: tuple[tuple[Proof, ...], dict[str, float]]) -> tuple[tuple[Proof, ...], dict[str, float]]:
    """Print the figures, then return them."""
    for proof in found[0]:
        print(f"{proof.name}: {proof.value:.4g}", flush=True)
    return found


# The language


def language_proofs(subject: Subject) -> tuple[tuple[Proof, ...], dict[str, float]]:
    """Compare the model's perplexity on the held-out plays with that of n-gram counts."""
    length = min(subject.model.shape.context, 1024) + 1
    rows = as_played(subject.encoder, subject.read.held_out.plays, length)
    weights = scoring.answer_nats(subject.model, [(row[:1], row[1:]) for row in rows])
    loss, counted = scoring.mean(weights), yardstick(subject, rows)
    model, counts = math.exp(loss), math.exp(counted)
    note = f"5-gram Kneser-Ney {counts:.1f}"
    proofs = (
        Proof("held-out perplexity", model, PERPLEXITY, is_ceiling=True),
        Proof("share that it is under counting", 1 - model / counts, UNDER_COUNTS, note=note),
    )
    tokens = sum(weight.tokens for weight in weights)
    return proofs, {"held-out nats a token": loss, "Kneser-Ney nats a token": counted, "held-out tokens": tokens}


def yardstick(subject: Subject, rows: list[list[int]]) -> float:
    """Return the nats a token of the better of two Kneser-Ney models of the training plays."""
    learned = as_played(subject.encoder, subject.read.learned.plays, 2**62)
    found = []
    for discount in DISCOUNTS:
        nats, tokens = KneserNey(learned, subject.model.shape.vocab_size, discount=discount).nats(rows)
        found.append(nats / max(1, tokens))
    return min(found)


# The use of the prompt


def facts_proofs(subject: Subject) -> tuple[tuple[Proof, ...], dict[str, float]]:
    """Ask the persons of the held-out plays for their facts, with and without the sheet."""
    encoder, cases = subject.encoder, []
    for person in subject.read.held_out.people:
        sheet = sheet_of(subject, person)
        cases += [(sheet, *case) for kind in QUESTIONS for case in wordings(person, kind)]
    given = [(encoder.prompt(cue, sheet), ended(encoder, reply)) for sheet, cue, reply in cases]
    alone = [(encoder.prompt(cue), ended(encoder, reply)) for _, cue, reply in cases]
    with_sheet, without = (scoring.answer_nats(subject.model, pairs) for pairs in (given, alone))
    drop = scoring.mean(without) - scoring.mean(with_sheet)
    note = f"{scoring.mean(without):.2f} without, {scoring.mean(with_sheet):.2f} with the sheet, {len(cases)} answers"
    return (Proof("nats a token that a stated fact is cheaper", drop, FACTS_DROP, note=note),), {}


def wordings(person: Person, kind: str) -> list[tuple[str, str]]:
    """Return each question for one fact with one of the ways to answer it."""
    fact, ways = getattr(person.facts, kind), ANSWERS[kind]
    return [(question, ways[at % len(ways)].format(fact)) for at, question in enumerate(addressed(kind))]


def addressed(kind: str) -> list[str]:
    """Return each question for one fact, with one address after the other."""
    return [put(wording, ADDRESSES[at % len(ADDRESSES)]) for at, wording in enumerate(QUESTIONS[kind])]


def ended(encoder: DocumentEncoder, reply: str) -> list[int]:
    """Return a reply as tokens, to its <end>."""
    return [*encoder.read(reply), encoder.tokenizer.end]


def sheet_of(subject: Subject, person: Person) -> Sheet:
    """Return a person's sheet as a teacher gets it: own speeches, typical words, facts."""
    chance = random.Random(f"{SEED} {person.name}")  # noqa: S311 - a seeded choice of speeches, no secret
    words, encoder = person.distinctive[:SHEET_WORDS], subject.encoder
    room = min(SHEET_TOKENS, subject.model.shape.context // 2)
    speeches: list[str] = []
    for speech in chance.sample(person.speeches, len(person.speeches)):
        longer = Sheet((*speeches, speech.text), person.play, words, person.facts)
        if len(encoder.prompt("", longer)) <= room:
            speeches.append(speech.text)
    return Sheet(tuple(speeches), person.play, words, person.facts)


# The gap between base and teacher


def gap_proofs(subject: Subject, of_cues: int, of_facts: int) -> tuple[tuple[Proof, ...], dict[str, float]]:
    """Sample answers with a character's sheet; return how many more nats they cost without it."""
    person = character(subject.read)
    sheet = sheet_of(subject, person)
    facts = [question for kind in QUESTIONS for question in addressed(kind)]
    cues = scoring.some(questions(subject.read), of_cues, SEED) + scoring.some(facts, of_facts, SEED)
    prompts = [subject.encoder.prompt(cue, sheet) for cue in cues]
    drawn = scoring.draw(subject.model, subject.encoder.tokenizer, prompts, longest=LONGEST_ANSWER, seed=SEED)
    teacher = scoring.answer_nats(subject.model, list(zip(prompts, drawn, strict=True)))
    base = scoring.answer_nats(
        subject.model, [(subject.encoder.prompt(cue), ids) for cue, ids in zip(cues, drawn, strict=True)]
    )
    size = len(subject.encoder.prompt("", sheet)) - 3
    proofs = (
        *gap("with facts", base, teacher, GAP, f"{len(cues)} answers as {person.facts.name}, sheet of {size} tokens"),
        *gap("on cues alone", base[:of_cues], teacher[:of_cues], CUES_GAP, f"{of_cues} answers to held-out questions"),
    )
    return proofs, {
        "base nats a token": scoring.mean(base),
        "teacher nats a token": scoring.mean(teacher),
        "answers' tokens": sum(weight.tokens for weight in base),
    }


def gap(
    name: str, base: list[scoring.AnswerNats], teacher: list[scoring.AnswerNats], least: float, note: str
) -> list[Proof]:
    """Return the gap in nats a token, and the lower end of its interval."""
    low, high = scoring.interval(base, teacher)
    value = scoring.mean(base) - scoring.mean(teacher)
    note = f"{note}, interval {low:.3f} to {high:.3f}"
    ends = Proof(f"lower end of the gap {name}", low, 0.0)
    return [Proof(f"base-teacher gap {name}", value, least, note=note), ends]


def character(read: PlaySplit) -> Person:
    """Return the character of the pipeline, else the person with the most turns."""
    great = sorted(read.learned.people, key=lambda person: (person.name != SPOKEN_AS, -len(person.turns), person.name))
    return great[0]


def questions(read: PlaySplit) -> list[str]:
    """Return the short questions of the held-out plays, each once."""
    return list(dict.fromkeys(one.text for play in read.held_out.plays for one in play if is_question(one.text)))


# Compatibility


def same_logits(folder: Path, model: Llama) -> tuple[Proof, ...]:
    """Compare the logits with those of transformers, if it is installed."""
    if not util.find_spec("transformers"):
        return ()
    from transformers import AutoModelForCausalLM

    theirs = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    chance = torch.Generator().manual_seed(SEED)
    ids = torch.randint(model.shape.vocab_size, (2, min(600, model.shape.context)), generator=chance)
    with torch.no_grad():
        differ = float((theirs(ids).logits - model(ids)).abs().max())
    return (Proof("largest difference of a logit in transformers", differ, LOGITS_DIFFER, is_ceiling=True),)
