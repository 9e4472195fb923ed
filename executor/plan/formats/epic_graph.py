"""Edges of a graph that is drawn with characters: `71 ──> 73 ─┬─> 76`, branches and joins over several lines."""

from __future__ import annotations

from functools import cached_property

from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMBER = lazy_regex.pattern(r"#?(\d{1,6})(?![\w.])")
ARROW = lazy_regex.pattern(r"[─━-]+[>►▶]|[→►▶⟶]|[└├╰┌]─")
_LEVEL = frozenset(" \t─━-=>►▶→⟶┬┴┼╴╶")  # what a line that goes sideways is made of
_FROM_ABOVE = frozenset("└├╰")
_UP = frozenset("┘╯┴")
_DOWN = frozenset("┐╮")
_VERTICAL = frozenset("│|┃├┤┼")
_BRANCH = frozenset("├┼")
_NEAR = 2  # columns between the end of a branch and the number it belongs to

Token = tuple[int, int, str]  # first column, column behind it, number


class Drawing:
    """The lines of a graph and the numbers in them."""

    def __init__(self, text: str) -> None:
        self.lines = text.expandtabs(4).splitlines()

    @cached_property
    def tokens(self) -> list[list[Token]]:
        """The numbers of each line with their columns."""
        return [[(one.start(), one.end(), one[1]) for one in _NUMBER.finditer(line)] for line in self.lines]

    def edges(self) -> Iterator[tuple[str, str]]:
        """Yield (before, after) for each arrow."""
        for row, tokens in enumerate(self.tokens):
            for token in tokens:
                yield from ((source, token[2]) for source in self._sources(row, token[0]))
            yield from self._joins(row)

    def _char(self, row: int, column: int) -> str:
        line = self.lines[row] if 0 <= row < len(self.lines) else ""
        return line[column] if 0 <= column < len(line) else " "

    def _left(self, row: int, column: int) -> Token | None:
        """Return the number that a line reaches which goes left from a column."""
        before = [token for token in self.tokens[row] if token[1] <= column]
        if not before:
            return None
        between = self.lines[row][before[-1][1] : column]
        return before[-1] if between.strip() and set(between) <= _LEVEL | _UP else None

    def _sources(self, row: int, column: int) -> list[str]:
        line = self.lines[row]
        at = column - 1
        while at >= 0 and line[at] in _LEVEL:
            at -= 1
        between = line[at + 1 : column]
        if not between.strip():
            return []
        if at >= 0 and line[at] in _FROM_ABOVE:
            return self._above(row - 1, at)
        left = self._left(row, column)
        return [left[2]] if left and (">" in between or set(between) & set("►▶→⟶")) else []

    def _above(self, row: int, column: int) -> list[str]:
        """Return the number from which a branch comes down a column."""
        while row >= 0 and self._char(row, column) in _VERTICAL:
            row -= 1
        if row < 0:
            return []
        over = [one for one in self.tokens[row] if one[0] - _NEAR < column < one[1] + _NEAR]
        found = over[0] if over and self._char(row, column) != "┬" else self._left(row, column)
        return [found[2]] if found else []

    def _joins(self, row: int) -> Iterator[tuple[str, str]]:
        for column, char in enumerate(self.lines[row]):
            if char in _UP or char in _DOWN:
                source, target = self._left(row, column), self._target(row, column, -1 if char in _UP else 1)
                if source and target:
                    yield source[2], target

    def _target(self, row: int, column: int, step: int) -> str:
        """Return the number to which the line goes that a join meets, up or down from a row."""
        row += step
        while 0 <= row < len(self.lines) and self._char(row, column) in _VERTICAL - _BRANCH:
            row += step
        if not 0 <= row < len(self.lines):
            return ""
        return next((number for first, _, number in self.tokens[row] if first >= column), "")


def edges(text: str) -> tuple[tuple[str, str], ...]:
    """Return each edge of a drawing once, in its order."""
    return tuple(dict.fromkeys(Drawing(text).edges())) if ARROW.search(text) else ()
