"""The schema of step_definitions.yaml, and the messages for what departs from it."""

from __future__ import annotations

import json
from functools import cache

from executor.plan.issues import ValidationIssue, problem_of
from executor.system import installation
from executor.system.records import TYPE_CHECKING
from executor.system.text import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from jsonschema.exceptions import ValidationError

    from executor.errors import Problem

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


def schema_problems(data: object, file: str) -> list[Problem]:
    """Return every way in which data departs from the schema, by path; lines are not known here."""
    return [problem_of(flaw, file) for flaw in schema_flaws(data)]


def schema_flaws(data: object) -> list[ValidationIssue]:
    """Return every departure from the schema; data is what yaml_loader.load returns."""
    import jsonschema

    validator = jsonschema.Draft202012Validator(plan_schema())
    return [flaw for error in validator.iter_errors(data) for flaw in _flaws(error)]


def _flaws(error: ValidationError) -> Iterator[ValidationIssue]:
    schema: Any = error.schema
    if error.validator == "anyOf" and "title" in schema:
        yield ValidationIssue(tuple(error.absolute_path), f"must be {schema['title']}, got {quoted(error.instance)}")
    elif error.validator == "anyOf":
        yield from _flaws_of_the_branch_meant(error)
    elif error.validator == "additionalProperties":
        yield from _unknown_keys(error)
    else:
        said = _SAYINGS.get(str(error.validator), _as_jsonschema_says)
        yield ValidationIssue(tuple(error.absolute_path), said(error))


def _flaws_of_the_branch_meant(error: ValidationError) -> Iterator[ValidationIssue]:
    """Report on the branch whose type fits, or name the types when none does."""
    branches: dict[int | str, list[ValidationError]] = {}
    for inner in error.context or ():
        branches.setdefault(inner.relative_schema_path[0], []).append(inner)
    meant = [inners for inners in branches.values() if not any(map(_is_of_another_type, inners))]
    if meant:
        yield from (flaw for inner in meant[0] for flaw in _flaws(inner))
        return
    schemas: Any = error.validator_value
    nouns = " or ".join(_NOUNS[schema["type"]] for schema in schemas)
    yield ValidationIssue(tuple(error.absolute_path), f"must be {nouns}, got {quoted(error.instance)}")


def _is_of_another_type(inner: ValidationError) -> bool:
    return inner.validator == "type" and not inner.relative_path


def _unknown_keys(error: ValidationError) -> Iterator[ValidationIssue]:
    schema: Any = error.schema
    instance: Any = error.instance
    known = list(schema["properties"])
    for key in instance:
        if key not in known and not any(_matches(pattern, key) for pattern in schema.get("patternProperties", ())):
            yield ValidationIssue((*error.absolute_path, key), unknown_key(key, known))


def _matches(pattern: str, key: str) -> bool:
    import re

    return re.search(pattern, key) is not None


def unknown_key(key: str, known: list[str]) -> str:
    """Say that a key is unknown, with the nearest known one, or all of them when none is near."""
    names = ", ".join(known)
    return f"unknown key {quoted(key)}{did_you_mean(key, known) or f'; known: {names}'}"


def _wrong_type(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    nouns = " or ".join(_NOUNS[one] for one in ([wanted] if isinstance(wanted, str) else wanted))
    switch = _SWITCHES.get(str(error.instance).lower()) if wanted == "boolean" else None
    return f"must be {nouns}, got {quoted(error.instance)}{f'; write {switch}' if switch else ''}"


def _wrong_choice(error: ValidationError) -> str:
    choices: Any = error.validator_value
    names = [quoted(choice) if not isinstance(choice, str) else choice for choice in choices]
    return f"must be {' or '.join(names)}, got {quoted(error.instance)}{did_you_mean(str(error.instance), names)}"


def _wrong_form(error: ValidationError) -> str:
    schema: Any = error.schema
    return f"{quoted(error.instance)} has not the right form: write, for example, {' or '.join(schema['examples'])}"


def _missing_keys(error: ValidationError) -> str:
    instance: Any = error.instance
    wanted: Any = error.validator_value
    return f"needs {', '.join(key for key in wanted if key not in instance)}"


def _too_few_keys(error: ValidationError) -> str:
    least: Any = error.validator_value
    return "must not be empty" if least == 1 else f"needs at least {least} keys"


def _too_many_keys(error: ValidationError) -> str:
    instance: Any = error.instance
    return f"has {' and '.join(map(quoted, instance))}: keep one of them"


def _as_jsonschema_says(error: ValidationError) -> str:
    return error.message if len(error.message) <= 120 else f"{error.message[:120]}..."


_SAYINGS: Mapping[str, Callable[[ValidationError], str]] = {
    "type": _wrong_type,
    "enum": _wrong_choice,
    "required": _missing_keys,
    "pattern": _wrong_form,
    "minimum": lambda error: f"must be at least {error.validator_value}, got {error.instance}",
    "maximum": lambda error: f"must be at most {error.validator_value}, got {error.instance}",
    "exclusiveMinimum": lambda error: f"must be above {error.validator_value}, got {error.instance}",
    "minLength": lambda _: "must not be empty",
    "minItems": lambda _: "must not be empty",
    "minProperties": _too_few_keys,
    "maxProperties": _too_many_keys,
}
