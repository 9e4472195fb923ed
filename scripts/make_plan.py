"""Write the plan of a profile that has other amounts than the plan of this repository: SPEC.md and its definitions.

    python scripts/make_plan.py --profile gemma FOLDER      then: do-tasks --project FOLDER --continue

The folder gets SPEC.md with open boxes, step_definitions.yaml with the profile's numbers of questions, answers and
seconds, and links to scripts/ and constraints.txt. Files that are there stay.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from common import config, files
from common.errors import USAGE, Trouble
from common.stage import explain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.settings import Settings

ROOT = Path(__file__).resolve().parents[1]
LARGE = 5000  # answers, with which the sizes of files in this repository's plan are to be expected
LINKED = ("scripts", "constraints.txt")
BOX = re.compile(r"^- \[.\] (\*\*STEP \d+\*\*: .+?)(?: [✓✗⏳].*)?$", re.MULTILINE)


def write(profile: str, folder: Path) -> None:
    """Write the plan into a folder."""
    settings = config.load(profile, (), os.environ)
    plan = adapted(config.read_yaml(ROOT / "step_definitions.yaml"), settings, profile)
    begin = f"# Of profile {profile}, by scripts/make_plan.py.\n"
    texts = {
        "SPEC.md": BOX.sub(r"- [ ] \1", (ROOT / "SPEC.md").read_text(encoding="utf-8")),
        "step_definitions.yaml": begin + yaml.safe_dump(plan, sort_keys=False),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        if (folder / name).exists():
            raise Trouble(f"{folder / name} is there already: choose another folder, or remove it", USAGE)
        files.write_text(folder / name, text)
    for name in LINKED:
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    print(f"wrote {folder}: DO_TASKS_PROFILE={profile} do-tasks --project {folder} --continue")


def adapted(plan: dict[str, Any], settings: Settings, profile: str) -> dict[str, Any]:
    """Return the definitions with the amounts of a profile, and with its times in place of the short ones."""
    rows, answers = settings.questions.train, settings.evaluation.least
    counts = {"5000": str(rows), "500": str(answers), "50": str(settings.review.answers)}
    text = yaml.safe_dump(plan, sort_keys=False, width=1000)
    text = re.sub(r"(?m)^(\s*)true:", r"\1'on':", text)  # YAML reads the key `on` as true
    text = re.sub(r"(?<=-(?:ge|eq) )(5000|500|50)\b", lambda found: counts[found[1]], text)
    text = re.sub(r"(?<=min_size: )10+KB", lambda size: size[0] if rows >= LARGE else "1KB", text)
    found: dict[str, Any] = yaml.safe_load(text)
    for name, step in found.items():
        if name.startswith("step_"):
            main = step["main"]
            main["timeout"] = max(main["timeout"], int(settings.plan.timeout_s))
            main["test"]["timeout"] = max(main["test"]["timeout"], int(settings.plan.test_timeout_s))
    at = {name.split("_")[1]: step["main"] for name, step in found.items() if name.startswith("step_")}
    at["8"]["chunks"] = [{"size": int(size)} for size in settings.plan.chunks]
    at["8"]["checkpoint_every"] = min(at["8"]["checkpoint_every"], int(settings.plan.chunks[0]))
    found["step_9_audit"]["pre_flight"][0]["file"]["min_count"] = len(settings.plan.chunks)
    limit(at["9"], "rows", equals=rows)
    if rows < LARGE:  # the share of a small set is further from its tenth
        limit(at["10"], "val_share", min=0.03, max=0.2)
    limit(at["14"], "answers", min=answers)
    return found


def limit(main: dict[str, Any], metric: str, **bounds: float) -> None:
    """Set the bounds of a criterion about a metric."""
    for one in main["success_criteria"]:
        if isinstance(one.get("metric"), dict) and one["metric"]["name"] == metric:
            one["metric"] = {"name": metric, **bounds}


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", required=True, help="a name of scripts/configs/, or a path to a .yaml")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args(arguments)
    try:
        write(given.profile, given.folder)
    except (Trouble, OSError) as error:
        return explain(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
