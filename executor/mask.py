"""Secret values never leave."""

from __future__ import annotations

import re

from executor.values import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

SHORTEST_SECRET = 8
SHORTEST_STRONG = 16
PART = 6
VEIL = "***"

_NAMES = ("KEY", "TOKEN", "SECRET", "PASSWORD")
_PATHS = ("/", "~", "./", "../")
_ALPHANUMERIC = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_NUMBER = r"[+-]?[\d_.,]+"
# Every part of PART characters holds GRAM characters at one of every STRIDE places: only those are looked at.
_GRAM = 3
_STRIDE = PART - _GRAM + 1

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


def secrets(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the secret values of an environment, the longest first."""
    found = {value.strip() for name, value in environ.items() if _is_secret(name, value.strip())}
    return tuple(sorted(found, key=lambda value: (-len(value), value)))


def without_secrets(environ: Mapping[str, str], allow: tuple[str, ...] = ()) -> dict[str, str]:
    """Return the environment without secrets and without variables that quote one; names in `allow` stay."""
    withheld = secrets({name: value for name, value in environ.items() if name not in allow})
    return {
        name: value
        for name, value in environ.items()
        if name in allow or not any(secret in value for secret in withheld)
    }


def clean_control(text: str) -> str:
    """Return the text without terminal escapes, its other control and bidi characters spelled out.

    Clean before masking: an escape in the middle of a secret would hide it.
    """
    if re.search(_INVISIBLE, text) is None:
        return text
    plain = re.sub(_ESCAPES, "", text.replace("\r\n", "\n"))
    return re.sub(_INVISIBLE, lambda found: found[0].encode("unicode_escape").decode(), plain)


def spelled_json(text: str) -> str:
    """Return the same JSON with what drives a terminal, or is not seen, spelled as escapes."""
    if text.isascii() and "\x7f" not in text:
        return text
    from json import dumps

    return re.sub(_INVISIBLE, lambda found: dumps(found[0])[1:-1], text)


class Masker:
    """Replaces the secrets it is given, whatever their form; without any it changes nothing."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values = tuple(value for value in values if len(value) >= PART)
        self._text: _Index | None = None
        self._raw: _Index | None = None

    def __bool__(self) -> bool:
        """Tell whether there is anything to mask."""
        return bool(self._values)

    def mask(self, text: str) -> str:
        """Return the text with `***` for each secret, encoded secret, or part of a strong secret."""
        if not self._values:
            return text
        self._text = self._text or _Index(_forms(self._values), _strong(self._values))
        pieces, at = [], 0
        for start, end in _merged(self._text.spans(text)):
            pieces += [text[at:start], VEIL]
            at = end
        return "".join([*pieces, text[at:]])

    def mask_bytes_equal_length(self, data: bytes) -> bytes:
        """Return the bytes with as many `*` as each secret is long."""
        if not self._values:
            return data
        veiled = bytearray(data)
        for start, end in _merged(self.raw_index().spans(data.decode("latin-1"))):
            veiled[start:end] = b"*" * (end - start)
        return bytes(veiled)

    def mask_all(self, value: Any) -> Any:
        """Return the value as JSON has it with every text in it masked."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, dict):
            return {self.mask(str(key)): self.mask_all(inner) for key, inner in value.items()}
        return [self.mask_all(inner) for inner in value] if isinstance(value, (list, tuple)) else value

    def raw_index(self) -> _Index:
        """Return what finds the secrets in bytes read as latin-1: one character a byte, so places agree."""
        if self._raw is None:
            strong = map(_as_bytes, _strong(self._values))
            self._raw = _Index(map(_as_bytes, _forms(self._values)), strong)
        return self._raw


class StreamMask:
    """Masks a stream chunk by chunk; what may still become a secret waits for the next chunk."""

    def __init__(self, masker: Masker) -> None:
        self._index = masker.raw_index() if masker else None
        self._held = ""
        # How many held characters belong to a veil that is out already; None: no veil is open.
        self._veiled: int | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Return what is safe to show by now."""
        if self._index is None:
            return chunk
        self._held += chunk.decode("latin-1")
        safe = max(0, len(self._held) - self._index.longest + 1)
        if not self._index.crosses_lines:
            safe = max(safe, self._held.rfind("\n") + 1)
        return self._release(self._index, safe)

    def flush(self) -> bytes:
        """Return the rest when the stream has ended."""
        return self._release(self._index, len(self._held)) if self._index else b""

    def _release(self, index: _Index, safe: int) -> bytes:
        text, opened = self._held, self._veiled is not None
        spans = _merged([*([(0, self._veiled)] if self._veiled is not None else []), *index.spans(text)])
        self._held, self._veiled = text[safe:], None
        pieces, at = [], 0
        for start, end in spans:
            if start >= safe and not opened:
                break
            pieces += [text[at:start], "" if opened else VEIL]
            at, opened = min(end, safe), False
            self._veiled = end - safe if end >= safe else None
        return "".join([*pieces, text[at:safe]]).encode("latin-1")


class _Index:
    """Finds needles, and every PART characters of the strong ones, in one pass whose cost is the text's length."""

    def __init__(self, needles: Iterable[str], strong: Iterable[str]) -> None:
        self._heads: dict[str, list[str]] = {}
        for needle in sorted(set(needles), key=len, reverse=True):
            self._heads.setdefault(needle[:PART], []).append(needle)
        self._parts = {value[at : at + PART] for value in strong for at in range(len(value) - PART + 1)}
        windows = self._parts.union(self._heads)
        self._grams = {window[at : at + _GRAM] for window in windows for at in range(_STRIDE)}
        self.longest = max(len(needle) for found in self._heads.values() for needle in found)
        self.crosses_lines = any("\n" in needle for found in self._heads.values() for needle in found)

    def spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Yield (start, end) of all that is secret, in any order, overlapping."""
        grams = self._grams
        places = [at for at in range(0, len(text) - _GRAM + 1, _STRIDE) if text[at : at + _GRAM] in grams]
        for place in places:
            for start in range(max(0, place - _STRIDE + 1), place + 1):
                window = text[start : start + PART]
                if window in self._parts:
                    yield start, start + PART
                for needle in self._heads.get(window, ()):
                    if text.startswith(needle, start):
                        yield start, start + len(needle)
                        break


def _merged(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the spans in order, those that overlap or touch as one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _is_secret(name: str, value: str) -> bool:
    named = name.upper().endswith(_NAMES) and len(value) >= SHORTEST_SECRET
    return named and not value.startswith(_PATHS) and re.fullmatch(_NUMBER, value) is None


def _strong(values: Iterable[str]) -> Iterator[str]:
    """Yield what is masked in parts too: strong values, and their base64, which encoders break into lines."""
    for value in filter(_is_strong, values):
        yield value
        yield from _base64_forms(value.encode("utf-8", "surrogateescape"))


def _is_strong(value: str) -> bool:
    return len(value) >= SHORTEST_STRONG and any(map(str.isdigit, value)) and any(map(str.isalpha, value))


def _as_bytes(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _forms(values: Iterable[str]) -> Iterator[str]:
    """Yield each value as it is, in JSON, percent-encoded and in base64."""
    from json import dumps

    for value in values:
        raw = value.encode("utf-8", "surrogateescape")
        yield from (value, dumps(value)[1:-1], dumps(value, ensure_ascii=False)[1:-1])
        yield from _percent_forms(raw)
        for form in _base64_forms(raw):
            yield from (form, form.translate(str.maketrans("+/", "-_")))


def _percent_forms(raw: bytes) -> Iterator[str]:
    """Yield what the encoders of query strings, paths and scripts make of the value, in both cases."""
    for kept in (b"-._~", b"-._~/", b"-._~!*'()"):
        plain = _ALPHANUMERIC + kept
        for spelled in ("%{:02X}", "%{:02x}"):
            form = "".join(chr(byte) if byte in plain else spelled.format(byte) for byte in raw)
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
