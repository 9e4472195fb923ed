"""The complete state of a training between two steps."""

from __future__ import annotations

import dataclasses
import math
import time
import warnings
from typing import TYPE_CHECKING, Any

import torch

from small_lm import architectures, data, induction_init, optimizer
from small_lm.errors import USAGE, Trouble
from small_lm.evaluate import evaluate
from small_lm.generate import Choice, generate
from small_lm.model import Llama, loss_of
from small_lm.processes import Processes
from small_lm.resumption import fits, refuse_other
from small_lm.shapes import shaped

if TYPE_CHECKING:
    from small_lm.checkpoints import Loaded
    from small_lm.data import Corpus, Source
    from small_lm.device import Machine
    from small_lm.recurrent import Recurrent
    from small_lm.settings import Settings

METRIC = "val_loss"
ALONE = Processes()


def compiled(model: Llama) -> Any:
    """Return the model as torch.compile runs it, without what torch says of its own deprecated parts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        return torch.compile(model)


class Training:
    """A training between two steps; `state` and the weights are complete, so that it resumes bit for bit."""

    def __init__(
        self, chosen: Settings, corpus: Corpus, here: Machine, model: Any = None, together: Processes = ALONE
    ) -> None:
        self.chosen, self.corpus, self.here, self.together = chosen, corpus, here, together
        data.refuse_long_prompts(chosen, corpus.tokenizer)
        torch.manual_seed(chosen.seed)
        self.model = (model or fresh(chosen, corpus)).to(here.device).train()
        self.forward = compiled(self.model) if chosen.run.compile else self.model
        self.optimisers = optimizer.build(self.model, chosen.optimiser)
        if here.precision == "float16":
            self.optimisers.scaler = torch.amp.GradScaler(here.device)
        self.source, self.copying = corpus.source, copying(chosen, corpus)
        self.step, self.best, self.worse = 0, math.inf, 0

    @property
    def read(self) -> int:
        """The number of steps without the copy warm-up; schedules use it."""
        return self.step - self.copying.steps

    @property
    def total(self) -> int:
        """The expected number of the last step."""
        return self.chosen.run.steps + self.copying.steps

    @property
    def is_over(self) -> bool:
        """True if all steps are done, or evaluations have not improved for too long."""
        return self.read >= self.chosen.run.steps or 0 < self.chosen.judge.patience <= self.worse

    def advance(self) -> dict[str, Any]:
        """Do one step; return its row: step, loss (copy_loss in a step that copies), lr, grad_norm, tokens_per_s."""
        began, batches = time.perf_counter(), self.chosen.optimiser.accumulate
        is_copy = self.copying.is_due(self.read / self.chosen.run.steps)
        torch.manual_seed(self.chosen.seed * 1_000_003 + self.step)  # of dropout: a repeated step draws the same
        rate = self.optimisers.set_share(self.share(is_copy=is_copy))
        loss = sum(self.learn(self.copying if is_copy else self.source) for _ in range(batches)) / batches
        self.together.add_gradients(self.optimisers.parameters)
        norm = float(self.optimisers.step())
        self.step += 1
        if is_copy:
            self.copying.record(loss)
        pace = self.chosen.run.batch_tokens * batches / (time.perf_counter() - began)
        name = "copy_loss" if is_copy else "loss"
        row = {"step": self.step, name: loss, "lr": rate, "grad_norm": norm, "tokens_per_s": round(pace, 1)}
        if self.optimisers.scaler and not math.isfinite(norm):
            row["skipped"] = 1  # the scale of the gradient was too large: no weight has changed
            del row["grad_norm"]
        return row

    def share(self, *, is_copy: bool) -> float:
        """Return the next step's share of the peak rate; in the copy warm-up it rises, then stays."""
        wanted = self.chosen.optimiser
        if is_copy and not self.copying.is_warm:
            return self.chosen.copy.rate_share * min(1.0, (self.copying.steps + 1) / max(1, wanted.warmup))
        return optimizer.share(self.read, self.chosen.run.steps, wanted)

    def learn(self, source: Source) -> float:
        """Add the gradient of one batch; return its loss in nats a token."""
        run = self.chosen.run
        length = run.long_length if run.long_length and self.read >= run.long_from * run.steps else run.length
        inputs, targets, share = self.together.part(*source.next(run.batch_tokens // length, length))
        if not share:  # no token counts here, so that there is no mean
            return self.together.sum(0.0)
        with self.here.autocast():
            loss = share * loss_of(self.forward, inputs.to(self.here.device), targets.to(self.here.device))
        self.optimisers.backward(loss / self.chosen.optimiser.accumulate)
        return self.together.sum(float(loss.detach()))

    def judge(self) -> dict[str, Any]:
        """Evaluate on held-out text; return the row, and record the best loss."""
        run, judge = self.chosen.run, self.chosen.judge
        size = run.batch_tokens // run.length
        batches = self.corpus.judged(size=size, length=run.length, batches=judge.batches)
        self.model.eval()
        scores = self.together.once(lambda: evaluate(self.model, batches, self.here))
        self.model.train()
        is_better = scores.loss < self.best - judge.min_gain
        self.best, self.worse = (scores.loss, 0) if is_better else (self.best, self.worse + 1)
        figures = {METRIC: scores.loss, "val_perplexity": scores.perplexity, "val_accuracy": scores.accuracy}
        return {"step": self.step, **figures}

    def sample(self) -> list[tuple[str, str]]:
        """Return (prompt, text) pairs; they use their own random generator, so that training is not affected."""
        wanted = dataclasses.asdict(self.chosen.sample)
        prompts, _ = wanted.pop("prompts"), wanted.pop("every")
        choice = Choice(**wanted, seed=self.chosen.seed + self.step)
        self.model.eval()
        texts = generate(self.model, self.corpus.tokenizer, prompts, choice)
        self.model.train()
        return list(zip(prompts, texts, strict=True))

    def state(self) -> dict[str, Any]:
        """Return all of the state but the weights."""
        return {
            "run": {"step": self.step, "best": self.best, "worse": self.worse},
            "optimisers": self.optimisers.state(),
            "source": self.source.state(),
            "copying": self.copying.state(),
            "chance": torch.get_rng_state(),
            "scaler": self.optimisers.scaler.state_dict() if self.optimisers.scaler else {},
            "fits": fits(self.chosen, self.corpus, self.here),
        }

    def load(self, found: Loaded) -> None:
        """Restore a checkpoint; raise Trouble if it is of another training."""
        state = found.full or {}
        refuse_other(state["fits"], fits(self.chosen, self.corpus, self.here), found.step)
        self.load_weights(found)
        self.load_optimisers(state["optimisers"], found.step)
        if self.optimisers.scaler:
            self.optimisers.scaler.load_state_dict(state["scaler"])
        self.source.load(state["source"])
        self.copying.load(state["copying"])
        torch.set_rng_state(state["chance"])
        self.step, self.best, self.worse = (state["run"][name] for name in ("step", "best", "worse"))

    def load_weights(self, found: Loaded) -> None:
        """Restore the weights; raise Trouble if they are of another shape."""
        try:
            self.model.load_state_dict(found.weights)
        except RuntimeError as error:
            line = f"the checkpoint of step {found.step} has weights of another shape: set outputs=ANOTHER"
            raise Trouble(line, USAGE) from error

    def load_optimisers(self, state: Any, step: int) -> None:
        """Restore the optimizers; raise Trouble if they are others, which a checkpoint of an older version shows here.

        A name alone was not written then.
        """
        try:
            self.optimisers.load(state)
        except ValueError as error:
            other = "adamw" if self.chosen.optimiser.name == "muon" else "muon"
            line = (
                f"the checkpoint of step {step} is of another optimizer: set optimiser.name={other}, or outputs=ANOTHER"
            )
            raise Trouble(line, USAGE) from error


def fresh(chosen: Settings, corpus: Corpus) -> Llama | Recurrent:
    """Return an untrained model for these settings."""
    model = architectures.fresh(shaped(chosen.model, vocab_size=corpus.tokenizer.size))
    if chosen.model.init == "induction" and isinstance(model, Llama):
        induction_init.plant(model)
    return model


def copying(chosen: Settings, corpus: Corpus) -> induction_init.Copying:
    """Return the schedule of copy steps; without an induction circuit no step copies."""
    has_circuit = chosen.model.init == "induction"
    wanted = chosen.copy if has_circuit else dataclasses.replace(chosen.copy, until_share=0.0)
    first, size = len(corpus.tokenizer.specials), corpus.tokenizer.size
    return induction_init.Copying(wanted, vocab_size=size, first=first, seed=chosen.seed)
