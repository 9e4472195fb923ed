"""Step 18: judge answers of the student by stated rules, and lay a sheet before a person.

    python scripts/18_review.py [--test] [review.answers=50] [key=value ...]

The rules are those of scripts/distillation/evaluation/style_rules.py. Teacher and base answer the same questions, as
yardsticks: a rule that they break as often says nothing about the student. Writes outputs/review/: answers.jsonl (each
answer with each verdict), review.json (rates), sheet.csv (empty columns for a person; a sheet that somebody has filled
in stays, a new one is written beside it). What rules say and what a person says are kept apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common import files
from common.stage import Criterion, Report, Stage, run
from distillation import models
from distillation.corpus.text_features import shingles
from distillation.evaluation import style_rules
from distillation.evaluation.style_rules import RULES, Answer, Known
from distillation.sampler_requests import answer_questions

if TYPE_CHECKING:
    from pathlib import Path

    from distillation.models import ModelSetup

SEEDS = 7_000_000
NAMES = ("held_out_questions.jsonl", models.STUDENTS, models.ABOUT, "character/speeches.jsonl", "corpus.jsonl")


def look(stage: Stage) -> Report:
    """Draw, judge, write."""
    inputs = [stage.input(name) for name in NAMES]
    count = 2 if stage.is_test else stage.settings.review.answers
    rows, drawn = spread(files.read_jsonl(inputs[0]), count), {}
    setup, best = models.load_setup(stage), models.chosen(models.read_students(stage))
    ways = {"student": (best.sampler_path, ""), "teacher": ("", setup.teacher), "base": ("", setup.student)}
    for done, (name, (path, model)) in enumerate(ways.items(), 1):
        prompted = name == "teacher"
        drawn[name] = answers(setup, setup.sampler(path, model), rows, stage, prompted=prompted)
        stage.progress(done, len(ways))
    verdicts = {name: verdicts_on(ones, stage, inputs) for name, ones in drawn.items()}
    paths = write(stage, drawn["student"], verdicts)
    found = {name: style_rules.rates(ones) for name, ones in verdicts.items()}
    metrics = {f"{name}_rate": one["rate"] for name, one in found["student"].items() if one["rate"] is not None}
    note = f"{len(rows)} answers, {len(RULES)} rules; the sheet {paths[2].name} waits for a person"
    return Report(judge(verdicts, len(rows), paths[2]), metrics, note, inputs, paths)


def spread(rows: list[dict[str, Any]], count: int) -> list[dict[str, Any]]:
    """Return rows from the whole list; facts are asked again and again, no cue twice."""
    single = list({(row["question"] if row["group"] == "cue" else row["id"]): row for row in rows}.values())
    return [single[at * len(single) // count] for at in range(min(count, len(single)))]


def answers(
    setup: ModelSetup, sampler: Any, rows: list[dict[str, Any]], stage: Stage, *, prompted: bool
) -> list[Answer]:
    """Return one answer to each question."""
    drawn = answer_questions(sampler, rows, setup.voice, stage.settings.teacher, prompted=prompted, first_seed=SEEDS)
    return [
        Answer(row["id"], row["kind"], row["group"], row["question"], setup.voice.text(one.tokens), one.is_whole)
        for row, one in zip(rows, drawn, strict=True)
    ]


def verdicts_on(ones: list[Answer], stage: Stage, inputs: list[Path]) -> list[dict[str, bool | None]]:
    """Return each answer's verdicts."""
    known = known_of(stage, ones, *inputs[2:])
    return [style_rules.judged(one, known) for one in ones]


def known_of(stage: Stage, ones: list[Answer], about: Path, own: Path, corpus: Path) -> Known:
    """Return the data of the rules."""
    limits = stage.settings.review
    speeches = [row["text"] for row in files.read_jsonl(own)]
    lengths = sorted(len(text.split()) for text in speeches)
    mine = {run for one in ones for run in shingles(one.text, limits.copied)}
    everybody = (shingles(row["text"], limits.copied) for row in files.read_jsonl(corpus)) if mine else ()
    copied = frozenset(run for runs in everybody for run in runs & mine)
    words = frozenset(word for text in speeches for word in style_rules.words_of(text))
    facts = files.read_json(about).get("facts", {})
    longest = lengths[int(0.99 * (len(lengths) - 1))]
    return Known(words, longest, copied, limits.copied, facts, style_rules.counted(ones), limits.min_own_words)


def write(stage: Stage, ones: list[Answer], verdicts: dict[str, list[dict[str, bool | None]]]) -> list[Path]:
    """Write verdicts and rates; the sheet for a person beside them."""
    paths = [stage.output(f"review/{name}") for name in ("answers.jsonl", "review.json")]
    files.write_jsonl(
        paths[0], [vars(one) | {"verdicts": of} for one, of in zip(ones, verdicts["student"], strict=True)]
    )
    judged = "by rules alone; what a person says stands in sheet.csv, and is not counted here"
    rates = {name: style_rules.rates(of) for name, of in verdicts.items()}
    rules = [{"name": rule.name, "words": rule.words} for rule in RULES]
    files.write_json(paths[1], {"judged": judged, "answers": len(ones), "rules": rules, "rates": rates})
    target = free_sheet(paths[0].parent)
    files.write_text(target, style_rules.sheet(ones))
    return [*paths, target]


def free_sheet(folder: Path) -> Path:
    """Return the first sheet that is not filled in: sheet.csv, sheet_2.csv, ..."""
    number = 1
    while True:
        path = folder / ("sheet.csv" if number == 1 else f"sheet_{number}.csv")
        if not path.exists() or not style_rules.is_filled(path.read_text(encoding="utf-8-sig", errors="replace")):
            return path
        number += 1


def judge(verdicts: dict[str, list[dict[str, bool | None]]], count: int, target: Path) -> list[Criterion]:
    """Judge that the review is complete; the rates are for a reader."""
    student_verdicts = verdicts["student"]
    whole = len(student_verdicts) == count and all(
        set(one) == {rule.name for rule in RULES} for one in student_verdicts
    )
    student, base = (
        sum(value is True for one in verdicts[name] for value in one.values()) for name in ("student", "base")
    )
    seen = f"{len(student_verdicts)} answers, {len(RULES)} rules; kept: student {student}, base {base} times"
    return [
        Criterion("Every answer is judged by every rule", whole, seen),
        Criterion("A sheet waits for a person", target.is_file(), target.name),
    ]


if __name__ == "__main__":
    run("18_review", look, __doc__)
