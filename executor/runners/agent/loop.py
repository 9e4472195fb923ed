"""The loop of an agent: ask the model, run the tools that it calls, until it calls `done` or is stopped."""

from __future__ import annotations

import json
import re
import time
from collections import deque

from executor.plan.roles import DONE
from executor.runners.agent.model import ServiceError
from executor.runners.agent.tools import Claims, ToolResult, claims_of
from executor.runners.agent.usage import limit_reached
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping
    from typing import Any

    from executor.runners.agent.conversation import Conversation
    from executor.runners.agent.model import Answer, Model
    from executor.runners.agent.request import AgentRequest

    Tool = Callable[..., ToolResult]

RATE_LIMIT_EXIT = 75
CODES = {"done": 0, "rate_limit": RATE_LIMIT_EXIT, "interrupted": 143}
NO_CALL = "You called no tool. Go on with one, or call done, alone, with a claim and evidence for each criterion."
CUT = "This call was cut off because your answer became too long, so it was not run. Say it in smaller pieces."
ALONE = "Not taken: call done alone, after you have seen what the other calls of this turn gave."
LAST = "[This is your last turn: call done, with what is met and what is not.]"
DURATION = re.compile(r", [\d.]+ s\]$")  # removed before results are compared
FOR_EVER_S = 1e9
MOST_WRONG = 5  # turns in a row that could not be used: no call, an unknown tool, bad input, a cut call
WINDOW = 12
SAME_WARNED = 3
MOST_SAME = 6


class End(Record):
    """The end of the work: `kind` is done, not_met, interrupted, a limit or an error; `claims` are those of done."""

    kind: str
    text: str = ""
    claims: Claims = Claims()

    @property
    def code(self) -> int:
        """The exit code of the process."""
        return CODES.get(self.kind, 1)


class RepetitionDetector:
    """Counts turns that could not be used, and the same calls with the same results."""

    def __init__(self) -> None:
        self._wrong = 0
        self._recent: deque[Hashable] = deque(maxlen=WINDOW)

    def add(self, turn: Hashable, *, usable: bool) -> str:
        """Record a turn, its calls and results; return the reason to end the work, empty for none."""
        self._wrong = 0 if usable else self._wrong + 1
        self._recent.append(turn)
        if self._wrong >= MOST_WRONG:
            return f"{self._wrong} turns in a row could not be used"
        same = self._recent.count(turn)
        return f"it did the same {same} times with the same result" if same >= MOST_SAME else ""

    def warning(self, turn: Hashable) -> str:
        """Return the warning before the end for repetition, empty when none is due."""
        same = self._recent.count(turn)
        if same < SAME_WARNED:
            return ""
        return f"[You have done this {same} times with the same result. Do something else, or call done and say why.]"


class Loop:
    """The loop of one agent: `tools` by name, `emit` prints an event of the stream."""

    def __init__(
        self,
        request: AgentRequest,
        conversation: Conversation,
        model: Model,
        *,
        tools: Mapping[str, Tool],
        offered: list[dict[str, Any]],
        emit: Callable[[dict[str, Any]], None],
    ) -> None:
        self._request = request
        self._conversation = conversation
        self._model = model
        self._tools = tools
        self._offered = offered
        self._emit = emit
        self._repetition = RepetitionDetector()
        self._began = time.monotonic() - conversation.usage.seconds

    def run(self) -> End:
        """Work until the end; save each turn before and after its calls."""
        end: End | None = None
        while end is None:
            self._count_time()
            kind, message = limit_reached(self._conversation.usage, self._request.bounds)
            if kind:
                return End(kind, message)
            try:
                answer = self._ask()
            except ServiceError as error:
                return End(error.kind, str(error))
            calls = self._conversation.take(answer, dict(self._request.bounds.prices))
            self._conversation.save("working")
            self._emit(_assistant(answer, self._conversation.messages[-1]["content"]))
            end = self._act(answer, calls)
            self._count_time()
            self._conversation.save("working")
        return end

    def _ask(self) -> Answer:
        while True:
            try:
                return self._model.ask(
                    system=self._request.instructions,
                    tools=self._offered,
                    messages=self._conversation.messages,
                    left_s=self._left_s(),
                )
            except ServiceError as error:
                if error.kind != "context" or not self._conversation.shorten():
                    raise

    def _act(self, answer: Answer, calls: list[dict[str, Any]]) -> End | None:
        """Run the calls of a turn and reply; return the end when this was the last turn."""
        if answer.stop_reason == "refusal":
            return End("refused", "the model refused to go on")
        inputs = {block["id"]: block for block in answer.content if block.get("type") == "tool_use"}
        done = [call for call in inputs.values() if call["name"] == DONE]
        cut = answer.content[-1] if answer.content and answer.stop_reason == "max_tokens" else {}
        if len(inputs) == 1 and done and done[0] is not cut:
            claims = claims_of(done[0]["input"], self._request.criteria)
            if not claims.trouble:
                return _handed_in(claims)
            results = [(str(done[0]["id"]), ToolResult(claims.trouble, failed=True))]
            return self._reply(results, claims.trouble, usable=False)
        results = [
            (key, ToolResult(CUT, failed=True) if block is cut else self._do(block)) for key, block in inputs.items()
        ]
        usable = bool(calls) and any(block["name"] in self._tools and block is not cut for block in inputs.values())
        called = json.dumps([[block["name"], block["input"]] for block in inputs.values()], sort_keys=True, default=str)
        seen = tuple(DURATION.sub("", result.text) for _, result in results)
        return self._reply(results, (called, seen), usable=usable)

    def _do(self, block: dict[str, Any]) -> ToolResult:
        name, given = block["name"], block["input"]
        if name == DONE:
            return ToolResult(ALONE, failed=True)
        tool = self._tools.get(name)
        if tool is None:
            return ToolResult(f"There is no tool {name!r}; there are {', '.join((*self._tools, DONE))}.", failed=True)
        if not isinstance(given, dict):
            return ToolResult(f"{name} takes an object, got {type(given).__name__}.", failed=True)
        return tool(given, left_s=self._left_s())

    def _reply(self, results: list[tuple[str, ToolResult]], turn: Hashable, *, usable: bool) -> End | None:
        stuck = self._repetition.add(turn, usable=usable)
        most = self._request.bounds.turns
        last = LAST if most and self._conversation.usage.turns == most - 1 else ""
        nudge = "" if results else NO_CALL
        blocks = self._conversation.reply(
            results, " ".join(filter(None, (nudge, self._repetition.warning(turn), last)))
        )
        self._emit({"type": "user", "message": {"role": "user", "content": blocks}})
        return End("circles", stuck) if stuck else None

    def _count_time(self) -> None:
        self._conversation.usage = self._conversation.usage.replace(seconds=round(time.monotonic() - self._began, 1))

    def _left_s(self) -> float:
        """Return the seconds left of the limits of the agent and of MAIN."""
        bounds = self._request.bounds
        used = time.monotonic() - self._began
        return max(0.0, min(bounds.seconds or FOR_EVER_S, self._request.limit_s or FOR_EVER_S) - used)


def _handed_in(claims: Claims) -> End:
    if claims.unmet:
        return End("not_met", f"the agent says it is not met: {'; '.join(claims.unmet)}", claims)
    return End("done", claims.summary, claims)


def _assistant(answer: Answer, content: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a turn as an event of the stream; `content` is masked."""
    usage = {
        "input_tokens": answer.usage["input"],
        "output_tokens": answer.usage["output"],
        "cache_read_input_tokens": answer.usage["cache_read"],
        "cache_creation_input_tokens": answer.usage["cache_write"],
    }
    message = {"id": answer.id, "role": "assistant", "content": content, "stop_reason": answer.stop_reason}
    return {"type": "assistant", "message": {**message, "usage": usage}}
