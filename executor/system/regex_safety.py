"""A test for regular expressions whose search may take exponential time."""

from __future__ import annotations

import re

_TOKEN = re.compile(
    r"(?P<atom>\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[^\\()|*+?{^$])"
    r"|(?P<open>\((?:\?(?:P<\w+>|[:=!>]|<[=!]|[a-zA-Z-]+:?|#))?)"
    r"|(?P<close>\))|(?P<or>\|)|(?P<edge>[\^$])"
    r"|(?P<repeat>\*|\+|\?|\{\d*(?:,\d*)?\})(?P<lazy>[?+]?)|(?P<other>.)",
    re.DOTALL,
)


def is_linear(pattern: str) -> bool:
    """Return True for a pattern whose search takes time in proportion to the text."""
    return not any(token["repeat"] and _is_unbounded(token["repeat"]) for token in _TOKEN.finditer(pattern))


class _Group:
    """A group that is being parsed: its start, and whether an alternative in it is ambiguous."""

    def __init__(self, start: int) -> None:
        self.start = start
        self.ambiguous = False
        self._endless = self._endless_must = self._firm = 0

    def add(self, *, unbounded: bool, optional: bool) -> None:
        """Add a part: `unbounded` when it repeats without a limit, `optional` when it may be missing."""
        self._endless += unbounded
        self._endless_must += unbounded and not optional
        self._firm += not unbounded and not optional

    def end_alternative(self) -> None:
        """End an alternative: an unbounded part without a fixed part beside it is ambiguous."""
        alone = self._endless > 0 and self._firm == 0 and self._endless_must <= 1
        self.ambiguous = self.ambiguous or alone
        self._endless = self._endless_must = self._firm = 0


def nested_repeat(pattern: str) -> str:
    """Return the part of a pattern that repeats a repeat, as in `(a+)+`; empty for none.

    Such a part matches the same text in many ways, and all of them are tried on a line that fits except for its
    end.
    """
    groups = [_Group(0)]
    last: tuple[int, bool, bool] | None = (
        None  # the last part: its start, True for an ambiguous group, True when unbounded
    )
    for token in _TOKEN.finditer(pattern):
        if token["repeat"]:
            endless = _is_unbounded(token["repeat"])
            if last and last[1] and endless:
                return pattern[last[0] : token.end()]
            if last:
                groups[-1].add(unbounded=endless or last[2], optional=token["repeat"][0] in "*?{")
            last = None
            continue
        if last:
            groups[-1].add(unbounded=last[2], optional=False)
        last = _after(groups, token)
    return ""


def _after(groups: list[_Group], token: re.Match[str]) -> tuple[int, bool, bool] | None:
    """Handle a token that is no repeat; return the part to which a repeat behind it would apply."""
    if token["open"]:
        groups.append(_Group(token.start()))
    elif token["or"]:
        groups[-1].end_alternative()
    elif token["close"] and len(groups) > 1:
        group = groups.pop()
        group.end_alternative()
        return group.start, group.ambiguous, group.ambiguous
    elif token["atom"] or token["other"]:
        return token.start(), False, False
    return None


def _is_unbounded(repeat: str) -> bool:
    """Return True for a repeat without a limit, or with one of 10 or more."""
    if repeat[0] != "{":
        return repeat != "?"
    _, comma, most = repeat.strip("{}").partition(",")
    return bool(comma) and (not most or int(most) >= 10)
