"""The programs and files that the checks of a plan use."""

from __future__ import annotations

import os
import re

from executor.guard import judge_programs
from executor.guard.file_state import ancestors
from executor.guard.judge_programs import NODE_PROGRAMS, TEST_RUNNERS
from executor.guard.make_targets import included_files
from executor.store.imports import kind_of, named_in_words
from executor.store.sources import FOREIGN, behind
from executor.system import safe_open
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from executor.guard.judge_programs import Tool
    from executor.store.sources import Sources

    Texts = dict[str, str]

MOST_TEXT = 1 << 18  # bytes of a script that is read for the programs in it
MOST_FOLDERS = 50
CHECK_PATHS = (("pre_flight",), ("post_validation",), ("main", "quality_check"), ("main", "success_criteria"))
CODE_KINDS = frozenset(("python_import", "call"))
# Files that name further programs, with the words of their readers.
STEERING: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("GNUmakefile", "makefile", "Makefile"), frozenset(("make", "gmake"))),
    **dict.fromkeys(("justfile", "Justfile", ".justfile"), frozenset(("just",))),
    "package.json": NODE_PROGRAMS,
    "tox.ini": frozenset(("tox",)),
    "noxfile.py": frozenset(("nox",)),
    "dodo.py": frozenset(("doit",)),
    ".pre-commit-config.yaml": frozenset(("pre-commit",)),
}
_WORD = re.compile(r"[^\s'\"`;&|()<>$={}\[\],]+")
_FOLDER = re.compile(r"(?:\bcd|\bpushd|\s-C|--directory|--prefix|--project|--cwd|--rootdir)[= ]\s*['\"]?([\w./-]+)")
# The script that a shell runs, with any suffix.
_GIVEN = re.compile(r"(?:^|[\s;&|(/])(?:(?:ba|da|z|k)?sh|source|\.)(?:\s+-\w+)*\s+([\w./~-]+)")
_FROM_HERE = re.compile(r"\bpython[\d.]*\b[^|;&\n]*\s-(?:m|c|(?=[\s\"';)<]|$))|<<")
_QUOTED = re.compile(r"\"([^\"\n]*)\"|'([^'\n]*)'")
_IMPORTED = re.compile(r"^\s*(?:import|from)\s+([\w.]+)", re.MULTILINE)


class Reach(Record):
    """The words in checks and their scripts, those files, and the folders where they start.

    `direct` are the Python files that are started by name; `here` is True when Python looks for modules in the folder
    where it is started, `python` when it runs at all.
    """

    words: frozenset[str] = frozenset()
    files: tuple[str, ...] = ()
    direct: tuple[str, ...] = ()
    folders: tuple[str, ...] = ("",)
    text: str = ""
    here: bool = False
    python: bool = False

    @property
    def tools(self) -> tuple[Tool, ...]:
        """The programs that the words name."""
        return judge_programs.tools_in(self.words)


def commands_of(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the commands and imported modules of the checks and criteria of a step."""
    for path in CHECK_PATHS:
        at: Any = data
        for key in path:
            at = at.get(key) if isinstance(at, dict) else None
        for item in at if isinstance(at, list) else ():
            if isinstance(item, dict):
                yield from _commands_in(item)


def _commands_in(item: Mapping[str, Any]) -> Iterator[str]:
    for key, value in item.items():
        if key == "command" and isinstance(value, str):
            yield value
        elif key in CODE_KINDS:
            yield f"{key} {value}"


def reach_of(root: str, commands: Iterable[str], sources: Sources) -> Reach:
    """Return the programs and files that these commands use, followed from file to file."""
    asked = "\n".join(commands)
    asked = "\n".join((asked, *_after_cd(root, asked)))
    texts = _texts(root, [*_behind(root, asked, sources), *_programs(root, asked)])
    known = _words(asked, texts)
    texts |= _steering(root, known, _folders(root, asked), sources)
    known = _words(asked, texts)
    started = "\n".join((asked, *(text for path, text in texts.items() if not path.endswith(".py"))))
    code = any(kind in asked for kind in CODE_KINDS)
    return Reach(
        words=known,
        files=tuple(texts),
        direct=_direct(root, asked, texts),
        folders=_folders(root, started),
        text=started,
        here=code or bool(known & TEST_RUNNERS) or bool(_FROM_HERE.search(started)),
        python=code or bool(known & {"python", *TEST_RUNNERS}) or any(path.endswith(".py") for path in texts),
    )


def _after_cd(root: str, asked: str) -> list[str]:
    """Return the scripts that commands name after a change of folder, as paths from the root."""
    names = [name for name in named_in_words(asked) if not name.startswith("-m ")]
    paths = (os.path.join(folder, name) for folder in _folders(root, asked)[1:] for name in names)
    return [path for path in paths if os.path.isfile(os.path.join(root, path))]


def _behind(root: str, words: str, sources: Sources) -> list[str]:
    return [*behind(root, script="", words=words, sources=sources).found]


def _programs(root: str, asked: str) -> Iterator[str]:
    """Yield the scripts that commands start by path, with any suffix."""
    for word in dict.fromkeys(_WORD.findall(asked)):
        path = path_inside(root, word)
        if path and _is_script(root, path) and os.path.isfile(os.path.join(root, path)):
            yield path
    yield from filter(None, (path_inside(root, word) for word in _GIVEN.findall(asked)))


def _is_script(root: str, path: str) -> bool:
    return "." not in os.path.basename(path) or _text(root, path).startswith("#!")


def _texts(root: str, paths: Iterable[str]) -> Texts:
    return {path: text for path in paths if (text := _text(root, path))}


def _text(root: str, path: str) -> str:
    return safe_open.read_start_text(os.path.join(root, path), MOST_TEXT)


def _steering(root: str, known: frozenset[str], folders: Iterable[str], sources: Sources) -> Texts:
    """Return the files that name the work of these programs, with the scripts in them."""
    names = [name for name, words in STEERING.items() if words & known]
    texts = _texts(root, (os.path.join(folder, name) for folder in folders for name in names))
    more = (
        path_inside(root, os.path.join(folder, name)) for name in included_files(texts.values()) for folder in folders
    )
    texts |= _texts(root, filter(None, more))
    return {**texts, **_texts(root, _behind(root, "\n".join(texts.values()), sources))}


def _words(asked: str, texts: Mapping[str, str]) -> frozenset[str]:
    """Return the words of commands and scripts; of Python the quoted texts and the imported modules."""
    found = [asked]
    for path, text in texts.items():
        if _is_python(path, text):
            found += [*map("".join, _QUOTED.findall(text)), *_IMPORTED.findall(text)]
        else:
            found.append(text)
    return judge_programs.words_of("\n".join(found))


def _is_python(path: str, text: str) -> bool:
    return kind_of(path, text[:200].encode()) == "python"


def _direct(root: str, asked: str, texts: Mapping[str, str]) -> tuple[str, ...]:
    """Return the Python files that commands and scripts start by name."""
    named = dict.fromkeys(name for text in (asked, *texts.values()) for name in named_in_words(text))
    paths = (path_inside(root, name) for name in named if name.endswith(".py"))
    odd = (path for path, text in texts.items() if not path.endswith(".py") and _is_python(path, text))
    return tuple(dict.fromkeys((*filter(None, paths), *odd)))


def _folders(root: str, text: str) -> tuple[str, ...]:
    """Return the folders of the project that commands name, with those above them."""
    named = [*_FOLDER.findall(text), *(word for word in _WORD.findall(text) if "/" in word or word.isidentifier())]
    found = [""]
    for name in dict.fromkeys(named):
        path = path_inside(root, name)
        if path and not _is_foreign(path) and os.path.isdir(os.path.join(root, path)):
            found += [*ancestors(path), path]
    return tuple(dict.fromkeys(found))[:MOST_FOLDERS]


def _is_foreign(path: str) -> bool:
    return not {*path.split("/")}.isdisjoint((*FOREIGN, ".git", ".do-tasks"))


def path_inside(root: str, word: str) -> str:
    """Return a path relative to the root, empty for the root itself and for one elsewhere."""
    path = os.path.normpath(os.path.join(root, os.path.expanduser(word)))
    below = path.removeprefix(os.path.join(root, ""))
    return below if below != path and len(below) < 4096 and "\0" not in below else ""
