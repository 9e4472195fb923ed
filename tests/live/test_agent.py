"""A real model does a small real step; wants a key, and costs a few cents."""

from __future__ import annotations

import os

import pytest

from tests.integration.agents import poem, project_in

pytestmark = [
    pytest.mark.live,
    pytest.mark.skipif("ANTHROPIC_API_KEY" not in os.environ, reason="ANTHROPIC_API_KEY is not set"),
]


def test_a_model_writes_what_post_counts(tmp_path):
    project = poem(project_in(tmp_path / "p"), limits={"turns": 15, "tokens": 200_000})
    named = ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_MODEL")
    project.environ = {name: os.environ[name] for name in named if name in os.environ}
    ran = project.run("--step", "1")
    assert ran.code == 0, ran
    assert "1 proven" in project.spec
