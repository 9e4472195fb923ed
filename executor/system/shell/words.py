"""The words and signs of a bash text, scanned one after the other."""

from __future__ import annotations

import re

from executor.system import lazy_regex
from executor.system.shell.tree import Word

_BLANKS = lazy_regex.pattern(r"(?:[ \t]|\\\n)+")
_COMMENT = lazy_regex.pattern(r"#[^\n]*")
_BARE = lazy_regex.pattern(r"(?:[^\s;&|<>()'\"\\$`]|\\\n)+")
_CONTROL = lazy_regex.pattern(r"&&|\|\||;;&|;;|;&|\|&|[|&;()\n]")
_PLACES = lazy_regex.pattern(r"\$(?:[@*1-9]|\{[!#]?[@*1-9])")
_ARRAY = lazy_regex.pattern(r"\w+(?:\[[^]\n]*\])?\+?=$")
_CLOSERS = {"{": "}", "(": ")"}


class NotUnderstoodError(Exception):
    """The text contains a construct that is not understood."""


class Scanner:
    """A position in a text that moves on; `places_args` is True once a word expands an argument."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.pending: list[
            tuple[str, bool, bool]
        ] = []  # heredocs: delimiter, True when tabs are stripped, True when expanded
        self.places_args = False
        self._in_function = 0

    def expect(self, holds: object) -> None:
        """Raise NotUnderstoodError unless this is true."""
        if not holds:
            raise NotUnderstoodError

    def _substituted(self) -> None:
        """Read the list of a substitution, up to its closing parenthesis."""
        raise NotImplementedError

    def _word(self) -> Word:
        start = self.at
        values: list[str | None] = []
        while self.at < len(self.text) and self.text[self.at] not in " \t\n;|&":
            char, before = self.text[self.at], self.at
            if char in "<>" and self.text[self.at + 1 : self.at + 2] == "(":
                self.at += 2
                self._substituted()
                values.append(None)
            elif char in "<>)":
                break
            elif char == "(":
                if not self._parenthesis(start):
                    break
                values.append(None)
            elif self._quoted():
                values.append(self._value(before))
            else:
                self.at += 1
                values.append(char)
        self.expect(self.at > start)
        return Word(start, self.at, None if None in values else "".join(map(str, values)))

    def _parenthesis(self, start: int) -> bool:
        """Read the list of an array, or a pattern such as @(a|b)."""
        if _ARRAY.search(self.text[start : self.at]):
            self.at += 1
            self._lines()
            while self.text[self.at] != ")":
                self._word()
                self._lines()
            self.at += 1
            return True
        if self.text[self.at - 1] in "@!?*+" and self.at > start:
            self.at = self._balanced(self.at, "(")
            return True
        return False

    def _value(self, start: int) -> str | None:
        """Return the text of a quoted piece, None for one with an expansion."""
        piece = self.text[start : self.at]
        if piece[0] == "'":
            return piece[1:-1]
        if piece[0] == "\\":
            return piece[1:].replace("\n", "")
        if piece[0] == '"' and not re.search(r"[$`\\]", piece):
            return piece[1:-1]
        return None

    def _quoted(self) -> bool:
        """Read one quoted piece or expansion, if one is here."""
        char = self.text[self.at : self.at + 1]
        if char == "\\":
            self.at += 2
        elif char == "'":
            self.at = self.text.find("'", self.at + 1) + 1
            self.expect(self.at)
        elif char == '"':
            self._double_quoted()
        elif char == "`":
            self._back_quoted()
        elif char == "$":
            self._dollar()
        else:
            return False
        return True

    def _double_quoted(self) -> None:
        self.at += 1
        while self.text[self.at] != '"':
            if self.text[self.at] == "\\":
                self.at += 2
            elif self.text[self.at] == "$":
                self._dollar(in_quotes=True)
            elif self.text[self.at] == "`":
                self._back_quoted()
            else:
                self.at += 1
        self.at += 1

    def _back_quoted(self) -> None:
        self.at += 1
        while self.text[self.at] != "`":
            self.at += 2 if self.text[self.at] == "\\" else 1
        self.at += 1

    def _dollar(self, *, in_quotes: bool = False) -> None:
        here = self.text[self.at : self.at + 3]
        if _PLACES.match(self.text, self.at) and not self._in_function:
            self.places_args = True
        if here == "$((" and self._arithmetic(1):
            return
        if here.startswith("$("):
            self.at += 2
            self._substituted()
        elif here.startswith("${"):
            self.at += 2
            while self.text[self.at] != "}":
                if (in_quotes and self.text[self.at] == "'") or not self._quoted():
                    self.at += 1
            self.at += 1
        elif here.startswith("$'") and not in_quotes:
            self.at = self._ansi_quoted(self.at + 2)
        else:
            self.at += 1 if len(here) < 2 or here[1] in "\"'`(\\ \t\n" else 2

    def _ansi_quoted(self, at: int) -> int:
        while self.text[at] != "'":
            at += 2 if self.text[at] == "\\" else 1
        return at + 1

    def _arithmetic(self, before: int = 0) -> bool:
        """Read `((...))`, if one is here."""
        try:
            end = self._balanced(self.at + before, "(")
        except IndexError:
            return False
        if self.text[end - 2 : end] != "))":
            return False
        if _PLACES.search(self.text, self.at, end) and not self._in_function:
            self.places_args = True
        self.at = end
        return True

    def _balanced(self, at: int, opener: str) -> int:
        depth = 0
        while True:
            depth += (self.text[at] == opener) - (self.text[at] == _CLOSERS[opener])
            at += 1
            if not depth:
                return at

    # Signs

    def _blanks(self) -> None:
        found = _BLANKS.match(self.text, self.at)
        self.at = found.end() if found else self.at
        comment = _COMMENT.match(self.text, self.at)
        self.at = comment.end() if comment else self.at

    def _lines(self) -> None:
        self._blanks()
        while self.at < len(self.text) and self.text[self.at] == "\n":
            self._take("\n")
            self._blanks()

    def _control(self) -> str:
        """Return the control sign here, empty for none; `&>` redirects."""
        if self.text.startswith("&>", self.at):
            return ""
        found = _CONTROL.match(self.text, self.at)
        return found[0] if found else ""

    def _take(self, sign: str) -> None:
        self.expect(self.text.startswith(sign, self.at))
        self.at += len(sign)
        if sign == "\n":
            self._skip_heredocs()

    def _skip_heredocs(self) -> None:
        for delimiter, stripped, expanded in self.pending:
            while True:
                end = self.text.find("\n", self.at)
                line = self.text[self.at : end if end >= 0 else None]
                if expanded and _PLACES.search(line) and not self._in_function:
                    self.places_args = True
                self.at = end + 1 if end >= 0 else len(self.text)
                if (line.lstrip("\t") if stripped else line) == delimiter:
                    break
                self.expect(end >= 0)
        self.pending = []

    def _bare(self) -> str:
        """Return the unquoted word here, empty when it is quoted, expanded or missing."""
        found = _BARE.match(self.text, self.at)
        if not found or self.text[found.end() : found.end() + 1] in ("'", '"', "\\", "$", "`", "("):
            return found[0] if found and found[0] in ("!", "{") else ""
        return found[0]

    def _skip_bare(self) -> None:
        found = _BARE.match(self.text, self.at)
        self.expect(found)
        self.at = found.end() if found else self.at

    def _want(self, bare: str) -> None:
        self._blanks()
        self.expect(bare and self._bare() == bare)
        self.at += len(bare)
