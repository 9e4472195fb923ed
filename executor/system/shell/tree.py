"""The syntax of a bash text as values, each with the place where it stands."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterator


class Word(Record):
    """A word of a command; `value` is what bash makes of it, None when that is known only when it runs."""

    start: int
    end: int
    value: str | None


class ShellCommand(Record):
    """A simple or compound command; `kind` is simple, coproc, function, test, or the word or sign it begins with.

    `end` lies behind its last word or redirection; `lists` are the lists inside it, in order.
    """

    kind: str
    start: int
    end: int
    words: tuple[Word, ...] = ()
    lists: tuple[tuple[AndOr, ...], ...] = ()

    @property
    def values(self) -> tuple[str | None, ...]:
        """What the words become."""
        return tuple(word.value for word in self.words)


class Pipeline(Record):
    """Commands joined by `|`; `negated` when `!` stands before them."""

    start: int
    end: int
    commands: tuple[ShellCommand, ...]
    negated: bool = False


class AndOr(Record):
    """Pipelines joined by `&&` and `||`; `closed_by` is what ends it: `&`, `;`, a line's end or nothing."""

    start: int
    end: int
    pipelines: tuple[Pipeline, ...]
    joints: tuple[str, ...] = ()
    closed_by: str = ""


class Script(Record):
    """A whole text: its list, every pipeline in it at any depth, and whether it places its arguments itself."""

    parts: tuple[AndOr, ...]
    pipelines: tuple[Pipeline, ...]
    places_args: bool


def nested(parts: tuple[AndOr, ...]) -> Iterator[ShellCommand]:
    """Return every command of a list and of the lists inside it, function bodies left out."""
    for part in parts:
        for pipeline in part.pipelines:
            for command in pipeline.commands:
                yield command
                if command.kind != "function":
                    for inner in command.lists:
                        yield from nested(inner)
