"""Error report of the service's command: one line, also in the result file of do-tasks."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from tinker_local import files
from tinker_local.errors import FAILED, Trouble


def explain(error: Trouble | OSError) -> int:
    """Print one line, write it to the result file that DO_TASKS_RESULT names; return the exit code."""
    line = str(error) if isinstance(error, Trouble) else f"{error}: check rights, space and path"
    print(f"error: {line}", file=sys.stderr)
    path = os.environ.get("DO_TASKS_RESULT")
    if path:
        files.write_json(Path(path), {"criteria": {}, "metrics": {}, "note": line})
    return error.exit_code if isinstance(error, Trouble) else FAILED
