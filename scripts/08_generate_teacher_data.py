"""Step 8: ask the teacher every question, in order, and keep each answer as it comes.

    python scripts/08_generate_teacher_data.py [--test] [teacher.parallel=64] [key=value ...]

Appends to the file that DO_TASKS_ROWS names as many rows as DO_TASKS_SIZE says, from row DO_TASKS_OFFSET on; by hand,
without them, it goes on with outputs/teacher_data_1.jsonl until every question has its answer. Row r is question r with
a seed of its own, so a run that was killed goes on with the rows that it would have written. (On the local service all
but a few in a thousand: in another batch sums round otherwise.)
Writes outputs/generation.log: a JSON object for each stretch of rows, with time, pace, cost.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import config, files
from common.errors import USAGE, Trouble
from common.stage import Criterion, Report, Stage, run
from distillation import models
from distillation.evaluation import billing, cost
from distillation.teacher import generation

if TYPE_CHECKING:
    from collections.abc import Iterator

    from distillation.models import ModelSetup

SYNC_EVERY = 100


@dataclass(frozen=True)
class Part:
    """The rows to make, and the file for them."""

    path: Path
    first: int
    size: int
    total: int
    sync_every: int


def generate(stage: Stage) -> Report:
    """Make the rows of one part."""
    inputs = [stage.input(name) for name in ("questions.jsonl", models.ABOUT, models.PROMPT)]
    asked = files.read_jsonl(inputs[0])
    part = part_of(stage, len(asked))
    if part.first + part.size > len(asked):
        wanted = part.first + part.size
        raise Trouble(f"{wanted:,} rows are wanted, {len(asked):,} questions are there: raise questions.train", USAGE)
    setup = models.load_setup(stage)
    began, tokens, made, usd = time.monotonic(), 0, 0, 0.0
    price = price_of(stage, setup.teacher)
    mean = len(setup.voice.asked(str(asked[0]["question"]), prompted=True))
    tokens_ahead = {"prompt": part.size * mean, "sample": part.size * stage.settings.teacher.max_tokens}
    billing.announce(stage, setup.teacher, tokens_ahead)
    with appending(part.path, part.sync_every) as write:
        for row in generation.answers(setup, asked[part.first : part.first + part.size], part.first, stage.settings):
            write(row)
            made, tokens = made + 1, tokens + len(row["tokens"])
            asked_tokens = len(setup.voice.asked(str(row["question"]), prompted=True))
            usd += asked_tokens * price.prompt + len(row["tokens"]) * price.sample
            if made % part.sync_every == 0 or made == part.size:
                stage.progress(part.first + made, part.total)
                note(stage, part, made, tokens, time.monotonic() - began, usd)
    if not made:  # all rows were there: the pace of this run is on record all the same
        note(stage, part, 0, 0, time.monotonic() - began, 0.0)
    metrics = {"rows": made, "tokens": tokens, "usd": round(usd, 4)}
    return Report(
        judge(part, setup, asked), metrics, f"{made:,} rows in {part.path}", inputs, [part.path] if made else []
    )


def price_of(stage: Stage, model: str) -> cost.Price:
    """Return a model's price by the table of settings; print a note and count nothing for an unknown one."""
    table = cost.read_table(config.CONFIGS / "savings" / f"{stage.settings.savings.prices}.yaml")
    found = table.of(model)
    if found is None:
        print(f"{model} has no price in {stage.settings.savings.prices}.yaml: the cost is not known", flush=True)
    return found or cost.Price(0.0, 0.0, 0.0)


def part_of(stage: Stage, total: int) -> Part:
    """Return the part that the environment names, else all remaining rows."""
    rows_file = os.environ.get("DO_TASKS_ROWS")
    if stage.is_test:
        part = stage.output("teacher_data_1.jsonl")
        part.unlink(missing_ok=True)
        return Part(part, 0, min(2, total), min(2, total), 1)
    if rows_file:
        first, size, every = (int(os.environ[f"DO_TASKS_{name}"]) for name in ("OFFSET", "SIZE", "CHECKPOINT_EVERY"))
        return Part(Path(rows_file), first, size, int(os.environ["DO_TASKS_TOTAL"]), every or SYNC_EVERY)
    names = (f"teacher_data_{number}.jsonl" for number in range(1, 1000))
    parts = [path for name in names for path in [stage.output(name)] if path.is_file()]
    kept = sum(whole_rows(path) for path in parts)
    if kept > total:
        raise Trouble(f"{kept:,} rows are there, {total:,} questions: remove teacher_data_*.jsonl, or ask more", USAGE)
    return Part((parts or [stage.output("teacher_data_1.jsonl")])[-1], kept, total - kept, total, SYNC_EVERY)


def whole_rows(path: Path) -> int:
    """Return the number of rows of a file; cut off an incomplete last row."""
    if not path.is_file():
        return 0
    content = path.read_bytes()
    whole = content.rfind(b"\n") + 1
    if whole != len(content):
        os.truncate(path, whole)
    return content.count(b"\n")


@contextlib.contextmanager
def appending(path: Path, sync_every: int) -> Iterator[Any]:
    """Yield a function that appends a row to `path` at once; every `sync_every` rows the file is synced."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as out:
        count = 0

        def write(row: dict[str, Any]) -> None:
            nonlocal count
            out.write(json.dumps(row, ensure_ascii=False) + "\n")
            out.flush()
            count += 1
            if count % sync_every == 0:
                os.fsync(out.fileno())

        yield write
        os.fsync(out.fileno())


def note(stage: Stage, part: Part, made: int, tokens: int, took_s: float, usd: float) -> None:
    """Add a line to generation.log."""
    line = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "task": os.environ.get("DO_TASKS_TASK_ID", "by hand"),
        "file": part.path.name,
        "rows": part.first + made,
        "of": part.total,
        "tokens": tokens,
        "rows_per_s": round(made / max(took_s, 1e-6), 2),
        "usd": round(usd, 4),
    }
    path = stage.output("generation.log")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as out:
        out.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)


def judge(part: Part, setup: ModelSetup, asked: list[dict[str, Any]]) -> list[Criterion]:
    """Judge that every row of the part is there, once, in order, of this teacher."""
    rows = files.read_jsonl(part.path) if part.path.is_file() else []
    numbers = [int(row["row"]) for row in rows]
    last = part.first + part.size
    in_order = numbers == list(range(last - len(numbers), last))
    odd = generation.strangers(rows, setup.teacher, setup.voice.prompt)
    other = sum(row["question"] != asked[number]["question"] for row, number in zip(rows, numbers, strict=True))
    seen = f"rows {numbers[0]} to {numbers[-1]}" if numbers else "no row"
    return [
        Criterion("Every row is there, once, in order", in_order and bool(numbers), seen),
        Criterion(
            "Every row is this teacher's", not odd, f"{odd} are another's{'; remove ' + part.path.name if odd else ''}"
        ),
        Criterion("Every row answers its question", not other, f"{other} answer another one"),
    ]


if __name__ == "__main__":
    run("08_generate_teacher_data", generate, __doc__)
