"""Search hyperparameters under one storage budget.

    python scripts/tune.py STUDY.yaml [--table] [--test] [key=value ...]

Writes into the study's output folder: study.db (Optuna's, SQLite), trial_<uuid>/ (checkpoints, metrics.jsonl,
evaluation_report.json), study_summary.json and .md. Killed at any moment, it goes on when it is started again.
"""

from __future__ import annotations

import sys

from tuning.command_line import main

if __name__ == "__main__":
    sys.exit(main())
