"""Protection of the secrets in this process against other processes."""

from __future__ import annotations

import os
import sys

from executor.system.records import TYPE_CHECKING
from executor.system.secret_values import without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

PR_SET_DUMPABLE = 4
STAR = ord("*")


def overwrite_secrets() -> None:
    """Overwrite the secrets in the memory behind /proc/PID/environ; `os.environ` keeps them.

    Root reads that file too. A program that is started with the environment of C, as by os.execv, gets stars: pass
    `os.environ`.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    secret = {os.fsencode(name) for name in os.environ.keys() - without_secrets(os.environ).keys()}
    for address, name, length in _variables() if secret else ():
        if name in secret:
            ctypes.memset(address + len(name) + 1, STAR, length - len(name) - 1)


def forbid_inspection() -> None:
    """Forbid other processes of this user to read the memory of this one, or to trace it."""
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def _variables() -> Iterator[tuple[int, bytes, int]]:
    """Yield address, name and length of each NAME=value of the environment of C."""
    import ctypes

    pointers = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    at = 0
    while address := pointers[at]:
        text = ctypes.string_at(address)
        yield address, text.partition(b"=")[0], len(text)
        at += 1
