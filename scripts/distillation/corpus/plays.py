"""Parse the speeches of a play; several layouts of speaker names are known."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

from distillation.corpus.speaker_names import NO_NAMES, full_name

NAME = r"(?:\d\.? )?(?:MRS?\. |M\. )?[A-Z][A-Za-z'&,\- ]*?"
TITLED = r"(?:\d\.? )?(?:[A-Z]\. )?(?:[A-Z][a-z']+|I)(?: (?:of|[A-Z][a-z']+)){0,2}(?:\.? and [A-Z][a-z']+)?"
# how an edition prints the name above a speech: `FALSTAFF.` or `Fal.` or `FALSTAFF` or `Falstaff:`
LAYOUTS = {
    "capitals": re.compile(rf"(?P<name>{NAME})\.\s*(?P<rest>\[.*)?"),
    "abbreviated": re.compile(rf"(?P<name>{TITLED})\.\s*(?P<rest>\[.*)?"),
    "bare": re.compile(rf"(?P<name>{NAME})(?P<rest>)"),
    "colon": re.compile(rf"(?P<name>{NAME}):(?P<rest>)"),
}
LOOSE = re.compile(rf"(?P<name>{NAME})[.:]?(?:--)?\s*(?P<rest>\[.*)?")
INLINE = re.compile(r"(?P<name>[A-Z][A-Z' ]+)\.\s+(?P<rest>\S.*)")  # name and speech on one line
ROMAN = re.compile(r"[IVXLC]+")
HEADING = re.compile(r"(?:ACT|SCENE)\b[ .:]*(?:[IVXLC]+|\d+|FIRST|SECOND|THIRD|FOURTH|FIFTH)\b", re.IGNORECASE)
OPENING = re.compile(r"(?:THE )?(?P<name>PROLOGUE|EPILOGUE)\.?")
UNMARKED = re.compile(r"(?:Re-enter|Enter|Exeunt|Exit|Spoken by)\b")
CAPITALS_SHARE = 0.6
NEEDED = 2


@dataclass(frozen=True)
class Text:
    """One text of a corpus, as its source gave it."""

    name: str
    title: str
    body: str


@dataclass(frozen=True)
class Speech:
    """A speech of one person; `scene` counts the headings of the play."""

    id: str
    play: str
    scene: int
    speaker: str
    text: str


@dataclass(frozen=True)
class Play:
    """A text with its speeches; a poem has none, and no layout."""

    name: str
    title: str
    layout: str
    speeches: tuple[Speech, ...]


@dataclass(frozen=True)
class Page:
    """The lines of a text with the layout and the counts of its speaker names."""

    play: str
    lines: tuple[str, ...]
    layout: str
    names: Counter[str]


def parse(text: Text) -> Play:
    """Return the play with its speeches, without stage directions; a text without names has none."""
    page = open_page(text)
    blocks = speeches_of(page) if page.layout else []
    speeches: list[Speech] = []
    for scene, name, lines in blocks:
        words = spoken(lines)
        if words:
            id_ = f"{text.name}:{len(speeches) + 1}"
            speeches.append(Speech(id_, text.name, scene, full_name(text.name, name), words))
    return Play(text.name, text.title, page.layout, tuple(speeches))


def open_page(text: Text) -> Page:
    """Find the beginning of the play and the layout of its speaker names."""
    lines = tuple(line.rstrip() for line in text.body.replace("{", "[").replace("}", "]").splitlines())
    begin = next((at for at, line in enumerate(lines) if is_heading(line) or OPENING.fullmatch(line.strip())), 0)
    lines = ("", *lines[begin:], "")
    found = {layout: names_printed(lines, layout) for layout in LAYOUTS}
    layout = max(found, key=lambda layout: repeated(found[layout]))
    return Page(text.name, lines, layout if repeated(found[layout]) >= NEEDED else "", found[layout])


def repeated(names: Counter[str]) -> int:
    """Count the lines whose name stands above more than one speech."""
    return sum(count for count in names.values() if count >= NEEDED)


def names_printed(lines: tuple[str, ...], layout: str) -> Counter[str]:
    """Count the names that stand alone between a blank line and a line of speech."""
    names: Counter[str] = Counter()
    for before, line, after in zip(lines, lines[1:], lines[2:], strict=False):
        match = LAYOUTS[layout].fullmatch(line.strip())
        if match and not before.strip() and after.strip() and is_name(match["name"], layout):
            names[match["name"]] += 1
    return names


def is_name(name: str, layout: str) -> bool:
    """Return True for a name; False for a numeral, a heading or a short sentence."""
    if ROMAN.fullmatch(name) or name.upper() in NO_NAMES or is_heading(name):
        return False
    return layout in {"abbreviated", "colon"} or in_capitals(name)


def in_capitals(name: str) -> bool:
    """Return True if most letters are capitals: `LouIS` is, `Song` is not."""
    letters = [letter for letter in name if letter.isalpha()]
    return sum(letter.isupper() for letter in letters) >= CAPITALS_SHARE * len(letters)


def is_heading(line: str) -> bool:
    """Return True if an act or a scene begins at this line."""
    return bool(HEADING.match(line.strip()))


def speeches_of(page: Page) -> list[tuple[int, str, list[str]]]:
    """Return the speeches of a page as (scene, name as printed, lines)."""
    blocks: list[tuple[int, str, list[str]]] = []
    scene, speaking = 0, False
    for at in range(1, len(page.lines) - 1):
        line = page.lines[at].strip()
        if is_heading(line):
            scene, speaking = scene + 1, False
        elif match := name_at(page, at):
            blocks.append((scene, match["name"], [match["rest"] or ""]))
            speaking = True
        elif opening := OPENING.fullmatch(line):
            blocks.append((scene, opening["name"], []))
            speaking = True
        elif speaking:
            blocks[-1][2].append(line)
    return blocks


def name_at(page: Page, at: int) -> re.Match[str] | None:
    """Return the match of a name above a speech at line `at`; the layout of a known name may differ."""
    before, line, after = page.lines[at - 1], page.lines[at].strip(), page.lines[at + 1].strip()
    strict = LAYOUTS[page.layout].fullmatch(line)
    match = strict or LOOSE.fullmatch(line) or INLINE.fullmatch(line)
    if not match or not is_name(match["name"], page.layout):
        return None
    is_known = page.names[match["name"]] >= NEEDED
    if before.strip():
        closer = strict and is_known and after and page.layout == "capitals" and page.lines[at][:1] != " "
        return match if closer else None
    if is_known:
        return match
    return match if strict and after else None


def spoken(lines: list[str]) -> str:
    """Return a speech as one line, without stage directions and marks of the edition."""
    kept: list[str] = []
    for at, line in enumerate(lines):
        is_alone = at > 0 and not lines[at - 1] and UNMARKED.match(line)
        is_rule = line and not any(letter.isalnum() for letter in line)
        if not is_alone and not is_rule and line.upper().strip(". ") not in NO_NAMES:
            kept.append(line)
    text = re.sub(r"\[[^\]]*\]", " ", "\n".join(kept))
    text = re.sub(r"\[[^\n]*(?:\n[^\n]+)*", " ", text)
    return " ".join(text.replace("]", " ").replace("_", "").split())
