"""Step 6: prepare the teacher and the questions.

    python scripts/06_prepare_teacher.py [--test] [teacher.model=local/bard-small] [key=value ...]

Makes the local base model where settings ask for one (minutes, once). Writes outputs/teacher/prompt.txt (the
teacher's prompt, in the form that its model reads), teacher.json, probe.jsonl (two real answers), questions.jsonl and
held_out_questions.jsonl. The held-out questions share no wording, no template and no play with the others.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from common import files
from common.stage import Criterion, Report, Stage, run
from distillation import models
from distillation.corpus.character import plain
from distillation.corpus.plays import Speech
from distillation.prompt import questions
from distillation.teacher import generation, preparation

if TYPE_CHECKING:
    from distillation.models import ModelSetup

LEAST_TEMPLATES, LEAST_KINDS, PROBES = 60, 6, 2


def prepare(stage: Stage) -> Report:
    """Make model, prompt and questions; ask two."""
    settings, corpus = stage.settings, stage.input("corpus.jsonl")
    speeches = [Speech(**row) for row in files.read_jsonl(corpus)]
    asked = questions.asked(speeches, settings)
    model = preparation.ready_model(stage)
    prompt = preparation.prompt_of(stage, model)
    paths = [
        stage.output(name) for name in (models.PROMPT, models.ABOUT, "questions.jsonl", "held_out_questions.jsonl")
    ]
    files.write_text(paths[0], prompt)
    facts = preparation.facts_of(stage, prompt)
    files.write_json(paths[1], {"model": model, "voice": settings.teacher.voice, "facts": facts})
    for path, rows in zip(paths[2:], asked.rows(), strict=True):
        files.write_jsonl(path, rows)
    setup = models.make_setup(stage, model, prompt)
    files.write_json(paths[1], about(setup, prompt, settings.profile, facts))
    probe = stage.output("teacher/probe.jsonl")
    rows = list(generation.answers(setup, [question.__dict__ for question in asked.train[:PROBES]], 0, settings))
    files.write_jsonl(probe, rows)
    criteria = judge(stage, asked, setup, rows)
    metrics: dict[str, float] = {
        "prompt_tokens": setup.voice.prompt_tokens,
        "train": len(asked.train),
        "held_out": len(asked.held_out),
    }
    note = f"{model}: a prompt of {setup.voice.prompt_tokens} tokens, {len(asked.train):,} questions"
    return Report(criteria, metrics, note, [corpus], [*paths, probe])


def about(setup: ModelSetup, prompt: str, profile: str, facts: dict[str, str]) -> dict[str, Any]:
    """Return the description of the teacher for later steps."""
    digest = hashlib.sha256(prompt.encode()).hexdigest()
    tokens = setup.voice.prompt_tokens
    known = {"profile": profile, "model": setup.teacher, "voice": setup.voice.kind}
    return {**known, "prompt_tokens": tokens, "prompt_sha256": digest, "facts": facts}


def judge(stage: Stage, asked: questions.Asked, setup: ModelSetup, probes: list[dict[str, Any]]) -> list[Criterion]:
    """Judge questions, prompt and probes."""
    every = [*asked.train, *asked.held_out]
    used, kinds = {one.template for one in every}, {one.kind for one in every}
    train, last = ({plain(one.question) for one in part} for part in (asked.train, asked.held_out))
    shared = train & last or {one.template for one in asked.train} & {one.template for one in asked.held_out} - {"play"}
    least, tokens = stage.settings.teacher.min_tokens, setup.voice.prompt_tokens
    doubles, held_out = len(asked.train) - len(train), stage.settings.evaluation.least
    return [
        Criterion(f"Templates are {LEAST_TEMPLATES} or more", len(used) >= LEAST_TEMPLATES, f"{len(used)} templates"),
        Criterion(f"Kinds are {LEAST_KINDS} or more", len(kinds) >= LEAST_KINDS, f"{len(kinds)} kinds"),
        Criterion("No question is there twice", not doubles, f"{doubles} doubles of {len(asked.train)}"),
        Criterion("Held-out questions stay out", not shared, f"{len(shared)} questions or templates on both sides"),
        Criterion(
            f"At least {held_out} questions are held out",
            len(asked.held_out) >= held_out,
            f"{len(asked.held_out)} questions",
        ),
        Criterion(f"The prompt has {least} tokens or more", tokens >= least, f"{tokens} of the model's tokens"),
        Criterion("Two real answers came back", sum(bool(row["answer"]) for row in probes) == PROBES, shown(probes)),
    ]


def shown(probes: list[dict[str, Any]]) -> str:
    """Return the answers in one line."""
    return " | ".join(f"{row['question']} -> {row['answer']}" for row in probes)[:300]


if __name__ == "__main__":
    run("06_prepare_teacher", prepare, __doc__)
