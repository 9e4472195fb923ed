"""Make the local base model out of the plays: minutes on two cores, once.

    python scripts/make_base_model.py [--test] [--judge] [--profile bard-small|bard-large|PATH.yaml] [key=value ...]

Writes outputs/models/bard-small/ (or under DO_TASKS_MODELS): a Hugging Face folder with base.json, which says how it
was made; checkpoints and logs go to outputs/lm/. Stopped, it goes on from its newest checkpoint when called again.
"""

from __future__ import annotations

import sys

from distillation.base_model.make import main

if __name__ == "__main__":
    sys.exit(main())
