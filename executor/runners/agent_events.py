"""The stream of an agent, read as turns: Claude Code's stream-json, which the built-in agent prints too."""

from __future__ import annotations

import json
import re

from executor.system.quantities import parse_number
from executor.system.records import TYPE_CHECKING, Record
from executor.system.text import clean_control

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

MOST_LINE = 8 * 1024**2  # bytes; a longer line is skipped, to bound memory
MOST_TEXT = 4000  # characters of a turn that are kept
MOST_CALL = 200
MOST_LISTED = 100
MOST_COUNT = 10**12
# The four kinds of tokens, as a message and the result name them, then as the result names them by model.
# Each token is of one kind.
_USAGE = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")
_MODEL_USAGE = ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheCreationInputTokens")
_SYNTHETIC = "<synthetic>"  # the model of a message that Claude Code made itself, for an error
_KINDS = {
    "success": "done",
    "error_max_turns": "turns",
    "error_max_budget_usd": "usd",
    "error_during_execution": "error",
}
_DIAGNOSTIC = "[ede_diagnostic]"  # printed at an abort, without information
_LIMITED = (429, 529)
_REFUSED = (401, 403)
_SHORT = {"str_replace_based_edit_tool": "editor"}
_ASKED = ("command", "file_path", "path", "notebook_path", "pattern", "url", "query", "skill", "description", "prompt")
_TAG = re.compile(r"</?tool_use_error>")
_SESSION = re.compile(r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}")


class Turned(Record):
    """A turn of the agent: its prose, a line for each tool call, the first line of each error.

    `tokens` are of all turns so far, cached ones too; `usd` is 0 until a result has the cost.
    """

    turn: int
    text: str = ""
    calls: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()
    tokens: int = 0
    usd: float = 0.0


class Closed(Record):
    """The result event of an agent.

    `kind`: done, turns, usd, rate_limit, denied (by the service), interrupted, error, or another of the built-in agent.
    `usd` is of the whole session, rounds before this one included; `tokens` of this process alone.
    """

    ok: bool
    kind: str
    text: str = ""
    turns: int = 0
    tokens: int = 0
    usd: float = 0.0
    denials: tuple[str, ...] = ()
    session: str = ""


class Stream:
    """Reads the stream in blocks that may end anywhere; unknown events are skipped."""

    def __init__(self, most_line: int = MOST_LINE) -> None:
        self.session = ""
        self._most = most_line
        self._held: list[bytes] = []
        self._size = 0
        self._turn = 0
        self._open: _Open | None = None
        self._root = ""
        self._spent: dict[str, int] = {}
        self._usd = 0.0

    def feed(self, data: bytes) -> list[Turned | Closed]:
        """Return the turns that are complete, and the result event if there is one."""
        found: list[Turned | Closed] = []
        for at, piece in enumerate(data.split(b"\n")):
            if at:
                found += self._line()
            self._hold(piece)
        return found

    def close(self) -> list[Turned | Closed]:
        """Return the rest at the end of the stream: a last line without line end, a turn without results."""
        return [*self._line(), *self._flush()]

    def _hold(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size > self._most:
            self._held.clear()
        elif piece:
            self._held.append(piece)

    def _line(self) -> Iterable[Turned | Closed]:
        line, fits = b"".join(self._held), self._size <= self._most
        self._held, self._size = [], 0
        return tuple(self._event(_object(line))) if fits else ()

    def _event(self, event: Mapping[str, Any]) -> Iterator[Turned | Closed]:
        self.session = self.session or _session(event)
        kind, message = event.get("type"), _dict(event.get("message"))
        if kind == "system" and event.get("subtype") == "init":
            self._root = _text(event.get("cwd"))
        elif kind == "result":
            yield from self._flush()
            yield self._closed(event)
        elif kind == "assistant" and message.get("model") != _SYNTHETIC:
            if not event.get("parent_tool_use_id"):
                yield from self._answer(message)
            self._count(message)
        elif kind == "user" and not event.get("parent_tool_use_id"):
            yield from self._results(message)

    def _answer(self, message: Mapping[str, Any]) -> Iterator[Turned]:
        """Add a message, or a further block of it: Claude Code prints one event a block, with the id of the message."""
        key = _text(message.get("id"))
        if self._open and (not key or key != self._open.key):
            yield from self._flush()
        if self._open is None:
            self._turn += 1
            self._open = _Open(key)
        for block in _dicts(message.get("content")):
            self._open.take(block, self._root)

    def _results(self, message: Mapping[str, Any]) -> Iterator[Turned]:
        results = [block for block in _dicts(message.get("content")) if block.get("type") == "tool_result"]
        if self._open and results:
            for block in results:
                self._open.answered(block)
            if not self._open.waits:
                yield from self._flush()

    def _flush(self) -> Iterator[Turned]:
        turn, self._open = self._open, None
        if turn:
            yield Turned(
                turn=self._turn,
                text=_kept("\n\n".join(turn.texts)),
                calls=tuple(turn.calls),
                failed=tuple(turn.failed),
                tokens=sum(self._spent.values()),
                usd=self._usd,
            )

    def _count(self, message: Mapping[str, Any]) -> None:
        """Count the tokens of each message once; a later event of a message may have more complete numbers."""
        key = _text(message.get("id")) or f"nameless {len(self._spent)}"
        self._spent[key] = max(self._spent.get(key, 0), _sum(_dict(message.get("usage")), _USAGE))

    def _closed(self, event: Mapping[str, Any]) -> Closed:
        self._usd = _number(event.get("total_cost_usd"))
        ok = event.get("subtype") == "success" and event.get("is_error") is not True
        return Closed(
            ok=ok,
            kind="done" if ok else _trouble(event),
            text=_kept(_last_word(event)),
            turns=self._turn or int(_number(event.get("num_turns"))),
            tokens=self._tokens(event),
            usd=self._usd,
            denials=tuple(self._denials(event)),
            session=self.session,
        )

    def _tokens(self, event: Mapping[str, Any]) -> int:
        """Return the largest count: events count output at its beginning, `usage` lacks the tokens of subagents."""
        models = _dict(event.get("model_usage_since_last_result")).values()
        usage = _sum(_dict(event.get("usage")), _USAGE)
        return max(sum(self._spent.values()), usage, sum(_sum(_dict(one), _MODEL_USAGE) for one in models))

    def _denials(self, event: Mapping[str, Any]) -> Iterator[str]:
        for one in _dicts(event.get("permission_denials"))[:MOST_LISTED]:
            yield _call(one.get("tool_name"), one.get("tool_input"), self._root)


class _Open:
    """A turn that is not complete yet."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.texts: list[str] = []
        self.calls: list[str] = []
        self.failed: list[str] = []
        self.waits: set[str] = set()

    def take(self, block: Mapping[str, Any], root: str) -> None:
        if block.get("type") == "text" and _text(block.get("text")).strip() and len(self.texts) < MOST_LISTED:
            self.texts.append(_text(block.get("text"))[: MOST_TEXT + 1].strip())
        elif block.get("type") == "tool_use":
            self.waits.add(_text(block.get("id")))
            if len(self.calls) < MOST_LISTED:
                self.calls.append(_call(block.get("name"), block.get("input"), root))

    def answered(self, result: Mapping[str, Any]) -> None:
        self.waits.discard(_text(result.get("tool_use_id")))
        if result.get("is_error") is True and len(self.failed) < MOST_LISTED:
            self.failed.append(_first_line(result.get("content")))


def _object(line: bytes) -> Mapping[str, Any]:
    """Return the object of a line, empty when there is none."""
    try:
        return _dict(json.loads(line)) if line.lstrip().startswith(b"{") else {}
    except (ValueError, RecursionError):
        return {}


def _session(event: Mapping[str, Any]) -> str:
    """Return the id for resuming the session, empty when it is not safe on a command line."""
    session = _text(event.get("session_id"))
    return session if event.get("type") in ("system", "result") and _SESSION.fullmatch(session) else ""


def _trouble(event: Mapping[str, Any]) -> str:
    """Return the kind of an end without success: Claude Code calls a refused request a success that is an error."""
    status, subtype = event.get("api_error_status"), _text(event.get("subtype"))
    if _text(event.get("terminal_reason")).startswith("aborted"):
        return "interrupted"
    if status in _LIMITED or status in _REFUSED:
        return "rate_limit" if status in _LIMITED else "denied"
    known = "error" if subtype == "success" else _KINDS.get(subtype, "")
    return known or _line(subtype.removeprefix("error_")) or "error"


def _last_word(event: Mapping[str, Any]) -> str:
    errors = event.get("errors")
    texts = [one for one in errors if isinstance(one, str)] if isinstance(errors, list) else []
    return _text(event.get("result")) or "; ".join(one for one in texts if not one.startswith(_DIAGNOSTIC))


def _call(name: object, given: object, root: str) -> str:
    """Return a tool call in one line: its name and subject; paths relative to the project."""
    called = _SHORT.get(_text(name), _text(name)) or "a tool without a name"
    fields = _dict(given)
    asked = [_text(fields.get(key)) for key in _ASKED]
    about = " ".join(text.removeprefix(f"{root}/") if root else text for text in asked[:3] if text)
    return _line(f"{called}: {about or next(filter(None, asked), '')}".removesuffix(": "))


def _first_line(content: object) -> str:
    blocks = [_text(block.get("text")) for block in _dicts(content)]
    lines = _TAG.sub("", _text(content) or "\n".join(blocks)).splitlines()
    return _line(next((line for line in lines if line.strip()), "failed without a word"))


def _line(text: str) -> str:
    clean = " ".join(clean_control(text[: 4 * MOST_CALL]).split())
    return clean if len(clean) <= MOST_CALL else f"{clean[: MOST_CALL - 1]}…"


def _kept(text: str) -> str:
    clean = clean_control(text[: MOST_TEXT + 1])
    return clean if len(clean) <= MOST_TEXT else f"{clean[: MOST_TEXT - 1]}…"


def _dict(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _dicts(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _sum(usage: Mapping[str, Any], names: tuple[str, ...]) -> int:
    return sum(int(_number(usage.get(name))) for name in names)


def _number(value: object) -> float:
    """Return a count or an amount, 0 for anything else."""
    number = parse_number(value)
    return float(number) if number is not None and 0 <= number < MOST_COUNT else 0.0
