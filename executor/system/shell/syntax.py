"""A parser of bash: lists, pipelines and words, each with its place in the text.

The result for a text that is not understood to its end is None, never a guess.
"""

from __future__ import annotations

import re
from functools import lru_cache

from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING
from executor.system.shell.tree import AndOr, Pipeline, Script, ShellCommand
from executor.system.shell.words import NotUnderstoodError, Scanner

if TYPE_CHECKING:
    from collections.abc import Callable

    from executor.system.shell.tree import Word

_COMPOUND = {
    "{": "group",
    "until": "while",
    "select": "for",
    "[[": "test",
    **{kind: kind for kind in ("if", "while", "for", "case", "function", "coproc")},
}
SEPARATORS = ("&", ";", "\n")
_REDIRECTION = lazy_regex.pattern(r"(?:\d+|\{\w+\})?(?:<<<|<<-|<<|<&|<>|<(?!\()|&>>|&>|>>|>&|>\||>(?!\())")
_NAME = lazy_regex.pattern(r"[\w.:+-]+[ \t]*\([ \t]*\)")
_MOST_DEPTH = 40


@lru_cache(maxsize=1024)
def parse(text: str) -> Script | None:
    """Return the syntax of a bash text, None when it is not wholly understood."""
    reader = _Reader(text)
    try:
        parts = reader.parts(())
        reader.expect(reader.at == len(text) and not reader.pending)
    except (NotUnderstoodError, IndexError, RecursionError):
        return None
    return Script(parts, tuple(reader.pipelines), reader.places_args)


class _Reader(Scanner):
    """A recursive descent parser of one text."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.pipelines: list[Pipeline] = []
        self._depth = 0

    def _substituted(self) -> None:
        self.parts((")",))
        self._take(")")

    # Lists

    def parts(self, closers: tuple[str, ...]) -> tuple[AndOr, ...]:
        self._depth += 1
        self.expect(self._depth < _MOST_DEPTH)
        found: list[AndOr] = []
        while True:
            self._lines()
            if self.at >= len(self.text) or self._at_closer(closers):
                break
            one = self._and_or()
            self._blanks()
            sign = self._control()
            if sign in SEPARATORS:
                self._take(sign)
                found.append(one.replace(closed_by=sign))
                continue
            self.expect(self.at >= len(self.text) or self._at_closer(closers))
            found.append(one)
            break
        self._depth -= 1
        return tuple(found)

    def _at_closer(self, closers: tuple[str, ...]) -> bool:
        return self._control() in closers or self._bare() in closers

    def _and_or(self) -> AndOr:
        pipelines = [self._pipeline()]
        joints: list[str] = []
        while True:
            self._blanks()
            sign = self._control()
            if sign not in ("&&", "||"):
                return AndOr(pipelines[0].start, pipelines[-1].end, tuple(pipelines), tuple(joints))
            self._take(sign)
            joints.append(sign)
            self._lines()
            pipelines.append(self._pipeline())

    def _pipeline(self) -> Pipeline:
        self._blanks()
        start, negated = self.at, False
        while self._bare() in ("!", "time"):
            negated ^= self._bare() == "!"
            self._skip_bare()
            self._blanks()
            if self._bare() == "-p":
                self._skip_bare()
                self._blanks()
        commands = [self._command()]
        while True:
            self._blanks()
            sign = self._control()
            if sign not in ("|", "|&"):
                break
            self._take(sign)
            self._lines()
            commands.append(self._command())
        found = Pipeline(start, commands[-1].end, tuple(commands), negated)
        self.pipelines.append(found)
        return found

    # Commands

    def _command(self) -> ShellCommand:
        self._blanks()
        start, bare = self.at, self._bare()
        if self.text.startswith("((", start) and self._arithmetic():
            return self._closed("((", start)
        if self.text.startswith("(", start):
            self.at += 1
            inside = self.parts((")",))
            self._take(")")
            return self._closed("(", start, inside)
        if bare in ("then", "do", "done", "fi", "elif", "else", "esac", "}", "in"):
            raise NotUnderstoodError
        if bare in _COMPOUND:
            self._skip_bare()
            return self._compound(_COMPOUND[bare], start)
        if _NAME.match(self.text, start):
            self.at = self.text.index(")", start) + 1
            return self._function_body(start)
        return self._simple(start)

    def _compound(self, kind: str, start: int) -> ShellCommand:
        read: Callable[[int], ShellCommand] = getattr(self, f"_{kind}")
        return read(start)

    def _closed(self, kind: str, start: int, *lists: tuple[AndOr, ...]) -> ShellCommand:
        """Return a compound command with the redirections behind it."""
        end = self.at
        while True:
            self._blanks()
            if not self._redirected():
                return ShellCommand(kind, start, end, lists=lists)
            end = self.at

    def _simple(self, start: int) -> ShellCommand:
        words: list[Word] = []
        end = self.at
        while True:
            self._blanks()
            if not self._redirected():
                if self.at >= len(self.text) or self._control():
                    break
                words.append(self._word())
            end = self.at
        self.expect(end > start)
        return ShellCommand("simple", start, end, tuple(words))

    def _redirected(self) -> bool:
        """Read one redirection, if one stands here; a heredoc's lines follow at the next line's end."""
        found = _REDIRECTION.match(self.text, self.at)
        if not found:
            return False
        self.at = found.end()
        sign = found[0].lstrip("0123456789")
        self._blanks()
        word = self._word()
        if sign in ("<<", "<<-"):
            written = self.text[word.start : word.end]
            plain = not re.search(r"['\"\\]", written)
            self.expect(word.value is not None)
            self.pending.append((str(word.value), sign == "<<-", plain))
        return True

    def _group(self, start: int) -> ShellCommand:
        inside = self.parts(("}",))
        self._want("}")
        return self._closed("{", start, inside)

    def _if(self, start: int) -> ShellCommand:
        lists = [self.parts(("then",))]
        self._want("then")
        while True:
            lists.append(self.parts(("elif", "else", "fi")))
            bare = self._bare()
            self._want(bare)
            if bare == "fi":
                return self._closed("if", start, *lists)
            if bare == "elif":
                lists.append(self.parts(("then",)))
                self._want("then")

    def _while(self, start: int) -> ShellCommand:
        asked = self.parts(("do",))
        self._want("do")
        inside = self.parts(("done",))
        self._want("done")
        return self._closed("while", start, asked, inside)

    def _for(self, start: int) -> ShellCommand:
        self._blanks()
        if self.text.startswith("((", self.at):
            self.expect(self._arithmetic())
        else:
            self._word()
        self._lines()
        if self._bare() == "in":
            self._skip_bare()
            self._blanks()
            while not self._control():
                self._word()
                self._blanks()
        if self._control() == ";":
            self._take(";")
        self._lines()
        self._want("do")
        inside = self.parts(("done",))
        self._want("done")
        return self._closed("for", start, inside)

    def _case(self, start: int) -> ShellCommand:
        self._blanks()
        self._word()
        self._lines()
        self._want("in")
        lists: list[tuple[AndOr, ...]] = []
        while True:
            self._lines()
            if self._bare() == "esac":
                self._skip_bare()
                return self._closed("case", start, *lists)
            self._pattern()
            lists.append(self.parts((";;", ";&", ";;&", "esac")))
            if self._control():
                self._take(self._control())

    def _pattern(self) -> None:
        if self.text[self.at] == "(":
            self.at += 1
        while self.text[self.at] != ")":
            if self.text[self.at] in " \t|":
                self.at += 1
            else:
                self._word()
        self.at += 1

    def _test(self, start: int) -> ShellCommand:
        while not (self.text.startswith("]]", self.at) and self.text[self.at - 1].isspace()):
            if not self._quoted():
                self.at += 1
                self.expect(self.at < len(self.text))
        self.at += 2
        return self._closed("test", start)

    def _function(self, start: int) -> ShellCommand:
        self._blanks()
        self._skip_bare()
        self._blanks()
        if self.text.startswith("(", self.at):
            self.at = self.text.index(")", self.at) + 1
        return self._function_body(start)

    def _function_body(self, start: int) -> ShellCommand:
        self._lines()
        self._in_function += 1
        body = self._command()
        self._in_function -= 1
        return ShellCommand("function", start, body.end, lists=body.lists)

    def _coproc(self, start: int) -> ShellCommand:
        self._blanks()
        return self._command().replace(kind="coproc", start=start)
