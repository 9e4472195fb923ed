"""A folder of fetched files that is whole or absent."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

from small_lm import files

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
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(beside, folder)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


def is_whole(folder: Path) -> bool:
    """Return True if the folder holds exactly the bytes that `keep` wrote."""
    try:
        wanted = json.loads((folder / SUMS).read_bytes())
    except (OSError, ValueError):  # absent, or cut off
        return False
    if not isinstance(wanted, dict):
        return False
    return all((folder / name).is_file() and files.sha256(folder / name) == digest for name, digest in wanted.items())
