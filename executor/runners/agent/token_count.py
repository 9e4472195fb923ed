"""The counter of tokens of a model, where there is one."""

from __future__ import annotations

import os

from executor.plan.limits import AgentLimits
from executor.plan.runner_choice import CREDENTIALS
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Count = Callable[[str], int | None]

LIMIT_S = 10.0
MODEL = "ANTHROPIC_MODEL"


def counter_of(name: str, environ: Mapping[str, str]) -> tuple[str, Count] | None:
    """Return the full name of a model and its counter; None without a model, credentials or the SDK.

    The counter returns None when the service does not answer in time.
    """
    named = name or environ.get(MODEL, "")
    if not named or not any(map(environ.get, CREDENTIALS)):
        return None
    from importlib.util import find_spec

    if not find_spec("anthropic"):
        return None
    from executor.runners.agent.model import ServiceError, client, resolve

    try:
        service = client(os.environ, AgentLimits(stall_s=LIMIT_S))
        full = resolve(service, named)
    except ServiceError:
        return None

    def count(text: str) -> int | None:
        from anthropic import AnthropicError

        message = {"role": "user", "content": text}
        try:
            return int(service.messages.count_tokens(model=full, messages=[message]).input_tokens)
        except (AnthropicError, OSError, ValueError, TypeError, AttributeError):
            return None

    return full, count
