"""Make the report of a trial again; verify the reports of a study."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import files
from common.errors import USAGE, Trouble
from small_lm.checkpoint_folder import Broken
from tuning import study_settings, trial_folder, trial_report
from tuning.command_line import STUDY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tuning.study_settings import StudySettings
    from tuning.trial_folder import TrialFolder


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line; return 0 if the reports agree with their checkpoints, 1 if one does not."""
    options = argparse.ArgumentParser(prog="evaluate_trial.py", description=__doc__)
    options.add_argument("--study", default="experiments", help="its output folder, YAML file or storage URL")
    what = options.add_mutually_exclusive_group(required=True)
    what.add_argument("--trial-id", help="the trial's uuid, or its beginning")
    what.add_argument("--verify", action="store_true", help="compare every report with its checkpoint; write nothing")
    given = options.parse_args(arguments)
    try:
        settings = settings_of(given.study)
        return verify(settings) if given.verify else evaluate(settings, given.trial_id)
    except (Trouble, Broken, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code if isinstance(error, Trouble) else 1


def settings_of(where: str) -> StudySettings:
    """Return the settings of a study by its output folder, YAML file or storage URL; raise Trouble for none."""
    if "://" in where:
        return of_storage(where)
    path = Path(where)
    if path.suffix in (".yaml", ".yml"):
        return study_settings.read(path)
    if not (path / STUDY).is_file():
        raise Trouble(f"{path} holds no {STUDY}: name the output folder, YAML file or storage URL by --study", USAGE)
    return study_settings.of_written(files.read_json(path / STUDY), (), str(path / STUDY))


def of_storage(url: str) -> StudySettings:
    """Return the settings of the only study of a storage; the last part of `URL#NAME` names one of several."""
    import optuna

    url, _, name = url.partition("#")
    try:
        found = {one.study_name: one.user_attrs for one in optuna.study.get_all_study_summaries(url)}
    except Exception as error:  # drivers raise classes of their own
        raise Trouble(f"the storage cannot be read: {' '.join(str(error).split())[:200]}") from error
    wanted = name or (next(iter(found)) if len(found) == 1 else "")
    if wanted not in found:
        raise Trouble(f"name the study as URL#NAME; there are: {', '.join(found) or 'none'}", USAGE)
    if "settings" not in found[wanted]:
        raise Trouble(f"study {wanted!r} was not made by scripts/tune.py: it has no settings", USAGE)
    return study_settings.of_written(found[wanted]["settings"], (), wanted)


def evaluate(settings: StudySettings, name: str) -> int:
    """Make a report again and write it; say whether it agrees with the one before."""
    folder = trial_folder.find(settings.folder, name)
    before = _report(folder)
    made = json.loads(json.dumps(trial_report.again(folder, settings)))
    trial_report.check(made, str(folder.report))
    files.write_json(folder.report, made)
    if before is None:
        print(f"{folder.report}: new")
        return 0
    paths = [*trial_report.differences(trial_report.compared(before), trial_report.compared(made))]
    print(f"{folder.report}: {'differs at ' + ', '.join(paths) if paths else 'agrees'}")
    return 1 if paths else 0


def _report(folder: TrialFolder) -> dict[str, Any] | None:
    """Return the report of a trial as it stands, None if it is missing or no report."""
    try:
        found = json.loads(folder.report.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def verify(settings: StudySettings) -> int:
    """Print the outcome for each trial that ended."""
    ended = [one for one in trial_folder.every(settings.folder) if one.about().get("state") in ("complete", "pruned")]
    outcomes = [trial_report.verify(one, settings) for one in ended]
    for one in outcomes:
        print(f"trial {one.name}: {one.outcome}{f' ({one.why})' if one.why else ''}")
    wrong = [one for one in outcomes if one.outcome in ("differs", "missing")]
    print(
        f"{len(outcomes)} reports: {len(outcomes) - len(wrong)} agree or have no checkpoint left, {len(wrong)} do not"
    )
    return 1 if wrong else 0
