"""Spellings of numbers in files of metrics: groups, commas, units, nan and inf."""

from __future__ import annotations

import re
from math import inf, nan

LONGEST = 80  # characters of a text that may spell a number
GAPS = "\u00a0\u2007\u2009\u202f"  # blanks between groups of digits
COUNTS = re.compile(r"(?i)step|iter|token|sample|update|example|frame|seen|batch|epoch|param|tps|wps|tok/s|count|total")
NOT_FINITE = (
    r"(?:1\.\#(?:QNAN|SNAN|IND|NAN|INF)\w{0,8}|\.?(?:[sq]?nan(?:\(\w{0,16}\)|32|64|16|[zqs])?|inf(?:inity|32|64|16)?)(?:\.0+)?"
    r"(?!\w)|∞)"
)
NUMERAL = r"(?:\d+(?:[_'\u00a0\u2007\u2009\u202f]\d{3}(?!\d))*(?:,\d+)*(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?"
CALL = (
    r"(?:(?:[a-z_]\w{0,20}\.){0,3}"
    r"(?:float\w{0,8}|bfloat16|double|half|int\d{0,2}|tensor|eagertensor|array|devicearray|decimal|scalar|number)\()"
)
SUFFIXES = {"k": 1e3, "m": 1e6, "b": 1e9}
_SIGNED = re.compile(rf"([+-]?)({NOT_FINITE}|{NUMERAL})\s?([kmb%]?)", re.IGNORECASE)
_WRAPPED = re.compile(rf"(?:{CALL}|[\[(\"'])+\s*([^\s\[\]()\"',]+(?:\([a-z]+\))?)", re.IGNORECASE)
_CLOSED = re.compile(r"[\])\"'\s]*(?:,\s*[a-z_]\w*=[^)]{0,60})?[\])\"'\s]*", re.IGNORECASE)
_GROUPED = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d*)?(?:e[+-]?\d+)?")
_ONE_COMMA = re.compile(r"\d+,\d+(?:e[+-]?\d+)?")
_GAP = re.compile(rf"[_'{GAPS}]")


def number(text: str, *, comma: str = "", counts: bool = False) -> float | None:
    """Return the number in a text, None for other text.

    `comma` is "decimal" or "thousands" where it is known. With `counts` the number counts things: 1,000 is a thousand,
    and 1.5k is valid.
    """
    try:
        return float(text)
    except ValueError:
        return None if len(text) > LONGEST else _odd(text.strip(), comma, counts=counts)


def _odd(text: str, comma: str, *, counts: bool) -> float | None:
    """Return the number in a text that float() does not accept."""
    wrapped = _WRAPPED.match(text)
    if wrapped:
        return number(wrapped[1], comma=comma) if _CLOSED.fullmatch(text, wrapped.end()) else None
    hit = _SIGNED.fullmatch(text)
    if hit is None or (hit[3] not in ("", "%") and not counts):
        return None
    return signed(hit[1], hit[2], comma=comma, counts=counts, suffix=hit[3])


def signed(sign: str, digits: str, *, comma: str = "", counts: bool = False, suffix: str = "") -> float | None:
    """Return the number of a numeral, or of a word for nan or inf, with its sign and suffix."""
    value = _unsigned(digits, comma, counts=counts)
    if value is None:
        return None
    value *= SUFFIXES.get(suffix.lower(), 1.0)
    return -value if sign == "-" else value


def _unsigned(digits: str, comma: str, *, counts: bool) -> float | None:
    word = digits.lstrip(".")
    if not word[0].isdigit():
        return inf if word[0] in "iI∞" else nan
    if digits.startswith("1.#"):
        return inf if digits[3:6].upper() == "INF" else nan
    plain = _GAP.sub("", digits)
    if "," not in plain:
        return float(plain)
    return _with_comma(plain, comma, counts=counts)


def _with_comma(digits: str, comma: str, *, counts: bool) -> float | None:
    """Return a number with commas; 1,234 is ambiguous, and a number only where it counts things."""
    is_grouped = _GROUPED.fullmatch(digits) is not None and not digits.startswith("0")
    is_decimal = _ONE_COMMA.fullmatch(digits) is not None
    if is_grouped and (not is_decimal or counts or comma == "thousands"):
        return float(digits.replace(",", ""))
    if is_decimal and (not is_grouped or comma == "decimal"):
        return float(digits.replace(",", "."))
    return None


_POINT = re.compile(r"\d\.\d")
_COMMA = re.compile(r"(?<![\d,.])(?:0,\d+|\d+,(?:\d{1,2}|\d{4,}))(?![\d,.])")


def comma_of(line: str) -> str:
    """Return the meaning of a comma between digits in a line, decimal or thousands; empty when unknown."""
    if "," not in line or _POINT.search(line):
        return "thousands"
    return "decimal" if _COMMA.search(line) else ""
