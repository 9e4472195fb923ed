"""A small language model: tokenizer, model, training, sampling."""

from __future__ import annotations

import os

# Two threads wait for each other hundreds of times a step. Left alone, libgomp spins so long that a training beside
# other work is many times slower; without spinning it is slower on an idle machine. It reads this at torch's import.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")

# The package `tokenizers` starts a thread a core, each with counts of its own: for 30 MB of text 16 take 130 MB more
# than 2. It reads this when it is first used.
os.environ.setdefault("RAYON_NUM_THREADS", str(min(os.cpu_count() or 1, 4)))
