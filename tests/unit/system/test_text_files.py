"""Text of any encoding."""

import pytest

from executor.system.text_files import decode


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
