"""Targets of make that name an action: a file of such a name would have make say that all is done."""

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


def included(texts: Iterable[str]) -> list[str]:
    """Return the files that makefiles include, as they name them."""
    return [name for text in texts for line in _INCLUDE.findall(text) for name in line.split()]


def actions(text: str) -> tuple[str, ...]:
    """Return the targets that the calls of make in this text ask for, with those that they need.

    `text` holds commands and makefiles. What `.PHONY` names is run whatever lies there; names with a dot or a slash are
    files that somebody makes.
    """
    rules: dict[str, list[str]] = {}
    for targets, needs in _RULE.findall(text):
        for one in targets.split():
            rules.setdefault(one, []).extend(needs.split())
    called = [[word for word in said.split() if _ACTION.fullmatch(word)] for said in _CALL.findall(text)]
    first = next((one for one in rules if not one.startswith(".")), "")
    waiting = [one for words in called for one in (words or [first])]
    found: dict[str, None] = {}
    for one in waiting:
        if one in rules and one not in found and len(found) < MOST:
            found[one] = None
            waiting += rules[one]
    phony = {*rules.get(".PHONY", ())}
    return tuple(one for one in found if one not in phony and _ACTION.fullmatch(one))
