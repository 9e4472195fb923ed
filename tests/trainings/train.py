"""Trains a small character transformer on the Python reference, the way a long training does."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from pydoc_data.topics import topics

import torch
from mishaps import Mishaps
from torch import nn
from torch.nn import functional

KEPT = 3
TEST_STEPS = 2
ENDED_BY_TERM = 128 + signal.SIGTERM


def parsed(argv):
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--width", type=int, default=96)
    parser.add_argument("--layers", type=int, default=3)
    parser.add_argument("--block", type=int, default=64, help="characters of a window")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--warmup", type=int, default=40, help="steps of linear warm-up")
    parser.add_argument("--dropout", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=50)
    parser.add_argument("--eval-every", type=int, default=50)
    parser.add_argument("--eval-batches", type=int, default=8)
    parser.add_argument("--pace", type=float, default=0.0, help="seconds that each batch takes at least, as on a GPU")
    parser.add_argument("--start-pause", type=float, default=0.0, help="seconds before the first step, as of compiling")
    parser.add_argument("--save-pause", type=float, default=0.0, help="seconds that a checkpoint takes, as over NFS")
    parser.add_argument("--resume", default=os.environ.get("DO_TASKS_RESUME", ""), help="a checkpoint to go on from")
    parser.add_argument("--out", type=Path, default=Path(), help="where training_logs/ and checkpoints/ are")
    parser.add_argument("--text", type=Path, help="a file to learn instead of the Python reference")
    parser.add_argument("--tensorboard", action="store_true")
    parser.add_argument("--test", action="store_true", help=f"{TEST_STEPS} steps in a folder of their own")
    parser.add_argument("--fault", action="append", default=[], metavar="NAME@STEP[:ARG]")
    parser.add_argument("--fault-once", action="store_true", help="a run that goes on meets no fault a second time")
    return parser.parse_args(argv)


# The text


class Text:
    """Characters as numbers, cut into a part to learn and a part to judge by."""

    def __init__(self, text):
        self.symbols = sorted(set(text))
        index = {symbol: number for number, symbol in enumerate(self.symbols)}
        coded = torch.tensor([index[symbol] for symbol in text], dtype=torch.long)
        cut = len(coded) * 9 // 10
        self.train, self.val = coded[:cut], coded[cut:]


def read_text(path):
    return path.read_text(encoding="utf-8") if path else "\n".join(topics[name] for name in sorted(topics))


def batch_of(part, *, size, block, chance):
    starts = torch.randint(len(part) - block, (size,), generator=chance)
    windows = torch.stack([part[start : start + block + 1] for start in starts])
    return windows[:, :-1], windows[:, 1:]


# The model


class Layer(nn.Module):
    def __init__(self, width, dropout, heads=4):
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.into, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.think = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attend(self.before(x))
        return x + functional.dropout(self.think(self.between(x)), self.dropout, self.training)

    def attend(self, x):
        size, length, width = x.shape
        parts = self.into(x).view(size, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(*parts.unbind(0), is_causal=True)
        return self.out(seen.transpose(1, 2).reshape(size, length, width))


class Model(nn.Module):
    def __init__(self, *, symbols, asked):
        super().__init__()
        self.symbol, self.place = nn.Embedding(symbols, asked.width), nn.Embedding(asked.block, asked.width)
        self.layers = nn.Sequential(*(Layer(asked.width, asked.dropout) for _ in range(asked.layers)))
        self.last, self.head = nn.LayerNorm(asked.width), nn.Linear(asked.width, symbols)

    def forward(self, x):
        return self.head(self.last(self.layers(self.symbol(x) + self.place.weight[: x.shape[1]])))


def loss_of(model, inputs, targets):
    return functional.cross_entropy(model(inputs).flatten(0, 1), targets.flatten())


# The training


class Training:
    """Everything that a checkpoint must hold, so that the step after it is the one that would have been."""

    def __init__(self, asked, mishaps):
        torch.manual_seed(asked.seed)
        self.asked, self.mishaps = asked, mishaps
        self.text = Text(read_text(asked.text))
        self.model = Model(symbols=len(self.text.symbols), asked=asked)
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=asked.lr)
        self.chance = torch.Generator().manual_seed(asked.seed)
        self.step = 0

    def load(self, path):
        saved = torch.load(path, weights_only=True)
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.chance.set_state(saved["batches"])
        torch.set_rng_state(saved["rng"])
        self.step = saved["step"]

    def state(self):
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "batches": self.chance.get_state(),
            "rng": torch.get_rng_state(),
            "step": self.step,
        }

    def lr(self):
        warm = min(1.0, self.step / max(1, self.asked.warmup))
        return self.mishaps.lr(self.asked.lr * warm)

    def advance(self):
        """Do the next step and return its loss and learning rate."""
        self.step += 1
        self.mishaps.before(self.step, self.model)
        self.model.train()
        rate = self.lr()
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        loss = loss_of(self.model, *self.batch(self.mishaps.part(self.text.train), self.chance))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        return loss.item(), rate

    def batch(self, part, chance):
        time.sleep(self.mishaps.pace(self.asked.pace))
        return batch_of(part, size=self.asked.batch, block=self.asked.block, chance=chance)

    @torch.no_grad()
    def judge(self):
        """Return the loss over text never learned; the batches are the same each time."""
        self.model.eval()
        chance = torch.Generator().manual_seed(0)
        losses = [loss_of(self.model, *self.batch(self.text.val, chance)) for _ in range(self.asked.eval_batches)]
        return torch.stack(losses).mean().item()


# What it leaves


class Records:
    """The files that people and monitors read; each line is written whole, at once."""

    def __init__(self, out, *, tensorboard, clock):
        self.logs, self.checkpoints, self.clock = out / "training_logs", out / "checkpoints", clock
        self.logs.mkdir(parents=True, exist_ok=True)
        self.checkpoints.mkdir(exist_ok=True)
        self.board = None
        if tensorboard:
            from tensorboardX import SummaryWriter

            self.board = SummaryWriter(str(self.logs / "tensorboard"), flush_secs=1)

    def step(self, number, *, loss, lr):
        append(self.logs / "metrics.jsonl", json.dumps({"step": number, "loss": loss, "lr": lr, "time": self.clock()}))
        append(self.logs / "loss.txt", f"{number} {loss:.6f}")
        self.draw("loss", loss, number)

    def judged(self, number, val_loss):
        append(self.logs / "metrics.jsonl", json.dumps({"step": number, "val_loss": val_loss, "time": self.clock()}))
        print(f"step {number}: val_loss {val_loss:.4f}", flush=True)
        self.draw("val_loss", val_loss, number)

    def draw(self, name, value, number):
        if self.board:
            self.board.add_scalar(name, value, number)

    def save(self, state, *, pause_s):
        """Keep a checkpoint: whole under its name, or not there; the oldest beyond the last three go."""
        path = self.checkpoints / f"step_{state['step']:06d}.pt"
        beside = self.checkpoints / f".{path.name}.part"
        with beside.open("wb") as file:
            torch.save(state, file)
            time.sleep(pause_s)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        for old in sorted(self.checkpoints.glob("step_*.pt"))[:-KEPT]:
            old.unlink()


def append(path, line):
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def introduce(out, training, asked):
    """Leave who we are: two such lines for one run would be two trainings."""
    who = {"run": os.environ.get("DO_TASKS_RUN", ""), "pid": os.getpid(), "after": training.step, "at": time.time()}
    append(out / "runs.jsonl", json.dumps({**who, "resumed": asked.resume}))
    size = sum(parameter.numel() for parameter in training.model.parameters())
    print(f"{size:,} parameters, {len(training.text.train):,} characters, after step {training.step}", flush=True)


# The loop


class Term:
    """Set by SIGTERM, heeded between two steps."""

    def __init__(self):
        self.asked = False
        signal.signal(signal.SIGTERM, self.heard)

    def heard(self, *_):
        self.asked = True


def train(training, records, term):
    """Run to the last step; return the exit code."""
    asked, mishaps = training.asked, training.mishaps
    while training.step < asked.steps:
        loss, rate = training.advance()
        records.step(training.step, loss=loss, lr=rate)
        print(json.dumps({"progress": {"done": training.step, "total": asked.steps}}), flush=True)
        if training.step % asked.eval_every == 0:
            records.judged(training.step, training.judge())
        is_due = training.step % asked.save_every == 0 or training.step == asked.steps or term.asked
        if is_due and math.isfinite(loss) and mishaps.saves():  # to go on from broken weights would help nobody
            records.save(training.state(), pause_s=asked.save_pause)
        if term.asked:
            return ENDED_BY_TERM
    return 0


def main(argv):
    asked = parsed(argv)
    torch.set_num_threads(1)
    if not asked.test:
        return run(asked)
    with tempfile.TemporaryDirectory() as folder:
        asked.out, asked.steps, asked.resume, asked.fault = Path(folder), TEST_STEPS, "", []
        return run(asked)


def run(asked):
    term = Term()
    training = Training(asked, Mishaps(asked.fault, asked.out, once=asked.fault_once))
    if asked.resume:
        training.load(asked.resume)
    records = Records(asked.out, tensorboard=asked.tensorboard, clock=training.mishaps.clock)
    introduce(asked.out, training, asked)
    time.sleep(asked.start_pause)
    return train(training, records, term)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
