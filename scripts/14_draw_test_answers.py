"""Step 14: sample the teacher's answers to held-out questions, and measure their gap in nats without the prompt.

    python scripts/14_draw_test_answers.py [--test] [evaluation.answers=600] [key=value ...]

Answers are drawn at temperature 1 with nothing cut off the chances, with seeds that no training answer has: a draw at
another temperature than the scoring's would let a student beat its teacher. Writes outputs/evaluation/answers.jsonl
(each with the nats that base and teacher give it) and gap.json. Fails when there is no gap that could be closed.
"""

from __future__ import annotations

from typing import Any

from common import files
from common.stage import Criterion, Report, Stage, run
from distillation import models
from distillation.corpus.character import plain
from distillation.evaluation import logprob_gap
from distillation.teacher import generation

APART = 500_000  # rows between the seeds of training answers and these


def draw(stage: Stage) -> Report:
    """Sample, score, judge."""
    inputs = [stage.input(name) for name in ("held_out_questions.jsonl", "questions.jsonl", models.PROMPT)]
    wanted, count = stage.settings.evaluation, 2 if stage.is_test else stage.settings.evaluation.answers
    questions = files.read_jsonl(inputs[0])
    asked = [questions[at % len(questions)] for at in range(count)]
    setup = models.load_setup(stage)
    rows = drawn(stage, setup, asked)
    for name, is_prompted in (("base_nats", False), ("teacher_nats", True)):
        logprob_gap.add_nats(rows, name, logprob_gap.answer_nats(setup, rows, stage.settings, prompted=is_prompted))
    found = {
        name: logprob_gap.measure_gap(part, wanted, stage.settings.seed)
        for name, part in logprob_gap.parts(rows).items()
        if part
    }
    paths = [stage.output(f"evaluation/{name}") for name in ("answers.jsonl", "gap.json")]
    files.write_jsonl(paths[0], rows)
    files.write_json(paths[1], {"answers": len(rows), "temperature": 1.0, "unit": "nats per token", "gap": found})
    trained = {plain(str(row["question"])) for row in files.read_jsonl(inputs[1])}
    seen = [row for row in rows if plain(str(row["question"])) in trained]
    whole = found["all"]
    criteria = [
        Criterion(
            "There are answers enough",
            stage.is_test or len(rows) >= logprob_gap.LEAST,
            f"{len(rows)}, at least {logprob_gap.LEAST}",
        ),
        Criterion("No question was trained on", not seen, f"{len(seen)} of {len(rows)}"),
        Criterion("There is a gap to close", stage.is_test or whole["low"] > 0, logprob_gap.gap_text(whole)),
        Criterion(
            "The gap is worth closing", stage.is_test or whole["gap"] >= wanted.min_gap, f"at least {wanted.min_gap}"
        ),
    ]
    metrics = {name: whole[name] for name in ("gap", "low", "high", "base", "teacher")} | {"answers": len(rows)}
    return Report(criteria, metrics, f"gap {logprob_gap.gap_text(whole)}", inputs, paths)


def drawn(stage: Stage, setup: models.ModelSetup, asked: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the teacher's answers, with progress."""
    rows: list[dict[str, Any]] = []
    for row in generation.answers(setup, asked, APART, stage.settings):
        rows.append({**row, "row": len(rows)})
        if len(rows) % 50 == 0 or len(rows) == len(asked):
            stage.progress(len(rows), len(asked))
    return rows


if __name__ == "__main__":
    run("14_draw_test_answers", draw, __doc__)
