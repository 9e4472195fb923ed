"""References of a source to others: modules that Python imports, files that a shell command names."""

from __future__ import annotations

import re

from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from _ast import Call
    from collections.abc import Iterator

ONLY_AST = 0x400
_LINE = lazy_regex.pattern(
    rb"^[ \t]*(?:from[ \t]+(\.*[\w.]*)[ \t]+import[ \t]+([\w, \t]+)|import[ \t]+([\w., \t]+))", re.MULTILINE
)
_FILE = lazy_regex.pattern(r"""[^\s'"`;&|()<>$={}]+\.(?:py|sh|bash)(?![\w.])""")
_MODULE = lazy_regex.pattern(r"\s-m\s+([A-Za-z_][\w.]*)")
_SHELL = lazy_regex.pattern(rb"#!\s*\S*(?:/|\benv\s+(?:-\S+\s+)*)(?:ba|da|z|k)?sh\b")
_PYTHON = lazy_regex.pattern(rb"#!.*\bpython")


def kind_of(name: str, text: bytes) -> str:
    """Return python or shell, by the name's end or the first line; empty for any other source."""
    first = text[:200].split(b"\n", 1)[0]
    if name.endswith((".py", ".pyw")) or _PYTHON.match(first):
        return "python"
    return "shell" if name.endswith((".sh", ".bash")) or _SHELL.match(first) else ""


def named_in_words(text: str) -> tuple[str, ...]:
    """Return the .py and .sh files that a shell's words name, then the modules behind `-m`, as `-m name`."""
    modules = (f"-m {name}" for name in _MODULE.findall(f" {text}"))
    return (*dict.fromkeys(_FILE.findall(text)), *dict.fromkeys(modules))


def imported_by(text: bytes) -> tuple[str, ...]:
    """Return the names that a Python source imports, wherever in it, leading dots for a relative one.

    `from a.b import c` gives `a.b` and `a.b.c`, for c may be a module. The source is parsed, not run; one that does not
    parse is read line by line.
    """
    import warnings

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a warning about an escape is no concern here
            tree = compile(text, "source", "exec", flags=ONLY_AST, dont_inherit=True)
        return tuple(dict.fromkeys(_of_tree(tree)))
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return tuple(dict.fromkeys(_of_lines(text)))


def _of_tree(tree: object) -> Iterator[str]:
    from _ast import Call, Import, ImportFrom

    left = [tree]
    while left:
        node = left.pop()
        if isinstance(node, Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ImportFrom):
            base = "." * node.level + (node.module or "")
            yield from _with_names(base, [alias.name for alias in node.names])
        elif isinstance(node, Call):
            yield from _called(node)
        left += _below(node)


def _below(node: object) -> Iterator[object]:
    for field in getattr(node, "_fields", ()):
        value = getattr(node, field, None)
        if isinstance(value, list):
            yield from value
        elif hasattr(value, "_fields"):
            yield value


def _called(node: Call) -> Iterator[str]:
    """Yield the module of `importlib.import_module("x")`, `__import__("x")` or `runpy.run_module("x")`."""
    from _ast import Constant

    name = getattr(node.func, "attr", "") or getattr(node.func, "id", "")
    named = node.args[0] if node.args else None
    if (
        name in ("import_module", "__import__", "run_module")
        and isinstance(named, Constant)
        and isinstance(named.value, str)
    ):
        yield named.value


def _of_lines(text: bytes) -> Iterator[str]:
    for base, names, modules in _LINE.findall(text):
        if base:
            yield from _with_names(base.decode("utf-8", "replace"), _words(names))
        yield from _words(modules)


def _words(text: bytes) -> list[str]:
    """Return the names of a list of imports, without what they are called afterwards."""
    return [part.split()[0].decode("utf-8", "replace") for part in text.split(b",") if part.split()]


def _with_names(base: str, names: list[str]) -> Iterator[str]:
    yield base
    joint = "" if base.endswith(".") else "."
    yield from (f"{base}{joint}{name}" for name in names if name != "*")
