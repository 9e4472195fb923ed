"""The conversation: what the model saw and said, whole on disk after every turn."""

from __future__ import annotations

import json
import os

from executor.plan.roles import DONE
from executor.runners.agent.budget import Spent, spent_of
from executor.runners.agent.request import TALK
from executor.system import files, safe_open
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any

    from executor.runners.agent.model import Answer
    from executor.runners.agent.request import AgentRequest
    from executor.runners.agent.tool_result import ToolResult
    from executor.system.masking import Masker

FORMAT = "do-tasks-1"
KEPT_RESULTS = 6  # of the newest turns, when the conversation has become too long for the model
CUT_OFF = (
    "The process that ran this call was ended while it ran. Whether it took effect is not known: look before you do it"
    " again."
)
GO_ON = "You were stopped and go on now. Look at what is there before you do anything again."
LEFT_OUT = "[an older result, left out because the conversation became too long]"


class Conversation:
    """Messages as they are sent, with what they cost; nothing in them is secret."""

    def __init__(self, order: AgentRequest, masker: Masker) -> None:
        self.messages: list[dict[str, Any]] = []
        self.spent = Spent()
        self.session = os.path.basename(os.path.dirname(order.folder))
        self._order = order
        self._masker = masker

    def begin(self, first: str) -> None:
        """Go on with the conversation of the run before, when there is one about the same; else begin with `first`."""
        kept = _kept(self._order)
        if not kept:
            self._say("user", [_text(first)])
            return
        self.messages = kept["messages"]
        self.spent = spent_of(kept["info"].get("spent") or {})
        self._go_on()

    def _go_on(self) -> None:
        """Answer what was left open; a word of ours follows when nothing else does."""
        word = self._order.word or GO_ON
        last = self.messages[-1]
        if last["role"] == "user":
            return
        calls = calls_in(last["content"])
        results = [_result(call["id"], *_answer_late(call, word)) for call in calls]
        told = any(call["name"] == DONE for call in calls)
        self._say("user", [*results, *([] if told else [_text(word)])])

    def take(self, answer: Answer, prices: dict[str, float]) -> list[dict[str, Any]]:
        """Keep a turn of the model; return its calls."""
        self.spent = self.spent.turned(answer.usage, prices)
        self._say("assistant", answer.content or [_text("(nothing)")])
        return calls_in(answer.content)

    def reply(self, results: list[tuple[str, ToolResult]], more: str = "") -> list[dict[str, Any]]:
        """Answer each call once, in order; `more` follows. Return the blocks."""
        blocks = [_result(call, said.text, failed=said.failed) for call, said in results]
        return self._say("user", [*blocks, *([_text(more)] if more else [])])

    def shorten(self) -> bool:
        """Leave out the results of all but the newest turns; tell whether that made anything shorter."""
        shorter = False
        for message in self.messages[: -2 * KEPT_RESULTS]:
            for block in message["content"] if message["role"] == "user" else ():
                if block.get("type") == "tool_result" and len(str(block["content"])) > len(LEFT_OUT):
                    block["content"], shorter = LEFT_OUT, True
        return shorter

    def save(self, status: str, said: str = "") -> None:
        """Write the trajectory: readable at any moment, by whoever comes next."""
        info = {
            "task": self.session,
            "run": os.path.basename(self._order.folder),
            "digest": self._order.digest,
            "model": self._order.model,
            "status": status,
            "said": self._masker.mask(said),
            "spent": {**self.spent.asdict(), "tokens": self.spent.tokens},
        }
        body = {
            "trajectory_format": FORMAT,
            "info": info,
            "system": self._order.instructions,
            "messages": self.messages,
        }
        data = json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
        files.replace(os.path.join(self._order.folder, TALK), data)

    def _say(self, role: str, content: list[dict[str, Any]]) -> list[dict[str, Any]]:
        masked: list[dict[str, Any]] = self._masker.mask_all(content)
        self.messages.append({"role": role, "content": masked})
        return masked


def calls_in(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the tool calls of a message."""
    return [block for block in content if block.get("type") == "tool_use"]


def _kept(order: AgentRequest) -> dict[str, Any]:
    """Return the trajectory that goes on, {} when there is none or it is about something else."""
    try:
        body = safe_open.parsed(files.read(os.path.join(order.before, TALK))) if order.before else {}
        same = body and body["info"]["digest"] == order.digest and body["messages"]
    except (ValueError, KeyError, TypeError):
        return {}
    return body if same else {}


def _answer_late(call: dict[str, Any], word: str) -> tuple[str, bool]:
    return (word, True) if call["name"] == DONE else (CUT_OFF, True)


def _result(call: str, text: str, failed: bool) -> dict[str, Any]:  # noqa: FBT001 - the field of the wire
    return {"type": "tool_result", "tool_use_id": call, "content": text or "(nothing)", "is_error": failed}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
