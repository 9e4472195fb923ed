"""Several processes train one model: each takes its rows of every batch, the gradients are summed.

torchrun, or another launcher that sets RANK, WORLD_SIZE, LOCAL_RANK, MASTER_ADDR and MASTER_PORT, starts them. All draw
the same batches and hold the same weights; the first alone writes files, evaluates and prints.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, distributed

from small_lm.device import beside
from small_lm.errors import USAGE, Trouble
from small_lm.examples import IGNORED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from small_lm.settings import Run

T = TypeVar("T")
LONGEST_WAIT = dt.timedelta(hours=6)  # for the first process, which may wait for room on a full disk
WANTED = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Processes:
    """The place of this process among those of a training; alone, nothing is sent."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """True in the process that writes, evaluates and prints."""
        return self.rank == 0

    def part(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, float]:
        """Return this process's rows of a batch, and their share of the tokens that count."""
        if self.size == 1:
            return inputs, targets, 1.0
        counted = (targets != IGNORED).sum(1)
        mine = slice(self.rank, None, self.size)
        return inputs[mine], targets[mine], float(counted[mine].sum() / counted.sum())

    def add_gradients(self, parameters: Sequence[Tensor]) -> None:
        """Replace the gradients by their sums over all processes; each process then does the same step."""
        if self.size == 1:
            return
        gradients = [torch.zeros_like(one) if one.grad is None else one.grad for one in parameters]
        flat = torch.cat([one.flatten() for one in gradients])
        distributed.all_reduce(flat)
        for one, summed in zip(parameters, flat.split([one.numel() for one in parameters]), strict=True):
            one.grad = summed.view_as(one).clone()

    def sum(self, number: float) -> float:
        """Return the sum of a number over all processes."""
        return self.reduced(number, distributed.ReduceOp.SUM)

    def most(self, number: int) -> int:
        """Return the greatest number of all processes."""
        return int(self.reduced(number, distributed.ReduceOp.MAX))

    def reduced(self, number: float, how: Any) -> float:
        """Return one number of all processes' numbers."""
        if self.size == 1:
            return number
        value = torch.tensor(number, dtype=torch.float64)
        distributed.all_reduce(value, how)
        return float(value)

    def wait(self) -> None:
        """Wait until every process is here."""
        self.most(0)

    def once(self, act: Callable[[], T]) -> T:
        """Call `act` in the first process alone; return in every process what it returned there."""
        if self.size == 1:
            return act()
        values: list[Any] = [act() if self.is_first else None]
        distributed.broadcast_object_list(values, src=0, device=torch.device("cpu"))
        found: T = values[0]
        return found


def expected() -> int:
    """Return the number of processes that a launcher has started; 1 without one. Raise Trouble for half a launch."""
    size = os.environ.get("WORLD_SIZE") or "1"
    if size == "1":
        return 1
    lacking = [name for name in WANTED if not os.environ.get(name)]
    if lacking:
        raise Trouble(
            f"WORLD_SIZE={size} is set, {', '.join(lacking)} not: start it by torchrun, or unset WORLD_SIZE", USAGE
        )
    if not (size.isdigit() and os.environ["RANK"].isdigit() and 0 <= int(os.environ["RANK"]) < int(size)):
        raise Trouble(f"RANK={os.environ['RANK']} and WORLD_SIZE={size} are no place among processes", USAGE)
    return int(size)


def local() -> tuple[int, int]:
    """Return the place of this process on its machine, and how many there are on it."""
    place = os.environ.get("LOCAL_RANK", "")
    return int(place) if place.isdigit() else 0, beside()


@contextlib.contextmanager
def joined(device: str, run: Run) -> Iterator[Processes]:
    """Join the other processes of the training; alone, none are joined. Only the first one prints."""
    size = expected()
    if size == 1:
        yield Processes()
        return
    refuse_unfit(device, run, size)
    if device == "cuda":
        torch.cuda.set_device(local()[0])
    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=LONGEST_WAIT)
    together = Processes(distributed.get_rank(), size)
    try:
        with contextlib.ExitStack() as silence:
            if not together.is_first:
                nothing = silence.enter_context(open(os.devnull, "w", encoding="utf-8"))
                silence.enter_context(contextlib.redirect_stdout(nothing))
            yield together
    finally:
        distributed.destroy_process_group()


def refuse_unfit(device: str, run: Run, size: int) -> None:
    """Raise Trouble for a device that one process alone can use, too few GPUs, or batches with too few rows."""
    if device == "mps":
        raise Trouble("run.device=mps trains in one process: start it without torchrun", USAGE)
    here = local()[1]
    if device == "cuda" and here > torch.cuda.device_count():
        raise Trouble(f"{here} processes for {torch.cuda.device_count()} GPUs: start as many as there are GPUs", USAGE)
    rows = run.batch_tokens // max(run.length, run.long_length)
    if rows < size:
        longest = max(run.length, run.long_length)
        raise Trouble(
            f"{size} processes for batches of {rows} windows of {longest} tokens: "
            f"set run.batch_tokens={size * longest} or more",
            USAGE,
        )
