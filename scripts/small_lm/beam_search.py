"""Search for the likeliest continuation of a prompt, several at a time."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from small_lm.generate import Answer, Choice, note, penalised

if TYPE_CHECKING:
    from small_lm.generate import Model
    from small_lm.tokenizers import Tokenizer


@dataclasses.dataclass(frozen=True)
class Beam:
    """A continuation so far, the sum of its tokens' log-probabilities, and the row of the batch that it extends."""

    score: float
    answer: Answer
    row: int = 0

    def worth(self, length: int, penalty: float) -> float:
        """Return the score that texts of different length are compared by."""
        return self.score / float(max(1, length) ** penalty)


def search(model: Model, tokenizer: Tokenizer, begun: Answer, how: Choice) -> Answer:
    """Return the answer of the highest worth that `how.beams` beams find."""
    steps = min(how.max_length, model.shape.context - len(begun.prompt) + 1)
    beams, found = [Beam(0.0, begun)], list[Beam]()
    memories = model.remember(1, len(begun.prompt) + steps)
    tokens, kept = torch.tensor([begun.prompt]), torch.ones(1, len(begun.prompt), dtype=torch.bool)
    for _ in range(steps):
        with torch.no_grad():
            logits = model.next_logits(tokens.to(model.device), memories, kept.to(model.device)).float().cpu()
        beams, ended = extended(beams, logits, tokenizer, how)
        found += ended
        if not beams or is_over(beams, found, steps, how):
            break
        memories = model.reorder(memories, [beam.row for beam in beams])
        tokens = torch.tensor([[beam.answer.ids[-1]] for beam in beams])
        kept = torch.ones(len(beams), len(begun.prompt) + len(beams[0].answer.ids), dtype=torch.bool)
    return best([*found, *beams], how).answer


def best(beams: list[Beam], how: Choice) -> Beam:
    """Return the beam of the highest worth; of equals the first."""
    return max(beams, key=lambda beam: beam.worth(tokens_of(beam), how.length_penalty))


def tokens_of(beam: Beam) -> int:
    """Return the number of tokens that a beam's score counts, the one that ended it among them."""
    return len(beam.answer.ids) + beam.answer.is_done


def is_over(beams: list[Beam], found: list[Beam], steps: int, how: Choice) -> bool:
    """Return True if no beam can become better than the best one found: a score never rises."""
    if not found:
        return False
    longest = steps if how.length_penalty > 0 else tokens_of(beams[0])
    hope = max(beam.worth(longest, how.length_penalty) for beam in beams)
    first = best(found, how)
    return first.worth(tokens_of(first), how.length_penalty) >= hope


def extended(beams: list[Beam], logits: Tensor, tokenizer: Tokenizer, how: Choice) -> tuple[list[Beam], list[Beam]]:
    """Return the likeliest extensions of beams: those that go on, at most `how.beams`, and those that ended."""
    rows = [
        beam.score + penalised(row, beam.answer.prompt + beam.answer.ids, how.repetition_penalty).log_softmax(-1)
        for beam, row in zip(beams, logits, strict=True)
    ]
    scores, places = torch.stack(rows).flatten().topk(min(2 * how.beams, logits.numel()))
    going, ended = list[Beam](), list[Beam]()
    for score, place in zip(scores.tolist(), places.tolist(), strict=True):
        row, token = divmod(place, logits.shape[1])
        one = Beam(score, with_token(beams[row].answer, token, tokenizer, how), row)
        (ended if one.answer.is_done else going).append(one)
        if len(going) == how.beams:
            break
    return going, ended


def with_token(answer: Answer, token: int, tokenizer: Tokenizer, how: Choice) -> Answer:
    """Return a copy of an answer with one token more."""
    longer = dataclasses.replace(answer, ids=list(answer.ids))
    note(longer, token, tokenizer, how.stop)
    return longer
