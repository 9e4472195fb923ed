"""Durations and sizes as people write them: 90, 10m, 1h30m; 512, 10MB, 1.5GiB."""

from __future__ import annotations

import math
import re

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
TIME_PATTERN = (
    rf"^(?:\s*({_NUMBER})|(?=\s*[0-9])" + "".join(rf"(?:\s*({_NUMBER})\s*{unit})?" for unit in "dhms") + r")\s*$"
)
SIZE_PATTERN = rf"^\s*({_NUMBER})(?:\s*(?:([kKmMgGtT])(i?)([bB]?)|([bB])))?\s*$"
TIME_HINT = "a time such as 90, 90s, 10m or 1h30m"
SIZE_HINT = "a size such as 512, 10MB or 1.5GiB"
YEAR_S = 31_536_000
_UNITS_S = (86_400, 3600, 60, 1)
_LONGEST = 60


def parse_duration(written: object, *, unit_s: float = 1) -> float | None:
    """Return the seconds of a number or text such as 90, 90s, 10m, 1h30m; None for anything else.

    `unit_s` is the unit of a number that has none.
    """
    if not isinstance(written, str):
        number = parse_number(written)
        return None if number is None else number * unit_s
    found = re.fullmatch(TIME_PATTERN, written) if len(written) <= _LONGEST else None
    if not found:
        return None
    parts = zip((unit_s, *_UNITS_S), found.groups(), strict=True)
    return float(sum(float(part) * length for length, part in parts if part))


def parse_size(written: object, *, unit: float = 1) -> float | None:
    """Return the bytes of a number, 10MB (decimal), 10MiB or 10M (binary); None for anything else.

    `unit` is the unit of a number that has none.
    """
    if not isinstance(written, str):
        number = parse_number(written)
        return None if number is None else number * unit
    found = re.fullmatch(SIZE_PATTERN, written) if len(written) <= _LONGEST else None
    if not found:
        return None
    if not found[2]:
        return float(found[1]) * (1 if found[5] else unit)
    base = 1000 if found[4] and not found[3] else 1024
    return float(found[1]) * float(base ** ("kmgt".index(found[2].lower()) + 1))


def parse_number(written: object) -> float | None:
    """Return a finite number as it is, None for anything else; true and false are none."""
    if isinstance(written, bool) or not isinstance(written, int | float):
        return None
    try:
        return written if math.isfinite(written) else None
    except OverflowError:  # an integer beyond the range of floats
        return None


def duration_argument(text: str) -> float:
    """Return the seconds of an option's value; ArgumentTypeError when it is no duration."""
    from argparse import ArgumentTypeError

    seconds = parse_duration(text)
    if seconds is None or not math.isfinite(seconds):
        raise ArgumentTypeError(f"must be {TIME_HINT}, got {text[:_LONGEST]!r}")
    return seconds
