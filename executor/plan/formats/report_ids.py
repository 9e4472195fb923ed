"""Ids, lists and ranges of ids as a report writes them: `T001-T004`, `T005, T006 and T008`."""

from __future__ import annotations

import re
from collections import Counter

from executor.system import lazy_regex

MOST_IN_RANGE = 2_000
_DASH = r"[ \t]*(?:-|\u2010|\u2011|\u2012|\u2013|\u2014|\.\.\.?|to|through|until|…)[ \t]*"
_RANGE = lazy_regex.pattern(rf"\b([A-Z]{{1,6}}-?)(\d{{2,5}}){_DASH}(?:\1)?(\d{{2,5}})\b(?!-?[A-Z]?\d)")
_ID = lazy_regex.pattern(r"(?<![\w-])([A-Z]{1,6}-?)(\d{2,5}[a-z]?)\b")


def prefix_of(text: str) -> str:
    """Return the prefix of the ids of most ranges in a text, empty where there is no range."""
    count = Counter(found[1] for found in _RANGE.finditer(text) if int(found[2]) < int(found[3]))
    return count.most_common(1)[0][0] if count else ""


def ranges_in(text: str, prefix: str) -> list[tuple[str, ...]]:
    """Return the ids of each range in a text."""
    return [_expanded(found) for found in _RANGE.finditer(text) if found[1] == prefix]


def ids_in(text: str, prefix: str) -> tuple[str, ...]:
    """Return all ids of a text in order, ranges expanded, each once."""
    found: list[str] = []
    at = 0
    for match in _RANGE.finditer(text):
        if match[1] == prefix:
            found += [*_single(text[at : match.start()], prefix), *_expanded(match)]
            at = match.end()
    return tuple(dict.fromkeys([*found, *_single(text[at:], prefix)]))


def _single(text: str, prefix: str) -> list[str]:
    return [match[0] for match in _ID.finditer(text) if match[1] == prefix]


def _expanded(match: re.Match[str]) -> tuple[str, ...]:
    first, last = int(match[2]), int(match[3])
    if not first <= last < first + MOST_IN_RANGE:
        return (f"{match[1]}{match[2]}", f"{match[1]}{match[3]}")
    return tuple(f"{match[1]}{number:0{len(match[2])}d}" for number in range(first, last + 1))


def first_list(text: str, prefix: str) -> tuple[str, ...]:
    """Return the ids of the list that a text begins with; none when another word stands before it."""
    found = _list(prefix).match(text)
    return ids_in(found[0], prefix) if found else ()


def last_list(text: str, prefix: str) -> tuple[str, ...]:
    """Return the ids of the list that a text ends with."""
    lists = [*_list(prefix).finditer(text)]
    is_last = bool(lists) and not text[lists[-1].end() :].strip(" \t*:")
    return ids_in(lists[-1][0], prefix) if is_last else ()


def _list(prefix: str) -> re.Pattern[str]:
    one = rf"(?<![\w-]){re.escape(prefix)}\d{{2,5}}[a-z]?\b(?:{_DASH}(?:{re.escape(prefix)})?\d{{2,5}}\b)?"
    item = rf"\**{one}\**(?:[ \t]*\([^()\n]*\)|[ \t]*\[[^\]\n]*\])*"
    return re.compile(rf"[ \t:]*{item}(?:[ \t]*(?:,[ \t]*(?:and[ \t]+)?|\band[ \t]+|[&/+][ \t]*){item})*")


def shortened(ids: tuple[str, ...] | list[str]) -> str:
    """Return ids as a person writes them: runs of three and more as a range."""
    parts: list[list[str]] = []
    for one in ids:
        follows = parts and _number(one) == _number(parts[-1][-1]) + 1
        parts[-1].append(one) if follows else parts.append([one])
    return ", ".join(f"{part[0]}-{part[-1]}" if len(part) > 2 else ", ".join(part) for part in parts)


def _number(one: str) -> int:
    return int(re.sub(r"\D", "", one))
