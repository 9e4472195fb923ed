"""The env files of a plan: what they set, where they are, what is wrong with them."""

from __future__ import annotations

import os

from executor.errors import remedy
from executor.system import safe_open
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from executor.plan.plan import Plan

MOST_BYTES = 1 << 20


class Loaded(Record):
    """The variables that the env files of a step set.

    `trouble` has a line for each thing wrong; it never quotes a value. `missing` are its lines about unreadable files.
    """

    values: Mapping[str, str]
    trouble: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


def load(root: str, paths: Iterable[str], environ: Mapping[str, str]) -> Loaded:
    """Read env files, a later one over an earlier; paths are from the project's folder, `~` is the home."""
    from executor.system import dotenv  # for who has such a file

    values: dict[str, str] = {}
    wrong: list[str] = []
    missing: list[str] = []
    for path in paths:
        try:
            text = safe_open.read_whole(place(root, path), MOST_BYTES).decode()
        except OSError as error:
            missing.append(f"env_file {path}: {error.strerror}; {remedy(error)}")
        except UnicodeDecodeError as error:
            wrong.append(f"env_file {path}: byte {error.start} is no UTF-8: save it as UTF-8")
        else:
            found = dotenv.parse(text, {**environ, **values})
            values.update(found.values)
            wrong += [f"env_file {path}:{one.line}: {one.why}" for one in found.wrong]
    return Loaded(values, (*missing, *wrong), tuple(missing))


def place(root: str, path: str) -> str:
    """Return the path of an env file."""
    return os.path.join(root, os.path.expanduser(path))


def hidden(plan: Plan, root: str) -> tuple[str, ...]:
    """Return the absolute paths of all env files that a plan names: no agent may read them."""
    named = [path for number in plan.numbers for path in named_in(plan.raw[number][1])]
    return tuple(dict.fromkeys(os.path.abspath(place(root, path)) for path in named))


def named_in(body: Mapping[str, object]) -> tuple[str, ...]:
    """Return the env files that a step names, as loaded; nothing for what is not built right."""
    main = body.get("main")
    asked = main.get("env_file") if isinstance(main, dict) else None
    listed = asked if isinstance(asked, list) else [asked]
    return tuple(one for one in listed if isinstance(one, str) and one)
