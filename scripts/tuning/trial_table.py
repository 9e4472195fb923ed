"""The trials of a study as a table for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from small_lm.disk_space import size
from tuning import trial_folder
from tuning.storage_budget import used

if TYPE_CHECKING:
    from tuning.study_settings import StudySettings
    from tuning.trial_folder import TrialFolder

SIGNS = {"complete": "✓", "pruned": "✂", "failed": "✗", "": "▸"}


def rows(settings: StudySettings) -> list[tuple[TrialFolder, dict[str, Any]]]:
    """Return the trials that began with their facts, by number."""
    found = [(one, one.about()) for one in trial_folder.every(settings.folder)]
    return sorted(found, key=lambda row: int(row[1].get("number", 0)))


def text(settings: StudySettings) -> str:
    """Return the table: number, id, state, epochs, best score, config."""
    lines = [f"{'trial':>5}  {'id':8}    {'state':9} {'epochs':>6}  {settings.metric.name:>14}  config"]
    for one, about in rows(settings):
        state = str(about.get("state", ""))
        done = one.epochs()
        best = about.get("value") if about.get("value") is not None else _best(done, settings)
        shown = f"{best:.5f}" if isinstance(best, float) else "-"
        named = {parameter.name for parameter in settings.space}
        config = " ".join(f"{key}={_short(value)}" for key, value in about.get("config", {}).items() if key in named)
        word = state or ("running" if one.is_running() else "waiting")
        first = f"{about.get('number', '?'):>5}  {one.name[:8]}  {SIGNS.get(state, ' ')} {word:9}"
        lines.append(f"{first} {len(done):>6}  {shown:>14}  {config}")
    return "\n".join([*lines, progress(settings)])


def progress(settings: StudySettings) -> str:
    """Return one line: trials by state, the best score, disk space in use."""
    states = [str(about.get("state", "")) for _, about in rows(settings)]
    ended = [about for _, about in rows(settings) if isinstance(about.get("value"), float)]
    sign = -1 if settings.metric.goal == "maximize" else 1
    best = min(ended, key=lambda about: sign * float(about["value"]), default=None)
    counts = ", ".join(f"{states.count(word)} {word or 'running'}" for word in SIGNS if states.count(word))
    score = f"; best {settings.metric.name} {best['value']:.5f} (trial {best['number']})" if best else ""
    limit = f" of {size(settings.keep.budget)}" if settings.keep.budget else ""
    return f"trials: {counts or 'none yet'}{score}; disk {size(used(settings.folder))}{limit}"


def _best(done: list[dict[str, Any]], settings: StudySettings) -> float | None:
    scores = [float(row[settings.metric.name]) for row in done if settings.metric.name in row]
    return (max(scores) if settings.metric.goal == "maximize" else min(scores)) if scores else None


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
