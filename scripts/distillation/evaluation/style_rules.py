"""Rules that an answer in the character's voice must keep, each with a verdict of yes or no."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distillation.corpus.text_features import WORD, shingles
from distillation.evaluation import stated_facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

MODERN = re.compile(
    r"\b(prompt|language model|ai|assistant|chatbot|computer|internet|online|website|email|phone|okay|ok|guys|"
    r"television|robot|software|data set|token)s?\b",
    re.IGNORECASE,
)
MARKS = re.compile(r"<\w+>|\N{REPLACEMENT CHARACTER}")
FOR_A_PERSON = (
    "sounds_like_the_character_1_to_5",
    "makes_sense_1_to_5",
    "answers_the_question_yes_no",
    "remark",
    "reviewer",
)
SHEET = ("id", "question", "answer", *FOR_A_PERSON)


@dataclass(frozen=True)
class Answer:
    """An answer to judge; `group` is fact or cue, `kind` names the fact."""

    id: str
    kind: str
    group: str
    question: str
    text: str
    is_whole: bool


@dataclass(frozen=True)
class Known:
    """Data of the rules: the character's words and lengths, word n-grams of the plays, the facts, all answers."""

    words: frozenset[str]
    longest: int
    runs: frozenset[tuple[str, ...]]
    run_size: int
    facts: dict[str, str]
    answer_counts: Counter[str]
    min_own_words: float


@dataclass(frozen=True)
class Rule:
    """A rule: name, text for a person, and a function that returns the verdict, None where it does not apply."""

    name: str
    words: str
    verdict: Callable[[Answer, Known], bool | None]


def words_of(text: str) -> list[str]:
    """Return the words of a text, lower case."""
    return WORD.findall(text.lower())


def has_words(answer: Answer, known: Known) -> bool | None:
    """Return True if the answer has a word."""
    return bool(words_of(answer.text))


def is_ended(answer: Answer, known: Known) -> bool | None:
    """Return True if the answer was not cut off at the token limit."""
    return answer.is_whole


def has_length(answer: Answer, known: Known) -> bool | None:
    """Return True if the answer is as short as 99 of 100 speeches."""
    return 1 <= len(answer.text.split()) <= known.longest


def is_old(answer: Answer, known: Known) -> bool | None:
    """Return True if the answer has no modern word and none about models."""
    return not MODERN.search(answer.text)


def is_clean(answer: Answer, known: Known) -> bool | None:
    """Return True if all characters are printable and no special token is in the text."""
    return not MARKS.search(answer.text) and all(one.isprintable() or one == "\n" for one in answer.text)


def is_own(answer: Answer, known: Known) -> bool | None:
    """Return True if the share of words that the character uses in the plays is large enough."""
    words = words_of(answer.text)
    return None if not words else sum(word in known.words for word in words) / len(words) >= known.min_own_words


def is_new(answer: Answer, known: Known) -> bool | None:
    """Return True if the answer shares no long word n-gram with the plays."""
    return not shingles(answer.text, known.run_size) & known.runs


def is_single(answer: Answer, known: Known) -> bool | None:
    """Return True if no other cue got the same answer."""
    return None if answer.group != "cue" else known.answer_counts[plain(answer.text)] <= 1


def names_fact(answer: Answer, known: Known) -> bool | None:
    """Return True if an answer about a fact contains the fact of the prompt."""
    fact = known.facts.get(answer.kind)
    return None if answer.group != "fact" or not fact else stated_facts.has_fact(answer.text, fact)


RULES = (
    Rule("said", "Something is said", has_words),
    Rule("ended", "The answer comes to its end by itself", is_ended),
    Rule("length", "It is no longer than 99 of 100 of the character's speeches", has_length),
    Rule("old", "It says no word of our days, and none about models or prompts", is_old),
    Rule("clean", "It has printable characters only, and none of the model's own marks", is_clean),
    Rule("own_words", "Most of its words are words that the character says in the plays", is_own),
    Rule("new", "It copies no long run of words from a speech of the plays", is_new),
    Rule("single", "No other cue got the same answer (cues only)", is_single),
    Rule("fact", "Asked for a fact of the prompt, it tells that fact (facts only)", names_fact),
)


def plain(text: str) -> str:
    """Return the words of a text, to compare answers."""
    return " ".join(words_of(text))


def counted(answers: Iterable[Answer]) -> Counter[str]:
    """Count how often each answer to a cue was given."""
    return Counter(plain(one.text) for one in answers if one.group == "cue")


def judged(answer: Answer, known: Known) -> dict[str, bool | None]:
    """Return every rule's verdict."""
    return {rule.name: rule.verdict(answer, known) for rule in RULES}


def rates(verdicts: Sequence[dict[str, bool | None]]) -> dict[str, dict[str, Any]]:
    """Return for each rule the number of answers that keep it, the number it applies to, and the rate or None."""
    found = {}
    for rule in RULES:
        asked = [one[rule.name] for one in verdicts if one[rule.name] is not None]
        kept = sum(bool(one) for one in asked)
        found[rule.name] = {"kept": kept, "of": len(asked), "rate": round(kept / len(asked), 4) if asked else None}
    return found


def sheet(answers: Iterable[Answer]) -> str:
    """Return the review sheet as CSV; no cell can be read as a formula."""
    out = io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(SHEET)
    for one in answers:
        rows.writerow([one.id, inert(one.question), inert(one.text), *[""] * len(FOR_A_PERSON)])
    return out.getvalue()


def inert(text: str) -> str:
    """Return a cell's text, with an apostrophe where a spreadsheet would read a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def is_filled(text: str) -> bool:
    """Return True if a person has filled in a cell; a sheet with other columns counts as filled."""
    rows = csv.DictReader(io.StringIO(text))
    if not set(SHEET) <= set(rows.fieldnames or ()):
        return True
    return any(set(row) - set(SHEET) or any((row[name] or "").strip() for name in FOR_A_PERSON) for row in rows)
