"""Finds secrets in a text: whole, encoded, or a part of a strong one, in one pass."""

from __future__ import annotations

import re

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHORTEST_STRONG = 16
PART = 6
CUT_MARKS = ("…", "...", "\n[...")  # what stands where a text was cut

_ALPHANUMERIC = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# Every part of PART characters holds GRAM characters at one of every STRIDE places: only those are looked at.
_GRAM = 3
_STRIDE = PART - _GRAM + 1
# A number, or a part of a word: what stands in any text.
_PLAIN = r"[\d.,_eE+-]*|[A-Z]?[^\WA-Z0-9_]*|[A-Z]*"


class Index:
    """Needles, and the parts of PART characters of the strong ones that are neither words nor numbers.

    A part that is found is followed to both sides as far as the text goes on like the secret.
    """

    def __init__(self, needles: Iterable[str], strong: Iterable[str]) -> None:
        self._heads: dict[str, list[str]] = {}
        for needle in sorted(set(needles), key=len, reverse=True):
            self._heads.setdefault(needle[:PART], []).append(needle)
        self._parts: dict[str, list[tuple[str, int]]] = {}
        for value in set(strong):
            for at in range(len(value) - PART + 1):
                if not is_word_or_number(value[at : at + PART]):
                    self._parts.setdefault(value[at : at + PART], []).append((value, at))
        windows = {*self._parts, *self._heads}
        self._grams = {window[at : at + _GRAM] for window in windows for at in range(_STRIDE)}
        self.longest = max(len(needle) for found in self._heads.values() for needle in found)
        self.crosses_lines = any("\n" in needle for found in self._heads.values() for needle in found)

    @classmethod
    def of(cls, values: Iterable[str], *, as_bytes: bool = False) -> Index:
        """Return what finds these secrets; `as_bytes`: in bytes read as latin-1, one character a byte."""
        known = tuple(values)
        needles, parted = _forms(known), _strong(known)
        return cls(map(_as_bytes, needles), map(_as_bytes, parted)) if as_bytes else cls(needles, parted)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield (start, end) of all that is secret, in any order, overlapping."""
        grams = self._grams
        places = [at for at in range(0, len(text) - _GRAM + 1, _STRIDE) if text[at : at + _GRAM] in grams]
        for place in places:
            for start in range(max(0, place - _STRIDE + 1), place + 1):
                window = text[start : start + PART]
                for value, at in self._parts.get(window, ()):
                    yield _extended(text, start, value, at)
                for needle in self._heads.get(window, ()):
                    end = _end_of(text, start, needle)
                    if end:
                        yield start, end
                        break


def merge_spans(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans in order, those that overlap or touch as one."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def is_word_or_number(window: str) -> bool:
    """Tell whether a part of a secret is a word or a number, which stand in any text."""
    return re.fullmatch(_PLAIN, window) is not None


def _end_of(text: str, start: int, needle: str) -> int:
    """Return where a needle ends that begins here, or the cut mark that stands for the rest of it; 0 for neither."""
    if text.startswith(needle, start):
        return start + len(needle)
    length = PART
    while text[start + length : start + length + 1] == needle[length : length + 1]:
        length += 1
    is_cut = text.startswith(CUT_MARKS, start + length) and not is_word_or_number(needle[:length])
    return start + length if is_cut else 0


def _extended(text: str, start: int, value: str, at: int) -> tuple[int, int]:
    """Return how far a text goes on like the value, to both sides of the place where a part of it was found."""
    end, behind = start + PART, at + PART
    while at and start and text[start - 1] == value[at - 1]:
        start, at = start - 1, at - 1
    while behind < len(value) and end < len(text) and text[end] == value[behind]:
        end, behind = end + 1, behind + 1
    return start, end


def _strong(values: Iterable[str]) -> Iterator[str]:
    """Yield what is masked in parts too: strong values, and their base64, which encoders break into lines."""
    for value in filter(_is_strong, values):
        yield value
        yield from _base64_forms(value.encode("utf-8", "surrogateescape"))


def _is_strong(value: str) -> bool:
    """Tell a value of which parts are secret too; of a URL the host is none, and its tokens are values of their own."""
    mixed = any(map(str.isdigit, value)) and any(map(str.isalpha, value))
    return mixed and len(value) >= SHORTEST_STRONG and "://" not in value and value[0] not in "{["


def _as_bytes(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _forms(values: Iterable[str]) -> Iterator[str]:
    """Yield each value as it is, quoted, in JSON and HTML, percent-encoded and in base64."""
    for value in values:
        raw = value.encode("utf-8", "surrogateescape")
        yield value
        yield from _quoted(value)
        yield from _percent_forms(raw)
        for form in _base64_forms(raw):
            yield from (form, form.translate(str.maketrans("+/", "-_")))


def _quoted(value: str) -> Iterator[str]:
    """Yield what encoders of JSON, shells, Python and HTML make of the characters that mean something to them."""
    from json import dumps

    for form in (dumps(value)[1:-1], dumps(value, ensure_ascii=False)[1:-1]):
        yield from (form, form.replace("/", "\\/"))
        yield re.sub("[<>&']", lambda found: f"\\u{ord(found[0]):04x}", form)
    yield from (value.replace("'", "'\\''"), value.replace("'", "'\"'\"'"), repr(value)[1:-1])
    escaped = value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    yield from (escaped, escaped.replace('"', "&quot;"), escaped.replace('"', "&quot;").replace("'", "&#x27;"))
    if "\n" in value:
        yield value.replace("\n", "\r\n")


def _percent_forms(raw: bytes) -> Iterator[str]:
    """Yield what the encoders of query strings, paths and scripts make of the value, in both cases."""
    for kept in (b"-._~", b"-._~/", b"-._~!*'()"):
        plain = _ALPHANUMERIC + kept
        for pattern in ("%{:02X}", "%{:02x}"):
            form = "".join(chr(byte) if byte in plain else pattern.format(byte) for byte in raw)
            yield from (form, form.replace("%20", "+"))


def _base64_forms(raw: bytes) -> Iterator[str]:
    """Yield the value alone, then what it always looks like inside a longer text, at each of three places."""
    from binascii import b2a_base64

    alone = b2a_base64(raw, newline=False).decode()
    yield from (alone, alone.rstrip("="))
    for before, shared in ((0, 0), (1, 2), (2, 3)):
        form = b2a_base64(b"." * before + raw, newline=False).decode().rstrip("=")
        # A last character that is not whole depends on the bytes behind it.
        yield form[shared : -1 if (before + len(raw)) % 3 else None]
