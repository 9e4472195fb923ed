"""Detection of a test form in a script: it names `--test` or DO_TASKS_TEST."""

from __future__ import annotations

import re

from executor.system import lazy_regex

_NAMED = ("--test", "DO_TASKS_TEST")
# These make options of a function's parameters or a class's fields, so a field named test is an option.
_FROM_FIELDS = lazy_regex.pattern(
    r"^\s*(?:from|import)\s+(?:fire|typer|tyro|cyclopts|defopt|plac|simple_parsing|jsonargparse|draccus|tap|clize)\b"
    r"|\bHfArgumentParser\b",
    re.MULTILINE,
)
_FIELD = lazy_regex.pattern(r"\btest\s*(?::|=)")


def knows_test(text: str) -> bool:
    """Return True for the text of a script that takes `--test`, as far as its own text shows."""
    if any(word in text for word in _NAMED):
        return True
    return bool(_FROM_FIELDS.search(text) and _FIELD.search(text))
