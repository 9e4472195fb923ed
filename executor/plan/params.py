"""Parameters of a plan: their types, limits and values."""

from __future__ import annotations

import math

from executor.errors import UsageError
from executor.plan.issues import ValidationIssue
from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    Value = str | int | float | bool

VARIABLE = "DO_TASKS_PARAM_"
NOUNS = {"float": "a number", "int": "a whole number", "bool": "true or false", "str": "text"}
_TYPE_OF = {bool: "bool", int: "int", float: "float", str: "str"}
_BOOLS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
_WHOLE = lazy_regex.pattern(r"[+-]?[0-9]+")


class Param(Record):
    """A parameter: `type` is float, int, bool or str; `default` is None where a value must be given."""

    name: str
    type: str
    default: Value | None = None
    low: float | None = None
    high: float | None = None
    choices: tuple[Value, ...] = ()
    help: str = ""

    @property
    def variable(self) -> str:
        """The environment variable that holds the value."""
        return variable_of(self.name)

    @property
    def example(self) -> Value:
        """A value of the type: the default, else the first choice or the lower limit."""
        plain: dict[str, Value] = {"float": 1.0, "int": 1, "bool": True, "str": "text"}
        at_least = int(self.low) if self.type == "int" and self.low is not None else self.low
        return next((one for one in (self.default, *self.choices, at_least) if one is not None), plain[self.type])


def variable_of(name: str) -> str:
    """Return the environment variable of a parameter: `learning-rate` is in DO_TASKS_PARAM_LEARNING_RATE."""
    return VARIABLE + name.upper().replace("-", "_")


def declared(written: Mapping[str, Any] | None) -> dict[str, Param]:
    """Return the parameters that the settings declare, by name; values are converted to their types."""
    each = written or {}
    return {name: _param(name, one if isinstance(one, dict) else {"default": one}) for name, one in each.items()}


def _param(name: str, body: Mapping[str, Any]) -> Param:
    kind = _type_of(body)
    return Param(
        name,
        kind,
        default=_converted(body.get("default"), kind),
        low=body.get("min"),
        high=body.get("max"),
        choices=tuple(_converted(one, kind) for one in body.get("choices", ())),
        help=str(body.get("help", "")),
    )


def _type_of(body: Mapping[str, Any]) -> str:
    """Return the written type, else that of the default or of the choices; empty without any."""
    if "type" in body:
        return str(body["type"])
    samples = (body["default"],) if body.get("default") is not None else tuple(body.get("choices", ()))
    kinds = {_TYPE_OF.get(type(one), "") for one in samples}
    return "float" if kinds == {"int", "float"} else kinds.pop() if len(kinds) == 1 else ""


def _converted(value: Any, kind: str) -> Any:
    return float(value) if kind == "float" and type(value) is int else value


def read(param: Param, value: object) -> Value:
    """Return a given value in the type of its parameter; ValueError with the reason when it is none of its values."""
    found: Any = _converted(_read_text(param.type, value) if isinstance(value, str) else value, param.type)
    if _TYPE_OF.get(type(found)) != param.type:
        raise ValueError(f"must be {NOUNS[param.type]}, got {quoted(value)}")
    reason = _unfit(param, found)
    if reason:
        raise ValueError(reason)
    typed: Value = found
    return typed


def _read_text(kind: str, text: str) -> object:
    """Return the value that a text spells in this type; the text itself when it spells none."""
    if kind == "bool":
        return _BOOLS.get(text.strip().lower(), text)
    if kind == "int" and _WHOLE.fullmatch(text.strip()):
        return int(text)
    try:
        return float(text) if kind == "float" else text
    except ValueError:
        return text


def _unfit(param: Param, value: Any) -> str:
    """Return the reason why a value of the right type is not allowed, empty when it is."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"must be a finite number, got {value}"
    if isinstance(value, str) and any(ord(char) < 32 or ord(char) == 127 for char in value):
        return f"must be one line without control characters, got {quoted(value)}"
    if param.choices and value not in param.choices:
        names = [text_of(one) for one in param.choices]
        return f"must be {' or '.join(names)}, got {quoted(value)}{did_you_mean(text_of(value), names)}"
    if param.low is not None and value < param.low:
        return f"must be at least {param.low}, got {text_of(value)}"
    is_above = param.high is not None and value > param.high
    return f"must be at most {param.high}, got {text_of(value)}" if is_above else ""


def text_of(value: Value) -> str:
    """Return a value as an argument or a variable has it: `true` and `false`, a number as Python prints it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def given(params: Mapping[str, Param], rows: Iterable[tuple[str, str, object]]) -> dict[str, Value]:
    """Return the values of `(place, name, value)` rows, the last of a name; UsageError with every mistake."""
    found: dict[str, Value] = {}
    wrong: list[str] = []
    for place, name, value in rows:
        if name not in params:
            known = did_you_mean(name, params) or (f"; known: {', '.join(params)}" if params else "")
            wrong.append(f"{place}: no parameter {quoted(name)} in settings.params{known}")
            continue
        try:
            found[name] = read(params[name], value)
        except ValueError as error:
            wrong.append(f"{place}: {name} {error}")
    if wrong:
        raise UsageError("\n".join(wrong))
    return found


def still_valid(params: Mapping[str, Param], values: Mapping[str, object]) -> dict[str, Value]:
    """Return those values of an earlier run that the plan still allows."""
    found: dict[str, Value] = {}
    for name, value in values.items():
        try:
            found[name] = read(params[name], value)
        except (KeyError, ValueError):
            continue
    return found


def issues(written: Mapping[str, Any]) -> Iterator[ValidationIssue]:
    """Yield the contradictions in the parameters of the settings, by path inside them."""
    variables: dict[str, str] = {}
    for name, one in written.items():
        other = variables.setdefault(variable_of(name), name)
        if other != name:
            message = f"has the variable of {other}, {variable_of(name)}: rename one of them"
            yield ValidationIssue(("params", name), message)
        yield from (issue.replace(path=("params", name, *issue.path)) for issue in _issues_of(name, one))


def _issues_of(name: str, one: object) -> Iterator[ValidationIssue]:
    body = one if isinstance(one, dict) else {"default": one}
    if not _type_of(body):
        yield ValidationIssue((), f"has no type: write one of {', '.join(NOUNS)}, or a default")
        return
    param = _param(name, body)
    limits = [key for key in ("min", "max") if key in body]
    if limits and param.type not in ("int", "float"):
        yield ValidationIssue((limits[0],), f"limits a number; the type is {param.type}")
        return
    if param.low is not None and param.high is not None and param.low > param.high:
        yield ValidationIssue(("min",), f"is above max: {param.low}, {param.high}")
        return
    bare = param.replace(choices=())
    for place, choice in enumerate(param.choices):
        yield from _mistake(bare, choice, ("choices", place))
    if param.default is not None:
        yield from _mistake(param, param.default, ("default",) if isinstance(one, dict) else ())


def _mistake(param: Param, value: Value, path: tuple[str | int, ...]) -> Iterator[ValidationIssue]:
    if _TYPE_OF.get(type(value)) != param.type:
        yield ValidationIssue(path, f"must be {NOUNS[param.type]}, got {quoted(value)}: the type is {param.type}")
        return
    reason = _unfit(param, value)
    if reason:
        yield ValidationIssue(path, reason)
