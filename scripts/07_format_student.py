"""Step 7: show that question and answer become dialogues without the prompt, and read back whole.

    python scripts/07_format_student.py [--test] [key=value ...]

Reads the two answers of step 6; writes outputs/format.json with the dialogues. Step 10 formats the whole set likewise.
"""

from __future__ import annotations

import json

from common import files
from common.stage import Criterion, Report, Stage, run
from distillation import models
from distillation.prompt import dialogue


def show_format(stage: Stage) -> Report:
    """Format the probes, read them back, look for the prompt in them."""
    inputs = [stage.input("teacher/probe.jsonl"), stage.input(models.PROMPT)]
    rows = files.read_jsonl(inputs[0])
    dialogues = [dialogue.formatted(row) for row in rows]
    back = [dialogue.split_dialogue(json.loads(json.dumps(one))) for one in dialogues]
    whole = [(row["question"], row["answer"]) for row in rows]
    leaks = list(dialogue.find_leaks(dialogues, inputs[1].read_text(encoding="utf-8")))
    path = stage.output("format.json")
    files.write_json(path, {"dialogues": dialogues, "prompt_found": leaks})
    criteria = [
        Criterion("Dialogues read back whole", back == whole and bool(rows), f"{len(back)} of {len(rows)} dialogues"),
        Criterion("No prompt is left in them", not leaks, "; ".join(leaks[:3]) or f"none in {len(rows)} dialogues"),
    ]
    return Report(criteria, {"dialogues": len(rows), "prompt_found": len(leaks)}, "dialogues", inputs, [path])


if __name__ == "__main__":
    run("07_format_student", show_format, __doc__)
