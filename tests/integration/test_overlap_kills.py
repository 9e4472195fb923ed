"""Twenty kills over a plan whose jobs, chunks and steps overlap; two hundred are `make acceptance NAME=kills`."""

from __future__ import annotations

import os
import random

import pytest

from tests.acceptance.kills import trials

KILLS = 20


@pytest.mark.deep
@pytest.mark.timeout(600)
def test_a_plan_that_overlaps_is_killed_and_comes_to_the_same_end():
    seed = int(os.environ.get("KILL_SEED") or random.SystemRandom().getrandbits(32))
    print(f"KILL_SEED={seed} repeats these choices")
    found = trials(KILLS, seed)
    assert [fault for trial in found for fault in trial.faults] == []
    assert sum(trial.kills for trial in found) >= KILLS
