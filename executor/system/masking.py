"""Secret values replaced in texts, bytes, JSON and streams."""

from __future__ import annotations

import re
from _thread import allocate_lock

from executor.system.masking_index import PART, Index, merge_spans
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

MASK = "***"
_STRING = r'("(?:[^"\\]|\\.)*")(\s*:|)'


class Masker:
    """A mask for secret values in any encoding; without values it changes nothing."""

    def __init__(self, values: Iterable[str] = ()) -> None:
        self._values = tuple(value for value in values if len(value) >= PART)
        self._learning = allocate_lock()
        # Each index with its values: one of fewer values, which a thread made meanwhile, is not used.
        self._text: tuple[tuple[str, ...], Index] | None = None
        self._raw: tuple[tuple[str, ...], Index] | None = None

    def learn(self, values: Iterable[str]) -> None:
        """Mask these values too from now on."""
        with self._learning:
            new = [value for value in values if len(value) >= PART and value not in self._values]
            if new:
                self._values = (*self._values, *new)

    def __bool__(self) -> bool:
        """Return True when there are values to mask."""
        return bool(self._values)

    def mask(self, text: str) -> str:
        """Return the text with `***` for each secret, encoded secret, or part of a strong secret."""
        values, known = self._values, self._text
        if not values:
            return text
        if known is None or known[0] is not values:
            self._text = known = (values, Index.of(values))
        pieces, at = [], 0
        for start, end in merge_spans(known[1].spans(text)):
            pieces += [text[at:start], MASK]
            at = end
        return "".join([*pieces, text[at:]])

    def mask_bytes_equal_length(self, data: bytes) -> bytes:
        """Return the bytes with `*` for each byte of a secret."""
        if not self._values:
            return data
        result = bytearray(data)
        for first, end in merge_spans(self.raw_index().spans(data.decode("latin-1"))):
            start = _start_outside_escape(data, first)
            result[start:end] = b"*" * (end - start)
        return bytes(result)

    def mask_json(self, text: str, spare: Iterable[str] = ()) -> str:
        """Return a JSON text with the secrets in its strings masked; numbers, layout and texts in `spare` stay."""
        from json import dumps, loads

        known = frozenset(spare)
        names: list[str] = []

        def mask_string(found: re.Match[str]) -> str:
            plain = loads(found[1], strict=False)
            masked = plain if plain in known else self.mask(plain)
            if masked == plain:
                return found[0]
            if found[2]:  # a name: two masked names stay two
                names.append(masked)
                masked += f"-{names.count(masked)}" if names.count(masked) > 1 else ""
            return dumps(masked) + found[2]

        return re.sub(_STRING, mask_string, text, flags=re.DOTALL) if self._values else text

    def mask_all(self, value: Any) -> Any:
        """Return a JSON value with every text in it masked; tuples become lists."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, dict):
            return {self.mask(str(key)): self.mask_all(inner) for key, inner in value.items()}
        return [self.mask_all(inner) for inner in value] if isinstance(value, (list, tuple)) else value

    def raw_index(self) -> Index:
        """Return the index for bytes read as latin-1: one character a byte, so offsets agree."""
        values, known = self._values, self._raw
        if known is None or known[0] is not values:
            self._raw = known = (values, Index.of(values, as_bytes=True))
        return known[1]


class StreamMasker:
    """A mask for a stream of chunks; bytes that may begin a secret wait for the next chunk."""

    def __init__(self, masker: Masker) -> None:
        self._index = masker.raw_index() if masker else None
        self._held = ""
        # The number of held characters whose mask was returned already; None when no mask is open.
        self._mask_open: int | None = None

    def feed(self, chunk: bytes) -> bytes:
        """Return the bytes, masked, that no later chunk can make part of a secret."""
        if self._index is None:
            return chunk
        self._held += chunk.decode("latin-1")
        safe = max(0, len(self._held) - self._index.longest + 1)
        if not self._index.crosses_lines:
            safe = max(safe, self._held.rfind("\n") + 1)
        return self._release(self._index, safe)

    def flush(self) -> bytes:
        """Return the remaining bytes, masked, at the end of the stream."""
        return self._release(self._index, len(self._held)) if self._index else b""

    def _release(self, index: Index, safe: int) -> bytes:
        text, opened = self._held, self._mask_open is not None
        spans = merge_spans([*([(0, self._mask_open)] if self._mask_open is not None else []), *index.spans(text)])
        self._held, self._mask_open = text[safe:], None
        pieces, at = [], 0
        for start, end in spans:
            if start >= safe and not opened:
                break
            pieces += [text[at:start], "" if opened else MASK]
            at, opened = min(end, safe), False
            self._mask_open = end - safe if end >= safe else None
        return "".join([*pieces, text[at:safe]]).encode("latin-1")


def _start_outside_escape(data: bytes, start: int) -> int:
    r"""Return the offset from which to mask: behind an escape of JSON, `\n` or `\u00ab`, that contains `start`."""
    for at in range(max(0, start - 5), start):
        slashes = at + 1 - len(data[: at + 1].rstrip(b"\\"))
        end = at + (6 if data[at + 1 : at + 2] == b"u" else 2)
        if slashes % 2 and end > start:
            return end
    return start
