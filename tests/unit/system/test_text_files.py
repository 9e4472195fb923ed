"""Text of any encoding."""

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
        b"\x1b[32m" + ROWS.encode() + b"\x1b[m\x0f",  # as tput colours under tmux
    ],
)
def test_a_text_has_rows_in_any_encoding_and_behind_a_hole(content):
    rows = [row.strip("\0\x0f") for row in rows_of(content)]
    assert [*filter(None, rows)] == ROWS.split("\n")
