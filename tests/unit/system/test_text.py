"""Tests of texts for people: sizes."""

from __future__ import annotations

import pytest

from executor.system.text import size


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1000 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (1010 * 1024, "1010 KiB"),
        (2000 * 2**40, "2000 TiB"),
    ],
)
def test_a_size_has_no_exponent(count, text):
    assert size(count) == text
