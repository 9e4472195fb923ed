"""What other processes may read of us in /proc: no secret of our environment."""

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
    """Overwrite the secrets where the kernel shows our environment, for root too; `os.environ` keeps them.

    A program that is started with the environment of C, as by os.execv, is given stars: pass `os.environ`.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    secret = {os.fsencode(name) for name in os.environ.keys() - without_secrets(os.environ).keys()}
    for address, name, length in _variables() if secret else ():
        if name in secret:
            ctypes.memset(address + len(name) + 1, STAR, length - len(name) - 1)


def forbid_inspection() -> None:
    """Let no process of our user read our memory or trace us."""
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
