"""Numbers as a person reads them, on one line."""

from __future__ import annotations

import re

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH = 160
ODD = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]|[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+")


def one_line(text: str, width: int = WIDTH) -> str:
    """Return the text on one printable line, cut where it is too long."""
    line = ODD.sub(" ", text[: 8 * width]).strip()
    return line if len(line) <= width else f"{line[: width - 3]}..."


def line_of(raw: bytes) -> str:
    """Return what a terminal would show of a line: what stands after its last carriage return."""
    shown = raw.rstrip(b"\r\n \0").rpartition(b"\r")[2].lstrip(b"\0")
    return one_line(shown[: 8 * WIDTH].decode("utf-8", "replace"))


def size(count: float) -> str:
    """Return bytes as 512 MiB or 1.5 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} TiB" if count < 1000 else f"{count:.0f} TiB"


def several(count: int, one: str, more: str = "") -> str:
    """Return 1 checkpoint, 2 checkpoints."""
    return f"{count} {one}" if count == 1 else f"{count} {more or one + 's'}"


def pairs(values: Iterable[tuple[str, float]]) -> str:
    """Return `step 412 loss 1.234`, as many as fit into a line."""
    line = ""
    for name, value in values:
        more = f"{line} {one_line(name, 60)} {figure(value)}".lstrip()
        if len(more) > WIDTH:
            break
        line = more
    return line


def figure(value: float) -> str:
    """Return a number: whole ones in full, others with four digits."""
    return f"{value:.0f}" if abs(value) < 1e15 and value == int(value) else f"{value:.4g}"
