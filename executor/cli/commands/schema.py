"""`schema`: the JSON Schema of the definitions, or of the log's events."""

from __future__ import annotations

import json
from inspect import get_annotations

from executor.cli.options import flag
from executor.errors import UsageError
from executor.system import files
from executor.system.installation import package_file
from executor.system.outcome import Verdict
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from argparse import Namespace

    from executor.store.events import Event

ENVELOPE = ("phase", "status")
TYPES = {
    "str": "string",
    "int": "integer",
    "bool": "boolean",
    "float": "number",
    "int | None": ["integer", "null"],
    "bool | None": ["boolean", "null"],
    "float | None": ["number", "null"],
    "Any": {},
}
ITEMS = {"int": "integer", "str": "string", "float": ["number", "string"]}  # NaN is no JSON: it is the text "nan"


OPTIONS = (
    flag("--events", "print the schema of .task_execution.log"),
    flag("--markdown", "with --events: print the reference page"),
)


def run(args: Namespace) -> Verdict:
    """Print the schema."""
    from executor.plan.schema import plan_schema

    if args.markdown and not args.events:
        raise UsageError("--markdown goes with --events: do-tasks schema --events --markdown")
    if args.markdown:
        print(events_page(), end="")
        return Verdict.PASSED
    print(json.dumps(events_schema() if args.events else plan_schema(), indent=2, ensure_ascii=False))
    return Verdict.PASSED


def events_schema() -> dict[str, object]:
    """Return the schema of one line of the log: the envelope, then one variant an event."""
    from executor.store.events import EVENTS, VERSION

    envelope = {
        "v": {"const": VERSION},
        "timestamp": {"type": "string", "format": "date-time"},
        "task_id": {"type": "string"},
        "step": {"type": ["integer", "string", "null"]},
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


def events_page() -> str:
    """Return docs/reference/events.md."""
    from executor.store.events import EVENTS, VERSION

    page = files.read(package_file("cli", "events_page.md")).decode()
    return page.format(version=VERSION, rows="\n".join(map(_row, EVENTS.values())))


def _row(kind: type[Event]) -> str:
    fields = [f"`{name}` {_words(text)}" for name, text in get_annotations(kind).items() if name not in ENVELOPE]
    summary = " ".join((kind.__doc__ or "").split())
    return f"| `{kind.__name__}` | {kind.phase} | {kind.status} | {summary} | {', '.join(fields)} |"


def _words(annotation: str) -> str:
    kind = _typed(annotation).get("type", "any")
    return " or ".join(kind) if isinstance(kind, list) else str(kind)


def _variant(name: str, kind: type) -> dict[str, object]:
    own = {field: text for field, text in get_annotations(kind).items() if field not in ENVELOPE}
    fields = {field: _typed(text) for field, text in own.items()}
    summary = (kind.__doc__ or "").strip()
    return {"description": summary, "required": list(fields), "properties": {"event": {"const": name}, **fields}}


def _typed(annotation: str) -> dict[str, object]:
    if annotation.startswith("tuple"):
        return {"type": "array", "items": {"type": ITEMS[annotation[6:].partition(",")[0]]}}
    kind = TYPES[annotation]
    return kind if isinstance(kind, dict) else {"type": kind}
