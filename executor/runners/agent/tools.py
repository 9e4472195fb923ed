"""The tools as they are offered to the model, their results, and the claims of `done`."""

from __future__ import annotations

from executor.plan.roles import BASH, DONE, EDITOR
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

TYPED = {
    BASH: {"type": "bash_20250124", "name": BASH},
    EDITOR: {"type": "text_editor_20250728", "name": EDITOR},
}
_TEXT = {"type": "string"}
MOST_NAMED = 20
MOST_EVIDENCE = 4000  # characters that a claim may quote
PLAIN = {
    BASH: {
        "name": BASH,
        "description": "Run a command with bash in the project's folder. Each command has a fresh shell.",
        "input_schema": {"type": "object", "properties": {"command": _TEXT}, "required": ["command"]},
    },
    EDITOR: {
        "name": EDITOR,
        "description": "View, create and edit files of the project.",
        "input_schema": {
            "type": "object",
            "properties": {
                "command": {"type": "string", "enum": ["view", "create", "str_replace", "insert"]},
                "path": _TEXT,
                "view_range": {"type": "array", "items": {"type": "integer"}},
                "file_text": _TEXT,
                "old_str": _TEXT,
                "new_str": _TEXT,
                "insert_line": {"type": "integer"},
                "insert_text": _TEXT,
            },
            "required": ["command", "path"],
        },
    },
}
DONE_TOOL = {
    "name": DONE,
    "description": (
        "Hand in the work. Call it alone, when nothing is left to do or nothing more can be done. Every criterion of"
        " the brief, by its exact text, is met or not, with quoted evidence: a line of output, a path with its size."
        " It is a claim: checks of our own decide."
    ),
    "input_schema": {
        "type": "object",
        "properties": {
            "criteria": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "properties": {"met": {"type": "boolean"}, "evidence": _TEXT},
                    "required": ["met", "evidence"],
                },
            },
            "summary": _TEXT,
        },
        "required": ["criteria", "summary"],
    },
}


class ToolResult(Record):
    """The text for the model; `failed` marks it as an error."""

    text: str
    failed: bool = False


def offered(names: Iterable[str], model: str) -> list[dict[str, Any]]:
    """Return the tools of these names; models of other vendors get a plain schema."""
    known = TYPED if "claude" in model.lower() else PLAIN
    return [DONE_TOOL if name == DONE else known[name] for name in names]


class Claims(Record):
    """The input of `done`: claims by criterion text; `unmet` are those not met, `trouble` is an error in the input."""

    criteria: Mapping[str, Mapping[str, Any]] = {}
    summary: str = ""
    unmet: tuple[str, ...] = ()
    trouble: str = ""


def claims_of(given: object, criteria: Iterable[str]) -> Claims:
    """Return the claims in the input of `done` for these criteria; any input of a model is accepted."""
    texts = list(criteria)
    if not isinstance(given, dict):
        return Claims(trouble='done takes {"criteria": {...}, "summary": "..."}')
    given_claims, summary = given.get("criteria", {}), given.get("summary", "")
    if not isinstance(given_claims, dict) or not isinstance(summary, str):
        return Claims(trouble="criteria must be an object by criterion text, summary a text")
    claims = {
        text: one for text, one in given_claims.items() if isinstance(one, dict) and isinstance(one.get("met"), bool)
    }
    broken = [text for text in given_claims if text not in claims]
    unknown = [text for text in claims if text not in texts]
    missing = [text for text in texts if text not in given_claims]
    for trouble, named in (
        ('each criterion takes {"met": true or false, "evidence": "..."}, not so', broken),
        ("no criterion of the brief has this text", unknown),
        ("nothing is said of", missing),
    ):
        if named:
            shown = "; ".join(repr(text[:200]) for text in named[:MOST_NAMED])
            return Claims(trouble=f"{trouble}: {shown}. The criteria are: {texts}")
    kept = {text: {"met": one["met"], "evidence": _evidence(one)} for text, one in claims.items()}
    unmet = tuple(f"{text}: {one['evidence'] or 'no reason given'}" for text, one in kept.items() if not one["met"])
    return Claims(kept, summary[:MOST_EVIDENCE], unmet)


def _evidence(claim: Mapping[str, Any]) -> str:
    return str(claim.get("evidence") or "")[:MOST_EVIDENCE]
