"""Dependencies that stand in sentences: `(depends on T012)`, `After T003 and T005`, `blocked by T006-T009`."""

from __future__ import annotations

import re
from functools import cache

from executor.system import lazy_regex
from executor.system.records import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MOST_OF_RANGE = 1000
_DASH = r"(?:\s*(?:-|–|—|\.\.|…|~|to|through|bis)\s*)"
_JOIN = r"(?:\s*(?:,|;|&|/|\+|、|和|及|and|und|or|y|e|et)\s*)+"
_CUE = (
    r"(?:depend(?:s|ent|ency|encies|ing)?(?:\s+(?:up)?on)?|after|requires?|required|needs|blocked\s+by|waits?\s+for"
    r"|prerequisites?|依存|依赖|先行)"
)
CUES = tuple(
    one.encode()
    for one in ("depend", "after", "requir", "needs", "blocked", "wait", "prerequisite", "依", "의존", "先")
)
_NO_CUE = b"requirement"  # as in each task of Kiro
_PARTS = lazy_regex.pattern(r"(.*?)(\d+)([A-Za-z]?)", re.DOTALL)


def cues(data: bytes) -> Iterator[int]:
    """Yield the offset of each word that may begin a dependency, word by word."""
    low = data.lower()
    for word in CUES:
        at = low.find(word)
        while at >= 0:
            if not low.startswith(_NO_CUE, at):
                yield at
            at = low.find(word, at + 1)


@cache
def _patterns(one: str) -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Return the patterns of lists behind a cue, of lists before a cue, and of one id or range; `one` is an id."""
    word = r"[\s*_:\uff1a(\[`]*(?:tasks?\s+|issues?\s+)?"
    item = rf"[`\[*]*#?(?:{one})(?:{_DASH}#?(?:{one}))?[`\]*]*"
    many = rf"{item}(?:{_JOIN}(?:tasks?\s+)?{item})*"
    behind = re.compile(rf"(?<!\w){_CUE}{word}({many})", re.IGNORECASE)
    before = re.compile(rf"({many})\s*(?:에|에게|に|への)?\s*(?:의존|依存)", re.IGNORECASE)
    return behind, before, re.compile(rf"(?<![\w-])({one})(?:{_DASH}#?({one}))?(?![\w])", re.IGNORECASE)


def dependencies(text: str, one: str, known: Iterable[str] = ()) -> tuple[str, ...]:
    """Return the ids that a text says to depend on, ranges unfolded; `one` is the pattern of an id without groups."""
    behind, before, _ = _patterns(one)
    found: list[str] = []
    in_front = () if text.isascii() else before.finditer(text)  # its words are Korean and Japanese
    for match in (*behind.finditer(text), *in_front):
        found += ids_in(match[1], one, known)
    return tuple(dict.fromkeys(found))


def subject_and_dependencies(
    text: str, one: str, known: Iterable[str] = ()
) -> tuple[tuple[str, ...], tuple[str, ...]] | None:
    """Return the tasks that a sentence speaks of and those they depend on; None when it says no such thing."""
    match = _patterns(one)[0].search(text)
    subject = ids_in(text[: match.start()], one, known) if match else []
    if match is None or not subject:
        return None
    return tuple(subject), tuple(ids_in(match[1], one, known))


def ids_in(text: str, one: str, known: Iterable[str] = ()) -> list[str]:
    """Return the ids of a list, ranges unfolded; a range holds the known ids between its ends too, such as T006a."""
    found: list[str] = []
    for match in _patterns(one)[2].finditer(text):
        found += _unfolded(match[1], match[2], known) if match[2] else [match[1]]
    return found


def _unfolded(first: str, last: str, known: Iterable[str]) -> list[str]:
    low, high = _PARTS.fullmatch(first), _PARTS.fullmatch(last)
    if not (low and high) or not 0 <= int(high[2]) - int(low[2]) < MOST_OF_RANGE:
        return [first, last]
    ends = (int(low[2]), low[3]), (int(high[2]), high[3])
    between = [one for one in known if _is_between(one, low[1], *ends)]
    if between:
        return between
    if low[3] or high[3]:
        return [first, last]
    return [f"{low[1]}{number:0{len(low[2])}d}" for number in range(ends[0][0], ends[1][0] + 1)]


def _is_between(one: str, stem: str, low: tuple[int, str], high: tuple[int, str]) -> bool:
    parts = _PARTS.fullmatch(one)
    if parts is None or parts[1] != stem:
        return False
    return low <= (int(parts[2]), parts[3]) and (int(parts[2]), parts[3] if high[1] else "") <= high
