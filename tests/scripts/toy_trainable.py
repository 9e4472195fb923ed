"""A trainable of milliseconds: a regression whose size and pace a test chooses."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

import torch

from common.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYS = {"learning_rate", "hidden", "optimizer", "momentum", "epochs", "pad", "pace", "fail_at", "nan_at", "fault"}
FIGURES = {"no figures": None, "a text": {"loss": "low"}, "a tensor": {"loss": torch.tensor(0.5), "epoch": 0}}


class Toy:
    """Fits y = x w with gradient descent; `pad` are further bytes of each checkpoint, `pace` seconds an epoch."""

    def __init__(self, config: Mapping[str, Any], *, seed: int, threads: int = 1) -> None:
        odd = sorted({*config} - KEYS)
        if odd:
            raise Trouble(f"no setting {odd[0]!r}", USAGE)
        torch.set_num_threads(threads)
        if config.get("fault") == "no construction":
            raise KeyError("hidden")
        self.config, self.epochs, self.epoch = dict(config), int(config.get("epochs", 3)), 0
        self.noise = torch.Generator().manual_seed(seed)
        make = torch.Generator().manual_seed(7)
        self.x, self.x_test = torch.randn(64, 8, generator=make), torch.randn(32, 8, generator=make)
        self.truth = torch.randn(8, generator=make)
        self.w = torch.zeros(8)
        self.pad = torch.zeros(int(config.get("pad", 0)), dtype=torch.uint8)

    def train_epoch(self) -> Any:
        time.sleep(float(self.config.get("pace", 0)))
        if self.epoch + 1 == self.config.get("fail_at"):
            raise RuntimeError("the toy was told to fail")
        y = self.x @ self.truth + 0.1 * torch.randn(64, generator=self.noise)
        gradient = self.x.T @ (self.x @ self.w - y) / 64
        self.w = self.w - float(self.config.get("learning_rate", 0.1)) * gradient
        self.epoch += 1
        if path := os.environ.get("TOY_EPOCHS"):
            with open(path, "a", encoding="utf-8") as log:
                log.write(f"{self.config.get('learning_rate')} {self.epoch}\n")
        if self.config.get("fault") in FIGURES:
            return FIGURES[self.config["fault"]]
        self._go_wrong()
        return {"loss": float(((self.x @ self.w - y) ** 2).mean())}

    def _go_wrong(self):
        fault = self.config.get("fault")
        if fault == "an exit":
            sys.exit(0)
        if fault == "another folder":
            os.chdir("/")
        if fault == "no progress":
            self.epoch -= 1

    def validate(self) -> dict[str, float]:
        if self.epoch == self.config.get("nan_at"):
            return {"score": float("nan")}
        return {"score": -float(((self.x @ (self.w - self.truth)) ** 2).mean())}

    def weights(self) -> dict[str, torch.Tensor]:
        return {"w": self.w.clone(), "pad": self.pad}

    def state(self) -> dict[str, Any]:
        return {"w": self.w, "pad": self.pad, "noise": self.noise.get_state(), "epoch": self.epoch}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.w, self.epoch = state["w"], int(state["epoch"])
        self.noise.set_state(state["noise"])

    def load_weights(self, weights: Mapping[str, torch.Tensor]) -> None:
        self.w = weights["w"]

    def thresholds(self) -> dict[str, float]:
        return {"large": float((self.x @ self.w).mean())}

    def test_metrics(self, thresholds: Mapping[str, float]) -> dict[str, Any]:
        said = (self.x_test @ self.w) > thresholds["large"]
        true = (self.x_test @ self.truth) > 0
        if self.config.get("fault") == "an undefined metric":
            return {"accuracy": float("nan"), "per_label": {"a": [float("inf")]}}
        return {"accuracy": float((said == true).float().mean()), "error": float(((self.w - self.truth) ** 2).sum())}
