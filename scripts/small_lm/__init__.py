"""A small language model: tokenizer, model, training, sampling."""

from __future__ import annotations

import os

# Two threads wait for each other hundreds of times a step. Left alone, libgomp spins so long that a training beside
# other work is many times slower; without spinning it is slower on an idle machine. It reads this at torch's import.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
