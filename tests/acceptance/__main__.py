"""`make acceptance NAME=...`: one long run, its figures written into docs/reference/acceptance.md."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.acceptance import budget, formats, kills, odd_files, training

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "reference" / "acceptance.md"
RUNS = {
    "budget": budget.main,
    "formats": formats.main,
    "kills": kills.main,
    "odd-files": odd_files.main,
    "training": training.main,
}


def commit():
    """The commit that is measured, marked when the tree differs from it."""
    said = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=300
    )
    return said.stdout.strip() or "unknown"


def write(name, figures):
    """Replace the row of this run, or add one."""
    row = f"| `{name}` | {time.strftime('%Y-%m-%d')} | {commit()} | {figures} |"
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    heading = lines.index("## Figures")
    rows = range(heading, len(lines))
    at = next((place for place in rows if lines[place].startswith(f"| `{name}` |")), len(lines))
    lines[at : at + 1] = [row]
    PAGE.write_text("\n".join(lines) + "\n", encoding="utf-8")


def main(words):
    name = words[0] if words else ""
    if name not in RUNS:
        print(f"make acceptance NAME=...: one of {', '.join(RUNS)}", file=sys.stderr)
        return 2
    figures = RUNS[name]()
    print(figures)
    write(name, figures)
    return 0


sys.exit(main(sys.argv[1:]))
