"""A text data set of the Hugging Face hub as a corpus of plays."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Any

from common import verified_folder
from common.errors import RETRY_LATER, USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from common.settings import Corpus


def place(corpus: Corpus) -> str:
    """Name the folder, inside the data folder, that keeps this corpus."""
    parts = [corpus.dataset, corpus.subset, corpus.split, corpus.column, corpus.group]
    return "hub/" + "--".join(slug(part) for part in parts if part)


def slug(text: str) -> str:
    """Return a file name for any text."""
    return re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_") or "text"


def fetch(corpus: Corpus, folder: Path) -> None:
    """Fill `folder` with one text for each value of `corpus.group`, or one in all."""
    if not corpus.dataset:
        raise Trouble("corpus.source=hub needs corpus.dataset=OWNER/NAME", USAGE)
    texts = joined(rows(corpus), corpus)
    verified_folder.keep(folder, {f"{name}.txt": text.encode() for name, text in texts.items()})


def rows(corpus: Corpus) -> Iterable[dict[str, Any]]:
    """Load the split; raise Trouble if the package is missing or the hub refuses."""
    try:
        from datasets import load_dataset
    except ImportError as error:
        raise Trouble(
            "the hub needs: pip install -r requirements/hub.txt; corpus.source=packaged works without"
        ) from error
    try:
        found: Iterable[dict[str, Any]] = load_dataset(corpus.dataset, corpus.subset or None, split=corpus.split)
    except Exception as error:  # any exception of its HTTP library means the same: no data
        reason = " ".join(str(error).split())[:200]
        line = f"the hub did not give {corpus.dataset} ({type(error).__name__}: {reason}): connect, or check the name"
        raise Trouble(line, RETRY_LATER) from error
    return found


def joined(found: Iterable[dict[str, Any]], corpus: Corpus) -> dict[str, str]:
    """Join the rows of each group, in their order, line by line."""
    lines: dict[str, list[str]] = defaultdict(list)
    for row in found:
        for column in filter(None, (corpus.column, corpus.group)):
            if column not in row:
                raise Trouble(f"{corpus.dataset} has no column {column!r}: its columns are {', '.join(row)}", USAGE)
        name = slug(str(row[corpus.group]) if corpus.group else corpus.dataset.rsplit("/", 1)[-1])
        lines[name].append(str(row[corpus.column]))
    if not lines:
        raise Trouble(f"{corpus.dataset} ({corpus.split}) has no rows")
    return {name: "\n".join(parts) + "\n" for name, parts in lines.items()}
