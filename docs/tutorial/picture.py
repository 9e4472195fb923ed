"""Draws the end of first-plan.cast as a picture: python docs/tutorial/picture.py, after record.py."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path

CAST = Path(__file__).with_name("first-plan.cast")
PICTURE = CAST.with_suffix(".svg")
BEGINS = "$ do-tasks --step 2"
COLUMNS, COLUMN, ROW, MARGIN = 110, 7.8, 18, 16
COLOURS = {"31": "#ff7b72", "32": "#7ee787", "33": "#e3b341"}
MARKED = re.compile(r"\x1b\[(\d+)m(.*?)\x1b\[0m")
HEAD = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{0:.0f}" height="{1}" viewBox="0 0 {0:.0f} {1}" role="img">'
    "<title>A check fails, is mended, and MAIN is not repeated</title>"
    '<rect width="100%" height="100%" rx="8" fill="#0d1117"/>'
    '<g font-family="ui-monospace,Menlo,Consolas,monospace" font-size="13" fill="#e6edf3" xml:space="preserve">'
)


def lines(cast: str) -> list[str]:
    """Return the lines of the terminal from BEGINS on, wrapped; of blank ones none."""
    shown = "".join(json.loads(row)[2] for row in cast.splitlines()[1:])
    end = shown[shown.index(BEGINS) :].replace("\r", "").splitlines()
    return [part for line in end if line.strip() for part in re.findall(f".{{1,{COLUMNS}}}", line)]


def drawn(line: str, row: int) -> str:
    """Return one line as text of SVG, its colours as spans."""
    text = MARKED.sub(lambda m: f'<tspan fill="{COLOURS[m[1]]}">{m[2]}</tspan>', escape(line, quote=False))
    weight = ' font-weight="bold"' if line.startswith("$ ") else ""
    return f'<text x="{MARGIN}" y="{MARGIN + ROW * row}"{weight}>{text}</text>'


def main() -> None:
    """Write the picture."""
    rows = lines(CAST.read_text(encoding="utf-8"))
    head = HEAD.format(COLUMNS * COLUMN + 2 * MARGIN, ROW * (len(rows) + 1) + MARGIN)
    body = [drawn(line, number) for number, line in enumerate(rows, 1)]
    PICTURE.write_text("\n".join([head, *body, "</g></svg>", ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
