"""Count code lines, without blanks, comments and docstrings: python benchmarks/code_lines.py [FOLDER ...]."""

from __future__ import annotations

import ast
import io
import statistics
import sys
import tokenize
from pathlib import Path

QUIET = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
Def = ast.FunctionDef | ast.AsyncFunctionDef


def code_lines(text: str) -> set[int]:
    """Return the numbers of the lines that hold code: every line of a token that is no comment and no docstring."""
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in QUIET:
            lines |= {*range(token.start[0], token.end[0] + 1)}
    return lines - docstring_lines(ast.parse(text))


def docstring_lines(tree: ast.Module) -> set[int]:
    """Return the numbers of the lines of all docstrings."""
    homes = (node for node in ast.walk(tree) if isinstance(node, Def | ast.ClassDef | ast.Module))
    first = (node.body[0] for node in homes if ast.get_docstring(node) is not None)
    return {line for node in first for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}


def functions(tree: ast.Module, lines: set[int]) -> list[int]:
    """Return the code lines of each function, its signature included."""
    defs = [node for node in ast.walk(tree) if isinstance(node, Def)]
    return [len(lines & {*range(node.lineno, (node.end_lineno or node.lineno) + 1)}) for node in defs]


def row(name: str, paths: list[Path]) -> str:
    """Return a table row of a folder: files, code lines, imports, functions, and the longest module."""
    texts = [path.read_text(encoding="utf-8") for path in paths]
    found = [code_lines(text) for text in texts]
    sizes = sorted(size for text, lines in zip(texts, found, strict=True) for size in functions(ast.parse(text), lines))
    sizes = sizes or [0]
    long = sum(size > 30 for size in sizes)
    spread = f"{statistics.median(sizes):g}/{sizes[len(sizes) * 9 // 10]}/{sizes[-1]}, {long} above 30"
    longest = max(text.count("\n") for text in texts)
    return f"| {name} | {len(paths)} | {sum(map(len, found)):,} | {len(sizes):,} | {spread} | {longest} |"


def main(folders: list[str]) -> int:
    """Print a table: each folder and each package in it."""
    print("| folder | files | code lines | functions | code lines of one: median/p90/max | longest file |")
    print("|---|---|---|---|---|---|")
    for folder in map(Path, folders or ["executor", "scripts"]):
        for part in [*sorted(one for one in folder.iterdir() if one.is_dir()), folder]:
            if paths := sorted(part.rglob("*.py")):
                print(row(str(part), paths))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
