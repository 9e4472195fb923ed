"""A folder of fetched files that is whole or absent."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import uuid
from pathlib import Path

from common import files

SUMS = "SHA256.json"


def keep(folder: Path, content: dict[str, bytes]) -> None:
    """Write all files and their digests, then rename the folder into place; an older one is replaced."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        for name, data in content.items():
            (beside / name).write_bytes(data)
        files.write_json(beside / SUMS, {name: files.sha256(beside / name) for name in sorted(content)})
        beside.chmod(0o755)
        replace(beside, folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def replace(beside: Path, target: Path) -> None:
    """Rename a complete folder into its place; restore the previous one if that fails."""
    old = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.old")
    if target.exists():
        os.rename(target, old)
    try:
        os.rename(beside, target)
    except OSError:
        if old.exists():
            os.rename(old, target)
        raise
    files.sync_folder(target.parent)
    shutil.rmtree(old, ignore_errors=True)


def is_whole(folder: Path) -> bool:
    """Return True if the folder holds exactly the bytes that `keep` wrote."""
    try:
        wanted = json.loads((folder / SUMS).read_bytes())
    except (OSError, ValueError):  # absent, or cut off
        return False
    if not isinstance(wanted, dict):
        return False
    return all((folder / name).is_file() and files.sha256(folder / name) == digest for name, digest in wanted.items())
