"""Measures how soon each fault of a real training is noticed, then writes the table."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
if not __package__:
    sys.path[0] = str(ROOT)

from tests.trainings import scene  # noqa: E402
from tests.trainings.faults import EVERY, FAULTS, PACE, healthy, hold, monitors, play  # noqa: E402
from tests.trainings.injuries import UnmountableError  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from tests.trainings.faults import Fault, Found

PAGE = ROOT / "docs" / "reference" / "detection.md"
HEALTHY = tuple(healthy(seed) for seed in range(10))


def parsed(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a comma list of faults; the page is written for all of them only")
    parser.add_argument("--rounds", type=int, default=1, help="how often each fault is played")
    parser.add_argument("--side-by-side", type=int, default=4)
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Return 1 when a fault was not found as it must, 2 when there is no torch."""
    if not scene.has_torch():
        print(f"detection: {scene.NEEDS_TORCH}", file=sys.stderr)
        return 2
    chosen = parsed(argv)
    rows = [row for row in (*FAULTS, *HEALTHY) if not chosen.only or row.name in chosen.only.split(",")]
    with tempfile.TemporaryDirectory(prefix="do-tasks-detection-") as folder:
        found = played(rows, Path(folder), chosen)
    well = [is_found(row, one) for row in rows for one in found[row.name]]
    text = page(rows, found)
    print(text)
    if not chosen.only and all(well):
        PAGE.write_text(text, encoding="utf-8")
    return 0 if all(well) else 1


def played(rows: Sequence[Fault], folder: Path, chosen: argparse.Namespace) -> dict[str, list[Found]]:
    """Play each row as often as asked, some at a time."""
    with ThreadPoolExecutor(chosen.side_by_side) as pool:
        playing = {
            row.name: [
                pool.submit(play, row, folder / f"{row.name.replace(' ', '_')}.{turn}") for turn in range(chosen.rounds)
            ]
            for row in rows
            if not row.needs()
        }
        return {row.name: [*filter(None, map(result_of, playing.get(row.name, [])))] for row in rows}


def result_of(playing: Future[Found]) -> Found | None:
    try:
        return playing.result()
    except (UnmountableError, AssertionError) as trouble:
        print(f"detection: {trouble}", file=sys.stderr)
        return None


def is_found(row: Fault, found: Found) -> bool:
    try:
        hold(row, found)
    except AssertionError as trouble:
        print(f"detection: {row.name}: {trouble}", file=sys.stderr)
        return False
    return True


def page(rows: Sequence[Fault], found: dict[str, list[Found]]) -> str:
    table = "".join(row_text(row, found[row.name]) for row in rows if row not in HEALTHY)
    false = sum(len(one.keys) for row in HEALTHY for one in found.get(row.name, []))
    runs = sum(len(found.get(row.name, [])) for row in HEALTHY)
    return (
        "# Detection\n\n"
        "Faults brought about in real trainings (a character transformer that learns from the Python reference; its\n"
        "weights are really blown up, its disk really fills), each watched with every rule there is. The alert named\n"
        "is raised, and no other. Seconds are from the fault to the line of the log, the alert's or, where no rule is\n"
        "due, the verdict's. `python benchmarks/detection.py` writes this page; `make test-deep` holds each row.\n\n"
        f"{os.cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}; "
        f"{' '.join(PACE)}; looks every {monitors({})[0]['interval']} s.\n\n"
        "| fault | brought about by | noticed as | after, s | step ends |\n|---|---|---|---:|---|\n"
        f"{table}\n"
        f"Healthy: {runs} runs, each with its own warm-up, evaluation and checkpoint pauses; {false} alerts.\n\n"
        "Most of the seconds are patience, not slowness: `stall` waits for its floor, `plateau` and `overfit`\n"
        "for their number of rows, `checkpoint_age` for a multiple of the usual interval. The rules of the runs\n"
        "(where a row is about another, those that judge by time have nearly their defaults):\n\n"
        f"```yml\n{rules_text()}```\n"
    )


def row_text(row: Fault, found: Sequence[Found]) -> str:
    seconds = sorted(one.after_s for one in found if one.after_s is not None)
    shown = " – ".join(dict.fromkeys(spelled(one) for one in (seconds[0], seconds[-1]))) if seconds else "–"
    noticed = f"`{row.key}`" if row.key else "verdict" if row.ends != "passed" else "nothing: it is none"
    ends = row.ends if found else f"not run: {row.needs()}"
    return f"| {row.name} | {row.how} | {noticed} | {shown} | {ends} |\n"


def spelled(seconds: float) -> str:
    return f"{seconds:.1f}" if seconds >= 0.1 else "< 0.1"


def rules_text() -> str:
    import yaml

    return yaml.safe_dump({"background": monitors({}, EVERY)}, sort_keys=False, width=110)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
