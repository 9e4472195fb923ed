"""Step 14: sample the teacher's answers to held-out questions, and measure their gap in nats without the prompt.

    python scripts/14_draw_test_answers.py [--test] [evaluation.answers=600] [key=value ...]

Answers are drawn at temperature 1 with nothing cut off the chances, with seeds that no training answer has: a draw at
another temperature than the scoring's would let a student beat its teacher. Writes outputs/evaluation/answers.jsonl
(each with the nats that base and teacher give it) and gap.json. Fails when there is no gap that could be closed.
Also counts how often teacher and bare model say the facts that the teacher's prompt states, in wordings of training
questions and in held-out ones: facts.jsonl, facts.json. Fails when the teacher is not above the bare model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common import files
from common.stage import Criterion, Report, Stage, run
from distillation import models
from distillation.corpus.character import plain
from distillation.evaluation import logprob_gap, stated_facts
from distillation.teacher import generation

if TYPE_CHECKING:
    from pathlib import Path

READ = ("held_out_questions.jsonl", "questions.jsonl", models.PROMPT, models.ABOUT)
MODELS = ("teacher", "bare")
APART = 500_000  # rows between the seeds of training answers and these


def draw(stage: Stage) -> Report:
    """Sample, score, judge."""
    inputs = [
        stage.input(name) for name in ("held_out_questions.jsonl", "questions.jsonl", models.PROMPT, models.ABOUT)
    ]
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
    stated = said(stage, setup, inputs)
    criteria = judge(stage, rows, inputs[1], found["all"], stated)
    metrics = {name: found["all"][name] for name in ("gap", "low", "high", "base", "teacher")} | {"answers": len(rows)}
    metrics |= {"stated_questions": stated["of"], "stated_lead": stated["teacher"] - stated["bare"]}
    metrics |= {f"stated_{name}": stated[name] / max(1, stated["of"]) for name in MODELS}
    paths += [stage.output(f"evaluation/{name}") for name in ("facts.jsonl", "facts.json")]
    return Report(criteria, metrics, f"gap {logprob_gap.gap_text(found['all'])}", inputs, paths)


def said(stage: Stage, setup: models.ModelSetup, inputs: list[Path]) -> dict[str, int]:
    """Ask teacher and bare model for the facts; write answers and counts; return those over all questions."""
    facts, count = models.facts(stage), 1 if stage.is_test else stage.settings.evaluation.stated
    held_out, trained = (files.read_jsonl(path) for path in inputs[:2])
    rows = stated_facts.questions(trained, held_out, facts, count)
    for name, model in zip(MODELS, (setup.teacher, setup.student), strict=True):
        sampler = setup.sampler(model=model, wait_s=stage.settings.teacher.wait_s)
        texts = stated_facts.answers(setup, sampler, rows, stage.settings, prompted=name == "teacher")
        rows = [{**row, name: text} for row, text in zip(rows, texts, strict=True)]
    counts = stated_facts.tally(rows, facts, MODELS)
    files.write_jsonl(stage.output("evaluation/facts.jsonl"), rows)
    files.write_json(stage.output("evaluation/facts.json"), {"facts": facts, "counts": counts})
    return counts[stated_facts.ALL][stated_facts.ALL] if counts else dict.fromkeys(("of", *MODELS), 0)


def judge(
    stage: Stage, rows: list[dict[str, Any]], questions: Path, whole: dict[str, float], stated: dict[str, int]
) -> list[Criterion]:
    """Judge the answers, the gap, and that the teacher uses its prompt in what it says."""
    wanted, is_test = stage.settings.evaluation, stage.is_test
    trained = {plain(str(row["question"])) for row in files.read_jsonl(questions)}
    seen = [row for row in rows if plain(str(row["question"])) in trained]
    counts = ", ".join(f"{name} {stated_facts.text(stated, name)}" for name in MODELS)
    return [
        Criterion("There are answers enough", is_test or len(rows) >= wanted.least, f"{len(rows)} of {wanted.least}"),
        Criterion("No question was trained on", not seen, f"{len(seen)} of {len(rows)}"),
        Criterion("There is a gap to close", is_test or whole["low"] > 0, logprob_gap.gap_text(whole)),
        Criterion("The gap is worth closing", is_test or whole["gap"] >= wanted.min_gap, f"at least {wanted.min_gap}"),
        Criterion("The teacher says what its prompt states", is_test or stated["teacher"] > stated["bare"], counts),
    ]


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
