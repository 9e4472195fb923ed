"""Step 15: score the held-out answers under every student without the prompt, beside base and teacher.

    python scripts/15_evaluate.py [--test] [evaluation.resamples=2000] [key=value ...]

share closed = (base - student) / (base - teacher), in mean nats a token of answers that the teacher gave. Fails when
the gap's interval reaches 0 (then a share means nothing) and when a share is above 1 (then the scoring is at fault).
Beside it: the share by kind of question, and how often the student says the facts that the teacher's prompt states.
Writes outputs/evaluation/evaluation.json and side_by_side.jsonl. A judge compares answers only where credentials are.
"""

from __future__ import annotations

import shlex
import statistics
from typing import TYPE_CHECKING, Any

from common import files
from common.stage import Criterion, Report, Stage, interpreter, run
from distillation import models
from distillation.evaluation import logprob_gap, similarity, stated_facts
from distillation.student import training_config

if TYPE_CHECKING:
    from pathlib import Path

    from distillation.models import ModelSetup, Student

SAYERS = ("bare", "student", "teacher")
CHOSEN = "least loss on the validation set, which holds no test answer"
INTERVAL = "bootstrap over answers, 95 %; clustered: over templates"
NOT_COVERED = "other base models, other draws of the held-out questions, other training data"


def evaluate(stage: Stage) -> Report:
    """Score, judge, compare."""
    inputs = [stage.input(f"evaluation/{name}.jsonl") for name in ("answers", "facts")]
    inputs.append(stage.input(models.STUDENTS))
    rows = files.read_jsonl(inputs[0])
    rows = rows[:2] if stage.is_test else rows
    students = models.read_students(stage)[: 1 if stage.is_test else None]
    setup = models.load_setup(stage)
    names = [scored(stage, setup, rows, student) for student in students]
    prompt_tokens = max(
        setup.voice.count_prompt_tokens(setup.voice.asked(str(row["question"]), prompted=False)) for row in rows
    )
    found = figures(stage, rows, names, students, prompt_tokens)
    best = models.chosen(students)
    found["exported"] = {"seed": best.seed, "step": best.step, "val_nll": best.val_nll, "why": CHOSEN}
    found["stated"] = said(stage, setup, inputs[1], best)
    found |= similarity.compared(stage, setup, rows, best)
    paths = [stage.output(f"evaluation/{name}") for name in ("evaluation.json", "side_by_side.jsonl")]
    files.write_jsonl(paths[1], found.pop("side_by_side"))
    files.write_json(paths[0], found)
    return Report(judge(stage, found, len(students)), metrics_of(found), headline(found), inputs, paths)


def metrics_of(found: dict[str, Any]) -> dict[str, Any]:
    """Return the figures that criteria of the plan read."""
    whole = found["share"]["all"]
    return {
        "share": whole["share"],
        "share_low": whole["low"],
        "share_high": whole["high"],
        "gap": found["gap"]["all"]["gap"],
        "gap_low": found["gap"]["all"]["low"],
        "largest_share": max(one["share"] for one in found["seeds"].values()),
        "students": len(found["seeds"]),
        "student_prompt_tokens": found["student_prompt_tokens"],
    }


def said(stage: Stage, setup: ModelSetup, asked: Path, best: Student) -> dict[str, Any]:
    """Ask the exported student for the facts; return the counts of bare model, student and teacher."""
    rows = files.read_jsonl(asked)
    sampler = setup.sampler(best.sampler_path, wait_s=stage.settings.teacher.wait_s)
    texts = stated_facts.answers(setup, sampler, rows, stage.settings, prompted=False)
    rows = [{**row, "student": text} for row, text in zip(rows, texts, strict=True)]
    return stated_facts.tally(rows, models.facts(stage), SAYERS)


def scored(stage: Stage, setup: ModelSetup, rows: list[dict[str, Any]], student: Student) -> str:
    """Add a student's nats to the rows; return the name of the column."""
    name = f"student_{student.seed}_nats"
    logprob_gap.add_nats(
        rows, name, logprob_gap.answer_nats(setup, rows, stage.settings, prompted=False, path=student.sampler_path)
    )
    print(f"seed {student.seed} is scored", flush=True)
    return name


def figures(
    stage: Stage, rows: list[dict[str, Any]], names: list[str], students: list[Student], prompt_tokens: int
) -> dict[str, Any]:
    """Return gaps and shares: all, facts, cues; together and by seed."""
    wanted, seed = stage.settings.evaluation, stage.settings.seed
    parts = {name: part for name, part in logprob_gap.parts(rows).items() if part}
    seeds = {
        str(one.seed): logprob_gap.share(rows, [name], wanted, seed) for one, name in zip(students, names, strict=True)
    }
    shares = [one["share"] for one in seeds.values()]
    return {
        "unit": "nats per token, natural logarithm; answers drawn and scored at temperature 1",
        "answers": len(rows),
        "temperature": 1.0,
        "gap": {name: logprob_gap.measure_gap(part, wanted, seed) for name, part in parts.items()},
        "share": {name: logprob_gap.share(part, names, wanted, seed) for name, part in parts.items()},
        "by_kind": {name: by_kind(part, names, stage) for name, part in logprob_gap.kinds(rows).items()},
        "seeds": seeds,
        "spread_of_seeds": statistics.pstdev(shares) if len(shares) > 1 else 0.0,
        "interval": {
            "kind": INTERVAL,
            "resamples": wanted.resamples,
            "not_covered": NOT_COVERED,
        },
        "student_prompt_tokens": prompt_tokens,
        "command": again(stage),
    }


def by_kind(rows: list[dict[str, Any]], names: list[str], stage: Stage) -> dict[str, Any]:
    """Return the gap of one kind of question and the share of it; no share where the gap's interval reaches 0."""
    wanted, seed = stage.settings.evaluation, stage.settings.seed
    gap = logprob_gap.measure_gap(rows, wanted, seed)
    found = logprob_gap.share(rows, names, wanted, seed) if gap["low"] > 0 else {}
    return {name: gap[name] for name in ("answers", "gap")} | {
        name: found.get(name) for name in ("share", "low", "high")
    }


def again(stage: Stage) -> str:
    """Return the command that repeats this, with the interpreter of the project."""
    name = stage.settings.profile_file or stage.settings.profile
    profile = [] if name == "local" else ["--profile", name]
    return shlex.join([interpreter(), "scripts/15_evaluate.py", *profile, *stage.overrides])


def judge(stage: Stage, found: dict[str, Any], count: int) -> list[Criterion]:
    """Judge that the share means something."""
    wanted, whole, least = stage.settings.evaluation, found["gap"]["all"], len(training_config.load(stage).seeds)
    largest = max(one["share"] for one in (*found["seeds"].values(), found["share"]["all"]))
    small = stage.is_test
    return [
        Criterion("The gap's interval excludes 0", small or whole["low"] > 0, logprob_gap.gap_text(whole)),
        Criterion(
            f"No share is above {wanted.max_share:g}",
            small or not is_artefact(largest, wanted.max_share),
            f"largest {largest:.3f}; above 1 a student would beat its teacher",
        ),
        Criterion("Every seed is scored", small or count >= least, f"{count} students of {least}"),
        Criterion("The share closed is above 0", small or found["share"]["all"]["low"] > 0, headline(found)),
    ]


def is_artefact(share: float, most: float) -> bool:
    """Return True for an impossible share: above `most`, or NaN."""
    return not share <= most


def headline(found: dict[str, Any]) -> str:
    """Return the result in a line."""
    one = found["share"]["all"]
    return f"{one['share']:.1%} of the gap closed, 95 % [{one['low']:.1%}, {one['high']:.1%}]"


if __name__ == "__main__":
    run("15_evaluate", evaluate, __doc__)
