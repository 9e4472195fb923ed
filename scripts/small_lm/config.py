"""Settings in layers: defaults, a profile's file, the environment, the command line; a later one wins."""

from __future__ import annotations

import dataclasses
import difflib
import keyword
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import yaml

from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ENVIRONMENT = {"DO_TASKS_DATA": "data"}
WANTED = {str: "text", int: "a whole number", float: "a number", bool: "true or false", tuple: "a list of texts"}
Group = TypeVar("Group")


def layered(
    defaults: Group, path: Path, overrides: Sequence[str], environ: Mapping[str, str], prefix: str = ""
) -> Group:
    """Lay a profile's file, the environment and the command line over the defaults, in this order.

    With a `prefix`, each setting has a variable: `PREFIX_RUN_STEPS` for run.steps.
    """
    settings = merged(defaults, read_yaml(path), origin=str(path))
    for variable, key in ENVIRONMENT.items():
        if environ.get(variable):
            settings = merged(settings, {key: environ[variable]}, origin=variable)
    for variable, override in of_environment(defaults, environ, prefix):
        settings = merged(settings, read_override(override), origin=variable)
    for override in overrides:
        settings = merged(settings, read_override(override), origin=override)
    return settings


def of_environment(group: Any, environ: Mapping[str, str], prefix: str) -> Iterable[tuple[str, str]]:
    """Yield the variables with a prefix, each with its override; raise Trouble for one that is no setting."""
    names = {f"{prefix}_{name.upper().replace('.', '_')}": name for name in every_key(group)}
    for variable in sorted(environ):
        if prefix and variable.startswith(f"{prefix}_"):
            if variable not in names:
                raise Trouble(f"no setting has the variable {variable}{did_you_mean(variable, names)}", USAGE)
            if not environ[variable] and not isinstance(get(group, names[variable]), (str, tuple)):
                kind = WANTED[type(get(group, names[variable]))]
                raise Trouble(f"{variable} is empty: unset it, or give it {kind} for {names[variable]}", USAGE)
            yield variable, f"{names[variable]}={environ[variable]}"


def profile_path(name: str, configs: Path) -> Path:
    """Return the file of a profile: a name of `configs`, or a path ending in .yaml."""
    path = Path(name) if name.endswith((".yaml", ".yml")) else configs / f"{name}.yaml"
    if path.is_file():
        return path
    known = sorted(file.stem for file in configs.glob("*.yaml"))
    raise Trouble(f"no profile {name!r}{did_you_mean(name, known)}; there are: {', '.join(known)}", USAGE)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a mapping; an empty file is an empty one."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Trouble(f"cannot read {path}: {' '.join(str(error).split())}", USAGE) from error
    if not isinstance(content or {}, dict):
        raise Trouble(f"{path} must hold `key: value` lines, found a {type(content).__name__}", USAGE)
    return content or {}


def read_override(text: str) -> dict[str, Any]:
    """Turn `group.key=value` into nested mappings; the value is read as YAML, a glob such as *.txt as text."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise Trouble(f"cannot use {text!r}: write key=value, as run.steps=2500", USAGE)
    try:
        nested: Any = value if value.startswith("*") or not value else yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise Trouble(f"cannot use {text!r}: its value is not YAML", USAGE) from error
    for part in reversed(key.split(".")):
        nested = {part: nested}
    return dict(nested)


def merged(
    group: Group, changes: Mapping[str, Any], *, origin: str, prefix: str = "", known: Sequence[str] = ()
) -> Group:
    """Return `group` overridden by `changes`; raise Trouble for unknown keys and wrong types. `known`: all keys."""
    new, known = {}, known or every_key(group)
    for key, value in changes.items():
        name = f"{prefix}{key}"
        if key not in parts_of(group):
            raise Trouble(f"{origin}: no setting {name!r}{nearest(leaf(name, value), known)}", USAGE)
        old = getattr(group, attribute(key))
        if dataclasses.is_dataclass(old):
            if not isinstance(value, dict):
                raise Trouble(f"{origin}: {name} is a group: write {name}.KEY=value", USAGE)
            new[attribute(key)] = merged(old, value, origin=origin, prefix=f"{name}.", known=known)
        else:
            new[attribute(key)] = typed(old, value, name=name, origin=origin)
    return dataclasses.replace(group, **new)  # type: ignore[type-var]  # every group is a dataclass


def parts_of(group: Any) -> list[str]:
    """Return the names of a group's settings and groups."""
    return [part.name.removesuffix("_") for part in dataclasses.fields(group)]


def attribute(name: str) -> str:
    """Return the attribute of a setting: that of `from` is `from_`, since Python keeps the word to itself."""
    return f"{name}_" if keyword.iskeyword(name) else name


def leaf(name: str, value: Any) -> str:
    """Return the whole name of the first setting below an unknown one."""
    while isinstance(value, dict) and value:
        key, value = next(iter(value.items()))
        name = f"{name}.{key}"
    return name


def nearest(name: str, known: Sequence[str]) -> str:
    """Return `; did you mean X?` for an unknown name: one with this last part, else the nearest, else its group's."""
    group, _, last = name.rpartition(".")
    same = [key for key in known if last and key.rpartition(".")[2] == last]
    if len(same) == 1 or (same and not group):
        return f"; did you mean {' or '.join(same)}?"
    groups = sorted({key.partition(".")[0] for key in known if "." in key})
    return did_you_mean(name, known) or did_you_mean(name.partition(".")[0], groups)


def typed(old: Any, value: Any, *, name: str, origin: str) -> Any:
    """Return `value` in the type of the default `old`; a lone string is a list of one, a number may be text."""
    items = value if isinstance(value, list) else [] if value in ("", None) else [value]
    if isinstance(old, tuple) and all(is_plain(item) for item in items):
        return tuple(str(item) for item in items)
    if isinstance(old, str) and is_plain(value):
        return str(value)
    if isinstance(old, float) and is_number(value):
        return float(value)
    if type(value) is type(old):
        return value
    wanted = WANTED[type(old)]
    raise Trouble(f"{origin}: {name} must be {wanted}, got {value!r}", USAGE)


def is_plain(value: Any) -> bool:
    """Return True if a value is a text or a number; the `no` that YAML reads as false is none: quote it."""
    return isinstance(value, (str, int, float)) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Return True if a value is a number, as 5, 0.5 or the 1e9 that YAML reads as text."""
    try:
        return not isinstance(value, (bool, list)) and float(value) == float(value)
    except (TypeError, ValueError):
        return False


def every_key(group: Any, prefix: str = "") -> list[str]:
    """Return the name of every setting in dotted form."""
    names: list[str] = []
    for name in parts_of(group):
        value = getattr(group, attribute(name))
        nested = dataclasses.is_dataclass(value)
        names += every_key(value, f"{prefix}{name}.") if nested else [f"{prefix}{name}"]
    return names


def get(group: Any, name: str) -> Any:
    """Return the value of a setting by its dotted name."""
    for part in name.split("."):
        group = getattr(group, attribute(part))
    return group


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the nearest known word, else nothing."""
    by_fold = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), by_fold, n=1, cutoff=0.6)
    return f"; did you mean {by_fold[near[0]]}?" if near else ""
