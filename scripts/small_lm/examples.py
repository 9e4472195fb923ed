"""Examples of which a part is learned, as the replies of conversations: padded to batches, each once an epoch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from small_lm.errors import Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from small_lm.data import Pair
    from small_lm.texts import Part
    from small_lm.tokenizers import Tokenizer

IGNORED = -100


@dataclass(frozen=True)
class Example:
    """Token ids, and the targets one token ahead; a target of -100 does not count."""

    inputs: list[int]
    targets: list[int]


class Examples:
    """A source of batches; the order of an epoch depends on seed and epoch alone."""

    def __init__(self, items: Sequence[Example], seed: int, pad: int) -> None:
        self.items, self.seed, self.pad = list(items), seed, pad
        self.epoch, self.taken, self.order = 0, 0, self.shuffled(0)

    def __len__(self) -> int:
        return len(self.items)

    def shuffled(self, epoch: int) -> list[int]:
        """Return the places of the items in the order of an epoch."""
        chance = torch.Generator().manual_seed(self.seed * 1_000_003 + epoch)
        return [int(place) for place in torch.randperm(len(self.items), generator=chance)]

    def next(self, size: int, _length: int) -> Pair:
        """Return inputs and targets of the next `size` examples, across epochs."""
        places = []
        for _ in range(size):
            if self.taken == len(self.order):
                self.epoch, self.taken, self.order = self.epoch + 1, 0, self.shuffled(self.epoch + 1)
            places.append(self.order[self.taken])
            self.taken += 1
        return padded([self.items[place] for place in places], self.pad)

    def in_order(self, *, size: int, batches: int) -> Iterator[Pair]:
        """Yield at most `batches` batches from the beginning, the same ones each time."""
        for first in range(0, min(len(self.items), size * batches), size):
            yield padded(self.items[first : first + size], self.pad)

    def state(self) -> dict[str, Any]:
        """Return the position: epoch, number of examples used."""
        return {"epoch": self.epoch, "taken": self.taken}

    def load(self, state: dict[str, Any]) -> None:
        """Go to the position of `state`."""
        self.epoch, self.taken = state["epoch"], state["taken"]
        self.order = self.shuffled(self.epoch)

    def digest(self) -> str:
        """Return the SHA-256 of all examples."""
        content = json.dumps([[one.inputs, one.targets] for one in self.items])
        return hashlib.sha256(content.encode()).hexdigest()


def padded(items: Sequence[Example], pad: int) -> Pair:
    """Return inputs and targets of one length, padded on the right."""
    longest = max(len(one.inputs) for one in items)
    inputs = [one.inputs + [pad] * (longest - len(one.inputs)) for one in items]
    targets = [one.targets + [IGNORED] * (longest - len(one.targets)) for one in items]
    return torch.tensor(inputs), torch.tensor(targets)


def conversations(part: Part, tokenizer: Tokenizer, length: int) -> list[Example]:
    """Return the conversations of some texts; what of one lies beyond `length` tokens is cut, and that is said."""
    rows = [tokenizer.conversation(json.loads("".join(document))) for document in part.documents()]
    cut = [example(ids[: length + 1], marks[: length + 1]) for ids, marks in rows]
    found = [one for one in cut if any(target != IGNORED for target in one.targets)]
    long = sum(len(ids) > length + 1 for ids, _ in rows)
    if long:
        lost = f"{len(cut) - len(found)} of them left out: no reply begins before" if len(found) < len(cut) else ""
        print(
            f"{long} of {len(rows)} conversations are longer than run.length={length} tokens: cut"
            + (lost and f"; {lost}")
        )
    return found


def example(ids: Sequence[int], marks: Sequence[bool]) -> Example:
    """Return an example whose marked tokens are learned."""
    targets = [number if is_learned else IGNORED for number, is_learned in zip(ids[1:], marks[1:], strict=True)]
    return Example(list(ids[:-1]), targets)


def refuse_few(learned: Sequence[Example], held_out: Sequence[Example], kind: str) -> None:
    """Raise Trouble if there is nothing to learn from, or nothing to judge by."""
    if not learned or not held_out:
        raise Trouble(
            f"text.kind={kind} found {len(learned)} rows to learn from and {len(held_out)} held out: "
            "at least one of each is needed; add rows, or set text.val_share or run.length"
        )
