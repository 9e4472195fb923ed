"""The text of a brief within a number of tokens: the parts that fit, in order, and the names of the others."""

from __future__ import annotations

from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

CHARS_PER_TOKEN = 4
TRIES = 4
ENOUGH = 0.9  # of the budget: more is not tried for
MARGIN = 0.97
MOST_NAMED = 20  # parts that are named as left out
CUT = "\n[cut: the step itself is larger than the budget]\n"


class Part(Record):
    """A part of a brief: a heading with a text; `refused` is the reason why it is always left out, empty for none."""

    name: str
    text: str = ""
    refused: str = ""

    @property
    def tokens(self) -> int:
        """The estimated size."""
        return estimated(self.text)


class Fitted(Record):
    """A brief that fits: its text with its tokens, the parts that it has, and those that were left out."""

    text: str
    tokens: int
    taken: tuple[Part, ...] = ()
    left_out: tuple[Part, ...] = ()


def estimated(text: str) -> int:
    """Return the tokens of a text, estimated by its characters."""
    return -(-len(text) // CHARS_PER_TOKEN)


def fit(base: str, parts: Sequence[Part], budget: int, *, room: int = 0) -> Fitted:
    """Return the base with each part that fits, in order; it is at most `budget` estimated tokens long, or `room`."""
    room = room or budget
    taken: list[Part] = []
    for part in parts:
        if not part.refused and estimated(_joined(base, parts, [*taken, part], budget)) <= room:
            taken.append(part)
    text = _joined(base, parts, taken, budget)
    if estimated(text) > room:
        text = _cut(text, room * CHARS_PER_TOKEN)
    return Fitted(text, estimated(text), tuple(taken), tuple(part for part in parts if part not in taken))


def fit_counted(base: str, parts: Sequence[Part], budget: int, count: Callable[[str], int | None]) -> Fitted | None:
    """Return the result of `fit`, counted by a model's counter; None when it does not answer or no text fits."""
    room, best = budget, None
    for _ in range(TRIES):
        fitted = fit(base, parts, budget, room=room)
        tokens = count(fitted.text)
        if tokens is None:
            return None
        if tokens <= budget:
            best = fitted.replace(tokens=tokens)
            if tokens >= ENOUGH * budget or not any(not part.refused for part in fitted.left_out):
                return best
        elif best:
            return best
        room = max(1, int(room * budget / max(1, tokens) * MARGIN))
    return best


def _joined(base: str, parts: Sequence[Part], taken: Sequence[Part], budget: int) -> str:
    left = [part for part in parts if part not in taken]
    return "\n".join((base, *(part.text for part in taken), _left_out(left, budget)))


def _left_out(parts: Sequence[Part], budget: int) -> str:
    """Return the section that names the parts left out, empty without any."""
    if not parts:
        return ""
    rows = [f"- {part.name}: {part.refused or f'{part.tokens:,} tokens'}" for part in parts[:MOST_NAMED]]
    more = [f"- and {len(parts) - MOST_NAMED} more"] if len(parts) > MOST_NAMED else []
    return "\n".join((f"## Left out (budget: {budget:,} tokens)", *rows, *more, ""))


def _cut(text: str, size: int) -> str:
    return text[: size - len(CUT)] + CUT if size > len(CUT) else text[:size]
