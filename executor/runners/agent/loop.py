"""The loop: ask the model, do what it calls, until it hands in or is stopped."""

from __future__ import annotations

import json
import re
import time

from executor.plan.roles import DONE
from executor.runners.agent.budget import reached
from executor.runners.agent.model import ServiceError
from executor.runners.agent.repetition import RepetitionDetector
from executor.runners.agent.tool_result import ToolResult
from executor.runners.agent.tools import Claims, claims_of
from executor.system.records import TYPE_CHECKING, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
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
LASTED = re.compile(r", [\d.]+ s\]$")  # how long a command took makes no other result of it
FOR_EVER_S = 1e9


class End(Record):
    """Why the work ended: `kind` is done, not_met, interrupted, a limit, or a trouble; `claims` are those of done."""

    kind: str
    text: str = ""
    claims: Claims = Claims()

    @property
    def code(self) -> int:
        """What the process exits with."""
        return CODES.get(self.kind, 1)


class Loop:
    """One agent at work; `tools` by name, `say` prints an event of the stream."""

    def __init__(
        self,
        order: AgentRequest,
        talk: Conversation,
        model: Model,
        *,
        tools: Mapping[str, Tool],
        offered: list[dict[str, Any]],
    ) -> None:
        self._order = order
        self._talk = talk
        self._model = model
        self._tools = tools
        self._offered = offered
        self._circuit = RepetitionDetector()
        self._began = time.monotonic() - talk.spent.seconds

    def run(self, say: Callable[[dict[str, Any]], None]) -> End:
        """Work to the end, each turn saved before and after what it calls."""
        end: End | None = None
        while end is None:
            self._tick()
            kind, told = reached(self._talk.spent, self._order.bounds)
            if kind:
                return End(kind, told)
            try:
                answer = self._ask()
            except ServiceError as error:
                return End(error.kind, str(error))
            calls = self._talk.take(answer, dict(self._order.bounds.prices))
            self._talk.save("working")
            say(_assistant(answer, self._talk.messages[-1]["content"]))
            end = self._act(answer, calls, say)
            self._tick()
            self._talk.save("working")
        return end

    def _ask(self) -> Answer:
        while True:
            try:
                return self._model.ask(
                    system=self._order.instructions,
                    tools=self._offered,
                    messages=self._talk.messages,
                    left_s=self._left_s(),
                )
            except ServiceError as error:
                if error.kind != "context" or not self._talk.shorten():
                    raise

    def _act(self, answer: Answer, calls: list[dict[str, Any]], say: Callable[[dict[str, Any]], None]) -> End | None:
        """Do what the turn calls, and answer; return the end when this was the last turn."""
        if answer.stop_reason == "refusal":
            return End("refused", "the model refused to go on")
        inputs = {block["id"]: block for block in answer.content if block.get("type") == "tool_use"}
        done = [call for call in inputs.values() if call["name"] == DONE]
        cut = answer.content[-1] if answer.content and answer.stop_reason == "max_tokens" else {}
        if len(inputs) == 1 and done and done[0] is not cut:
            claims = claims_of(done[0]["input"], self._order.criteria)
            if not claims.trouble:
                return _handed_in(claims)
            results = [(str(done[0]["id"]), ToolResult(claims.trouble, failed=True))]
            return self._answer(results, usable=False, doing=claims.trouble, say=say)
        results = [
            (key, ToolResult(CUT, failed=True) if block is cut else self._do(block)) for key, block in inputs.items()
        ]
        usable = bool(calls) and any(block["name"] in self._tools and block is not cut for block in inputs.values())
        doing = json.dumps([[block["name"], block["input"]] for block in inputs.values()], sort_keys=True, default=str)
        seen = tuple(LASTED.sub("", said.text) for _, said in results)
        return self._answer(results, usable=usable, doing=(doing, seen), say=say)

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

    def _answer(
        self, results: list[tuple[str, ToolResult]], *, usable: bool, doing: Any, say: Callable[[dict[str, Any]], None]
    ) -> End | None:
        stuck = self._circuit.turned(usable=usable, doing=doing)
        bounds, spent = self._order.bounds, self._talk.spent
        last = LAST if bounds.turns and spent.turns == bounds.turns - 1 else ""
        nudge = "" if results else NO_CALL
        words = " ".join(filter(None, (nudge, self._circuit.warning(doing), last)))
        blocks = self._talk.reply(results, words or ("" if results else NO_CALL))
        say({"type": "user", "message": {"role": "user", "content": blocks}})
        return End("circles", stuck) if stuck else None

    def _tick(self) -> None:
        self._talk.spent = self._talk.spent.replace(seconds=round(time.monotonic() - self._began, 1))

    def _left_s(self) -> float:
        """Return the seconds that the budget and the limit of MAIN leave."""
        bounds = self._order.bounds
        used = time.monotonic() - self._began
        return max(0.0, min(bounds.seconds or FOR_EVER_S, self._order.limit_s or FOR_EVER_S) - used)


def _handed_in(claims: Claims) -> End:
    if claims.unmet:
        return End("not_met", f"the agent says it is not met: {'; '.join(claims.unmet)}", claims)
    return End("done", claims.summary, claims)


def _assistant(answer: Answer, content: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a turn as the stream has it: `content` is masked."""
    usage = {
        "input_tokens": answer.usage["input"],
        "output_tokens": answer.usage["output"],
        "cache_read_input_tokens": answer.usage["cache_read"],
        "cache_creation_input_tokens": answer.usage["cache_write"],
    }
    message = {"id": answer.id, "role": "assistant", "content": content, "stop_reason": answer.stop_reason}
    return {"type": "assistant", "message": {**message, "usage": usage}}
