"""Signs of Flow: emoji in both spellings, dates and comments, words of a status, titles without all of them."""

from __future__ import annotations

import re

from executor.plan.formats.model import BLOCKED, CANCELLED, DONE, OPEN, STARTED

TICK, GLASS = "✅", "⏳"
_STATES = {TICK: DONE, GLASS: STARTED, "🔄": STARTED, "⏸": BLOCKED, "🚩": BLOCKED}
_PRIORITIES = {"🔴": 1, "🟠": 2, "🟡": 3, "🟢": 4}
_NOTES = ("📝", "🔍", "💡", "⚠", "📌", "🔗")
_OTHERS = ("⚪", "🔵", "🟣", "⚫", "🎯", "🚧", "❌", "✔")
GLYPHS = (*_STATES, *_PRIORITIES, *_NOTES, *_OTHERS)


def mangled(text: str) -> str:
    """Return how text looks that was saved as UTF-8 and read as Windows-1252."""
    return "".join(_as_windows(byte) for byte in text.encode())


def _as_windows(byte: int) -> str:
    try:
        return bytes((byte,)).decode("cp1252")
    except UnicodeDecodeError:
        return chr(byte)


_MANGLED = {mangled(glyph): glyph for glyph in GLYPHS}
_ANY_MANGLED = re.compile("|".join(re.escape(one) for one in sorted(_MANGLED, key=len, reverse=True)))
_SELECTOR = re.compile("\ufe0f|" + re.escape(mangled("\ufe0f")))
COMMENT = re.compile(r"<#.*?(?:#>|\Z)", re.DOTALL)
_DATE = re.compile(r"\b\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d)?\b")
_LEADING = re.compile(r"^[\s*_]*(?:#{1,6}\s+)?(?:\*\*)?\s*(?:(?:" + "|".join(GLYPHS) + r")\s*)+")
_ANY_GLYPH = re.compile("|".join(GLYPHS))
# The end of a title that is a state: behind a colon, in words or signs.
_STATE_END = re.compile(
    r"[:\uff1a]\s*(?:(?:" + "|".join(GLYPHS) + r")\s*)*"
    r"(?:active|to ?do|in progress|done|completed?|planned|open|blocked)?\s*$",
    re.IGNORECASE,
)  # fmt: skip
_WORDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b(?:cancell?ed|dropped|obsolete|won'?t do|rejected|superseded)\b", re.IGNORECASE), CANCELLED),
    (re.compile(r"\b(?:not|un)[\s-]?(?:started|done|complete|completed|finished|begun)\b", re.IGNORECASE), OPEN),
    (re.compile(r"\b(?:partial(?:ly)?|mostly|almost|nearly|half|\d{1,2}\s*%)", re.IGNORECASE), STARTED),
    (re.compile(r"\b(?:blocked|on hold|paused|waiting)\b|⏸|🚩", re.IGNORECASE), BLOCKED),
    (re.compile(r"\b(?:done|completed?|finished|implemented|fixed|resolved)\b|✅", re.IGNORECASE), DONE),
    (re.compile(r"\b(?:in[\s-]progress|active|started|ongoing|wip|review)\b|⏳|🔄", re.IGNORECASE), STARTED),
    (re.compile(r"\b(?:to[\s-]?do|open|planning|planned|conceptual|upcoming|future|pending|backlog|ready|new|idea"
                r"|proposed|draft|not yet|next|later|deferred)\b", re.IGNORECASE), OPEN),
)  # fmt: skip


def plain(text: str) -> str:
    """Return text with emoji in their right spelling and without variation selectors."""
    return _SELECTOR.sub("", _ANY_MANGLED.sub(lambda found: _MANGLED[found[0]], text))


def status(value: str) -> str | None:
    """Return the state of a status in words or signs; None when it is none of those known."""
    said = plain(COMMENT.sub("", value))
    return next((state for words, state in _WORDS if words.search(said)), None)


def title(text: str) -> str:
    """Return a title without signs, dates of completion, comments and marks of emphasis."""
    said = COMMENT.sub("", plain(text))
    said = _STATE_END.sub("", re.sub(rf"(?:{TICK})\s*{_DATE.pattern}", TICK, said).rstrip(f" {TICK}{GLASS}"))
    said = _LEADING.sub("", said)
    said = re.sub(r"^#{1,6}\s+", "", said).replace("**", "")
    return " ".join(_ANY_GLYPH.sub("", said).split()).strip(" :")


def key(text: str) -> str:
    """Return a title as it is compared: letters and digits, without case."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def title_state(text: str) -> str | None:
    """Return the state that signs on a title show; a glass before an item is a bullet and shows none."""
    said = COMMENT.sub("", plain(text)).strip()
    if TICK in said:
        return DONE
    end = re.search(r"[:\uff1a]\s*(?:🟡\s*)?(active|in progress)\s*$", said, re.IGNORECASE)
    if end:
        return STARTED
    lead = _LEADING.match(said)
    rest = said if said.lstrip().startswith("#") else said[lead.end() :] if lead else said
    signs = [_STATES[one] for one in _STATES if one in rest]
    if signs:
        return signs[0]
    before = [_STATES[one] for one in _STATES if lead and one in lead[0] and one != GLASS]
    return before[0] if before else None


def has_glass(text: str) -> bool:
    """Return whether a title shows the sign of work in progress."""
    return GLASS in plain(text)


def leading_state_sign(text: str) -> bool:
    """Return whether an item begins with a sign of a state."""
    said = plain(text)
    lead = _LEADING.match(said)
    return bool(lead) and any(one in lead[0] for one in _STATES) if lead else False


def is_note(text: str) -> bool:
    """Return whether an item begins with the sign of a note."""
    return plain(text).lstrip(" *_").startswith(_NOTES)


def priority(text: str) -> int:
    """Return the priority that signs or words give, 0 for none."""
    said = plain(text)
    word = re.search(r"\b(critical|urgent|high|medium|low)\b", said, re.IGNORECASE)
    if word:
        return {"critical": 1, "urgent": 1, "high": 2, "medium": 3, "low": 4}[word[1].lower()]
    return next((level for sign, level in _PRIORITIES.items() if sign in said), 0)


def without_state(text: str) -> str:
    """Return text without all that a mark changes: signs of states, dates, comments."""
    said = COMMENT.sub("", plain(text))
    said = re.sub(rf"[{TICK}{GLASS}]\s*(?:{_DATE.pattern})?", "", said)
    return " ".join(said.split())
