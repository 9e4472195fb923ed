"""The pinned table: its labels, its sections, its digest, its date."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PINNED = Path(__file__).with_name("pinned.json")
SAMPLE = Path(__file__).with_name("sample.jsonl")
OTHER = "other"  # the class of sections with few rows


@dataclass(frozen=True)
class Pinned:
    """The labels and sections, in order, and what identifies the tables that they are from."""

    date: str
    rows: int
    sha256: str
    sample_rows: int
    sample_sha256: str
    labels: tuple[str, ...]
    sections: tuple[str, ...]


@cache
def pinned() -> Pinned:
    """Return the pinned content."""
    found = json.loads(PINNED.read_text(encoding="utf-8"))
    return Pinned(
        found["date"],
        found["rows"],
        found["sha256"],
        found["sample"]["rows"],
        found["sample"]["sha256"],
        tuple(found["labels"]),
        (*found["sections"], OTHER),
    )


def class_of(section: str) -> str:
    """Return the class of a section."""
    return section if section in pinned().sections else OTHER
