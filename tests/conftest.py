"""Chooses how long Hypothesis looks: HYPOTHESIS_PROFILE=default or deep; compiles us before anybody is cut short."""

from __future__ import annotations

import compileall
import os
from pathlib import Path

from hypothesis import HealthCheck, settings

settings.register_profile("default", max_examples=50, deadline=None)
settings.register_profile("deep", max_examples=2_000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
# A process on a full disk, or under a limit of file sizes, would leave half a .pyc that all after it stumble over.
compileall.compile_dir(Path(__file__).resolve().parent.parent / "executor", quiet=2)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))
