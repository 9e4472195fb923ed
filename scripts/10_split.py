"""Step 10: divide the set into training and validation data.

    python scripts/10_split.py [--test] [split.val_share=0.1] [seed=17] [key=value ...]

Writes outputs/train.jsonl and outputs/val.jsonl: {"messages": [user, assistant]} as tinker-cookbook reads them, beside
them the question's id, kind and group, and the answer's tokens as they were drawn. A question is on one side only.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from common import files
from common.stage import Criterion, Report, Stage, run
from distillation import models
from distillation.corpus.character import plain
from distillation.prompt import dialogue
from distillation.teacher import audit

if TYPE_CHECKING:
    from collections.abc import Iterable


LEAST_CHANCE = 0.03


def split(stage: Stage) -> Report:
    """Format, divide, prove that nothing is on both sides."""
    folder, prompt = stage.input("teacher_data_1.jsonl").parent, stage.input(models.PROMPT)
    inputs = sorted(path for path in folder.glob("teacher_data_*.jsonl") if audit.FILES.fullmatch(path.name))
    rows = [row for path in inputs for row in files.read_jsonl(path)]
    kept = [dialogue.formatted(row) for row in rows if row["answer"]]
    clean = [one for one in kept if not list(dialogue.find_leaks([one], prompt.read_text(encoding="utf-8")))]
    val = {one["id"] for one in clean if is_val(one, stage.settings.seed, stage.settings.split.val_share)}
    paths = [stage.output(name) for name in ("train.jsonl", "val.jsonl")]
    parts = [[one for one in clean if (one["id"] in val) == judges] for judges in (False, True)]
    for path, part in zip(paths, parts, strict=True):
        files.write_jsonl(path, part)
    dropped = len(rows) - len(clean)
    counts = {"train": len(parts[0]), "val": len(parts[1]), "dropped": dropped}
    train, judging = map(files.read_jsonl, paths)
    criteria = judge(train, judging, prompt.read_text(encoding="utf-8"), stage)
    note = (
        f"{counts['train']:,} to learn, {counts['val']:,} to judge, {dropped} dropped (empty, or words of the prompt)"
    )
    return Report(criteria, {**counts, "val_share": counts["val"] / max(1, len(clean))}, note, [*inputs, prompt], paths)


def is_val(one: dict[str, Any], seed: int, share: float) -> bool:
    """Return True for validation: decided by the question's words and the seed alone, so that more rows move none."""
    digest = hashlib.sha256(f"{seed} {plain(dialogue.split_dialogue(one)[0])}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share


def judge(train: list[dict[str, Any]], val: list[dict[str, Any]], prompt: str, stage: Stage) -> list[Criterion]:
    """Judge the files as they were read back."""
    both = questions(train) & questions(val)
    leaks = list(dialogue.find_leaks([*train, *val], prompt))
    total, wanted = len(train) + len(val), stage.settings.split.val_share
    share = len(val) / max(1, total)
    chance = max(LEAST_CHANCE, 2 / max(1, total) ** 0.5)  # each question is drawn by itself
    return [
        Criterion("No question is on both sides", not both, f"{len(both)} on both sides"),
        Criterion(
            "No prompt is in either file", not leaks, "; ".join(leaks[:3]) or f"none in {len(train) + len(val):,} rows"
        ),
        Criterion("As many judge as are wanted", abs(share - wanted) <= chance, f"{share:.1%}, wanted {wanted:.1%}"),
        Criterion("There is something to learn", bool(train), f"{len(train):,} rows"),
    ]


def questions(part: Iterable[dict[str, Any]]) -> set[str]:
    """Return the questions of a part, by their words."""
    return {plain(dialogue.split_dialogue(one)[0]) for one in part}


if __name__ == "__main__":
    run("10_split", split, __doc__)
