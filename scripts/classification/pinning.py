"""Pin the table of apt's lists: labels, sections, digest, date; and draw the packaged sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from classification import labelling, package_lists, sampling
from classification.pinned import PINNED, SAMPLE, pinned
from classification.rows import digest, line
from small_lm import files
from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = "Debian 12 (bookworm), main, amd64: the package lists of apt"
LICENCE = (
    "Facts of Debian's package lists: names, sections, one-line descriptions and debtags. A description is part of the "
    "control file of its package, under the package's licence (/usr/share/doc/PACKAGE/copyright). The tags are made by "
    "the contributors of Debtags and published by Debian in the lists, which state no licence of their own. Only the "
    "sample is part of this repository; the full table is read from apt's lists."
)


def pin(folder: Path) -> None:
    """Write the pinned content and the sample from the lists of a folder."""
    packages = labelling.distinct(package_lists.read(folder))
    labels = labelling.frequent_labels(packages)
    if not labels:
        raise Trouble(f"{folder} has no label with {labelling.MIN_ROWS} packages: run apt-get update on Debian", USAGE)
    rows = labelling.labelled(packages, tuple(labels))
    chosen = sampling.sample(rows)
    content: dict[str, Any] = {
        "source": SOURCE,
        "date": package_lists.date_of(folder),
        "rule": labelling.RULE,
        "rows": len(rows),
        "sha256": digest(rows),
        "sample": {"rows": len(chosen), "sha256": digest(chosen)},
        "licence": LICENCE,
        "labels": labels,
        "sections": labelling.frequent_sections(rows),
    }
    files.write_text(SAMPLE, "".join(map(line, chosen)))
    files.write_json(PINNED, content)
    pinned.cache_clear()
