"""Step 19: export the best student as folders that other programs load, load them back, compare.

    python scripts/19_export.py [--test] [export.prompts=8] [key=value ...]

Writes outputs/export/: adapter/ (peft), merged/ (transformers), each with the tokenizer, README.md (the model card),
export.json (digests, differences). The folder appears whole, and an older one is replaced whole. The figures on the
card are those of outputs/evaluation/evaluation.json, if it is there.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import files, verified_folder
from common.stage import Criterion, Report, Stage, run
from distillation import models, sampler_requests, tinker_client
from distillation.student import export
from distillation.student.export import ADAPTER, CARD, MERGED

if TYPE_CHECKING:
    from distillation.models import ModelSetup, Student

EVALUATION = "evaluation/evaluation.json"
ANSWERS = "teacher_data_1.jsonl"


def ship(stage: Stage) -> Report:
    """Write beside, compare, rename."""
    inputs = [stage.input(name) for name in (models.STUDENTS, ANSWERS)]
    setup, best = models.load_setup(stage), models.chosen(models.read_students(stage))
    target = stage.output("export")
    target.parent.mkdir(parents=True, exist_ok=True)
    remove_left(target)
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.new")
    try:
        write(stage, setup, best, beside)
        stage.progress(1, 2)
        found = compare(stage, setup, best, beside)
        files.write_json(beside / "export.json", {**about(best, setup), **found, "files": export.digests(beside)})
        verified_folder.replace(beside, target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    stage.progress(2, 2)
    criteria = judge(found, stage)
    outputs = [target / "export.json", target / CARD]
    metrics = {
        "max_logit_difference": found["max_logit_difference"],
        "max_nats_difference": found["max_nats_difference"],
    }
    return Report(criteria, metrics, f"exported {best.sampler_path}", inputs, outputs)


def remove_left(target: Path) -> None:
    """Remove leftovers of a killed export; restore an older export that was being replaced."""
    for old in target.parent.glob(f".{target.name}.*.old"):
        if target.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(target)
    for new in target.parent.glob(f".{target.name}.*.new"):
        shutil.rmtree(new, ignore_errors=True)


def about(best: Student, setup: ModelSetup) -> dict[str, Any]:
    """Return the description of the export."""
    base = {"base_model": setup.student, "base_path": export.base_name(setup.student)}
    return {**base, "seed": best.seed, "step": best.step, "val_nll": best.val_nll, "checkpoint": best.sampler_path}


def write(stage: Stage, setup: ModelSetup, best: Student, beside: Path) -> None:
    """Write adapter, merged model, tokenizers, card."""
    fetched = beside / "fetched"
    fetched.mkdir(parents=True)
    if tinker_client.is_real(stage.settings.access.service):
        print("the service bills the download of the checkpoint, which opens a training session", flush=True)
    export.write_adapter(export.source(best, fetched, stage.settings.access.service), beside / ADAPTER, setup.student)
    shutil.rmtree(fetched)
    export.write_merged(setup.student, beside / ADAPTER, beside / MERGED)
    for folder in (ADAPTER, MERGED):
        setup.voice.tokenizer.save_pretrained(str(beside / folder))
    known = Path(stage.settings.outputs, EVALUATION)
    evaluation = files.read_json(known) if known.is_file() else None
    files.write_text(beside / CARD, export.card(about(best, setup), evaluation))


def compare(stage: Stage, setup: ModelSetup, best: Student, beside: Path) -> dict[str, Any]:
    """Load both; return their differences from each other and from the service."""
    import transformers

    count = 2 if stage.is_test else stage.settings.export.prompts
    answers = files.read_jsonl(stage.input(ANSWERS))[:count]
    pairs = [(setup.voice.asked(row["question"], prompted=False), list(row["tokens"])) for row in answers]
    rows, sizes = [[*asked, *answered] for asked, answered in pairs], [len(answered) for _, answered in pairs]
    merged = transformers.AutoModelForCausalLM.from_pretrained(str(beside / MERGED)).eval()
    merged_logits = export.logits(merged, rows)
    adapted_logits = export.logits(export.adapted(setup.student, beside / ADAPTER), rows)
    served = list(sampler_requests.token_nats(setup.sampler(best.sampler_path), pairs, stage.settings.teacher))
    bare = export.logits(export.load_base(setup.student), rows)
    return {
        "prompts": len(rows),
        "max_logit_difference": furthest(merged_logits, adapted_logits),
        "max_nats_difference": export.furthest(export.logprobs(merged_logits, rows, sizes), served),
        "max_logit_change_by_training": furthest(merged_logits, bare),
        "machine_paths": export.machine_paths(beside, [str(Path.cwd()), str(Path.home())]),
    }


def furthest(left: list[Any], right: list[Any]) -> float:
    """Return the largest difference of logits."""
    return max(float((one - other).abs().max()) for one, other in zip(left, right, strict=True))


def judge(found: dict[str, Any], stage: Stage) -> list[Criterion]:
    """Judge that what was exported is what was trained."""
    limits, count = stage.settings.export, found["prompts"]
    logit, nats, change = (
        found[f"max_{name}"] for name in ("logit_difference", "nats_difference", "logit_change_by_training")
    )
    paths = found["machine_paths"]
    seen = f"at most {logit:.1e} on {count} answers, limit {limits.max_logit:.0e}"
    served = f"at most {nats:.1e} nats a token on {count} answers, limit {limits.max_nats:.0e}"
    return [
        Criterion("The merged model is base and adapter", logit <= limits.max_logit, seen),
        Criterion("The merged model is what the service serves", nats <= limits.max_nats, served),
        Criterion(
            "It is another model than the base", change > limits.max_logit, f"logits moved by up to {change:.2g}"
        ),
        Criterion("No file holds a path of this machine", not paths, ", ".join(paths) or "none does"),
    ]


if __name__ == "__main__":
    run("19_export", ship, __doc__)
