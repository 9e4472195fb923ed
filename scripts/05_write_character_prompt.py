"""Step 5: write the prompt that makes a teacher speak as the character.

    python scripts/05_write_character_prompt.py [--test] [seed=17] [prompt.min_tokens=450] [key=value ...]

Reads outputs/corpus.jsonl and outputs/character/. Writes outputs/character/prompt.md (the prompt of the teacher) and
prompt.json (its parts, and where each example stands in the plays). Its length is counted in words and punctuation
marks; a model's tokenizer counts more. The same seed and data give the same prompt, byte for byte.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from common import files
from common.stage import Criterion, Report, Stage, run
from distillation.corpus import character, counts, text_features
from distillation.corpus.character import Pair
from distillation.corpus.plays import Speech
from distillation.prompt import character_card

if TYPE_CHECKING:
    from pathlib import Path

    from common.settings import Settings

COUNTED = "words and punctuation marks"


def write_prompt(stage: Stage) -> Report:
    """Draw the portrait, write it, judge it."""
    inputs = [stage.input(name) for name in ("corpus.jsonl", "exploration.json")]
    inputs += [stage.input(f"character/{name}.jsonl") for name in ("speeches", "pairs")]
    source = read_source(stage, *inputs)
    drawn = character_card.draw(source, stage.settings)
    text = character_card.written(drawn)
    tokens = text_features.count_tokens(text)
    criteria = judge(text, tokens, source, stage.settings)
    paths = [stage.output(f"character/{name}") for name in ("prompt.md", "prompt.json")]
    files.write_text(paths[0], text)
    about = {"tokens": tokens, "counted": COUNTED, "sha256": hashlib.sha256(text.encode()).hexdigest()}
    files.write_json(paths[1], {**about, "seed": stage.settings.seed, **content(drawn)})
    metrics: dict[str, float] = {"tokens": tokens, "examples": len(drawn.examples), "exchanges": len(drawn.exchanges)}
    return Report(criteria, metrics, f"{drawn.name}: {tokens} tokens ({COUNTED})", inputs, paths)


def content(drawn: character_card.Portrait) -> dict[str, Any]:
    """Return the portrait as prompt.json has it."""
    known = asdict(drawn)
    return {"name": known.pop("name"), "who": known.pop("introduction"), **known}


def read_source(stage: Stage, corpus: Path, exploration: Path, speeches: Path, pairs: Path) -> character_card.Source:
    """Read what earlier steps wrote."""
    everybody = [Speech(**row) for row in files.read_jsonl(corpus)]
    own = [Speech(**row) for row in files.read_jsonl(speeches)]
    ids = {one.id for one in own}
    part = character.part_of(stage.settings.character, counts.parts(everybody))
    titles = {row["name"]: row["title"] for row in files.read_json(exploration)["texts"]}
    others = [one for one in everybody if one.id not in ids]
    return character_card.Source(part, own, [Pair(**row) for row in files.read_jsonl(pairs)], others, titles)


def judge(text: str, tokens: int, source: character_card.Source, settings: Settings) -> list[Criterion]:
    """Judge length, and that nothing of the held-out plays is in it."""
    least, most, size = settings.prompt.min_tokens, settings.prompt.max_tokens, settings.prompt.shingle
    runs = text_features.shingles(text, size)
    held_out = [one for one in source.others if one.play in settings.held_out]
    leaks = [one.id for one in held_out if runs & text_features.shingles(one.text, size)]
    seen = f"runs of {size} words in both, speeches: {', '.join(leaks[:3]) or 'none'}"
    return [
        Criterion(f"The prompt has {least} tokens or more", tokens >= least, f"{tokens} {COUNTED}"),
        Criterion(f"The prompt has {most} tokens or fewer", tokens <= most, f"{tokens} {COUNTED}"),
        Criterion("The prompt tells nothing of the held-out plays", not leaks, seen),
    ]


if __name__ == "__main__":
    run("05_write_character_prompt", write_prompt, __doc__)
