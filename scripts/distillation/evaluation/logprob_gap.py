"""The gap in nats a token of answers without and with the prompt, and the share that a student closes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from distillation import sampler_requests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from common.settings import Evaluation, Settings
    from distillation.models import ModelSetup

ENDS = (2.5, 97.5)


def answer_nats(
    setup: ModelSetup, rows: Sequence[dict[str, Any]], settings: Settings, *, prompted: bool, path: str = ""
) -> list[float]:
    """Return the nats of each answer: under the teacher's model, or under a checkpoint of the student."""
    model = setup.teacher if prompted else setup.student
    sampler = setup.sampler(path, model, settings.teacher.wait_s)
    voice = setup.voice
    pairs = (
        (voice.asked(str(row["question"]), prompted=prompted), voice.drawn(str(row["answer"]), row["tokens"]))
        for row in rows
    )
    return [float(sum(nats)) for nats in sampler_requests.token_nats(sampler, pairs, settings.teacher)]


def add_nats(rows: Sequence[dict[str, Any]], name: str, nats: Sequence[float]) -> None:
    """Add the nats of each answer to its row, as column `name`."""
    for row, one in zip(rows, nats, strict=True):
        row[name] = round(one, 6)


def parts(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows by group: all, facts, cues."""
    by_group = {group: [row for row in rows if row["group"] == group] for group in ("fact", "cue")}
    return {"all": list(rows), "facts": by_group["fact"], "cues": by_group["cue"]}


def kinds(rows: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows by kind of question, facts first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["group"] != "fact", row["kind"])):
        found.setdefault(str(row["kind"]), []).append(row)
    return found


def clusters(rows: Sequence[dict[str, Any]]) -> Any:
    """Return a number for each row: rows of one template have the same, a question of a play is alone."""
    names = [row["question"] if row["template"] == row["kind"] else row["template"] for row in rows]
    return np.unique(names, return_inverse=True)[1]


def measure_gap(rows: Sequence[dict[str, Any]], wanted: Evaluation, seed: int) -> dict[str, float]:
    """Return mean nats a token of base and teacher, the gap, and its 95 % interval over draws of the answers."""
    tokens, base, teacher = (column(rows, name) for name in ("tokens", "base_nats", "teacher_nats"))
    gaps = resampled(tokens, base - teacher, wanted.resamples, seed)
    low, high = np.percentile(gaps, ENDS)
    return {
        "answers": len(rows),
        "tokens": int(tokens.sum()),
        "base": float(base.sum() / tokens.sum()),
        "teacher": float(teacher.sum() / tokens.sum()),
        "gap": float((base - teacher).sum() / tokens.sum()),
        "low": float(low),
        "high": float(high),
        "better_share": float((teacher < base).mean()),
    }


def share(rows: Sequence[dict[str, Any]], names: Sequence[str], wanted: Evaluation, seed: int) -> dict[str, float]:
    """Return mean nats a token of the students in columns `names` together, and the share of the gap that they close.

    share = (base - student) / (base - teacher); its interval is over draws of the answers, for these very students. A
    second interval is over draws of templates with all their answers, which are alike.
    """
    tokens, base, teacher = (column(rows, name) for name in ("tokens", "base_nats", "teacher_nats"))
    student = np.mean([column(rows, name) for name in names], axis=0)
    low, high = interval(base - student, base - teacher, wanted.resamples, seed)
    gained, gap = (np.bincount(clusters(rows), nats) for nats in (base - student, base - teacher))
    clustered_low, clustered_high = interval(gained, gap, wanted.resamples, seed)
    return {
        "student": float(student.sum() / tokens.sum()),
        "share": float((base - student).sum() / (base - teacher).sum()),
        "low": low,
        "high": high,
        "clustered_low": clustered_low,
        "clustered_high": clustered_high,
        "clusters": len(gap),
    }


def interval(gained: Any, gap: Any, resamples: int, seed: int) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of sum(gained) / sum(gap)."""
    chosen = draws(len(gap), resamples, seed)
    low, high = np.percentile(gained[chosen].sum(1) / gap[chosen].sum(1), ENDS)
    return float(low), float(high)


def column(rows: Sequence[dict[str, Any]], name: str) -> Any:
    """Return one value for each row; for `tokens` their number."""
    return np.array([len(row[name]) if name == "tokens" else row[name] for row in rows], dtype=np.float64)


def draws(count: int, resamples: int, seed: int) -> Any:
    """Return (resamples, count) indices, drawn with replacement."""
    return np.random.default_rng(seed).integers(count, size=(resamples, count))


def resampled(tokens: Any, nats: Any, resamples: int, seed: int) -> Any:
    """Return the nats a token of each resample."""
    chosen = draws(len(tokens), resamples, seed)
    return nats[chosen].sum(1) / tokens[chosen].sum(1)


def gap_text(found: dict[str, float]) -> str:
    """Return a gap as text."""
    return (
        f"{found['gap']:.4f} nats a token, 95 % [{found['low']:.4f}, {found['high']:.4f}], {found['answers']} answers"
    )
