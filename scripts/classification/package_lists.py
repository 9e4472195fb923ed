"""Packages of apt's lists: name, one-line description, section, debtags."""

from __future__ import annotations

import bz2
import email.utils
import gzip
import lzma
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

LISTS = Path("/var/lib/apt/lists")
APT_HELPER = "/usr/lib/apt/apt-helper"
LIMIT_S = 120
OPENERS: dict[str, Callable[[Path, str], Any]] = {".gz": gzip.open, ".xz": lzma.open, ".bz2": bz2.open, "": open}
FIELDS = ("Package", "Description", "Section", "Tag")


@dataclass(frozen=True)
class Package:
    """A package; its tags are in order."""

    name: str
    description: str
    section: str
    tags: tuple[str, ...]


def files(folder: Path) -> list[Path]:
    """Return the package lists of a folder, in order of name; compressed ones too."""
    found = (path for path in folder.glob("*_Packages*") if path.name.rpartition("_")[2].startswith("Packages"))
    return sorted(path for path in found if path.is_file() and ".diff" not in path.name)


def read(folder: Path) -> list[Package]:
    """Return the packages with tags in order of name; of a name that stands several times, the first one."""
    by_name: dict[str, Package] = {}
    for path in files(folder):
        for package in packages(stanzas(text_of(path).splitlines())):
            by_name.setdefault(package.name, package)
    return [by_name[name] for name in sorted(by_name)]


def date_of(folder: Path) -> str:
    """Return the day of the newest release file beside the lists, as 2026-07-11; empty if there is none."""
    days = []
    for path in (*folder.glob("*_InRelease"), *folder.glob("*_Release")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
        dates = (line.removeprefix("Date:").strip() for line in lines if line.startswith("Date:"))
        days += [day for day in map(day_of, dates) if day]
    return max(days, default="")


def day_of(date: str) -> str:
    """Return the day of a date as mails have it; empty if it is none."""
    try:
        return email.utils.parsedate_to_datetime(date).date().isoformat()
    except ValueError:
        return ""


def text_of(path: Path) -> str:
    """Return the content of a list, compressed or not; apt's own tool reads every form."""
    try:
        if shutil.which(APT_HELPER):
            done = subprocess.run([APT_HELPER, "cat-file", str(path)], capture_output=True, check=True, timeout=LIMIT_S)
            return done.stdout.decode("utf-8", "replace")
        if path.suffix not in OPENERS:
            raise Trouble(f"{path} needs {APT_HELPER}: install apt, or decompress the file", USAGE)
        with OPENERS[path.suffix](path, "rb") as file:
            return bytes(file.read()).decode("utf-8", "replace")
    except subprocess.CalledProcessError as error:
        why = error.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Trouble(f"{path} cannot be read ({(why or ['no reason'])[-1]}): run apt-get update", USAGE) from error
    except (OSError, EOFError, subprocess.TimeoutExpired, lzma.LZMAError) as error:
        raise Trouble(f"{path} cannot be read ({error}): run apt-get update", USAGE) from error


def stanzas(lines: Iterable[str]) -> Iterator[dict[str, str]]:
    """Yield the wanted fields of each paragraph; the lines that continue a field are joined to it, but for a text."""
    fields: dict[str, str] = {}
    last = ""
    for line in lines:
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif line[0] in " \t":
            if last == "Tag":
                fields[last] += line
        else:
            last, _, value = line.partition(":")
            if last in FIELDS:
                fields[last] = value.strip()
    if fields:
        yield fields


def packages(found: Iterable[dict[str, str]]) -> Iterator[Package]:
    """Yield the packages that have tags and a description."""
    for fields in found:
        tags = tuple(sorted({tag.strip() for tag in fields.get("Tag", "").split(",")} - {""}))
        if tags and fields.get("Package") and fields.get("Description"):
            section = fields.get("Section", "").rpartition("/")[2]
            yield Package(fields["Package"], fields["Description"], section, tags)
