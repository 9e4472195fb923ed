"""Step 9: measure the generated set, and fail when a threshold is missed.

    python scripts/09_audit.py [--test] [audit.part=true] [audit.max_cut_share=0.5] [key=value ...]

Reads every outputs/teacher_data_N.jsonl; writes outputs/audit.json: each figure, each threshold. audit.part=true
judges what is there so far, as between two chunks of step 8, and writes nothing.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from common import files
from common.stage import Criterion, Report, Stage, run
from distillation import models
from distillation.corpus import text_features
from distillation.corpus.character import plain
from distillation.teacher import audit, generation

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

COMMON, SHORTEST = 120, 4  # most common words, which are no sign of a character; letters of a word


def measure(stage: Stage) -> Report:
    """Measure, judge, write."""
    paths = data_files(stage)
    rows = [row for path in paths for row in files.read_jsonl(path)]
    rows = rows[:2] if stage.is_test else rows
    is_whole = not stage.settings.audit.part and not stage.is_test
    inputs = [stage.input(name) for name in (models.PROMPT, "held_out_questions.jsonl", "character/speeches.jsonl")]
    found = audit.figures(rows, read_references(*inputs))
    wanted = stage.settings.audit
    if stage.is_test:
        wanted = dataclasses.replace(wanted, min_vocabulary_share=0.0)
    criteria = [*audit.judge(found, wanted, is_whole=is_whole), own_teacher(stage, rows, inputs[0])]
    metrics = {name: round(value, 4) for name, value in found.items() if isinstance(value, (int, float))}
    note = f"{found['rows']:,} answers in {len(paths)} files"
    if stage.settings.audit.part:
        return Report(criteria, metrics, note)
    path = stage.output("audit.json")
    judged = {one.text: {"met": one.met, "seen": one.evidence} for one in criteria}
    files.write_json(path, {"figures": found, "thresholds": dataclasses.asdict(wanted), "criteria": judged})
    return Report(criteria, metrics, note, [*paths, *inputs], [path])


def own_teacher(stage: Stage, rows: list[dict[str, Any]], prompt: Path) -> Criterion:
    """Judge that no answer is left of another teacher or of another prompt."""
    model = str(files.read_json(stage.input(models.ABOUT))["model"])
    odd = generation.strangers(rows, model, prompt.read_text(encoding="utf-8"))
    seen = f"{odd} of {len(rows)} rows are another's" + ("; remove those files, run step 8 again" if odd else "")
    return Criterion("Every answer is this teacher's", not odd, seen)


def data_files(stage: Stage) -> list[Path]:
    """Return the files of the set, in their order."""
    folder = stage.input("teacher_data_1.jsonl").parent
    found = [path for path in folder.glob("teacher_data_*.jsonl") if audit.FILES.fullmatch(path.name)]
    return sorted(found, key=lambda path: (len(path.name), path.name))


def read_references(prompt: Path, held_out: Path, speeches: Path) -> audit.References:
    """Read the references of the audit."""
    own = text_features.word_counts(str(row["text"]) for row in files.read_jsonl(speeches))
    common = {word for word, _ in own.most_common(COMMON)}
    questions = frozenset(plain(str(row["question"])) for row in files.read_jsonl(held_out))
    vocabulary = frozenset(word for word in own if word not in common and len(word) >= SHORTEST)
    return audit.References(prompt.read_text(encoding="utf-8"), vocabulary, questions)


if __name__ == "__main__":
    run("09_audit", measure, __doc__)
