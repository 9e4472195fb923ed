"""The summary of a study as JSON and Markdown; it refers to the report of the best trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from common import files
from tuning import trial_table
from tuning.storage_budget import StorageBudget

if TYPE_CHECKING:
    from tuning.study_settings import StudySettings

LEAST = 4  # trials without which no importance means anything


def write(settings: StudySettings) -> dict[str, Any]:
    """Write `study_summary.json` and `study_summary.md` into the output folder; return the content."""
    found = content(settings)
    files.write_json(settings.folder / "study_summary.json", found)
    files.write_text(settings.folder / "study_summary.md", markdown(found))
    return found


def content(settings: StudySettings) -> dict[str, Any]:
    """Return the summary: trials in the order of their number, the best with the path of its report, disk space."""
    trials = [_trial(one.name, about) for one, about in trial_table.rows(settings)]
    ended = [trial for trial in trials if trial["value"] is not None]
    sign = -1 if settings.metric.goal == "maximize" else 1
    best = min(ended, key=lambda trial: sign * trial["value"], default=None)
    use = StorageBudget(settings.folder, settings.keep, lambda _: None).use()
    return {
        "v": 1,
        "study": settings.study,
        "metric": {"name": settings.metric.name, "goal": settings.metric.goal},
        "best": best and {**best, "report": f"trial_{best['trial_id']}/evaluation_report.json"},
        "trials": trials,
        "disk": {"used_bytes": use.used, "keep_all_bytes": use.offered, "saved_share": round(use.saved, 4)},
        "importance": importance(settings),
    }


def _trial(name: str, about: dict[str, Any]) -> dict[str, Any]:
    return {
        "trial_id": name,
        "number": about.get("number"),
        "state": about.get("state") or "running",
        "value": about.get("value"),
        "config": about.get("config", {}),
        "resumed_from": about.get("resumed_from", []),
    }


def importance(settings: StudySettings) -> dict[str, float]:
    """Return the share of the score's variance that each parameter explains; empty below four ended trials."""
    import optuna

    from tuning import study

    study.quiet()
    opened = study.opened(settings)
    if sum(trial.state == optuna.trial.TrialState.COMPLETE for trial in opened.get_trials(deepcopy=False)) < LEAST:
        return {}
    try:
        found = optuna.importance.get_param_importances(
            opened, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
        )
    except (ValueError, RuntimeError):
        return {}
    return {name: round(float(value), 4) for name, value in found.items()}


def markdown(found: dict[str, Any]) -> str:
    """Return the summary as Markdown."""
    metric, best = found["metric"]["name"], found["best"]
    lines = [f"# Study {found['study']}", ""]
    if best:
        lines += [
            f"Best {metric}: **{best['value']:.5f}**, trial {best['number']}; its report: `{best['report']}`.",
            "",
        ]
    disk = found["disk"]
    if disk["keep_all_bytes"]:
        share = f"{100 * disk['saved_share']:.0f} %"
        used, everything = f"{disk['used_bytes']:,} bytes", f"{disk['keep_all_bytes']:,}"
        lines += [f"Disk: {used}; keeping every checkpoint takes {everything} ({share} saved).", ""]
    lines += [f"| trial | state | {metric} | config |", "|---|---|---|---|"]
    for trial in found["trials"]:
        value = "-" if trial["value"] is None else f"{trial['value']:.5f}"
        config = ", ".join(f"{key}={value}" for key, value in trial["config"].items())
        lines.append(f"| {trial['number']} | {trial['state']} | {value} | {config} |")
    if found["importance"]:
        lines += ["", "| parameter | importance |", "|---|---|"]
        lines += [f"| {name} | {value} |" for name, value in found["importance"].items()]
    return "\n".join(lines) + "\n"
