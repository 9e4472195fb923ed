"""Plots of the results, from the files of earlier steps."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from common import files

if TYPE_CHECKING:
    from pathlib import Path

SIZE, DOTS = (6.4, 3.6), 110
SMOOTHED = 20  # steps of the running mean


def figure() -> tuple[Any, Any]:
    """Return an empty figure that needs no screen."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=SIZE, dpi=DOTS, layout="constrained")
    FigureCanvasAgg(made)
    axes = made.add_subplot()
    axes.grid(visible=True, alpha=0.3)
    return made, axes


def kept(made: Any, path: Path) -> Path:
    """Write a figure as PNG; the same data give the same bytes."""
    out = io.BytesIO()
    made.savefig(out, format="png", metadata={"Software": None})
    files.write_bytes(path, out.getvalue())
    return path


def loss(rows: list[dict[str, Any]], path: Path) -> Path:
    """Plot each seed's smoothed loss and the validation losses of its checkpoints."""
    made, axes = figure()
    for seed in sorted({row["seed"] for row in rows}):
        own = [row for row in rows if row["seed"] == seed]
        steps, losses = [row["batch"] + 1 for row in own], [row["loss"] for row in own]
        smooth = [
            sum(losses[max(0, at - SMOOTHED) : at + 1]) / len(losses[max(0, at - SMOOTHED) : at + 1])
            for at in range(len(own))
        ]
        (line,) = axes.plot(steps, smooth, label=f"seed {seed}, training")
        judged = [(row["batch"] + 1, row["val_nll"]) for row in own if "val_nll" in row]
        axes.plot(
            *zip(*judged, strict=True), "o--", color=line.get_color(), alpha=0.6, label=f"seed {seed}, validation"
        )
    axes.set(xlabel="step", ylabel="nats per token", title="Training")
    axes.legend(fontsize="small", loc="upper center", bbox_to_anchor=(0.5, -0.18), ncols=3)
    return kept(made, path)


def gap(found: dict[str, Any], path: Path) -> Path:
    """Plot the nats a token of the teacher's answers under base, student and teacher."""
    made, axes = figure()
    names = [name for name in ("all", "facts", "cues") if name in found["gap"]]
    bars = {"base": "gap", "student": "share", "teacher": "gap"}
    for number, (model, part) in enumerate(bars.items()):
        heights = [found[part][name][model] for name in names]
        places = [at + 0.27 * (number - 1) for at in range(len(names))]
        axes.bar_label(axes.bar(places, heights, width=0.25, label=model), fmt="%.3f", fontsize=7)
    lowest = min(found["gap"][name]["teacher"] for name in names)
    axes.set_ylim(bottom=0.9 * lowest)
    axes.set_xticks(range(len(names)), names)
    axes.set(ylabel="nats per token", title="Held-out answers of the teacher (axis does not begin at 0)")
    axes.legend(fontsize="small")
    return kept(made, path)


def stated(counts: dict[str, Any], path: Path) -> Path:
    """Plot the share of answers that say a fact of the prompt, by wording and fact."""
    made, axes = figure()
    cells = {
        f"{kind},\n{sort.replace('_', ' ')}": cell for sort, kinds in counts.items() for kind, cell in kinds.items()
    }
    for number, model in enumerate(("bare", "student", "teacher")):
        heights = [100 * cell[model] / cell["of"] for cell in cells.values()]
        axes.bar([at + 0.27 * (number - 1) for at in range(len(cells))], heights, width=0.25, label=model)
    axes.set_xticks(range(len(cells)), list(cells), fontsize=6)
    axes.set(ylabel="per cent of the answers", title="Answers that say the fact of the prompt")
    axes.legend(fontsize="small")
    return kept(made, path)
