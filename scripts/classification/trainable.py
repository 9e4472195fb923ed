"""A training of the encoder, epoch by epoch, which a tuning calls."""

from __future__ import annotations

import copy
import dataclasses
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

from classification import features, scores, settings
from classification.dataset import prepared
from classification.model import Encoder, positive_weights
from classification.pinned import pinned
from classification.splits import TEST, TRAIN, VALIDATION
from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from classification.dataset import Part

EVALUATED = 512  # rows at a time
MOST_NORM = 1.0  # of the gradient


class Trainable:
    """A training between two epochs.

    Going on from `state()` is, on a CPU with one thread, equal to the last bit to a training that was not interrupted.
    """

    epoch: int
    epochs: int

    def __init__(self, config: Mapping[str, Any], *, seed: int, threads: int = 1) -> None:
        self.settings, self.seed, self.threads = settings.read(config), seed, threads
        chosen = self.settings
        torch.set_num_threads(threads)
        self.data = prepared(chosen.data, chosen.buckets, chosen.ngrams)
        train = self.data.parts[TRAIN]
        rarity = features.rarity(train.ids, chosen.buckets)
        weights = positive_weights(train.labels, chosen.positive_power)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.model = Encoder(chosen, rarity, weights, len(pinned().sections))
            self.chance = torch.get_rng_state()
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=chosen.learning_rate, weight_decay=chosen.weight_decay, fused=True
        )
        self.epoch, self.epochs = 0, chosen.epochs

    @property
    def note(self) -> str:
        """A line for a person about the data; empty if there is nothing to say."""
        return self.data.note

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of the table."""
        return {"data": self.data.digest}

    def train_epoch(self) -> dict[str, float]:
        """Train one epoch; return the mean losses of labels and of sections, and the last learning rate."""
        torch.set_num_threads(self.threads)
        train = self.data.parts[TRAIN]
        self.model.train()
        sums = torch.zeros(2, dtype=torch.double)
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(self.chance)
            batches = torch.randperm(len(train)).split(self.settings.batch)
            for number, rows in enumerate(batches, self.epoch * len(batches)):
                rate = self._set_rate(number, self.epochs * len(batches))
                sums += self._step(train, rows).double() * len(rows)
            self.chance = torch.get_rng_state()
        self.epoch += 1
        labels, sections = (sums / len(train)).tolist()
        return {"label_loss": labels, "section_loss": sections, "learning_rate": rate}

    def _set_rate(self, number: int, total: int) -> float:
        """Set the rate of a step: it rises in the warm-up, then falls to zero in a line."""
        warm = min(1.0, (number + 1) / max(1, self.settings.warmup))
        rate = self.settings.learning_rate * warm * max(0.0, 1 - number / total)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _step(self, part: Part, rows: Tensor) -> Tensor:
        """Train on some rows; return the losses of labels and of sections, (2,)."""
        labels, sections = self.model(features.trimmed(part.ids[rows]))
        label_loss = functional.binary_cross_entropy_with_logits(
            labels, part.labels[rows], pos_weight=self.model.positive_weight
        )
        section_loss = functional.cross_entropy(sections, part.sections[rows])
        self.optimizer.zero_grad()
        (label_loss + self.settings.section_weight * section_loss).backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), MOST_NORM)
        self.optimizer.step()
        return torch.stack([label_loss.detach(), section_loss.detach()])

    def validate(self) -> dict[str, float]:
        """Return macro and micro PR-AUC, the cross-entropy of the labels, the accuracy of the section."""
        part = self.data.parts[VALIDATION]
        labels, sections = self._probabilities(part)
        return {
            **scores.pr_auc(labels, part.labels),
            "cross_entropy": float(functional.binary_cross_entropy(labels, part.labels.double())),
            "section_accuracy": float((sections.argmax(1) == part.sections).double().mean()),
        }

    def _probabilities(self, part: Part) -> tuple[Tensor, Tensor]:
        """Return the probabilities of labels and sections of a part."""
        torch.set_num_threads(self.threads)
        self.model.eval()
        with torch.no_grad():
            found = [self.model.probabilities(ids) for ids in self._batches(part)]
        labels, sections = zip(*found, strict=True)
        return torch.cat(labels), torch.cat(sections)

    @staticmethod
    def _batches(part: Part) -> Iterator[Tensor]:
        for ids in part.ids.split(EVALUATED):
            yield features.trimmed(ids)

    def thresholds(self) -> dict[str, float]:
        """Return the threshold of each label with the highest F1 on the validation rows."""
        part = self.data.parts[VALIDATION]
        return scores.best_thresholds(self._probabilities(part)[0], part.labels, pinned().labels)

    def test_metrics(self, thresholds: Mapping[str, float]) -> dict[str, Any]:
        """Return the scores of the test rows as JSON values; raise Trouble if a label has no threshold."""
        missing = [label for label in pinned().labels if label not in thresholds]
        if missing:
            raise Trouble(f"no threshold for {', '.join(missing[:3])}: pass those of thresholds()", USAGE)
        part = self.data.parts[TEST]
        labels, sections = self._probabilities(part)
        found = scores.of_labels(labels, part.labels, pinned().labels, thresholds)
        return {**found, "section": scores.of_sections(sections, part.sections, pinned().sections)}

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the weights, with the weights of features and of positives."""
        return {name: tensor.detach().clone() for name, tensor in self.model.state_dict().items()}

    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take weights for an evaluation; raise Trouble if they are of another shape."""
        try:
            self.model.load_state_dict(dict(weights))
        except RuntimeError as error:
            why = str(error).splitlines()[-1].strip()
            raise Trouble(
                f"these weights are of another model ({why}): use the config that made them", USAGE
            ) from error

    def state(self) -> dict[str, Any]:
        """Return a copy of all that training goes on from, as tensors and plain values."""
        return {
            "settings": dataclasses.asdict(self.settings),
            "data": self.data.digest,
            "seed": self.seed,
            "epoch": self.epoch,
            "weights": self.weights(),
            "optimizer": copy.deepcopy(self.optimizer.state_dict()),
            "chance": self.chance.clone(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from a state; raise Trouble if it is of another config, seed or table."""
        self._refuse_other(state)
        self.load_weights(state["weights"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))
        self.chance, self.epoch = state["chance"].clone(), state["epoch"]

    def _refuse_other(self, state: Mapping[str, Any]) -> None:
        mine = {**dataclasses.asdict(self.settings), "seed": self.seed, "data digest": self.data.digest}
        try:
            other = {**state["settings"], "seed": state["seed"], "data digest": state["data"]}
        except (KeyError, TypeError) as error:
            raise Trouble("this is no state of a training: pass what state() returned", USAGE) from error
        differing = [name for name in mine if mine[name] != other.get(name)]
        if differing:
            name = differing[0]
            raise Trouble(
                f"the state is of another training: {name} is {other.get(name)!r} there, {mine[name]!r} here", USAGE
            )
