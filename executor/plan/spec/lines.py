"""The spellings of a step's line, and its title."""

from __future__ import annotations

import re
from functools import cache

from executor.plan.spec.markdown_blocks import MARKER
from executor.plan.spec.marks import GLYPH, unescaped, unwrapped
from executor.system import lazy_regex

STATES = " x~-!"

# Blanks as keyboards, web pages and typographers make them.
BLANK = rb"(?:[ \t]|\xc2\xa0|\xe2\x80[\x80-\x8b\xaf]|\xe3\x80\x80|&nbsp;)"
_EMOJI = (
    rb"(?:\xf0\x9f..|\xe2[\x84-\xad].|\xef\xb8[\x8e\x8f]|\xe2\x80\x8d|\xe3\x80[\x81-\x9f]|\d\xef\xb8\x8f\xe2\x83\xa3)"
)
# What stands before the word: emphasis, a link, an anchor, an emoji.
DECO = (
    rb"(?:(?:\*{1,3}|_{1,3}|~~|==|`|\\?\[|\(|\xef\xbc\x88|<[^<>\n]*>|:[a-z0-9_+-]+:|#{1,6}(?=[ \t])|"
    + _EMOJI
    + rb")"
    + BLANK
    + rb"*+)"
)
_CLOSE = rb"(?:\*{1,3}|_{1,3}|~~|==|`|\)|</[^<>\n]*>|\\?\](?:\([^()\n]*\)|\[[^\[\]\n]*\])?)"
END = rb"(?=[ \t\r]*+(?:\n|\Z))"
_COLON = rb"(?::|\xef\xbc\x9a|\xef\xb8\x93|\xef\xb9\x95)"
_POINT = rb"(?:\\?[.)](?!\w)|\xef\xbc[\x8e\x89]|\xe3\x80[\x81\x8b\x8d\x8f\x91\x95])"
_DASH = (
    rb"(?:" + BLANK + rb"*+(?:\xe2\x80[\x93-\x95]|\xe2\x86\x92|[=-]>|\|)"
    rb"|" + BLANK + rb"*+\\?-{1,3}(?=" + BLANK + rb"|[\r\n]|\Z))(?!" + BLANK + rb"*+\d)"
)
SEPARATOR = rb"(?:" + BLANK + rb"*+(?:" + _COLON + rb"|" + _POINT + rb")|" + _DASH + rb")"
STEP = rb"[sS][tT][eE][pP](?:" + BLANK + rb"|\\?[#_-]|\xe2\x84\x96)*+"


def _line(deco: bytes) -> bytes:
    """Return the pattern of a step's line in any spelling; `deco` is the number of its group before the word.

    Only what was opened there is closed behind the number, or behind the separator.
    """
    opened = rb"(?(" + deco + rb")"
    close = rb"(?:" + BLANK + rb"*+" + _CLOSE + rb")++"
    return (
        rb"((?:\A\xef\xbb\xbf)?+(?:[ \t]*+>)*+[ \t]*+(?:" + MARKER + BLANK + rb"++)++\\?\[)"
        rb"(\\?(?:[ xX~!-]|\xc2\xa0)\\?)\]" + BLANK + rb"++(" + DECO + rb"++)?+" + STEP + rb"(\d{1,9})(?!\d)("
        + opened + rb"[ \t]*+\*\*[ \t]*+:|(?!))|" + opened + rb"[ \t]*+:[ \t]*+\*\*|(?!))"
        rb"|" + opened + close + rb"(?:" + SEPARATOR + rb"|(?=" + BLANK + rb")|" + END + rb")|(?!))"
        rb"|" + SEPARATOR + opened + _CLOSE + rb"*+|)|" + END + rb"|(?=" + BLANK + rb"*+" + GLYPH + rb"))([^\n]*)()"
    )  # fmt: skip


# With these bytes no line goes on: another item, a heading, a fence, a table, a tag, the end.
STARTERS = b"-*+#`~|<=\r\n"
# The line as do-tasks writes it, found in half the time; its group 7 is there when the next line is text.
_USUAL = (
    rb"((?:\A\xef\xbb\xbf)?[ \t]*" + MARKER + rb"[ \t]+\[)([ xX~!-])\][ \t]+(\*\*)"
    rb"[sS][tT][eE][pP][ \t]+(\d{1,9})([ \t]*(?::[ \t]*\*\*|\*\*[ \t]*:))([^\n]*)(?:(?=\n([^-*+#`~|<=\r\n])))?"
)
# That line, or any other item with a box: what it is must be asked of the pattern for all spellings.
BOXES = re.compile(
    rb"^(?:" + _USUAL + rb"|(?:\A\xef\xbb\xbf)?[ \t>]*+(?:[-*+]|\d)[^\[\n]*+\[[^\]\n]{1,4}\])", re.MULTILINE
)
USUAL = 6  # the last group of such a line when the next is no text of it


@cache
def _any_spelling() -> re.Pattern[bytes]:
    """Return the pattern for all spellings, which takes longer to make than a plan to read."""
    return re.compile(rb"^" + _line(b"3"), re.MULTILINE | re.DOTALL)


def line_at(data: bytes, start: int, last: int | None = None) -> re.Match[bytes] | None:
    """Return the match of the step's line that begins there; None when it is none."""
    end = len(data) if last is None else last
    match = BOXES.match(data, start, end)
    return match if match is None or match.lastindex else _any_spelling().match(data, start, end)


# By the bytes between the brackets: a no-break blank, and what a tool has escaped.
STATE = {
    before + char.encode() + behind: char.lower().replace("\xa0", " ")
    for char in f"{STATES}X\xa0"
    for before in (b"", b"\\")
    for behind in (b"", b"\\")
}
_BOLD = b"**"
_BETWEEN_USUAL = (b"**:", b":**")
_TOKEN = lazy_regex.pattern(rb"\*{1,3}|_{1,3}|~~|==|`|\\?\[|\(|<[^<>\n/][^<>\n]*>")
_LINK_END = lazy_regex.pattern(rb"\\?\](?:\([^()\n]*\)|\[[^\[\]\n]*\])?")
_TAG_END = lazy_regex.pattern(rb"</[^<>\n]*>")


def title(deco: bytes | None, between: bytes, head: bytes) -> str:
    """Return the title, without the end of what was opened before the word."""
    if b"\n" in head:
        head = unwrapped(head)
    if deco not in (_BOLD, None) or (deco and between not in _BETWEEN_USUAL):
        head = _closed(deco or b"", between, head.strip())
    text = str(head, "utf-8", "replace").strip()
    return unescaped(text) if "\\" in text else text


def _closed(deco: bytes, between: bytes, head: bytes) -> bytes:
    for token in reversed(_TOKEN.findall(deco)):
        if token.endswith(b"["):
            between, head = _dropped(_LINK_END, between, head)
        elif token.startswith(b"<"):
            between, head = _dropped(_TAG_END, between, head)
        else:
            end = b")" if token == b"(" else token
            between, head = _dropped(re.compile(re.escape(end)), between, head)
    return head


def _dropped(end: re.Pattern[bytes], between: bytes, head: bytes) -> tuple[bytes, bytes]:
    """Take one end away: between number and title when it stands there, else behind the title, else within it."""
    if end.search(between):
        return end.sub(b"", between, count=1), head
    found = [*end.finditer(head)]
    last = next((match for match in found if match.end() == len(head)), found[0] if found else None)
    return between, (head[: last.start()] + head[last.end() :]).strip() if last else head
