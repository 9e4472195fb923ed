"""Signs of Flow: emoji in both spellings, dates and comments, words of a status, titles without all of them."""

from __future__ import annotations

import re
from functools import cache

from executor.plan.formats.model import BLOCKED, CANCELLED, DONE, OPEN, STARTED
from executor.system import lazy_regex

TICK, GLASS = "✅", "⏳"
_STATES = {TICK: DONE, GLASS: STARTED, "🔄": STARTED, "⏸": BLOCKED, "🚩": BLOCKED}
_PRIORITIES = {"🔴": 1, "🟠": 2, "🟡": 3, "🟢": 4}
_NOTES = ("📝", "🔍", "💡", "⚠", "📌", "🔗")
_OTHERS = ("⚪", "🔵", "🟣", "⚫", "🎯", "🚧", "❌", "✔")
GLYPHS = (*_STATES, *_PRIORITIES, *_NOTES, *_OTHERS)


# Bytes 0x80 to 0x9f as Windows-1252 reads them; five have no character there.
_WINDOWS = (
    "\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f\x90"
    "\u2018\u2019\u201c\u201d\u2022\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178"
)


def mangled(text: str) -> str:
    """Return the text as it looks when it was saved as UTF-8 and read as Windows-1252."""
    return "".join(_WINDOWS[byte - 0x80] if 0x80 <= byte < 0xA0 else chr(byte) for byte in text.encode())


COMMENT = lazy_regex.pattern(r"<#.*?(?:#>|\Z)", re.DOTALL)
_DATE = lazy_regex.pattern(r"\b\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d)?\b")
_LEADING = lazy_regex.pattern(r"^[\s*_]*(?:#{1,6}\s+)?(?:\*\*)?\s*(?:(?:" + "|".join(GLYPHS) + r")\s*)+")
_ANY_GLYPH = lazy_regex.pattern("|".join(GLYPHS))
# The end of a title that is a state: behind a colon, in words or signs.
_STATE_END = lazy_regex.pattern(
    r"[:\uff1a]\s*(?:(?:" + "|".join(GLYPHS) + r")\s*)*"
    r"(?:active|to ?do|in progress|done|completed?|planned|open|blocked)?\s*$",
    re.IGNORECASE,
)  # fmt: skip
_IGNORE = re.IGNORECASE
_WORDS: tuple[tuple[re.Pattern[str], str], ...] = (
    (lazy_regex.pattern(r"\b(?:cancell?ed|dropped|obsolete|won'?t do|rejected|superseded)\b", _IGNORE), CANCELLED),
    (lazy_regex.pattern(r"\b(?:not|un)[\s-]?(?:started|done|complete|completed|finished|begun)\b", _IGNORE), OPEN),
    (lazy_regex.pattern(r"\b(?:partial(?:ly)?|mostly|almost|nearly|half|\d{1,2}\s*%)", _IGNORE), STARTED),
    (lazy_regex.pattern(r"\b(?:blocked|on hold|paused|waiting)\b|⏸|🚩", _IGNORE), BLOCKED),
    (lazy_regex.pattern(r"\b(?:done|completed?|finished|implemented|fixed|resolved)\b|✅", _IGNORE), DONE),
    (lazy_regex.pattern(r"\b(?:in[\s-]progress|active|started|ongoing|wip|review)\b|⏳|🔄", _IGNORE), STARTED),
    (lazy_regex.pattern(r"\b(?:to[\s-]?do|open|planning|planned|conceptual|upcoming|future|pending|backlog|ready|new|idea"
                r"|proposed|draft|not yet|next|later|deferred)\b", _IGNORE), OPEN),
)  # fmt: skip


@cache
def _spellings() -> tuple[re.Pattern[str], dict[str, str]]:
    """Return the pattern of mangled emoji and variation selectors, and what each stands for."""
    right = {mangled(glyph): glyph for glyph in GLYPHS} | {"\ufe0f": "", mangled("\ufe0f"): ""}
    return re.compile("|".join(re.escape(one) for one in sorted(right, key=len, reverse=True))), right


def plain(text: str) -> str:
    """Return text with emoji in their right spelling and without variation selectors."""
    pattern, right = _spellings()
    return pattern.sub(lambda found: right[found[0]], text)


def status(value: str) -> str | None:
    """Return the state of a status in words or signs; None when it is none of those known."""
    text_left = plain(COMMENT.sub("", value))
    return next((state for words, state in _WORDS if words.search(text_left)), None)


def title(text: str) -> str:
    """Return a title without signs, dates of completion, comments and marks of emphasis."""
    text_left = COMMENT.sub("", plain(text))
    text_left = _STATE_END.sub("", re.sub(rf"(?:{TICK})\s*{_DATE.pattern}", TICK, text_left).rstrip(f" {TICK}{GLASS}"))
    text_left = _LEADING.sub("", text_left)
    text_left = re.sub(r"^#{1,6}\s+", "", text_left).replace("**", "")
    return " ".join(_ANY_GLYPH.sub("", text_left).split()).strip(" :")


def key(text: str) -> str:
    """Return a title as it is compared: letters and digits, without case."""
    return " ".join(re.findall(r"\w+", text.casefold()))


def title_state(text: str) -> str | None:
    """Return the state that signs on a title show; a glass before an item is a bullet and shows none."""
    text_left = COMMENT.sub("", plain(text)).strip()
    if TICK in text_left:
        return DONE
    end = re.search(r"[:\uff1a]\s*(?:🟡\s*)?(active|in progress)\s*$", text_left, re.IGNORECASE)
    if end:
        return STARTED
    lead = _LEADING.match(text_left)
    rest = text_left if text_left.lstrip().startswith("#") else text_left[lead.end() :] if lead else text_left
    signs = [_STATES[one] for one in _STATES if one in rest]
    if signs:
        return signs[0]
    before = [_STATES[one] for one in _STATES if lead and one in lead[0] and one != GLASS]
    return before[0] if before else None


def has_glass(text: str) -> bool:
    """Return True when a title shows the sign of work in progress."""
    return GLASS in plain(text)


def leading_state_sign(text: str) -> bool:
    """Return True when an item begins with a sign of a state."""
    text_left = plain(text)
    lead = _LEADING.match(text_left)
    return bool(lead) and any(one in lead[0] for one in _STATES) if lead else False


def is_note(text: str) -> bool:
    """Return True when an item begins with the sign of a note."""
    return plain(text).lstrip(" *_").startswith(_NOTES)


def priority(text: str) -> int:
    """Return the priority that signs or words give, 0 for none."""
    text_left = plain(text)
    word = re.search(r"\b(critical|urgent|high|medium|low)\b", text_left, re.IGNORECASE)
    if word:
        return {"critical": 1, "urgent": 1, "high": 2, "medium": 3, "low": 4}[word[1].lower()]
    return next((level for sign, level in _PRIORITIES.items() if sign in text_left), 0)


def without_state(text: str) -> str:
    """Return text without all that a mark changes: signs of states, dates, comments."""
    text_left = COMMENT.sub("", plain(text))
    text_left = re.sub(rf"[{TICK}{GLASS}]\s*(?:{_DATE.pattern})?", "", text_left)
    return " ".join(text_left.split())
