"""An external model that judges which of two answers is more like the character."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

MODEL = "ANTHROPIC_MODEL"
MOST, WAIT_S = 50, 60.0


def rate(template: str, rows: Sequence[dict[str, Any]], first: Sequence[str], second: Sequence[str]) -> dict[str, Any]:
    """Return wins, ties and losses of the first answers; each pair is judged in both orders."""
    import anthropic

    model = os.environ.get(MODEL)
    if not model:
        return {"absent": f"set {MODEL} to the judge's full name"}
    client, wins, ties, pairs = anthropic.Anthropic(timeout=WAIT_S), 0, 0, list(zip(rows, first, second, strict=True))
    for row, one, other in pairs[:MOST]:
        try:
            verdicts = [verdict(client, model, template, row, *pair) for pair in ((one, other), (other, one))]
        except anthropic.AnthropicError as error:
            return {"absent": f"the judge {model} gave no verdict ({type(error).__name__})"}
        wins += verdicts == ["A", "B"]
        ties += verdicts[0] == verdicts[1]
    asked = min(MOST, len(pairs))
    return {"judge": model, "pairs": asked, "won": wins, "undecided": ties, "lost": asked - wins - ties}


def verdict(client: Any, model: str, template: str, row: dict[str, Any], a: str, b: str) -> str:
    """Return the judge's verdict, A or B."""
    text = template.format(name="the character", question=row["question"], a=a, b=b)
    answer = client.messages.create(model=model, max_tokens=5, messages=[{"role": "user", "content": text}])
    return "A" if str(answer.content[0].text).strip().upper().startswith("A") else "B"
