"""The training of a student through the SDK: steps, checkpoints, resume at the next batch."""

from __future__ import annotations

import math
import random
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import files
from common.errors import RETRY_LATER, Trouble
from distillation.models import Student

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from common.settings import Training
    from distillation.models import ModelSetup
    from distillation.student.dataset import Example

BETAS = (0.9, 0.95)
EPSILON = 1e-8
CHECKPOINTS = "checkpoints.jsonl"
FINAL = "final"


@dataclass
class StudentTraining:
    """The training of one student: its examples, its validation examples, its folder."""

    setup: ModelSetup
    wanted: Training
    seed: int
    learned: Sequence[Example]
    validation: Sequence[Example]
    folder: Path
    digest: str
    wait_s: float
    is_ended: Callable[[], bool] = field(default=lambda: False)
    wrote: Callable[[dict[str, Any]], None] = field(default=lambda _row: None)
    forgot: Callable[[int, int], None] = field(default=lambda _seed, _batch: None)

    def rows(self) -> list[dict[str, Any]]:
        """Return the checkpoints of these examples and settings; rename a folder of other checkpoints."""
        path = self.folder / CHECKPOINTS
        found = files.read_whole_jsonl(path)
        if found and found[0].get("digest") != self.digest:
            number = next(n for n in range(1, 10_000) if not Path(f"{self.folder}.{n}").exists())
            self.folder.rename(f"{self.folder}.{number}")
            print(f"{self.folder} was of other data or settings; it is now {self.folder}.{number}", flush=True)
            return []
        return found

    def run(self) -> Student | None:
        """Train all remaining steps; return the student, None if a signal ended the training."""
        known = self.rows()
        if not known or known[-1]["batch"] < self.wanted.steps:
            client, first = self.begin(known)
            if not self.go_on(client, first):
                return None
            known = self.rows()
        else:
            self.forgot(self.seed, known[-1]["batch"])  # the logs are this run's too, which found nothing to do
        best = min((row for row in known if math.isfinite(row["val_nll"])), key=lambda row: row["val_nll"])
        self.keep(best)
        return Student(self.seed, best["batch"], best["val_nll"], best["state_path"], best["sampler_path"])

    def keep(self, best: dict[str, Any]) -> None:
        """Make the chosen checkpoint stay at the service: one on the way would expire."""
        if best["name"] == FINAL:
            return
        rest = self.setup.client.create_rest_client()
        for path in (best["state_path"], best["sampler_path"]):
            rest.set_checkpoint_ttl_from_tinker_path(path, None).result(self.wait_s)

    def begin(self, known: list[dict[str, Any]]) -> tuple[Any, int]:
        """Return a training client and its next batch: after the newest checkpoint that loads, else 0."""
        for row in reversed(known):
            client = self.resumed(row)
            if client is not None:
                print(f"seed {self.seed}: going on at batch {row['batch']}", flush=True)
                self.keep_until(row["batch"])
                return client, row["batch"]
        made = self.setup.client.create_lora_training_client(self.setup.student, rank=self.wanted.rank, seed=self.seed)
        client = made.result(self.wait_s)
        self.keep_until(0)
        return client, 0

    def resumed(self, row: dict[str, Any]) -> Any:
        """Return a client of a checkpoint, None if it is lost; raise Trouble if the service is unavailable."""
        import tinker

        try:
            found = self.setup.client.create_training_client_from_state_with_optimizer(row["state_path"])
            return found.result(self.wait_s)
        except (tinker.TinkerError, TimeoutError) as error:
            if not is_lost(error):
                why = f"the service does not resume {row['state_path']} now ({type(error).__name__}: {error})"
                raise Trouble(f"{why}: nothing is lost, run the same command again", RETRY_LATER) from error
            print(f"seed {self.seed}: {row['state_path']} is lost ({error}); trying the one before", flush=True)
            return None

    def keep_until(self, batch: int) -> None:
        """Remove the rows of checkpoints after a batch; the training writes them again."""
        path = self.folder / CHECKPOINTS
        if path.is_file():
            files.write_jsonl(path, [row for row in files.read_whole_jsonl(path) if row["batch"] <= batch])
        self.forgot(self.seed, batch)

    def go_on(self, client: Any, first: int) -> bool:
        """Train the steps from `first` on, one submitted ahead; return True if all were done."""
        ahead = self.submitted(client, first)
        for step in range(first, self.wanted.steps):
            row = self.stepped(step, *ahead)
            is_ended = self.is_ended()  # asked once: a step that was submitted ahead would be in the checkpoint
            if not is_ended and not self.is_saved(step + 1):
                ahead = self.submitted(client, step + 1)
                self.wrote(row)
                continue
            saved = self.save(client, step + 1)
            self.wrote(row | {"val_nll": saved["val_nll"]})
            self.note(saved)  # last: who goes on at this checkpoint has the rows of all steps before it
            if is_ended:
                return step + 1 == self.wanted.steps
            if step + 1 < self.wanted.steps:
                ahead = self.submitted(client, step + 1)
        return True

    def is_saved(self, batch: int) -> bool:
        """Return True if a checkpoint is due before this batch."""
        return batch == self.wanted.steps or batch % self.wanted.save_every == 0

    def submitted(self, client: Any, step: int) -> tuple[Any, Any, float, float]:
        """Send forward_backward with optim_step behind it; return both futures, the batch's weight, the time."""
        from tinker import types

        batch = [self.learned[at] for at in places(self.seed, step, self.wanted.batch, len(self.learned))]
        scales = self.scales(batch)
        data = [one.datum(scale) for one, scale in zip(batch, scales, strict=True)]
        weight = sum(float(one.weights.sum()) * scale for one, scale in zip(batch, scales, strict=True))
        rate = learning_rate(step, self.wanted)
        params = types.AdamParams(learning_rate=rate, beta1=BETAS[0], beta2=BETAS[1], eps=EPSILON)
        sent_at = time.monotonic()
        return client.forward_backward(data, "cross_entropy"), client.optim_step(params), weight, sent_at

    def scales(self, batch: Sequence[Example]) -> list[float]:
        """Return the factor for each example's weights: by its own length, or by that of the whole batch."""
        if self.wanted.reduction == "example":
            return [1 / (len(one.answer) * len(batch)) for one in batch]
        return [1 / sum(len(one.answer) for one in batch)] * len(batch)

    def stepped(self, step: int, learned: Any, moved: Any, weight: float, sent_at: float) -> dict[str, Any]:
        """Wait for a step; return its row. Raise Trouble if the loss is not finite."""
        import tinker

        try:
            loss = float(learned.result(self.wait_s).metrics["loss:sum"])
            moved.result(self.wait_s)
        except (tinker.TinkerError, TimeoutError) as error:
            again = "run the same command again, it goes on at its newest checkpoint"
            raise Trouble(
                f"seed {self.seed}, batch {step}: the service failed ({error}): {again}", RETRY_LATER
            ) from error
        if not math.isfinite(loss):
            raise Trouble(f"seed {self.seed}, batch {step}: the loss is {loss}: lower training.learning_rate")
        return {
            "seed": self.seed,
            "batch": step,
            "epoch": step * self.wanted.batch // max(1, len(self.learned)),
            "learning_rate": learning_rate(step, self.wanted),
            "train_mean_nll": loss / weight,
            "num_sequences": self.wanted.batch,
            **self.sizes(step),
            "time/step_s": round(time.monotonic() - sent_at, 4),
        }

    def sizes(self, step: int) -> dict[str, int]:
        """Return the number of tokens of a batch, and of those in the loss."""
        batch = [self.learned[at] for at in places(self.seed, step, self.wanted.batch, len(self.learned))]
        counted = sum(len(one.answer) for one in batch)
        return {"num_tokens": sum(len(one.asked) for one in batch) + counted, "num_loss_tokens": counted}

    def save(self, client: Any, batch: int) -> dict[str, Any]:
        """Evaluate, then save state and weights; `batch` is the next one. Return the checkpoint's row.

        A checkpoint on the way expires; the last one is named final and stays.
        """
        is_last = batch == self.wanted.steps
        short = FINAL if is_last else f"{batch:06}"
        name, ttl = f"{self.digest[:8]}-{self.seed}-{short}", None if is_last else self.wanted.keep_s or None
        judged = self.judge(client)
        state = client.save_state(name, ttl_seconds=ttl, overwrite=True).result(self.wait_s).path
        sampler = client.save_weights_for_sampler(name, ttl_seconds=ttl)
        print(f"seed {self.seed}, batch {batch}: validation {judged:.4f} nats a token", flush=True)
        return {
            "name": short,
            "batch": batch,
            "epoch": batch * self.wanted.batch // max(1, len(self.learned)),
            "state_path": state,
            "sampler_path": sampler.result(self.wait_s).path,
            "val_nll": judged,
            "seed": self.seed,
            "digest": self.digest,
        }

    def note(self, saved: dict[str, Any]) -> None:
        """Append a checkpoint's row to the file."""
        path = self.folder / CHECKPOINTS
        files.write_jsonl(path, [*files.read_whole_jsonl(path), saved])

    def judge(self, client: Any) -> float:
        """Return the validation loss in nats a token, on the tokens that the teacher sampled."""
        data = [one.datum(1.0) for one in self.validation]
        tokens = sum(len(one.answer) for one in self.validation)
        return float(client.forward(data, "cross_entropy").result(self.wait_s).metrics["loss:sum"]) / max(1, tokens)


def is_lost(error: Exception) -> bool:
    """Return True if the service refuses the checkpoint itself; False if it is only unavailable, busy or unpaid."""
    import tinker
    from tinker.types import RequestErrorCategory

    if isinstance(error, tinker.RequestFailedError):
        return bool(error.category == RequestErrorCategory.User)
    return isinstance(error, (tinker.NotFoundError, tinker.BadRequestError, tinker.UnprocessableEntityError))


def places(seed: int, step: int, batch: int, total: int) -> list[int]:
    """Return the indices of a batch's examples; each epoch has its own order, determined by seed and epoch alone."""
    numbers = range(step * batch, (step + 1) * batch)
    return [order(seed, number // total, total)[number % total] for number in numbers]


def order(seed: int, epoch: int, total: int) -> list[int]:
    """Return the order of one epoch."""
    key = (seed, epoch, total)
    if key not in _ORDERS:
        if len(_ORDERS) > 1:  # a batch may have two epochs
            _ORDERS.clear()
        shuffled = list(range(total))
        random.Random(f"{seed} {epoch}").shuffle(shuffled)  # noqa: S311 - a seeded order, no secret
        _ORDERS[key] = shuffled
    return _ORDERS[key]


_ORDERS: dict[tuple[int, int, int], list[int]] = {}


def learning_rate(step: int, wanted: Training) -> float:
    """Return the learning rate of a step: linear warm-up over `warmup` steps, times a linear decay to almost 0."""
    up = (step + 1) / max(1, wanted.warmup)
    down = 1 - step / max(1, wanted.steps)
    return wanted.learning_rate * min(1.0, up) * down
