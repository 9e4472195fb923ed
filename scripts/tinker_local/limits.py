"""Limits of the service."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """Limits; a request beyond them gets 429, which the SDK repeats, or 413. Names in _s are seconds."""

    body_bytes: int = 32_000_000
    waiting: int = 4096  # pending requests
    waiting_of_one: int = 2048  # of one session
    waiting_bytes: int = 512_000_000  # of pending requests
    sessions: int = 256
    adapters: int = 64  # in memory, training and sampling together
    batch: int = 256  # answers sampled in one batch
    kept_bytes: int = 256_000_000  # replies kept for a repeated request
    kept_s: float = 900.0
    poll_s: float = 20.0  # a long poll; the SDK gives up after 45
    order_s: float = 1.0  # wait for an earlier request of a model; the SDK sends them one after the other
    expiry_s: float = 300.0  # a session without a heartbeat
    recorded_s: float = 86_400.0  # a sampled sequence without use
    recorded_bytes: int = 256_000_000  # of sampled sequences
    sweep_s: float = 1.0
    ending_s: float = 7.0  # for requests under way after a signal; then their polls are answered, without a result
    tidy_s: float = 60.0  # interval of the removal of expired checkpoints
