"""Encrypt exported files with age (age-encryption.org), for the recipients that a client names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from tinker_local.api_types import StatusError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

SUFFIX = ".age"
MOST = 20  # recipients of one export
SSH = ("ssh-ed25519 ", "ssh-rsa ")


def recipients(given: Sequence[str]) -> list[Any]:
    """Return the recipients of texts; raise StatusError if one is no age or SSH public key."""
    if not given:
        return []
    try:
        import pyrage
    except ModuleNotFoundError as error:
        words = "age_encryption_recipients needs pyrage where the service runs: pip install pyrage, or leave it out"
        raise StatusError(422, words) from error
    if len(given) > MOST:
        raise StatusError(422, f"age_encryption_recipients has {len(given)} keys: name at most {MOST}")
    found = []
    for text in given:
        kind = pyrage.ssh if text.startswith(SSH) else pyrage.x25519
        try:
            found.append(kind.Recipient.from_str(text))
        except pyrage.RecipientError as error:
            words = f"age_encryption_recipients has {text[:80]!r} ({error}): write an age1... key or an SSH public key"
            raise StatusError(422, words) from error
    return found


def encrypt(path: Path, readers: Sequence[Any]) -> None:
    """Replace a file by its encrypted form, with the suffix .age, and sync that."""
    import pyrage

    target = path.with_name(path.name + SUFFIX)
    pyrage.encrypt_file(str(path), str(target), readers)
    with target.open("rb") as written:
        os.fsync(written.fileno())
    path.unlink()
