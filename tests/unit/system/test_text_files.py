"""Text of any encoding."""

import json
import os
import struct

import pytest

from executor.system.text_files import decode, rows_of


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("Größe: 3 €\n".encode(), "Größe: 3 €\n"),
        ("Größe: 3 €\n".encode("cp1252"), "Größe: 3 €\n"),
        ("Größe ".encode() + "Maß\n".encode("cp1252"), "Größe Maß\n"),
        (b"cut short: \xe2\x80", "cut short: â€"),
        (b"a surrogate: \xed\xb2\x80", "a surrogate: í²€"),
        (b"none of Windows: \x81", "none of Windows: �"),
    ],
)
def test_bytes_that_are_not_utf_8_are_read_as_windows_wrote_them(content, text):
    assert decode(content) == text


ROWS = "epoch 1: loss 0.5 ✓\nepoch 2: loss 0.4 ✓"


@pytest.mark.parametrize(
    "content",
    [
        ROWS.encode(),
        ROWS.encode("utf-16"),
        ROWS.encode("utf-16-le"),
        b"\0" * 4096 + b"\n" + ROWS.encode(),  # truncated while a training wrote to it
        b"\x1b[32m" + ROWS.encode() + b"\x1b[0m",
        ROWS.replace("\n", "\r").encode(),
    ],
)
def test_a_text_has_rows_in_any_encoding_and_behind_a_hole(content):
    assert [row.strip("\0") for row in rows_of(content) if row.strip("\0")] == ROWS.split("\n")


@pytest.mark.parametrize(
    "content",
    [
        os.urandom(16 * 1024),
        json.dumps({"weight": {"dtype": "F32"}}).encode() + struct.pack("<4096f", *(0.01 * n for n in range(4096))),
    ],
)
def test_a_binary_file_has_no_rows(content):
    assert rows_of(content) == []
