"""Evaluate a trial's best checkpoint on the test set again, or find reports that no longer match theirs.

python scripts/evaluate_trial.py --trial-id UUID [--study experiments|STUDY.yaml|URL]
python scripts/evaluate_trial.py --verify [--study experiments|STUDY.yaml|URL]
"""

from __future__ import annotations

import sys

from tuning.evaluate_command import main

if __name__ == "__main__":
    sys.exit(main())
