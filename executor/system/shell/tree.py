"""The syntax of a bash text as values, each with its place in the text."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterator


class Word(Record):
    """A word of a command; `value` is its text after quoting, None when it is known only at run time."""

    start: int
    end: int
    value: str | None


class ShellCommand(Record):
    """A simple or compound command; `kind` is simple, coproc, function, test, or its first word or sign.

    `end` is behind its last word or redirection; `lists` are the lists inside it, in order.
    """

    kind: str
    start: int
    end: int
    words: tuple[Word, ...] = ()
    lists: tuple[tuple[AndOr, ...], ...] = ()

    @property
    def values(self) -> tuple[str | None, ...]:
        """The texts of the words after quoting."""
        return tuple(word.value for word in self.words)


class Pipeline(Record):
    """Commands joined by `|`; `negated` when `!` stands before them."""

    start: int
    end: int
    commands: tuple[ShellCommand, ...]
    negated: bool = False


class AndOr(Record):
    """Pipelines joined by `&&` and `||`; `closed_by` is `&`, `;`, a newline or empty."""

    start: int
    end: int
    pipelines: tuple[Pipeline, ...]
    joints: tuple[str, ...] = ()
    closed_by: str = ""


class Script(Record):
    """A whole text: its list, every pipeline in it at any depth, and whether it expands its arguments."""

    parts: tuple[AndOr, ...]
    pipelines: tuple[Pipeline, ...]
    places_args: bool


def nested(parts: tuple[AndOr, ...]) -> Iterator[ShellCommand]:
    """Yield every command of a list and of the lists inside it, without function bodies."""
    for part in parts:
        for pipeline in part.pipelines:
            for command in pipeline.commands:
                yield command
                if command.kind != "function":
                    for inner in command.lists:
                        yield from nested(inner)
