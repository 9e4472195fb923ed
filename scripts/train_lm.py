"""Train a small language model on the texts of the data folder.

    python scripts/train_lm.py [--test] [--profile local|gpu|PATH.yaml] [resume=always] [key=value ...]

Writes outputs/lm/: model/ (a Hugging Face folder), tokenizer/, checkpoints/, training_logs/, manifest.json.
"""

from __future__ import annotations

import sys

from small_lm.command_line import main

if __name__ == "__main__":
    sys.exit(main())
