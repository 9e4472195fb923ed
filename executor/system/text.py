"""Text for people: safe lines, numbers with units, parts of messages."""

from __future__ import annotations

import re

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

WIDTH = 160
QUOTED_CHARS = 40  # characters of a value in a message
LONG_WIDTH = 300  # characters of a line that explains a failed check
_ESCAPES = (
    # Strings for the terminal (titles, links, clipboard) run to their end, or to the end of the line.
    r"\x1b[\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\)?"
    r"|\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b[ -/]*[0-~]"
)
_INVISIBLE = (
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e007f]"
)


# Control characters


def without_escapes(text: str) -> str:
    """Return the text without terminal escapes, such as colours and titles."""
    return re.sub(_ESCAPES, "", text) if "\x1b" in text else text


def clean_control(text: str) -> str:
    """Return the text without terminal escapes, its other control and bidi characters escaped.

    Clean before masking: an escape in the middle of a secret would hide it.
    """
    if (text.isascii() and text.replace("\n", "").isprintable()) or re.search(_INVISIBLE, text) is None:
        return text
    plain = without_escapes(text.replace("\r\n", "\n"))
    return re.sub(_INVISIBLE, lambda found: found[0].encode("unicode_escape").decode(), plain)


def escaped_line(text: str) -> str:
    """Return the text as one line: its control characters, line breaks and tabs too, escaped."""
    return clean_control(re.sub(r"[\r\n\t\v\f]", lambda found: found[0].encode("unicode_escape").decode(), text))


def escaped_json(text: str) -> str:
    """Return the same JSON with control and invisible characters escaped."""
    if text.isascii() and "\x7f" not in text:
        return text
    from json import dumps

    return re.sub(_INVISIBLE, lambda found: dumps(found[0])[1:-1], text)


def joined_lines(text: str) -> str:
    """Return the cleaned text with a blank for each line break."""
    return " ".join(clean_control(text).splitlines())


def one_line(text: object, width: int = WIDTH) -> str:
    """Return the text as one line of at most `width` characters: a blank for each run of blanks and invisible ones."""
    start = str(text)[: 8 * width]
    if not (start.isascii() and start.isprintable()):
        start = re.sub(_INVISIBLE, " ", without_escapes(start))
    line = " ".join(start.split())
    return line if len(line) <= width else f"{line[: width - 1]}…"


def visible_line(raw: bytes) -> str:
    """Return the part of a line that a terminal shows: behind its last carriage return."""
    shown = raw.rstrip(b"\r\n \0").rpartition(b"\r")[2].lstrip(b"\0")
    return one_line(shown[: 8 * WIDTH].decode("utf-8", "replace"))


# Numbers


def counted(count: int, one: str, more: str = "") -> str:
    """Return `1 checkpoint`, `2 checkpoints`, `3 directories`."""
    plural = more or (f"{one[:-1]}ies" if one.endswith("y") else f"{one}s")
    return f"{count} {one if count == 1 else plural}"


def size(count: float) -> str:
    """Return bytes in binary units: 512 MiB, 1.5 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{_three_digits(count)} {unit}"
        count /= 1024
    return f"{_three_digits(count)} TiB"


def _three_digits(count: float) -> str:
    """Return at least three digits: 1.5, 512, 1020."""
    return f"{count:.3g}" if abs(count) < 1000 else f"{count:.0f}"


def decimal_size(count: float) -> str:
    """Return bytes in decimal units, as most plans write them: 999 bytes, 1.5 kB, 10.0 MB."""
    if count < 1000:
        return counted(int(count), "byte")
    units = ["TB", "GB", "MB", "kB"]
    while count >= 1000 and units:
        count, unit = count / 1000, units.pop()
    return f"{count:.1f} {unit}"


def duration(seconds: float) -> str:
    """Return a duration in the largest unit of which it has two: 3 days, 58 min, 40 s, 0.120 s."""
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 else f"{max(seconds, 0):.3f} s"


def metric_pairs(values: Iterable[tuple[str, float]]) -> str:
    """Return `step 412 loss 1.234`, as many pairs as fit into a line."""
    line = ""
    for name, value in values:
        more = f"{line} {one_line(name, 60)} {number_text(value)}".lstrip()
        if len(more) > WIDTH:
            break
        line = more
    return line


def number_text(value: float) -> str:
    """Return a number: an integer in full, any other with four digits."""
    return f"{value:.0f}" if abs(value) < 1e15 and value == int(value) else f"{value:.4g}"


# Parts of messages


def quoted(value: object) -> str:
    """Return a value for a message: short, on one line, without control characters."""
    if value is None:
        return "nothing"
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    if isinstance(value, bool):
        return str(value).lower()
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= QUOTED_CHARS else f"{text[:QUOTED_CHARS]}..."


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean X` for the nearest known word, empty when none is near."""
    import difflib

    near = difflib.get_close_matches(word[: 2 * QUOTED_CHARS], list(known), n=1)
    return f"; did you mean {near[0]}" if near else ""
