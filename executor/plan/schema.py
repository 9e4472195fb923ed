"""The form of step_definitions.yaml: schema.json, and the messages for each departure from it.

The keywords of JSON Schema that schema.json uses are evaluated here: `import jsonschema` takes longer than a whole read
verb, and so every command can validate a plan that changed (docs/adr/0003).
"""

from __future__ import annotations

import json
import re
from functools import cache

from executor.plan.issues import ValidationIssue
from executor.system import installation
from executor.system.quantities import YEAR_S, parse_duration, parse_size
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any, Literal

    from executor.plan.issues import Path

    Schema = Mapping[str, Any]
    Found = list[tuple[Path, str]]

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_NOUNS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "nothing",
}
_SWITCHES = {"yes": "true", "on": "true", "no": "false", "off": "false"}


@cache
def plan_schema() -> dict[str, Any]:
    """Return the JSON Schema of step_definitions.yaml, read from schema.json beside this module."""
    with open(installation.package_file("plan", "schema.json"), encoding="utf-8") as file:
        schema: dict[str, Any] = json.load(file)
    return schema


def schema_issues(data: object) -> list[ValidationIssue]:
    """Return every departure from the schema; `data` is what yaml_loader.load returns."""
    return [ValidationIssue(path, message) for path, message in departures(plan_schema(), data)]


def departures(schema: Schema, value: Any) -> Found:
    """Return the path and a message for each departure of `value` from one schema of schema.json."""
    ready = _READY.get(id(schema)) or _made_ready(schema)
    found: Found = []
    if ready.types is None or type(value) in ready.types:
        for check in ready.checks:
            found += check(ready.schema, value)
    else:
        found = _wrong_type(ready.schema, value)
    if found and ready.title and any(not path for path, _ in found):
        return [((), _must_be(ready.title, value)), *(one for one in found if one[0])]
    return found


class _Ready(Record):
    """A schema as it is evaluated: its types, None for any, the checks of its keywords, its title."""

    given: Schema
    schema: Schema
    types: frozenset[type] | None
    checks: tuple[Callable[[Schema, Any], Found], ...]
    title: str


_READY: dict[int, _Ready] = {}  # by the id of the schema, which it keeps alive: a plan of thousands asks for few


def _made_ready(given: Schema) -> _Ready:
    schema = _resolved(given)
    names = [schema["type"]] if isinstance(schema.get("type"), str) else schema.get("type")
    types = None if names is None else frozenset(kind for name in names for kind in _TYPES[name])
    checks = tuple(_KEYWORDS[keyword] for keyword in schema if keyword in _KEYWORDS)
    _READY[id(given)] = ready = _Ready(given, schema, types, checks, schema.get("title", ""))
    return ready


def _resolved(schema: Schema) -> Schema:
    return _definition(schema["$ref"]) if "$ref" in schema else schema


@cache
def _definition(reference: str) -> Schema:
    return plan_schema()["$defs"][reference.removeprefix("#/$defs/")]  # type: ignore[no-any-return]


def _must_be(noun: str, value: object) -> str:
    return f"must be {noun}, got {quoted(value)}"


def _types_of(schema: Schema) -> list[str]:
    wanted = _resolved(schema)["type"]
    return [wanted] if isinstance(wanted, str) else wanted


def _fits(schema: Schema, value: object) -> bool:
    """Return True for a value of the type, and for a schema without one."""
    ready = _READY.get(id(schema)) or _made_ready(schema)
    return ready.types is None or type(value) in ready.types


def _wrong_type(schema: Schema, value: object) -> Found:
    names = _types_of(schema)
    switch = _SWITCHES.get(str(value).lower()) if names == ["boolean"] else None
    message = _must_be(" or ".join(_NOUNS[name] for name in names), value)
    return [((), f"{message}; write {switch}" if switch else message)]


def _any_of(schema: Schema, value: object) -> Found:
    """Report on the alternative whose type fits, or name the types when none does."""
    branches = schema["anyOf"]
    fitting = next((branch for branch in branches if _fits(branch, value)), None)
    if fitting is not None:
        return departures(fitting, value)
    return [((), _must_be(" or ".join(_NOUNS[name] for branch in branches for name in _types_of(branch)), value))]


def _all_of(schema: Schema, value: object) -> Found:
    return [found for part in schema["allOf"] for found in departures(part, value)]


def _keys(schema: Schema, value: Any) -> Found:
    """Check the value under each key, and that each key is known."""
    if type(value) is not dict:
        return []
    found: Found = []
    known = schema["properties"]
    for key, inner in value.items():
        part = known[key] if key in known else _part_by_pattern(schema, key)
        if part is None and _is_named(schema, inner):
            part = _definition("#/$defs/step")
        if part is None:
            found.append(((key,), _unknown_key(key, (*known, *schema.get("x-forms", ())))))
        elif part is not True:
            inside = departures(part, inner)
            if inside:
                found += [((key, *path), message) for path, message in inside]
    return found


def _is_named(schema: Schema, value: object) -> bool:
    """Return True where any key may have a mapping with an `id`, and this value is one."""
    return bool(schema.get("additionalProperties")) and type(value) is dict and "id" in value


def _part_by_pattern(schema: Schema, key: str) -> Schema | Literal[True] | None:
    """Return the schema of a key by patternProperties; True allows anything."""
    for pattern, part in schema.get("patternProperties", {}).items():
        if re.search(pattern, key):
            return part  # type: ignore[no-any-return]
    return None


def _unknown_key(key: str, known: Iterable[str]) -> str:
    """Return the message for an unknown key, with the nearest known one, or all of them when none is near."""
    names = ", ".join(known)
    return f"unknown key {quoted(key)}{did_you_mean(key, known) or f'; known: {names}'}"


def _items(schema: Schema, value: Any) -> Found:
    found = ((place, departures(schema["items"], item)) for place, item in enumerate(value))
    return [((place, *path), message) for place, inner in found for path, message in inner]


def _enum(schema: Schema, value: object) -> Found:
    choices = schema["enum"]
    if value in choices:
        return []
    names = [choice if isinstance(choice, str) else quoted(choice) for choice in choices]
    return [((), f"{_must_be(' or '.join(names), value)}{did_you_mean(str(value), names)}")]


def _required(schema: Schema, value: Any) -> Found:
    missing = [key for key in schema["required"] if key not in value]
    return [((), f"needs {', '.join(missing)}")] if missing else []


def _pattern(schema: Schema, value: Any) -> Found:
    if re.search(schema["pattern"], value):
        return []
    examples = f": write, for example, {' or '.join(schema['examples'])}" if "examples" in schema else ""
    return [((), f"{quoted(value)} has not the right form{examples}")]


def _format(schema: Schema, value: object) -> Found:
    message = _FORMATS[schema["format"]](value)
    return [((), message)] if message else []


def _unique(_: Schema, value: Any) -> Found:
    return [] if len({*map(repr, value)}) == len(value) else [((), "names one twice")]


def _size_limit(keyword: str, message: Callable[[int, Any], str], *, least: bool) -> Callable[[Schema, Any], Found]:
    """Return the check of a keyword such as minLength; `least` is False for an upper limit."""

    def check(schema: Schema, value: Any) -> Found:
        limit = schema[keyword]
        within = len(value) >= limit if least else len(value) <= limit
        return [] if within else [((), message(limit, value))]

    return check


def _range(keyword: str, relation: str, holds: Callable[[float, float], bool]) -> Callable[[Schema, Any], Found]:
    def check(schema: Schema, value: Any) -> Found:
        limit = schema[keyword]
        return [] if holds(value, limit) else [((), f"must be {relation} {limit}, got {value}")]

    return check


def _too_few(least: int, _: object) -> str:
    return "must not be empty" if least == 1 else f"needs at least {least} keys"


def _too_many(_: int, value: Any) -> str:
    return f"has {' and '.join(map(quoted, value))}: keep one of them"


_KEYWORDS: Mapping[str, Callable[[Schema, Any], Found]] = {
    "anyOf": _any_of,
    "allOf": _all_of,
    "properties": _keys,
    "items": _items,
    "enum": _enum,
    "required": _required,
    "pattern": _pattern,
    "format": _format,
    "uniqueItems": _unique,
    "minimum": _range("minimum", "at least", lambda value, limit: value >= limit),
    "maximum": _range("maximum", "at most", lambda value, limit: value <= limit),
    "exclusiveMinimum": _range("exclusiveMinimum", "above", lambda value, limit: value > limit),
    "minLength": _size_limit("minLength", _too_few, least=True),
    "maxLength": _size_limit("maxLength", lambda most, _: f"must have at most {most} characters", least=False),
    "minItems": _size_limit("minItems", _too_few, least=True),
    "minProperties": _size_limit("minProperties", _too_few, least=True),
    "maxProperties": _size_limit("maxProperties", _too_many, least=False),
}


def _is_regex(value: Any) -> str:
    try:
        re.compile(value)
    except (re.error, OverflowError, RecursionError) as wrong:
        return f"is no regular expression: {wrong}"
    return ""


def _is_span(*, zero: bool) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        span = parse_duration(value)
        return "" if span is not None and (zero or span > 0) and span <= YEAR_S else "is no such time"

    return check


_FORMATS: Mapping[str, Callable[[Any], str]] = {
    "regex": _is_regex,
    "time": _is_span(zero=False),
    "wait": _is_span(zero=True),
    "size": lambda value: "" if (parse_size(value) or 0) >= 1 else "is no such size",
}
