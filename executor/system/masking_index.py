"""A search for secrets in a text in one pass: whole, encoded, or a part of a strong one."""

from __future__ import annotations

import re

from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

SHORTEST_STRONG = 16
PART = 6
CUT_MARKS = ("…", "...", "\n[...")  # marks at the end of a text that was cut

_ALPHANUMERIC = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
# Every part of PART characters contains a whole gram at one of every STRIDE offsets: only those are compared.
_GRAM = 3
_STRIDE = PART - _GRAM + 1
# A number, or a part of a word: any text contains such.
_PLAIN = r"[\d.,_eE+-]*|[A-Z]?[^\WA-Z0-9_]*|[A-Z]*"


class Index:
    """The forms of secrets, and the parts of strong secrets that are neither words nor numbers.

    A part has PART characters. A match of a part is extended to both sides as far as the text equals the secret.
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
        """Return the index of these secrets; `as_bytes` for bytes read as latin-1, one character a byte."""
        known = tuple(values)
        needles, parted = _forms(known), _strong(known)
        return cls(map(_as_bytes, needles), map(_as_bytes, parted)) if as_bytes else cls(needles, parted)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield (start, end) of each secret, in any order, overlapping."""
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
    """Return True for a part of a secret that is a word or a number, as any text contains."""
    return re.fullmatch(_PLAIN, window) is not None


def _end_of(text: str, start: int, needle: str) -> int:
    """Return the end of a needle at this offset, also of one that a cut mark shortens; 0 for no match."""
    if text.startswith(needle, start):
        return start + len(needle)
    length = PART
    while text[start + length : start + length + 1] == needle[length : length + 1]:
        length += 1
    is_cut = text.startswith(CUT_MARKS, start + length) and not is_word_or_number(needle[:length])
    return start + length if is_cut else 0


def _extended(text: str, start: int, value: str, at: int) -> tuple[int, int]:
    """Return the span of the text that equals the value, around the place where a part of it was found."""
    end, behind = start + PART, at + PART
    while at and start and text[start - 1] == value[at - 1]:
        start, at = start - 1, at - 1
    while behind < len(value) and end < len(text) and text[end] == value[behind]:
        end, behind = end + 1, behind + 1
    return start, end


def _strong(values: Iterable[str]) -> Iterator[str]:
    """Yield the texts that are masked in parts too: strong values and their base64, which encoders wrap."""
    for value in filter(_is_strong, values):
        yield value
        yield from _base64_forms(value.encode("utf-8", "surrogateescape"))


def _is_strong(value: str) -> bool:
    """Return True for a value whose parts are secret too: long, mixed, no URL (its tokens are values) and no JSON."""
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
    """Yield the value as encoders of JSON, shells, Python and HTML escape it."""
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
    """Yield the value as encoders of query strings, paths and scripts write it, in both cases of hex digits."""
    for kept in (b"-._~", b"-._~/", b"-._~!*'()"):
        plain = _ALPHANUMERIC + kept
        for pattern in ("%{:02X}", "%{:02x}"):
            form = "".join(chr(byte) if byte in plain else pattern.format(byte) for byte in raw)
            yield from (form, form.replace("%20", "+"))


def _base64_forms(raw: bytes) -> Iterator[str]:
    """Yield the base64 of the value alone, then its constant part inside a longer text, at each of three offsets."""
    from binascii import b2a_base64

    alone = b2a_base64(raw, newline=False).decode()
    yield from (alone, alone.rstrip("="))
    for before, shared in ((0, 0), (1, 2), (2, 3)):
        form = b2a_base64(b"." * before + raw, newline=False).decode().rstrip("=")
        # The last character depends on the next byte too when the bits do not fill it.
        yield form[shared : -1 if (before + len(raw)) % 3 else None]
