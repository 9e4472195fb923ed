"""Arguments of the commands as data."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Iterable, Mapping
    from typing import Any


class Option(Record):
    """One argument of a command: `settings` for add_argument; options of one `group` exclude another."""

    names: tuple[str, ...]
    settings: Mapping[str, Any]
    group: str = ""


def option(*names: str, group: str = "", **settings: Any) -> Option:
    """An option with a value, or a positional argument."""
    return Option(names, settings, group)


def flag(name: str, help: str, *, group: str = "", **settings: Any) -> Option:  # noqa: A002 - argparse's word
    """An option without a value."""
    return Option((name,), {"action": "store_true", "help": help, **settings}, group)


def add(parser: ArgumentParser, options: Iterable[Option]) -> None:
    """Declare the options of a command."""
    groups: dict[str, Any] = {"": parser}
    for one in options:
        if one.group not in groups:
            groups[one.group] = parser.add_mutually_exclusive_group()
        groups[one.group].add_argument(*one.names, **one.settings)


JSON = flag("--json", "print JSON")
JSON_BESIDE = flag("--json", "print JSON on stdout, the transcript on stderr")
VERBOSE = option("-v", "--verbose", action="store_true", help="log each act of the executor on stderr")
STRICT = flag("--strict", "accept only proven criteria, no claimed ones")
PLAN = option("--plan", default="", metavar="FILE", help="file of the plan (default: the one that is here)")
FROM_TEXT = flag("--agent-from-text", "an agent does tasks of the plan that have no definition, by their text")
VALUES = (
    option("--set", action="append", metavar="NAME=VALUE", help="value of a parameter of settings.params; repeatable"),
    option("--params", default="", metavar="FILE", help="YAML or JSON file of values by name; --set goes before it"),
)
SELECTORS = (
    option("--only", default="", metavar="IDS", help="ids, ranges (T003-T007) or parts of titles, with commas"),
    option("--exclude", default="", metavar="IDS", help="leave these out"),
    option("--from", dest="first", default="", metavar="ID", help="the first task, in document order"),
    option("--to", dest="last", default="", metavar="ID", help="the last task"),
    option("--tag", dest="tags", default="", metavar="TAGS", help="tasks with one of these tags"),
    option("--section", dest="sections", default="", metavar="NAMES", help="tasks below one of these headings"),
)


def is_selecting(args: Namespace) -> bool:
    """Return True when the command line gives a selector."""
    return any(getattr(args, one.settings.get("dest", one.names[0][2:])) for one in SELECTORS)
