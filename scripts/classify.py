"""Classify Debian packages by their debtags: the table, the baseline, the encoder.

python scripts/classify.py table [data=apt] [--write FILE.jsonl]
python scripts/classify.py compare [data=apt] [key=value ...] [--seed N] [--threads N] [--write FILE.json]
python scripts/classify.py pin [--lists FOLDER]
"""

from __future__ import annotations

import sys

from classification.command_line import main

if __name__ == "__main__":
    sys.exit(main())
