"""Chooses how long Hypothesis searches, compiles the executor before the tests, makes further rows of a claim deep."""

from __future__ import annotations

import compileall
import ctypes
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

PR_SET_CHILD_SUBREAPER = 36  # <linux/prctl.h>

settings.register_profile("default", max_examples=50, deadline=None)
settings.register_profile("deep", max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("acceptance", parent=settings.get_profile("deep"), max_examples=20_000)
# A process on a full disk, or under a limit of file sizes, would leave half a .pyc that all after it stumble over.
compileall.compile_dir(Path(__file__).resolve().parent.parent / "executor", quiet=2)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_itemcollected(item):
    """Mark the rows of a parametrized test beyond those that `first_rows` names as deep."""
    limit = item.get_closest_marker("first_rows")
    if limit and max(item.callspec.indices.values()) >= limit.args[0]:
        item.add_marker(pytest.mark.deep)


@pytest.fixture(autouse=True)
def _is_no_subreaper():
    """Clear what a run inside this process sets: orphans of later tests would stay zombies below it."""
    yield
    if hasattr(ctypes.CDLL(None), "prctl"):
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)
