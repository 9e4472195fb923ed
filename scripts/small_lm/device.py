"""The machine of a training: device, threads, precision, compiler."""

from __future__ import annotations

import importlib.util
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from small_lm.errors import USAGE, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

    from small_lm.settings import Run

NATIVE = ("avx512_bf16", "amx_bf16", "bf16")  # capabilities of processors
NATIVE_HALF = ("avx512_fp16", "amx_fp16", "fp16")
SHORT = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
COMPILERS = ("g++", "clang++", "c++")


@dataclass(frozen=True)
class Machine:
    """The device and the precision of matrix products; weights are always float32."""

    device: str
    precision: str
    threads: int

    def autocast(self) -> Any:
        """Return a context manager that multiplies matrices in the chosen precision."""
        dtype = TYPES[self.precision] if self.precision != "float32" else torch.bfloat16
        return torch.autocast(self.device, dtype=dtype, enabled=self.precision != "float32")


def choose(wanted: Run) -> Machine:
    """Return the machine of these settings; `auto` takes the best that is available."""
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    device = next(name for name in there if there[name]) if wanted.device == "auto" else wanted.device
    if not there.get(device):
        raise Trouble(
            f"run.device={device} is not here: use {' or '.join(name for name in there if there[name])}", USAGE
        )
    detected = "bfloat16" if device != "mps" and has_bfloat16(device) else "float32"
    precision = detected if wanted.precision == "auto" else SHORT.get(wanted.precision, wanted.precision)
    if precision == "float16" and device == "cpu" and not is_native(torch.cpu.get_capabilities(), NATIVE_HALF):
        raise Trouble("run.precision=float16: this processor does not multiply it: use float32 or bfloat16", USAGE)
    if wanted.compile:
        refuse_uncompilable(device)
    return Machine(device, precision, wanted.threads or max(1, cores() // beside()))


def beside() -> int:
    """Return the number of processes of this training on this machine, which torchrun states; 1 without it."""
    stated = os.environ.get("LOCAL_WORLD_SIZE", "")
    return max(1, int(stated)) if stated.isdigit() else 1


def cores() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux alone
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def refuse_uncompilable(device: str) -> None:
    """Raise Trouble where torch.compile has no compiler."""
    if device == "mps":
        raise Trouble("run.compile=true is not for run.device=mps: leave it out", USAGE)
    if device == "cuda" and not importlib.util.find_spec("triton"):
        raise Trouble("run.compile=true needs triton: pip install triton, or leave it out", USAGE)
    named = os.environ.get("CXX")
    if device == "cpu" and not any(shutil.which(name) for name in ([named] if named else COMPILERS)):
        raise Trouble("run.compile=true needs a C++ compiler: install g++, or leave it out", USAGE)


def has_bfloat16(device: str) -> bool:
    """Return True if the device multiplies bfloat16 natively; emulation is slower than float32."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return is_native(torch.cpu.get_capabilities())


def is_native(capabilities: Mapping[str, object], names: tuple[str, ...] = NATIVE) -> bool:
    """Return True if a processor's list of flags has one of these; without names: bfloat16."""
    return any(capabilities.get(name) for name in names)
