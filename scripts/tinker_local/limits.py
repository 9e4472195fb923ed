"""How much of everything the service holds at once."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Bounds:
    """Above these a request is answered with 429, which the SDK tries again, or 413; seconds end what is forgotten."""

    body_bytes: int = 32_000_000
    waiting: int = 4096  # requests that have no answer yet
    waiting_of_one: int = 2048  # of one session
    waiting_bytes: int = 512_000_000  # of requests that have no answer yet
    sessions: int = 256
    adapters: int = 64  # in memory, training and sampling together
    batch: int = 256  # answers that are drawn together
    kept_bytes: int = 256_000_000  # answers that were not taken, or may be asked for again
    kept_s: float = 900.0
    poll_s: float = 20.0  # a long poll; the SDK gives up after 45
    order_s: float = 10.0  # how long an earlier request of a model is waited for
    expiry_s: float = 300.0  # a session without a heartbeat
    sweep_s: float = 1.0
    tidy_s: float = 60.0  # between looks for checkpoints whose life is over
