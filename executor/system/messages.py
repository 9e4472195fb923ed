"""Parts of a message: a value as it is quoted, the nearest known word."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

SHOWN_CHARS = 40


def shown(value: object) -> str:
    """Return a value as a message quotes it: short, on one line, without control characters."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X` for the nearest known word, or nothing when none is near."""
    import difflib

    near = difflib.get_close_matches(word[: 2 * SHOWN_CHARS], list(known), n=1)
    return f"; did you mean {near[0]}" if near else ""
