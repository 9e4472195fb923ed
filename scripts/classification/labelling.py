"""The rule that turns packages into labelled rows."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from classification.rows import Row

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from classification.package_lists import Package

FACETS = ("use", "works-with", "field", "interface", "implemented-in")
MIN_ROWS = 150  # of a label
MIN_SECTION_ROWS = 50
RULE = (
    f"tags of the facets {', '.join(FACETS)} that {MIN_ROWS} packages or more have; "
    "of packages with one description, the last by name; packages with one such tag or more"
)


def distinct(packages: Iterable[Package]) -> list[Package]:
    """Return one package for each description, the last by name: copies would stand on both sides of the split."""
    found: dict[str, Package] = {}
    for package in sorted(packages, key=lambda one: one.name):
        found[package.description] = package
    return sorted(found.values(), key=lambda one: one.name)


def frequent_labels(packages: Iterable[Package]) -> dict[str, int]:
    """Return the labels of the rule with their number of rows, in order of name."""
    counts = Counter(tag for package in packages for tag in package.tags if tag.partition("::")[0] in FACETS)
    return {tag: counts[tag] for tag in sorted(counts) if counts[tag] >= MIN_ROWS}


def frequent_sections(rows: Iterable[Row]) -> dict[str, int]:
    """Return the sections with a class of their own with their number of rows, in order of name."""
    counts = Counter(row.section for row in rows)
    return {name: counts[name] for name in sorted(counts) if counts[name] >= MIN_SECTION_ROWS}


def labelled(packages: Iterable[Package], labels: Sequence[str]) -> list[Row]:
    """Return the rows of the packages that have one of the labels or more."""
    known = set(labels)
    rows = (
        Row(package.name, package.description, package.section, tuple(tag for tag in package.tags if tag in known))
        for package in packages
    )
    return [row for row in rows if row.labels]
