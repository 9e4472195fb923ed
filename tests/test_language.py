"""Hold the language of docstrings, comments and names: standard words, the fact first."""

from __future__ import annotations

import ast
import io
import pathlib
import re
import tokenize
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = sorted(
    str(path.parent.relative_to(ROOT))
    for folder in ("executor", "scripts")
    for path in (ROOT / folder).glob("*/__init__.py")
)
OPENINGS = re.compile(
    r"(What|Who|Whose|Whether|Where|How|When|Why|Tell|Tells|Say|Says|Told|Said|The one|Of|That|Nothing|Nobody)\b"
    r"|(Return|Yield|Give|Show|Print|Write) (what|who|whose|whether|where|how|why|nobody)\b"
)
WORDS = re.compile(
    r"\b(we|us|our|ours|nobody|whoever|whatever|heeds?|heeded|hears?|heard|tells?|told|weighs?|weighed|becomes of)\b",
    re.IGNORECASE,
)
CONTRACT = frozenset({"say", "said"})  # keys of files and names of interfaces that stay as they are
NAME_PARTS = {"tell", "tells", "told", "heed", "heeds", "hear", "hears", "heard", "say", "says", "said"} | {
    *("who", "whose", "nobody", "ours", "weigh", "weighed", "herald"),
}


def docstrings(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and text of each docstring."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text:
                yield getattr(node, "lineno", 1), text


def comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and text of each comment but those to a linter."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not re.match(r"#\s*(noqa|type:|fmt:|pragma|!)", token.string):
            yield token.start[0], token.string


def names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield line and name of each class, function, parameter and assigned variable."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        elif isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id if isinstance(node, ast.Name) else node.attr


def faults(source: str) -> list[str]:
    """Return each fault of a module as `line: text`."""
    tree = ast.parse(source)
    found = [f"{line}: opening: {text.splitlines()[0]}" for line, text in docstrings(tree) if OPENINGS.match(text)]
    for line, text in (*docstrings(tree), *comments(source)):
        found += [f"{line}: word {word}: {text[:100]}" for word in sorted({m.group() for m in WORDS.finditer(text)})]
    for line, name in names(tree):
        if name in CONTRACT:
            continue
        parts = set(re.findall(r"[a-z]+", re.sub(r"([A-Z])", r"_\1", name).lower()))
        found += [f"{line}: name {name}"] if parts & NAME_PARTS else []
    return found


@pytest.mark.parametrize("package", [*PACKAGES, "scripts"])
def test_docstrings_comments_and_names_use_standard_words(package: str) -> None:
    folder = ROOT / package
    modules = sorted(folder.glob("*.py") if package == "scripts" else folder.rglob("*.py"))
    found = [f"{path.relative_to(ROOT)}:{fault}" for path in modules for fault in faults(path.read_text("utf-8"))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        'def f():\n    """What is there."""\n',
        'def f():\n    """Return what is there."""\n',
        "x = 1  # our folder\n",
        "def told(x): ...\n",
        "class NobodyWaits: ...\n",
        "def f(whose): ...\n",
        "heard_at = 3\n",
    ],
)
def test_the_lint_finds_each_kind_of_fault(source: str) -> None:
    assert faults(source)
