"""Documents of plan formats with noise, in large number: read as CommonMark reads them, marked in one line."""

from __future__ import annotations

import os
import subprocess
import sys
import time

CASES = 20_000
LIMIT_S = 4 * 3600.0
CLAIMS = ("tests/unit/plan/formats/test_markdown_lines.py", "tests/unit/plan/formats/test_box_plans.py")


def main():
    """Run the property tests of the Markdown formats with 20,000 cases each; return their figures."""
    began = time.monotonic()
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--timeout", "0", "-m", "not deep", *CLAIMS]
    environ = {**os.environ, "HYPOTHESIS_PROFILE": "acceptance"}
    run = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False, timeout=LIMIT_S)
    if run.returncode:
        print(run.stdout[-4000:])
    summary = run.stdout.strip().splitlines()[-1] if run.stdout.strip() else "no output"
    return f"{CASES} cases a property in {time.monotonic() - began:.0f} s: {summary}"
