"""Step 4: take the character's speeches out, measure them, fail when they cannot carry a distillation.

    python scripts/04_validate_character.py [--test] [character.name=hamlet] [thresholds.min_pairs=200] [key=value ...]

Reads outputs/corpus.jsonl. Writes outputs/character/speeches.jsonl, pairs.jsonl (each speech with the one that it
answers) and validation.json (every figure with its threshold). A test takes 25 speeches and does not judge amounts.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from common import files
from common.stage import Criterion, Report, Stage, run
from distillation.corpus import character, counts, thresholds
from distillation.corpus.plays import Speech

if TYPE_CHECKING:
    from pathlib import Path


def validate(stage: Stage) -> Report:
    """Choose, measure, judge, write."""
    source = stage.input("corpus.jsonl")
    stage.progress(0, 3)
    speeches = [Speech(**row) for row in files.read_jsonl(source)]
    stage.progress(1, 3)
    part = character.part_of(stage.settings.character, counts.parts(speeches))
    data = choose(stage, speeches, part)
    stage.progress(2, 3)
    found = thresholds.figures(data, stage.settings)
    criteria = judge(stage, found)
    paths = write(stage, data, {"character": part.person, **found, "criteria": [asdict(one) for one in criteria]})
    stage.progress(3, 3)
    metrics = {name: value for name, value in found.items() if isinstance(value, (int, float))}
    note = f"{part.person}: {found['unique']} unique speeches, {found['pairs']} with a cue, {found['words']} words"
    return Report(criteria, {**metrics, "leaks": len(found["leaks"])}, note, [source], paths)


def choose(stage: Stage, speeches: list[Speech], part: counts.Part) -> thresholds.Data:
    """Take the character's speeches and pairs; a test the first few."""
    own = character.own_speeches(speeches, part)
    if stage.is_test:
        own = own[: stage.settings.sample.speeches]
    return thresholds.Data(speeches, own, character.pairs(speeches, own))


def judge(stage: Stage, found: dict[str, object]) -> list[Criterion]:
    """Judge all; in a test, what little data cannot show is reported as met."""
    criteria = thresholds.judge(found, stage.settings)
    if not stage.is_test:
        return criteria
    amounts = {one.text for one in thresholds.judge_amounts(found, stage.settings.thresholds)} | {
        "Held-out plays are here"
    }
    return [
        replace(one, met=True, evidence=f"{one.evidence} (a test: not judged)") if one.text in amounts else one
        for one in criteria
    ]


def write(stage: Stage, data: thresholds.Data, validation: dict[str, object]) -> list[Path]:
    """Write the three files."""
    paths = [stage.output(f"character/{name}") for name in ("speeches.jsonl", "pairs.jsonl", "validation.json")]
    files.write_jsonl(paths[0], (asdict(one) for one in data.own))
    files.write_jsonl(paths[1], (asdict(one) for one in data.pairs))
    files.write_json(paths[2], validation)
    return paths


if __name__ == "__main__":
    run("04_validate_character", validate, __doc__)
