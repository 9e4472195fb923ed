"""The options of the built-in probes, and their errors."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

FORMATS = ("jsonl", "csv", "columns", "tensorboard")
LONGEST = 4096


class Form(Record):
    """The form of the options of a probe: a text, the value of `main`, or a mapping.

    `fields` has a function for each key that returns the error of a value, empty for none; `spelled` is the whole form
    in words.
    """

    main: str
    fields: Mapping[str, Callable[[Any], str]]
    spelled: str


def fields(asks: object, main: str) -> dict[str, Any]:
    """Return the options as a mapping; a text alone is the value of `main`."""
    return dict(asks) if isinstance(asks, dict) else {main: asks}


def flaw(kind: str, form: Form, asks: object) -> str:
    """Return the error in the options of a probe, empty for none."""
    if not isinstance(asks, str | dict) or not asks:
        return f"{kind} must be {form.spelled}, got {quoted(asks)}"
    written = fields(asks, form.main)
    odd = next((key for key in written if key not in form.fields), None)
    if odd is not None:
        return f"{kind} knows no {quoted(odd)}{did_you_mean(str(odd), form.fields)}; it must be {form.spelled}"
    if form.main not in written:
        return f"{kind} needs {form.main}; it must be {form.spelled}"
    wrong = ((key, form.fields[key](value)) for key, value in written.items())
    return next((f"{kind}: {key} must be {error}, got {quoted(written[key])}" for key, error in wrong if error), "")


def _text(value: object) -> str:
    return "" if isinstance(value, str) and value.strip() and "\0" not in value else "text"


def _path(value: object) -> str:
    return "" if not _text(value) and len(str(value)) <= LONGEST else "a path"


def _texts(value: object) -> str:
    whole = isinstance(value, list) and value and not any(map(_text, value)) and len(set(value)) == len(value)
    return "" if whole else "a list of names, each once"


def _format(value: object) -> str:
    return "" if value in FORMATS else " or ".join(FORMATS)


def _amount(value: object) -> str:
    whole = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < float("inf")
    return "" if whole else "a number above 0"


def _size(value: object) -> str:
    return "" if (parse_size(value) or 0) >= 1 and not isinstance(value, float) else f"{SIZE_HINT}, above 0"


def _switch(value: object) -> str:
    return "" if isinstance(value, bool) else "true or false"


def _pattern(value: object) -> str:
    if _text(value):
        return "text"
    try:
        re.compile(str(value))
    except (re.error, OverflowError, RecursionError) as wrong:
        return f"a regular expression ({wrong})"
    return ""


FORMS = {
    "metrics": Form(
        "file",
        {"file": _path, "step": _text, "total": _amount, "columns": _texts, "format": _format},
        "a file name, or {file, step, total, columns, format}",
    ),
    "checkpoints": Form("path", {"path": _path, "min_bytes": _size}, "a glob, or {path, min_bytes}"),
    "log": Form("file", {"file": _path, "match": _pattern}, "a file name, or {file, match}"),
    "disk": Form("path", {"path": _path, "write": _switch}, "a path, or {path, write}"),
}


def _written(kind: str) -> Callable[[object], str]:
    return lambda asks: flaw(kind, FORMS[kind], asks)


def _only_true(kind: str) -> Callable[[object], str]:
    return lambda asks: "" if asks is True else f"{kind} must be true, got {quoted(asks)}"


def _gpu(asks: object) -> str:
    whole = asks is True or (isinstance(asks, int) and not isinstance(asks, bool) and asks >= 0)
    return "" if whole else f"gpu must be true, or the number of one, got {quoted(asks)}"


ASKS: Mapping[str, Callable[[object], str]] = {
    **{kind: _written(kind) for kind in FORMS},
    **{kind: _only_true(kind) for kind in ("progress", "process", "memory")},
    "gpu": _gpu,
}
