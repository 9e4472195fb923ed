"""A scripted stand-in for the model, so that roles and plans are tested without a key (docs/howto)."""

from __future__ import annotations

from executor.testing.replies import (
    Reply,
    Usage,
    bash,
    done,
    edit,
    limited,
    overloaded,
    refused,
    say,
    server_error,
    stall,
    together,
    truncated,
    usage,
    use,
)
from executor.testing.request import Request, Result
from executor.testing.server import KEY, ScriptedServer

__all__ = [
    "KEY",
    "Reply",
    "Request",
    "Result",
    "ScriptedServer",
    "Usage",
    "bash",
    "done",
    "edit",
    "limited",
    "overloaded",
    "refused",
    "say",
    "server_error",
    "stall",
    "together",
    "truncated",
    "usage",
    "use",
]
