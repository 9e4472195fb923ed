"""Step 16: measure what a student saves: prompt tokens, time, money.

    python scripts/16_savings.py [--test] [savings.queries=20] [savings.example=MODEL] [key=value ...]

Asks the teacher (with its prompt) and the best student (without) the same held-out questions, one after the other in
turn, samplers warm, with the same most tokens. Prices: scripts/configs/savings/prices.yaml, a dated table
that a person must check. Reads what steps 6, 8, 13 wrote; writes outputs/savings.json, each figure with its unit.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import config, files
from common.stage import Criterion, Report, Stage, run
from distillation import models as distillation_models
from distillation import sampler_requests, tinker_client
from distillation.evaluation import cost
from distillation.evaluation.cost import Making, Query, figure
from distillation.prompt import dialogue
from distillation.sampler_requests import SampleRequest
from distillation.student import training_config

if TYPE_CHECKING:
    from distillation.models import ModelSetup

LEAST_SAVED = 450  # tokens a query, which is what the plan asks of the prompt
WARM = 2
REUSED = "the local service keeps a shared prefix in memory: with the prompt, only the first query reads all of it"
BESIDE = (
    "here the student's adapter is computed beside each layer; merged into the weights, as exported, it costs nothing"
)
NOT_KNOWN = "how this service computes an adapter is not known here"
UNKNOWN = "whether this service keeps a shared prefix in memory is not known here"
TOKEN_KEYS = ("tokens", "num_tokens")


@dataclass(frozen=True)
class Way:
    """A way to answer: a sampler, with the prompt or without."""

    name: str
    sampler: Any
    is_prompted: bool


def measure(stage: Stage) -> Report:
    """Count, time, price; write it down."""
    paths = [
        stage.input(name) for name in ("held_out_questions.jsonl", distillation_models.STUDENTS, "teacher_data_1.jsonl")
    ]
    setup, students = distillation_models.load_setup(stage), distillation_models.read_students(stage)
    best = distillation_models.chosen(students)
    ways = (
        Way("with_prompt", setup.sampler(), is_prompted=True),
        Way("student", setup.sampler(best.sampler_path), is_prompted=False),
    )
    count = 2 if stage.is_test else stage.settings.savings.queries
    questions = [row["question"] for row in files.read_jsonl(paths[0])][:count]
    read = {way.name: mean_read(setup, way, questions) for way in ways}
    timed: dict[str, list[Timed]] = {way.name: [] for way in ways}
    for done, question in enumerate([*questions[:1] * WARM, *questions], 1 - WARM):
        for way in ways:
            one = timed_query(setup, way, question, stage, done)
            timed[way.name] += [one] if done > 0 else []
        stage.progress(max(done, 0), len(questions))
    prompt_tokens = max(setup.voice.count_prompt_tokens(setup.voice.asked(one, prompted=False)) for one in questions)
    found = figures(stage, setup, read, timed, prompt_tokens)
    target = stage.output("savings.json")
    files.write_json(target, found)
    return Report(judge(found, read), metrics(found), found["money"]["said"], paths, [target])


def mean_read(setup: ModelSetup, way: Way, questions: list[str]) -> float:
    """Return the mean tokens that stand before an answer."""
    return statistics.mean(len(setup.voice.asked(one, prompted=way.is_prompted)) for one in questions)


@dataclass(frozen=True)
class Timed:
    """One query: seconds to its first token, seconds to its end, tokens of its answer."""

    first_s: float
    whole_s: float
    written: int


def timed_query(setup: ModelSetup, way: Way, question: str, stage: Stage, seed: int) -> Timed:
    """Ask for one token, then for a whole answer."""
    wanted, ends = stage.settings.teacher, setup.voice.ends
    ids = setup.voice.asked(question, prompted=way.is_prompted)
    seconds, written = [], 0
    for most in (1, wanted.max_tokens):
        start = time.perf_counter()
        answer = next(sampler_requests.sample_all(way.sampler, [SampleRequest(ids, abs(seed), most)], wanted, ends))
        seconds.append(time.perf_counter() - start)
        written = len(answer.tokens)
    return Timed(seconds[0], seconds[1], written)


def figures(
    stage: Stage, setup: ModelSetup, read: dict[str, float], timed: dict[str, list[Timed]], prompt_tokens: int
) -> dict[str, Any]:
    """Return every figure with its unit."""
    written = {name: statistics.mean(one.written for one in ones) for name, ones in timed.items()}
    making, models = making_of(stage, setup), (setup.teacher, setup.student)
    mean = statistics.mean(written.values())  # the same answer either way, so that prompts alone differ
    queries = Query(read["with_prompt"], mean), Query(read["student"], mean)
    table = cost.read_table(config.CONFIGS / "savings" / f"{stage.settings.savings.prices}.yaml")
    example = stage.settings.savings.example
    is_local = not tinker_client.is_real(stage.settings.access.service)
    return {
        "test": stage.is_test,
        "prompt_tokens": {
            "teacher": figure(setup.voice.prompt_tokens, "tokens"),
            "student": figure(prompt_tokens, "tokens"),
        },
        "tokens_read_per_query": {name: figure(round(value, 2), "tokens") for name, value in read.items()},
        "tokens_saved_per_query": figure(round(read["with_prompt"] - read["student"], 2), "tokens"),
        "latency": {name: latency(ones, written[name]) for name, ones in timed.items()},
        "latency_note": REUSED if is_local else UNKNOWN,
        "token_note": BESIDE if is_local else NOT_KNOWN,
        "making": {name: figure(value, "tokens") for name, value in vars(making).items()},
        "money": cost.money(table, models, making, queries),
        "money_example": {
            "note": f"AN EXAMPLE, nobody pays this: the same tokens at the price of {example}",
            **cost.money(table, (example, example), making, queries),
        }
        if example and is_local
        else None,
    }


def latency(ones: list[Timed], written: float) -> dict[str, Any]:
    """Return the spread of both times, beside the length of the answers."""
    total = sum(one.written for one in ones)
    return {
        "first_token": cost.spread([one.first_s for one in ones]),
        "whole_answer": cost.spread([one.whole_s for one in ones]),
        "mean_answer": figure(round(written, 2), "tokens"),
        "each_token": figure(round(1000 * sum(one.whole_s for one in ones) / max(1, total), 3), "milliseconds"),
    }


def making_of(stage: Stage, setup: ModelSetup) -> Making:
    """Count the tokens of the teacher's answers, and those that students were trained on."""
    folder = stage.input("teacher_data_1.jsonl").parent
    rows = [row for path in sorted(folder.glob("teacher_data_*.jsonl")) for row in files.read_jsonl(path)]
    prompt = setup.voice.prompt_tokens
    read = sum(prompt + len(setup.voice.asked(row["question"], prompted=False)) for row in rows)
    if training_config.load(stage).targets == "soft":
        read += scored_tokens(stage, setup)
    return Making(read, sum(len(row["tokens"]) for row in rows), trained_tokens(stage))


def scored_tokens(stage: Stage, setup: ModelSetup) -> int:
    """Count what the teacher read once more to give its distributions: prompt, question and answer."""
    rows = files.read_jsonl(stage.input("train.jsonl"))[: training_config.load(stage).examples or None]
    asked = sum(len(setup.voice.asked(dialogue.split_dialogue(row)[0], prompted=True)) for row in rows)
    return asked + sum(len(row["tokens"]) for row in rows)


def trained_tokens(stage: Stage) -> int:
    """Return the tokens that all students were trained on: logged ones, else rows of a batch at their mean length."""
    logged = [row for path in metrics_logs(stage) if path.is_file() for row in files.read_jsonl(path)]
    known = [row[key] for row in logged for key in TOKEN_KEYS if key in row]
    if known or not logged:
        return int(sum(known))
    sizes = [len(row["tokens"]) for row in files.read_jsonl(stage.input("train.jsonl"))]
    return int(len(logged) * training_config.load(stage).batch * statistics.mean(sizes))


def metrics_logs(stage: Stage) -> list[Path]:
    """Return the possible logs of the training."""
    logs = training_config.load(stage).logs
    folders = (Path(logs), Path(stage.settings.outputs, logs))
    return [folder / "metrics.jsonl" for folder in dict.fromkeys(folders)]


def judge(found: dict[str, Any], read: dict[str, float]) -> list[Criterion]:
    """Judge what the plan asks."""
    saved, prompt_tokens = read["with_prompt"] - read["student"], found["prompt_tokens"]["student"]["value"]
    medians = {name: one["whole_answer"]["median"]["value"] for name, one in found["latency"].items()}
    seen = ", ".join(f"{name} {value:g} ms" for name, value in medians.items())
    trained = found["making"]["trained"]["value"]
    return [
        Criterion("The student reads no prompt", prompt_tokens == 0, f"{prompt_tokens} prompt tokens"),
        Criterion(f"A query saves {LEAST_SAVED} tokens or more", saved >= LEAST_SAVED, f"{saved:g} tokens a query"),
        Criterion("Latency is measured both ways", all(value > 0 for value in medians.values()), seen),
        Criterion("The tokens of the training are counted", trained > 0, f"{trained:,} tokens"),
    ]


def metrics(found: dict[str, Any]) -> dict[str, float]:
    """Return the figures that a plan compares."""
    latencies = {name: one["whole_answer"]["median"]["value"] for name, one in found["latency"].items()}
    return {
        "student_prompt_tokens": found["prompt_tokens"]["student"]["value"],
        "tokens_saved": found["tokens_saved_per_query"]["value"],
        "latency_with_prompt_ms": latencies["with_prompt"],
        "latency_student_ms": latencies["student"],
    }


if __name__ == "__main__":
    run("16_savings", measure, __doc__)
