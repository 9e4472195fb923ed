"""`schema`: the JSON Schema of the definitions, or of the log's events."""

from __future__ import annotations

import json
from inspect import get_annotations

from executor.outcome import Verdict
from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

TYPES = {"str": "string", "int": "integer", "float": "number", "int | None": ["integer", "null"], "Any": {}}


def options(parser: ArgumentParser, verb: str) -> None:
    """Declare the words of schema."""
    parser.add_argument("--events", action="store_true", help="the schema of .task_execution.log instead")


def run(args: Namespace) -> Verdict:
    """Print the schema."""
    from executor.schema import PLAN_SCHEMA

    print(json.dumps(events_schema() if args.events else PLAN_SCHEMA, indent=2, ensure_ascii=False))
    return Verdict.PASSED


def events_schema() -> dict[str, object]:
    """Return the schema of one line of the log: the envelope, then one variant an event."""
    from executor.events import EVENTS, VERSION

    envelope = {
        "v": {"const": VERSION},
        "timestamp": {"type": "string", "format": "date-time"},
        "task_id": {"type": "string"},
        "step": {"type": ["integer", "null"]},
        "phase": {"type": "string"},
        "event": {"enum": list(EVENTS)},
        "status": {"type": "string"},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A line of .task_execution.log",
        "type": "object",
        "required": list(envelope),
        "properties": envelope,
        "oneOf": [_variant(name, kind) for name, kind in EVENTS.items()],
    }


def _variant(name: str, kind: type) -> dict[str, object]:
    own = {field: text for field, text in get_annotations(kind).items() if field not in ("phase", "status")}
    fields = {field: _typed(text) for field, text in own.items()}
    summary = (kind.__doc__ or "").strip()
    return {"description": summary, "required": list(fields), "properties": {"event": {"const": name}, **fields}}


def _typed(annotation: str) -> dict[str, object]:
    if annotation.startswith("tuple"):
        return {"type": "array", "items": {"type": "integer"}}
    kind = TYPES[annotation]
    return kind if isinstance(kind, dict) else {"type": kind}
