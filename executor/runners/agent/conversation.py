"""The conversation with the model, complete on disk after every turn."""

from __future__ import annotations

import json
import os

from executor.plan.roles import DONE
from executor.runners.agent.request import TRAJECTORY
from executor.runners.agent.usage import Usage, usage_of
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from executor.runners.agent.model import Answer
    from executor.runners.agent.request import AgentRequest
    from executor.runners.agent.tools import ToolResult
    from executor.system.masking import Masker

FORMAT = "do-tasks-1"
KEPT_RESULTS = 6  # newest turns whose results stay when the conversation is too long for the model
CUT_OFF = (
    "The process that ran this call was ended while it ran. Whether it took effect is not known: look before you do it"
    " again."
)
GO_ON = "You were stopped and go on now. Look at what is there before you do anything again."
LEFT_OUT = "[an older result, left out because the conversation became too long]"


class Conversation:
    """The messages as they are sent, without secrets, and their usage."""

    def __init__(self, request: AgentRequest, masker: Masker) -> None:
        self.messages: list[dict[str, Any]] = []
        self.usage = Usage()
        self.session = os.path.basename(os.path.dirname(request.folder))
        self._request = request
        self._masker = masker

    def begin(self, first: str) -> None:
        """Continue the conversation of the previous run when it is about the same MAIN, else begin with `first`."""
        kept = _kept(self._request)
        if not kept:
            self._add("user", [_text(first)])
            return
        self.messages = kept["messages"]
        self.usage = usage_of(kept["info"].get("spent") or {})
        self._go_on()

    def _go_on(self) -> None:
        """Answer open calls, then add the message of the request, unless that was the answer to a call of `done`."""
        message = self._request.word or GO_ON
        last = self.messages[-1]
        if last["role"] == "user":
            return
        calls = calls_in(last["content"])
        results = [_result(call["id"], message if call["name"] == DONE else CUT_OFF, failed=True) for call in calls]
        is_sent = any(call["name"] == DONE for call in calls)
        self._add("user", [*results, *([] if is_sent else [_text(message)])])

    def take(self, answer: Answer, prices: dict[str, float]) -> list[dict[str, Any]]:
        """Add a turn of the model; return its calls."""
        self.usage = self.usage.with_turn(answer.usage, prices)
        self._add("assistant", answer.content or [_text("(nothing)")])
        return calls_in(answer.content)

    def reply(self, results: list[tuple[str, ToolResult]], more: str = "") -> list[dict[str, Any]]:
        """Add a result for each call, in request, then the text `more`; return the blocks."""
        blocks = [_result(call, result.text, failed=result.failed) for call, result in results]
        return self._add("user", [*blocks, *([_text(more)] if more else [])])

    def shorten(self) -> bool:
        """Remove the results of all turns but the newest; return True when anything became shorter."""
        shorter = False
        for message in self.messages[: -2 * KEPT_RESULTS]:
            for block in message["content"] if message["role"] == "user" else ():
                if block.get("type") == "tool_result" and len(str(block["content"])) > len(LEFT_OUT):
                    block["content"], shorter = LEFT_OUT, True
        return shorter

    def save(self, status: str, text: str = "") -> None:
        """Write the trajectory; a reader finds a complete file at any moment."""
        info = {
            "task": self.session,
            "run": os.path.basename(self._request.folder),
            "digest": self._request.digest,
            "model": self._request.model,
            "status": status,
            "said": self._masker.mask(text),
            "spent": {**self.usage.asdict(), "tokens": self.usage.tokens},
        }
        body = {
            "trajectory_format": FORMAT,
            "info": info,
            "system": self._request.instructions,
            "messages": self.messages,
        }
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        files.replace(os.path.join(self._request.folder, TRAJECTORY), data)

    def _add(self, role: str, content: list[dict[str, Any]]) -> list[dict[str, Any]]:
        masked: list[dict[str, Any]] = self._masker.mask_all(content)
        self.messages.append({"role": role, "content": masked})
        return masked


def calls_in(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the tool calls of a message."""
    return [block for block in content if block.get("type") == "tool_use"]


def _kept(request: AgentRequest) -> dict[str, Any]:
    """Return the trajectory to continue, {} when there is none or it is about another MAIN."""
    try:
        body = safe_open.parse_json(files.read(os.path.join(request.before, TRAJECTORY))) if request.before else {}
        same = body and body["info"]["digest"] == request.digest and body["messages"]
    except (ValueError, KeyError, TypeError):
        return {}
    return body if same else {}


def _result(call: str, text: str, *, failed: bool) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": call, "content": text or "(nothing)", "is_error": failed}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
