"""Scalars in the event files of TensorBoard."""

from __future__ import annotations

import re
import struct
from functools import cache

from executor.system.file_tail import FileTail
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from executor.monitoring.model import Memory

HEADER = 12  # a length of 8 bytes, its checksum
CHECKSUM = 4
LONGEST = 1 << 16  # a longer record holds images or histograms
_STARTS = re.compile(rb"(?=[^\0].\0{6}.{4})", re.DOTALL)  # how a record shorter than LONGEST begins
_POLYNOMIAL = 0x82F63B78
_MASK_ADDED = 0xA282EAD8
_WORD = 0xFFFFFFFF
_TYPES = {1: "<f", 2: "<d", 3: "<i", 4: "<B", 5: "<h", 6: "<b", 9: "<q", 17: "<H", 19: "<e", 22: "<I", 23: "<Q"}
_BFLOAT16, _HALF = 14, 19
_LISTS = {5: "<f", 6: "<d"}  # fields of a tensor with its numbers one by one
_WHOLE_LISTS = (7, 10, 13, 16, 17)  # 13 holds the bits of halves
_VARINT, _EIGHT, _BYTES, _FOUR = 0, 1, 2, 5  # how a value is written


class Damage(Exception):  # noqa: N818 - a state of the bytes
    """Bytes that are no message."""


def scalars(path: str, kept: Memory, began_ns: int) -> Iterator[tuple[float, dict[str, float]]]:
    """Yield (step, scalars by tag) of each new event with scalars; a torn record is left for the next look.

    Records with a wrong checksum are skipped and counted in `kept["damaged"]`.
    """
    for record in _records(FileTail(path, kept, began_ns=began_ns)):
        try:
            step, found = _event(record)
        except (Damage, IndexError, UnicodeDecodeError, struct.error):
            _note_damage(kept)
            continue
        if found:
            yield step, found


def _note_damage(kept: Memory) -> None:
    kept["damaged"] = kept.get("damaged", 0) + 1


def _records(tail: FileTail) -> Iterator[bytes]:
    """Yield the complete records that are short enough to hold scalars."""
    chunk, kept = tail.read(), tail.state
    data, at = chunk.data, 0
    while at + HEADER <= len(data):
        length = _length(data, at)
        if length is None:
            at = _next_start(data, at, kept)
            continue
        kept["broken"] = False
        end = at + HEADER + length + CHECKSUM
        if end > len(data):
            break
        if length <= LONGEST:
            yield from _checked(data[at + HEADER : end], kept)
        at = end
    tail.consume(chunk, at)
    _pass_long_one(data[at : at + HEADER], tail)


def _length(data: bytes, at: int) -> int | None:
    """Return the length of the record at an offset, None when no record begins there."""
    head = data[at : at + 8]
    length: int
    length, checksum = struct.unpack_from("<QI", data, at)
    return length if masked_crc(head) == checksum else None


def _next_start(data: bytes, at: int, kept: Memory) -> int:
    """Return the offset at which the next record may begin."""
    if not kept["broken"]:
        kept["broken"] = True
        _note_damage(kept)
    start = _STARTS.search(data, at + 1)
    return start.start() if start else max(at + 1, len(data) - HEADER + 1)


def _checked(record: bytes, kept: Memory) -> Iterator[bytes]:
    body, checksum = record[:-CHECKSUM], record[-CHECKSUM:]
    if masked_crc(body) == int.from_bytes(checksum, "little"):
        yield body
    else:
        _note_damage(kept)


def _pass_long_one(header: bytes, tail: FileTail) -> None:
    """Skip a record longer than LONGEST once it is complete."""
    length = _length(header, 0) if len(header) == HEADER else None
    if length is not None and length > LONGEST:
        end = tail.state["at"] + HEADER + length + CHECKSUM
        if end <= tail.state["seen"][1]:
            tail.skip_to(end)


@cache
def _table() -> list[int]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ _POLYNOMIAL if crc & 1 else crc >> 1
        table.append(crc)
    return table


def masked_crc(data: bytes) -> int:
    """Return the checksum of the format: CRC-32C, rotated by 15 bits, plus a constant."""
    table, crc = _table(), _WORD
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= _WORD
    return ((crc >> 15 | crc << 17) + _MASK_ADDED) & _WORD


def _event(data: bytes) -> tuple[float, dict[str, float]]:
    """Return the step of an Event, with its scalars by tag."""
    step = 0
    found: dict[str, float] = {}
    for key, value in _message(data):
        if key == _key(2, _VARINT):
            step = _signed(value)
        elif key == _key(5, _BYTES):
            found.update(_scalar(one) for inner, one in _message(value) if inner == _key(1, _BYTES))
    found.pop("", None)
    return float(step), found


def _scalar(data: bytes) -> tuple[str, float]:
    """Return tag and number of a Summary.Value, an empty tag for another value."""
    tag, number = "", None
    for key, value in _message(data):
        if key == _key(1, _BYTES):
            tag = value.decode()
        elif key == _key(2, _FOUR):
            number = struct.unpack("<f", value)[0]
        elif key == _key(8, _BYTES):
            number = _single(value)
    return (tag, number) if number is not None else ("", 0.0)


def _single(data: bytes) -> float | None:
    """Return the number in a TensorProto that holds exactly one."""
    kind, numbers = 0, []
    for key, value in _message(data):
        field, wire = key >> 3, key & 7
        if key == _key(1, _VARINT):
            kind = value
        elif key == _key(2, _BYTES) and not _is_one(value):
            return None
        elif key == _key(4, _BYTES):
            numbers += _content(kind, value)
        elif field in _LISTS and wire != _VARINT:
            numbers += _packed(_LISTS[field], value)
        elif field in _WHOLE_LISTS and wire in (_VARINT, _BYTES):
            numbers += [_from_list(kind, one) for one in ([value] if wire == _VARINT else _varints(value))]
    return float(numbers[0]) if len(numbers) == 1 else None


def _is_one(shape: bytes) -> bool:
    """Return True when a TensorShapeProto has one element."""
    dims = [dim for key, dim in _message(shape) if key == _key(2, _BYTES)]
    return all(size == 1 for dim in dims for key, size in _message(dim) if key == _key(1, _VARINT))


def _content(kind: int, value: bytes) -> list[float]:
    if kind == _BFLOAT16:
        return [_from_list(kind, int.from_bytes(value, "little"))] if len(value) == 2 else []
    return _packed(_TYPES[kind], value) if kind in _TYPES else []


def _packed(form: str, value: bytes) -> list[float]:
    return [one for (one,) in struct.iter_unpack(form, value)]


def _from_list(kind: int, value: int) -> float:
    """Return a number from its list: the bits of a half, or a whole number."""
    if kind == _BFLOAT16:
        return float(struct.unpack("<f", struct.pack("<I", (value & 0xFFFF) << 16))[0])
    if kind == _HALF:
        return float(struct.unpack("<e", struct.pack("<H", value & 0xFFFF))[0])
    return float(_signed(value))


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _key(number: int, wire: int) -> int:
    return number << 3 | wire


def _message(data: bytes) -> Iterator[tuple[int, Any]]:
    """Yield (key of field, value): a whole number for a varint, bytes for anything else."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        value: int | bytes
        if key & 7 == _VARINT:
            value, at = _varint(data, at)
        else:
            size, at = _size(data, at, key & 7)
            value, at = data[at : at + size], at + size
        if at > len(data):
            raise Damage
        yield key, value


def _size(data: bytes, at: int, wire: int) -> tuple[int, int]:
    if wire == _BYTES:
        return _varint(data, at)
    if wire in (_EIGHT, _FOUR):
        return (8 if wire == _EIGHT else 4), at
    raise Damage


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value & 0xFFFFFFFFFFFFFFFF, at
        if shift >= 70:
            raise Damage


def _varints(data: bytes) -> list[int]:
    found, at = [], 0
    while at < len(data):
        value, at = _varint(data, at)
        found.append(value)
    return found
