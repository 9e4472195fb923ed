"""CommonMark's own reading of boxes, by markdown-it-py; it is a dependency of tests alone."""

from __future__ import annotations

import re

from markdown_it import MarkdownIt

_BOX = re.compile(r"\[([^\]\n]{1,2})\](?=\s|\*\s|$)")


def boxes(data: bytes) -> dict[int, str]:
    """Return the mark of each list item that begins with a box, by line number from 1."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    tokens = MarkdownIt("commonmark").parse(text)
    found = {}
    for before, at, token in zip(tokens, tokens[1:], tokens[2:], strict=False):
        is_text = at.type == "paragraph_open" or (at.type == "heading_open" and at.markup in "-=")
        if before.type == "list_item_open" and is_text and (match := _BOX.match(token.content)):
            found[at.map[0] + 1] = match[1]
    return found


def paragraph_ends(data: bytes) -> dict[int, int]:
    """Return the last line of each paragraph by its first."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    tokens = MarkdownIt("commonmark").parse(text)
    return {token.map[0] + 1: token.map[1] for token in tokens if token.type == "paragraph_open"}


def rendered(data: bytes) -> list[str]:
    """Return the lines of the document as a reader sees it."""
    return MarkdownIt("commonmark").render(data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")).split("\n")
