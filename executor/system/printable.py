"""Text that cannot drive a terminal."""

from __future__ import annotations

from executor.system.masking import clean_control

WIDTH = 160


def safe(text: str) -> str:
    """Return text that cannot drive a terminal."""
    return clean_control(str(text))


def one_line(text: str) -> str:
    """Return text that can neither drive a terminal nor pass for a second line."""
    return " ".join(safe(text).splitlines())


def brief(text: str) -> str:
    """Return text as one safe line of WIDTH characters at most."""
    line = " ".join(safe(text).split())
    return line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…"
