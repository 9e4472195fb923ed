"""Targets of make that name an action: a file of such a name would make the target up to date."""

from __future__ import annotations

import re

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_CALL = re.compile(r"(?:^|[\s;&|(/])g?make\b([^;&|\n)]*)", re.MULTILINE)
_RULE = re.compile(r"^([\w.-][\w. -]*?)[ \t]*::?(?!=)([^=\n]*)$", re.MULTILINE)
_INCLUDE = re.compile(r"^[ \t]*[-s]?include[ \t]+(.+)$", re.MULTILINE)
_ACTION = re.compile(r"\w[\w-]*")
MOST = 200


def included_files(texts: Iterable[str]) -> list[str]:
    """Return the names of the files that makefiles include."""
    return [name for text in texts for line in _INCLUDE.findall(text) for name in line.split()]


def action_targets(text: str) -> tuple[str, ...]:
    """Return the targets that calls of make in `text`, commands and makefiles, ask for, with their prerequisites.

    Targets of `.PHONY` run in any case; names with a dot or a slash are real files.
    """
    rules: dict[str, list[str]] = {}
    for targets, needs in _RULE.findall(text):
        for one in targets.split():
            rules.setdefault(one, []).extend(needs.split())
    called = [[word for word in call.split() if _ACTION.fullmatch(word)] for call in _CALL.findall(text)]
    first = next((one for one in rules if not one.startswith(".")), "")
    waiting = [one for words in called for one in (words or [first])]
    found: dict[str, None] = {}
    for one in waiting:
        if one in rules and one not in found and len(found) < MOST:
            found[one] = None
            waiting += rules[one]
    phony = {*rules.get(".PHONY", ())}
    return tuple(one for one in found if one not in phony and _ACTION.fullmatch(one))
