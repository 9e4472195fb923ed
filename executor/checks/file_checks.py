"""Checks of files: that they are there, match a pattern, or hold a met criterion."""

from __future__ import annotations

import json
import re
import time

from executor.checks.fresh_files import (
    SINCE,
    Fresh,
    before,
    good_files,
    grown_from,
    octets,
    read_files,
    whole,
)
from executor.checks.project_worker import UnmetError, asked, no, text, yes
from executor.system.records import TYPE_CHECKING
from executor.system.text import counted, decimal_size, duration, one_line
from executor.system.text_files import read_text

if TYPE_CHECKING:
    from typing import Any

    from executor.checks.project_worker import Answer, Fields
    from executor.system.folders import Found

WIDTH = 120
SEARCH_S = 5.0  # of CPU time that a pattern may take


def file(asks: Any) -> Answer:
    """Asks: a glob, or path, min_size, min_count, newer_than (a path), dir_ok, and when it is evidence those of SINCE.

    `before` is the record of what was there when MAIN began, `newer_than_ns` that time, for a glob not in the record.
    """
    fields = asked(asks, "path", ("path", "min_size", "min_count", "newer_than", "dir_ok", *SINCE))
    wants = [f"{counted(whole(fields, 'min_count', 1), 'file')} or more"]
    if octets(fields, "min_size"):
        wants.append(f"{decimal_size(octets(fields, 'min_size'))} or more each")
    if "newer_than" in fields:
        wants.append(f"newer than {text(fields, 'newer_than')}")
    if any(key in fields for key in SINCE):
        wants.append("newer than MAIN's start" if before(fields) is None else "new since MAIN began")
    expected = f"{text(fields, 'path')} ({', '.join(wants)})"
    return yes(expected, described(good_files(fields, expected)))


def described(files: Found) -> str:
    if not files:
        return "no file"
    sizes = [status.st_size for _, status in files]
    between = (
        decimal_size(min(sizes))
        if decimal_size(min(sizes)) == decimal_size(max(sizes))
        else f"{decimal_size(min(sizes))} to {decimal_size(max(sizes))}"
    )
    age = duration(time.time() - max(status.st_mtime for _, status in files))
    return f"{counted(len(files), 'file')}, {between}, {'newest ' * (len(files) > 1)}{age} old"


def matches(asks: Any) -> Answer:
    """Asks: file (a glob), pattern (Python, multi-line), flags (letters), and those of SINCE."""
    fields = asked(asks, "", ("file", "pattern", "flags", *SINCE))
    expected = f"/{text(fields, 'pattern')}/ in {text(fields, 'file')}"
    sought = compiled(text(fields, "pattern"), str(fields.get("flags", "")), expected)
    names, lines = read_files(fields, expected), 0
    added = 0
    limit_cpu(expected)
    for name in names:
        behind = grown_from(fields, name)
        added_text = new_lines(fields, name, read_text(name, behind))
        hit = sought.search(added_text)
        if hit:
            return yes(expected, line_at(added_text, hit.start()))
        lines += added_text.count("\n") + (not added_text.endswith("\n") and added_text != "")
        added += behind > 0
    where = f" of {counted(len(names), 'file')}" if len(names) > 1 else ""
    new = "new " if added == len(names) else ""
    return no(
        expected, f"no match in {counted(lines, f'{new}line')}{where}", f"read {names[0]}, or correct the pattern"
    )


def limit_cpu(expected: str) -> None:
    """End this check with a no once a pattern has taken too much CPU time: it may never come to an end."""
    import signal

    def over(*_: object) -> None:
        fix = "write a simpler pattern: none that repeats what repeats already, as (a+)+ does"
        raise UnmetError(expected, f"no answer in {SEARCH_S:g} s of CPU time: the pattern takes too long", fix)

    signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, SEARCH_S)


def new_lines(fields: Fields, name: str, added_text: str) -> str:
    """Return a text without the lines that stood in it before MAIN."""
    fresh = Fresh(fields, name)
    if not fresh.has_old:
        return added_text
    return "\n".join(text_line for text_line in added_text.split("\n") if fresh.is_news(text_line))


def compiled(pattern: str, flags: str, expected: str) -> re.Pattern[str]:
    letters = {"i": re.IGNORECASE, "m": re.MULTILINE, "s": re.DOTALL, "x": re.VERBOSE, "a": re.ASCII}
    if set(flags) - set(letters):
        raise UnmetError(expected, f"flags: {one_line(flags, 60)}", f"use the letters {', '.join(letters)}")
    try:
        return re.compile(pattern, sum(letters[letter] for letter in {"m", *flags}))
    except re.error as error:
        raise UnmetError(expected, f"not a regular expression: {error}", "correct the pattern") from None


def line_at(content: str, place: int) -> str:
    """Return the line around a place, at most WIDTH characters of it, the place among them."""
    begin, end = content.rfind("\n", 0, place) + 1, content.find("\n", place)
    end = len(content) if end < 0 else end
    return one_line(content[begin if end - begin <= WIDTH else max(begin, place - 20) : end], WIDTH)


def result(asks: Any) -> Answer:
    """Asks: file, name, and those of SINCE; the result file must say met: true with its evidence."""
    fields = asked(asks, "", ("file", "name", *SINCE))
    name = text(fields, "name")
    expected = f'"{name}" met, by {text(fields, "file")}'
    path = read_files(fields, expected)[0]
    try:
        criteria = json.loads(read_text(path))["criteria"]
        entry = criteria.get(name)
    except (ValueError, RecursionError, LookupError, TypeError, AttributeError):
        return no(expected, "no criteria in it", 'write {"criteria": {NAME: {"met": true, "evidence": "..."}}} there')
    if not isinstance(entry, dict):
        return no(expected, f"not among its criteria: {', '.join(map(str, criteria)) or 'none'}", f'add "{name}" to it')
    evidence = str(entry.get("evidence") or "").strip()
    if entry.get("met") is not True:
        return no(expected, f"met: {json.dumps(entry.get('met'))} {evidence}", "make it true, then write met: true")
    return yes(expected, evidence) if evidence else no(expected, "met, no evidence", "quote what was seen as evidence")
