"""Times and sizes with units, through validate and a run."""

import pytest

from executor.system.quantities import parse_duration, parse_size


@pytest.mark.parametrize(
    ("written", "seconds"),
    [(90, 90), ("90", 90), ("90s", 90), ("10m", 600), ("1h30m", 5400), ("1.5 d", 129_600), ("1h 5s", 3605)]
    + [(bad, None) for bad in ("", "m", "1h30", "5m1h", "1m1m", "10 min", "-1", "1e3", True, None, [1], 10**400)],
)
def test_a_time_is_seconds_or_text_with_units(written, seconds):
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    ("written", "size"),
    [(512, 512), ("512", 512), ("10 B", 10), ("10MB", 10**7), ("1.5GiB", 1.5 * 2**30), ("1k", 1024), ("10i", None)],
)
def test_a_size_is_bytes_or_text_with_a_unit(written, size):
    assert parse_size(written) == size
